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
- *Descriptions.* Platform and version are each what the receiver said last, by the minute of
  createdAt, and of what it says in one minute the greatest. An author mark describes nobody.
- *Clocks.* `received_at` comes by the server's clock as far as that is known; of an author it is
  when it sent the message. Samples of one receipt merge by the least. Of several authors' moments
  those count that are a second or more off sentAt, and of these the least.

The figures beside the counts are in `oracle.figures`, as functions of what is found out here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from oracle import figures
from oracle.figures import (
    Captures,
    Delays,
    Described,
    Dimension,
    Groups,
    Pair,
    PairCounts,
    Spread,
    delay_class,
)

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

Descriptions = Mapping[Receiver, Iterable[tuple[int, str, str]]]
"""receiver → all that it said of itself: createdAt, platform, app version; empty: not said"""

Hole = tuple[int, int]
"""An open interval of sentAt"""

AUDIT = "devtelemetry-audit/"
"""How the ids of channels begin that take part in nothing but their own figures"""

MINUTE = 60_000
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
    received_at: int | None = None
    """ms, by the server's clock; of who wrote it when it sent it; None: not known"""
    platform: str = ""
    app_version: str = ""

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
    received_at: int | None


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

    @property
    def vouchers(self) -> frozenset[Receiver]:
        return self.holders | self.authors

    @property
    def capturers(self) -> frozenset[Receiver]:
        return self.holders - self.authors

    @property
    def corrected_sent_at(self) -> int:
        """When it was sent, by the server's clock as far as an author told."""
        told = [
            receipt.received_at
            for receipt in self.receipts.values()
            if receipt.sent_by_receiver
            and receipt.received_at is not None
            and abs(receipt.received_at - self.sent_at) >= 1_000
        ]
        return min(told, default=self.sent_at)


class Seen(NamedTuple):
    """What the figures of a window need to know of a message."""

    message_type: str
    vouchers: frozenset[Receiver]
    capturers: frozenset[Receiver]


Canonical = Mapping[MessageKey, Message]


@dataclass(frozen=True)
class OracleChannel:
    """One channel in one window."""

    channel_id: str
    believed: tuple[Seen, ...]
    """M"""
    measured: tuple[Seen, ...]
    """M before quorum and cap"""
    members: Mapping[Receiver, Described]
    """those that count"""
    pairs: tuple[Pair, ...]
    smallest_group: int

    @property
    def messages(self) -> int:
        return len(self.believed)

    @property
    def receivers(self) -> int:
        return len(self.members)

    @cached_property
    def counts(self) -> PairCounts:
        return figures.count_pairs(self.pairs)

    @property
    def expected(self) -> int:
        return self.counts.expected

    @property
    def missing(self) -> int:
        return self.counts.missing

    @property
    def corroborated(self) -> int:
        return self.counts.corroborated

    @property
    def unknown(self) -> int:
        return self.counts.unknown

    @property
    def comparable(self) -> bool:
        return self.receivers >= 2 and self.expected > 0

    @property
    def is_audit(self) -> bool:
        return self.channel_id.startswith(AUDIT)

    @property
    def reliability(self) -> Fraction | None:
        return 1 - Fraction(self.missing, self.expected) if self.comparable else None

    @property
    def delivery_ratio(self) -> Fraction | None:
        if not self.comparable or self.corroborated == 0:
            return None
        return 1 - Fraction(self.missing, self.corroborated)

    @property
    def types(self) -> list[str]:
        """Of each message of M."""
        return [message.message_type for message in self.believed]

    @property
    def lone_vouchers(self) -> Counter[Receiver]:
        """How many messages of M each receiver alone vouches for."""
        return _lone_vouchers(self.believed)

    @property
    def over_receivers(self) -> Spread:
        return figures.over_receivers(self.pairs)

    @property
    def delays(self) -> Delays:
        return figures.delays(self.pairs)

    @property
    def median(self) -> Fraction | None:
        return figures.median(figures.receiver_ratios(self.pairs))

    @property
    def trimmed(self) -> Fraction | None:
        return figures.trimmed(figures.receiver_ratios(self.pairs))

    @property
    def influence(self) -> Fraction | None:
        return figures.influence([self])

    @property
    def captures(self) -> Captures:
        return figures.captures(message.capturers for message in self.measured)

    @property
    def unseen(self) -> Fraction | None:
        return figures.unseen([message.capturers for message in self.measured], self.receivers)

    @property
    def coverage(self) -> Fraction | None:
        return figures.coverage(self.captures, self.receivers)

    def groups(self, dimension: Dimension) -> Groups:
        """None where all of them would be put together."""
        found = figures.groups([self], dimension, self.smallest_group)
        return {} if found.keys() == {None} else found


@dataclass(frozen=True)
class OracleWindow:
    """One window. Totals are sums over the comparable channels, R the mean of their Rch.

    Channels of audits are no comparable ones here.
    """

    channels: Mapping[str, OracleChannel] = field(default_factory=dict)
    smallest_group: int = 3

    @property
    def comparable_channels(self) -> list[OracleChannel]:
        return [c for c in self.channels.values() if c.comparable and not c.is_audit]

    @property
    def pairs(self) -> list[Pair]:
        return [pair for channel in self.comparable_channels for pair in channel.pairs]

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

    @property
    def over_channels(self) -> Spread:
        return figures.over_channels(self.pairs)

    @property
    def over_receivers(self) -> Spread:
        return figures.over_receivers(self.pairs)

    @property
    def over_memberships(self) -> Spread:
        return figures.over_memberships(self.pairs)

    @property
    def delays(self) -> Delays:
        return figures.delays(self.pairs)

    @property
    def median(self) -> Fraction | None:
        return figures.median(figures.receiver_ratios(self.pairs))

    @property
    def trimmed(self) -> Fraction | None:
        return figures.trimmed(figures.receiver_ratios(self.pairs))

    @property
    def influence(self) -> Fraction | None:
        return figures.influence(self.comparable_channels)

    @property
    def unseen(self) -> Fraction | None:
        known = [channel.unseen for channel in self.comparable_channels]
        return (
            sum((of_one for of_one in known if of_one is not None), Fraction(0)) if known else None
        )

    @property
    def coverage(self) -> Fraction | None:
        return figures.coverage_of_all(self.comparable_channels)

    def groups(self, dimension: Dimension) -> Groups:
        return figures.groups(self.comparable_channels, dimension, self.smallest_group)


def canonical(samples: Iterable[OracleSample]) -> Canonical:
    """The messages that the samples prove, the same for any order and repetition of the samples."""
    reports: defaultdict[MessageKey, list[OracleSample]] = defaultdict(list)
    for sample in samples:
        reports[sample.message].append(sample)

    messages: dict[MessageKey, Message] = {}
    for key, of_message in reports.items():
        claims: list[tuple[int, int, str]] = []
        created: defaultdict[Receiver, list[int]] = defaultdict(list)
        received: defaultdict[Receiver, list[int]] = defaultdict(list)
        authors: set[Receiver] = set()
        for sample in of_message:
            if sample.created_at is None:
                authors.add(sample.receiver)
                continue
            claims.append((sample.created_at, sample.sent_at, sample.message_type))
            created[sample.receiver].append(sample.created_at)
            if sample.received_at is not None:
                received[sample.receiver].append(sample.received_at)
            if sample.sent_by_receiver:
                authors.add(sample.receiver)
        if not claims:
            continue
        _, sent_at, message_type = min(claims)
        messages[key] = Message(
            sent_at=sent_at,
            receipts={
                receiver: Receipt(
                    created_at=min(times),
                    sent_by_receiver=receiver in authors,
                    received_at=min(received[receiver], default=None),
                )
                for receiver, times in created.items()
            },
            marked_authors=frozenset(authors - created.keys()),
            message_type=message_type,
        )
    return messages


def described(
    samples: Iterable[OracleSample], descriptions: Descriptions
) -> Mapping[Receiver, Described]:
    """What each receiver said last of itself, in its samples and elsewhere."""
    platforms: defaultdict[Receiver, list[tuple[int, str]]] = defaultdict(list)
    versions: defaultdict[Receiver, list[tuple[int, str]]] = defaultdict(list)
    said = [
        (sample.receiver, sample.created_at, sample.platform, sample.app_version)
        for sample in samples
        if sample.created_at is not None
    ]
    said += [(receiver, *saying) for receiver, of_it in descriptions.items() for saying in of_it]
    for receiver, created_at, platform, app_version in said:
        if platform:
            platforms[receiver].append((created_at // MINUTE, platform))
        if app_version:
            versions[receiver].append((created_at // MINUTE, app_version))
    return {
        receiver: Described(
            max(platforms[receiver], default=(0, ""))[1],
            max(versions[receiver], default=(0, ""))[1],
        )
        for receiver in platforms.keys() | versions.keys()
    }


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
    descriptions: Descriptions | None = None,
    unmeasured_channels: Iterable[str] = (),
    unmeasured_types: Iterable[str] = (),
    quorum: int = 1,
    weight_cap: Fraction = Fraction(1),
    smallest_group: int = 3,
) -> OracleWindow:
    """The figures of the window [start, end).

    samples              in any order, or what `canonical` made of them (saves doing it again; then
                         it is not known what they say of their receivers)
    heartbeats           receiver → createdAt of its latest push without samples, ms
    numbers              installation → what arrived of its numbers
    memberships          what receivers said of their part in channels
    descriptions         what receivers said of themselves with no sample
    unmeasured_channels  globs over channel ids, case-sensitive
    unmeasured_types     message types
    quorum               how many must vouch for a message
    weight_cap           of a channel's messages, the greatest share that one may alone vouch for
    smallest_group       a group of fewer receivers is not shown

    A channel without a receiver that counts, or without a message in the window, is absent.
    """
    if isinstance(samples, Mapping):
        messages, of_samples = samples, []
    else:
        of_samples = list(samples)
        messages = canonical(of_samples)
    who = described(of_samples, descriptions or {})
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
        found = _channel(
            channel_id,
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
            who=who,
            quorum=quorum,
            weight_cap=weight_cap,
            smallest_group=smallest_group,
        )
        if found.messages > 0 and found.receivers > 0:
            channels[channel_id] = found
    return OracleWindow(channels, smallest_group)


def _channel(
    channel_id: str,
    messages: list[Message],
    start: int,
    end: int,
    membership: Membership,
    *,
    reporting: set[Receiver],
    holes_of: Mapping[str, list[Hole]],
    said: Mapping[Receiver, list[Joining]],
    unmeasured_types: set[str],
    who: Mapping[Receiver, Described],
    quorum: int,
    weight_cap: Fraction,
    smallest_group: int,
) -> OracleChannel:
    """What there is of one channel, all of whose messages, in the window or not, are given."""
    measured = [
        message
        for message in messages
        if start <= message.sent_at < end and message.message_type not in unmeasured_types
    ]

    seen: defaultdict[Receiver, list[int]] = defaultdict(list)  # sentAt of all it ever held here
    for message in messages:
        for receiver in message.holders:
            seen[receiver].append(message.sent_at)

    believed = _believed(measured, quorum, weight_cap)

    # Whoever can count: holds something here, says to be in, or wrote a measured message.
    involved = set(seen) | set(said)
    for message in measured:
        involved |= message.authors

    members: dict[Receiver, Described] = {}
    pairs: list[Pair] = []
    for receiver in sorted(involved & reporting):
        expected_messages = _expected(
            receiver,
            start,
            end,
            membership,
            seen=seen[receiver],
            said=said.get(receiver, []),
            measured=measured,
            believed=believed,
        )
        if expected_messages is None:
            continue
        members[receiver] = who.get(receiver, Described())
        for message in expected_messages:
            if receiver not in message.authors:
                is_unknown = any(
                    low < message.sent_at < high for low, high in holes_of.get(receiver[1], [])
                )
                pairs.append(_pair(channel_id, receiver, message, is_unknown=is_unknown))
    return OracleChannel(
        channel_id,
        _seen(believed),
        _seen(measured),
        members,
        tuple(sorted(pairs, key=repr)),
        smallest_group,
    )


def _believed(measured: list[Message], quorum: int, weight_cap: Fraction) -> list[Message]:
    """M: those of the measured messages of a channel that enough receivers vouch for."""
    if quorum > 1:
        return [message for message in measured if len(message.vouchers) >= quorum]
    lone = _lone_vouchers(measured)
    believed_alone = {
        receiver for receiver, number in lone.items() if number <= weight_cap * len(measured)
    }
    return [
        message
        for message in measured
        if len(message.vouchers) > 1 or message.vouchers <= believed_alone
    ]


def _lone_vouchers(messages: Iterable[Message | Seen]) -> Counter[Receiver]:
    return Counter(
        receiver
        for message in messages
        if len(message.vouchers) == 1
        for receiver in message.vouchers
    )


def _seen(messages: list[Message]) -> tuple[Seen, ...]:
    """In an order that does not depend on when they were sent."""
    return tuple(
        sorted((Seen(m.message_type, m.vouchers, m.capturers) for m in messages), key=_sorted_repr)
    )


def _sorted_repr(seen: Seen) -> tuple[str, list[Receiver], list[Receiver]]:
    return (seen.message_type, sorted(seen.vouchers), sorted(seen.capturers))


def _pair(channel_id: str, receiver: Receiver, message: Message, *, is_unknown: bool) -> Pair:
    receipt = message.receipts.get(receiver)
    delivery = report = None
    if receipt is not None and not is_unknown:
        sent_at = message.corrected_sent_at
        delivery = delay_class(
            None if receipt.received_at is None else receipt.received_at - sent_at
        )
        report = delay_class(receipt.created_at - sent_at)
    return Pair(
        channel_id,
        receiver,
        message.message_type,
        is_unknown=is_unknown,
        is_missing=receipt is None and not is_unknown,
        is_corroborated=bool(message.vouchers - {receiver}) and not is_unknown,
        delivery_delay=delivery,
        report_delay=report,
    )


def _expected(
    receiver: Receiver,
    start: int,
    end: int,
    membership: Membership,
    *,
    seen: list[int],
    said: list[Joining],
    measured: list[Message],
    believed: list[Message],
) -> list[Message] | None:
    """X of a reporting receiver (its own messages still in it); None if it does not count."""
    joinings = [(created_at, joined) for created_at, joined, _ in said if joined is not None]
    leavings = [(created_at, left) for created_at, _, left in said if left is not None]
    joined_at = max(joinings)[1] if joinings else None
    left_at = max(leavings)[1] if leavings else None

    if membership == "window":
        first, last = FIRST_OF_ALL, END_OF_TIME
        # Also of what is not believed: it was there to hold it.
        holds = any(receiver in message.vouchers for message in measured)
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
    return [message for message in believed if first <= message.sent_at <= last]
