"""The oracle: one window's figures, computed in the most obvious way.

Written from the page that defines the figures and from nothing else, so that the SQL has something
independent to be held against. Sets, nested loops and exact fractions; no attention to speed.

A **receiver** is the pair (receiver public key, installation id). Times are Unix milliseconds; a
window is half-open, [start, end).

How the page is read where it leaves a choice:

- *First accepted sample.* Order of arrival within one millisecond is not stored, so a message's
  sentAt and type are the claim of the sample with the least (createdAt, sentAt, type).
- *Receipts* of one (channel, message, receiver) merge: earliest createdAt, and written by the
  receiver if any of them says so.
- *Not measured* is a property of a message: its channel matches a glob, or its type is listed.
  Its samples show that their receivers are reporting and move `first` and `last` like any other.
- *Author marks.* A sample without createdAt says only that the receiver wrote the message
  (status-go tells so for an envelope, without reporting the message). It takes the pair out of what
  is expected, it counts as sent, and it is no receipt: `first`, `last` and reporting do not see it.
  A mark of a message that no sample reports is nothing. A mark beside a receipt of the same
  receiver makes that receipt one of its own message.

- *Numbers.* What arrived of an installation's numbers is a set of them, each with the sentAt that
  its sample said, or with none if the sample was rejected. Runs, pushes and rows are not in the
  page's terms and not here.
- *Memberships.* Of what a receiver says of joining and of leaving a channel, the latest counts
  each, and of what it says at one moment the greatest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import pairwise
from typing import Literal

Receiver = tuple[str, str]
"""(receiver public key, installation id)"""

MessageKey = tuple[str, str]
"""(channel id, message id)"""

Numbers = Mapping[int, int | None]
"""What arrived of one installation's count: number → sentAt as its sample said; None: rejected"""

Joining = tuple[int, int | None, int | None]
"""What a receiver said of a channel: createdAt of the push; joined at (None: not said); left at
(None: not said, 0: still in)"""

Memberships = Mapping[tuple[Receiver, str], Iterable[Joining]]
"""(receiver, channel id) → all that it said"""

Hole = tuple[int, int]
"""An open interval of sentAt"""

FIRST_OF_ALL = -(2**63)
END_OF_TIME = 2**63

Membership = Literal["present", "window", "bracketed"]
MEMBERSHIPS: tuple[Membership, ...] = ("present", "window", "bracketed")


@dataclass(frozen=True)
class OracleSample:
    """One report that a receiver holds a message, or (no created_at) only that it wrote it."""

    message_id: str
    channel_id: str
    receiver_public_key: str
    sent_at: int
    """ms, the sender's clock"""
    created_at: int | None
    """ms, the server's clock; None: an author mark, no receipt"""
    installation_id: str = ""
    sent_by_receiver: bool = False
    message_type: str = ""
    envelope_id: str = ""

    @property
    def receiver(self) -> Receiver:
        return (self.receiver_public_key, self.installation_id)

    @property
    def message(self) -> MessageKey:
        return (self.channel_id, self.message_id)


@dataclass(frozen=True)
class Receipt:
    """All samples of one (channel, message, receiver), merged."""

    created_at: int
    sent_by_receiver: bool


@dataclass(frozen=True)
class Message:
    """All that the samples say of one message."""

    sent_at: int
    receipts: Mapping[Receiver, Receipt]
    marked_authors: frozenset[Receiver]
    """wrote it, and did not report it"""
    message_type: str

    @property
    def holders(self) -> frozenset[Receiver]:
        return frozenset(self.receipts)

    @property
    def authors(self) -> frozenset[Receiver]:
        own = (receiver for receiver, r in self.receipts.items() if r.sent_by_receiver)
        return self.marked_authors.union(own)


Canonical = Mapping[MessageKey, Message]


@dataclass(frozen=True)
class OracleChannel:
    """One channel in one window."""

    messages: int
    receivers: int
    expected: int
    missing: int
    corroborated: int
    unknown: int

    @property
    def comparable(self) -> bool:
        return self.receivers >= 2 and self.expected > 0

    @property
    def reliability(self) -> Fraction | None:
        return 1 - Fraction(self.missing, self.expected) if self.comparable else None

    @property
    def delivery_ratio(self) -> Fraction | None:
        if not self.comparable or self.corroborated == 0:
            return None
        return 1 - Fraction(self.missing, self.corroborated)


@dataclass(frozen=True)
class OracleWindow:
    """One window. Totals are sums over the comparable channels, R the mean of their Rch."""

    channels: Mapping[str, OracleChannel] = field(default_factory=dict)

    @property
    def comparable_channels(self) -> list[OracleChannel]:
        return [channel for channel in self.channels.values() if channel.comparable]

    @property
    def messages(self) -> int:
        return sum(channel.messages for channel in self.comparable_channels)

    @property
    def receivers(self) -> int:
        return sum(channel.receivers for channel in self.comparable_channels)

    @property
    def expected(self) -> int:
        return sum(channel.expected for channel in self.comparable_channels)

    @property
    def missing(self) -> int:
        return sum(channel.missing for channel in self.comparable_channels)

    @property
    def corroborated(self) -> int:
        return sum(channel.corroborated for channel in self.comparable_channels)

    @property
    def unknown(self) -> int:
        return sum(channel.unknown for channel in self.comparable_channels)

    @property
    def reliability(self) -> Fraction | None:
        ratios = [channel.reliability for channel in self.comparable_channels]
        known = [ratio for ratio in ratios if ratio is not None]
        return sum(known, Fraction(0)) / len(known) if known else None

    @property
    def delivery_ratio(self) -> Fraction | None:
        if self.corroborated == 0:
            return None
        return 1 - Fraction(self.missing, self.corroborated)


def canonical(samples: Iterable[OracleSample]) -> Canonical:
    """The messages that the samples prove, the same for any order and repetition of the samples."""
    reports: defaultdict[MessageKey, list[OracleSample]] = defaultdict(list)
    for sample in samples:
        reports[sample.message].append(sample)

    messages: dict[MessageKey, Message] = {}
    for key, of_message in reports.items():
        claims: list[tuple[int, int, str]] = []
        created: defaultdict[Receiver, list[int]] = defaultdict(list)
        authors: set[Receiver] = set()
        for sample in of_message:
            if sample.created_at is None:
                authors.add(sample.receiver)
                continue
            claims.append((sample.created_at, sample.sent_at, sample.message_type))
            created[sample.receiver].append(sample.created_at)
            if sample.sent_by_receiver:
                authors.add(sample.receiver)
        if not claims:
            continue
        _, sent_at, message_type = min(claims)
        messages[key] = Message(
            sent_at=sent_at,
            receipts={
                receiver: Receipt(min(times), sent_by_receiver=receiver in authors)
                for receiver, times in created.items()
            },
            marked_authors=frozenset(authors - created.keys()),
            message_type=message_type,
        )
    return messages


def holes(numbers: Numbers) -> list[Hole]:
    """The spans of event time of which reports are missing: number by number.

    An island is a stretch of numbers that all arrived; one without an accepted sample has no time
    and is passed over, so that the hole goes from the island before it to the one behind it.
    """
    islands: list[list[int]] = []  # the sentAt of each, in the order of the numbers
    previous: int | None = None
    for number in sorted(numbers):
        if previous is None or number != previous + 1:
            islands.append([])
        previous = number
        sent_at = numbers[number]
        if sent_at is not None:
            islands[-1].append(sent_at)
    dated = [island for island in islands if island]
    found = []
    for earlier, later in pairwise(dated):
        around = (earlier[-1], later[0])
        found.append((min(around), max(around)))
    return found


def compute(
    samples: Iterable[OracleSample] | Canonical,
    start: int,
    end: int,
    membership: Membership,
    *,
    heartbeats: Mapping[Receiver, int] | None = None,
    numbers: Mapping[str, Numbers] | None = None,
    memberships: Memberships | None = None,
    unmeasured_channels: Iterable[str] = (),
    unmeasured_types: Iterable[str] = (),
) -> OracleWindow:
    """The figures of the window [start, end).

    samples              in any order, or what `canonical` made of them (saves doing it again)
    heartbeats           receiver → createdAt of its latest push without samples, ms
    numbers              installation → what arrived of its numbers
    memberships          what receivers said of their part in channels
    unmeasured_channels  globs over channel ids, case-sensitive
    unmeasured_types     message types

    A channel without a receiver that counts, or without a message in the window, is absent.
    """
    messages = samples if isinstance(samples, Mapping) else canonical(samples)
    globs = list(unmeasured_channels)
    types = set(unmeasured_types)

    reporting = {receiver for receiver, at in (heartbeats or {}).items() if at >= end}
    for message in messages.values():
        for receiver, receipt in message.receipts.items():
            if receipt.created_at >= end:
                reporting.add(receiver)

    in_channel: defaultdict[str, list[Message]] = defaultdict(list)
    for (channel_id, _), message in messages.items():
        in_channel[channel_id].append(message)

    holes_of = {installation: holes(of_it) for installation, of_it in (numbers or {}).items()}

    channels: dict[str, OracleChannel] = {}
    for channel_id, of_channel in sorted(in_channel.items()):
        if any(fnmatchcase(channel_id, glob) for glob in globs):
            continue
        figures = _channel(
            of_channel,
            start,
            end,
            membership,
            reporting=reporting,
            holes_of=holes_of,
            said={
                receiver: list(sayings)
                for (receiver, of), sayings in (memberships or {}).items()
                if of == channel_id
            },
            unmeasured_types=types,
        )
        if figures.messages > 0 and figures.receivers > 0:
            channels[channel_id] = figures
    return OracleWindow(channels)


def _channel(
    messages: list[Message],
    start: int,
    end: int,
    membership: Membership,
    *,
    reporting: set[Receiver],
    holes_of: Mapping[str, list[Hole]],
    said: Mapping[Receiver, list[Joining]],
    unmeasured_types: set[str],
) -> OracleChannel:
    """The figures of one channel, all of whose messages, in the window or not, are given."""
    in_window = [
        message
        for message in messages
        if start <= message.sent_at < end and message.message_type not in unmeasured_types
    ]

    seen: defaultdict[Receiver, list[int]] = defaultdict(list)  # sentAt of all it ever held here
    for message in messages:
        for receiver in message.holders:
            seen[receiver].append(message.sent_at)

    # Whoever can count: holds something here, says to be in, or wrote a message of M.
    involved = set(seen) | set(said)
    for message in in_window:
        involved |= message.authors

    receivers = expected = missing = corroborated = unknown = 0
    for receiver in involved & reporting:
        expected_messages = _expected(
            receiver,
            start,
            end,
            membership,
            seen=seen[receiver],
            said=said.get(receiver, []),
            in_window=in_window,
        )
        if expected_messages is None:
            continue
        receivers += 1
        for message in expected_messages:
            if receiver in message.authors:
                continue
            if any(low < message.sent_at < high for low, high in holes_of.get(receiver[1], [])):
                unknown += 1
                continue
            expected += 1
            missing += receiver not in message.holders
            corroborated += bool((message.holders | message.authors) - {receiver})
    return OracleChannel(len(in_window), receivers, expected, missing, corroborated, unknown)


def _expected(
    receiver: Receiver,
    start: int,
    end: int,
    membership: Membership,
    *,
    seen: list[int],
    said: list[Joining],
    in_window: list[Message],
) -> list[Message] | None:
    """X of a reporting receiver (its own messages still in it); None if it does not count."""
    joinings = [(created_at, joined) for created_at, joined, _ in said if joined is not None]
    leavings = [(created_at, left) for created_at, _, left in said if left is not None]
    joined_at = max(joinings)[1] if joinings else None
    left_at = max(leavings)[1] if leavings else None

    if membership == "window":
        first, last = FIRST_OF_ALL, END_OF_TIME
        holds = any(receiver in message.holders | message.authors for message in in_window)
    else:
        # Only marked as an author: neither first nor last.
        first = min(seen, default=END_OF_TIME)
        last = max(seen, default=FIRST_OF_ALL)
        holds = True
    if joined_at is not None:
        first = joined_at
    if left_at is not None:
        last = END_OF_TIME if left_at == 0 else left_at

    if not holds:
        return None
    if membership == "bracketed":
        counts = first < start and last >= end
    else:
        counts = first < end and last >= start
    if not counts:
        return None
    return [message for message in in_window if first <= message.sent_at <= last]
