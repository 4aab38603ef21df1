"""Samples of many requests, merged into the rows of one transaction. Pure.

What two samples say of one thing is merged here by the same rules as in the database, so that it
does not matter whether they meet in one transaction or not (docs/algorithm.md, "Canonical data").
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.model import (
    MINUTE_MS,
    LostReports,
    MembershipReport,
    ReportedMembership,
    ReportRun,
    Sample,
    SentEnvelope,
    Source,
)
from devtelemetry.store.keyring import Keyring, ReceiverIds

# The claim of an author's mark, which is no sample: any sample of the message comes before it.
NEVER = 2**63 - 1

MessageKey = tuple[int, int]  # channel_id, message_id
ReceiptKey = tuple[int, int, int]  # channel_id, message_id, receiver_id
MembershipKey = tuple[int, int]  # channel_id, receiver_id


class Claim(NamedTuple):
    """What a sample says of its message. The least one is believed: the first accepted."""

    created_at: int
    sent_at: int
    message_type: str
    source: Source


class NewMessage(NamedTuple):
    claim: Claim
    sample: Sample


@dataclass(slots=True)
class NewReceipt:
    created_at: int | None
    received_at: int | None
    sent_by_receiver: bool


class Clock(NamedTuple):
    """How far a receiver's clock is off. The greatest is believed: the latest."""

    said_at: int  # created_at of the push
    offset: int  # ms, the server's less its own


class Description(NamedTuple):
    """What a receiver says of itself. The greatest is believed: the latest."""

    minute: int  # of created_at
    name: str


NOT_SAID = Description(0, "")


@dataclass(slots=True)
class NewReceiver:
    """What is to be remembered of a reporter. Minutes are Unix ms; None: nothing new."""

    ids: ReceiverIds
    platform: Description = NOT_SAID
    app_version: Description = NOT_SAID
    server: Description = NOT_SAID
    last_heartbeat_minute: int | None = None
    clock: Clock | None = None


class NewRun(NamedTuple):
    """A run of numbers as its row has it, less the installation."""

    first_sequence: int
    last_sequence: int
    first_sent_at: int | None
    last_sent_at: int | None


class Heartbeat(NamedTuple):
    """A push without samples: still reporting, nothing new."""

    receiver_public_key: str
    installation_id: str
    platform: str
    app_version: str
    created_at: int
    server: str = ""


class ClockSaid(NamedTuple):
    """What a push shows of a receiver's clock; the fields as in Clock."""

    receiver_public_key: str
    installation_id: str
    offset: int
    said_at: int


@dataclass(slots=True)
class Batch:
    channels: dict[int, str] = field(default_factory=dict)
    messages: dict[MessageKey, NewMessage] = field(default_factory=dict)
    receipts: dict[ReceiptKey, NewReceipt] = field(default_factory=dict)
    receivers: dict[int, NewReceiver] = field(default_factory=dict)
    message_envelopes: dict[tuple[int, int, int], int] = field(default_factory=dict)
    sent_envelopes: dict[tuple[int, int], int] = field(default_factory=dict)
    membership_reports: dict[MembershipKey, set[MembershipReport]] = field(default_factory=dict)
    runs: dict[int, list[NewRun]] = field(default_factory=dict)  # by installation_id
    lost: set[tuple[int, int, int, int, int]] = field(default_factory=set)  # rows of lost_report
    # What each sample said, to count conflicts and late ones once its message's sentAt is known,
    # and to merge them anew without some.
    said: list[tuple[MessageKey, Sample]] = field(default_factory=list)

    def add_samples(self, keyring: Keyring, samples: Iterable[Sample]) -> None:
        channel_of, message_of = keyring.channel, keyring.message
        channels, messages, receipts = self.channels, self.messages, self.receipts
        receivers, said = self.receivers, self.said
        for sample in samples:
            channel_id = channel_of(sample.channel_id)
            message_id = message_of(sample.message_id)
            ids = keyring.receiver(
                sample.receiver_public_key, sample.installation_id, sample.source
            )
            receiver_id = ids.receiver_id
            created_at = sample.created_at
            message_key = (channel_id, message_id)
            said.append((message_key, sample))

            channels[channel_id] = sample.channel_id
            claim = Claim(
                NEVER if created_at is None else created_at,
                sample.sent_at,
                sample.message_type,
                sample.source,
            )
            known = messages.get(message_key)
            if known is None or claim < known.claim:
                messages[message_key] = NewMessage(claim, sample)

            receipt_key = (channel_id, message_id, receiver_id)
            receipt = receipts.get(receipt_key)
            # A mark tells who wrote a message, and nothing of when.
            received_at = None if created_at is None else sample.received_at or None
            if receipt is None:
                receipts[receipt_key] = NewReceipt(created_at, received_at, sample.sent_by_receiver)
            else:
                receipt.created_at = least(receipt.created_at, created_at)
                receipt.received_at = least(receipt.received_at, received_at)
                receipt.sent_by_receiver |= sample.sent_by_receiver

            receiver = receivers.get(receiver_id)
            if receiver is None:
                receiver = receivers[receiver_id] = NewReceiver(ids)
            _describe(receiver, sample.platform, sample.app_version, sample.server, created_at or 0)

            if sample.source is Source.STATUS_GO and sample.envelope_id:
                envelope_key = (channel_id, keyring.envelope(sample.envelope_id), message_id)
                self.message_envelopes.setdefault(envelope_key, created_at or 0)

    def add_heartbeat(self, keyring: Keyring, beat: Heartbeat) -> None:
        ids = keyring.receiver(beat.receiver_public_key, beat.installation_id)
        receiver = self.receivers.setdefault(ids.receiver_id, NewReceiver(ids))
        _describe(receiver, beat.platform, beat.app_version, beat.server, beat.created_at)
        minute = floor_to_minute(beat.created_at)
        receiver.last_heartbeat_minute = max(receiver.last_heartbeat_minute or minute, minute)

    def add_clocks(self, keyring: Keyring, clocks: Iterable[ClockSaid]) -> None:
        for said in clocks:
            ids = keyring.receiver(said.receiver_public_key, said.installation_id)
            receiver = self.receivers.setdefault(ids.receiver_id, NewReceiver(ids))
            clock = Clock(said.said_at, said.offset)
            receiver.clock = max(receiver.clock or clock, clock)

    def add_memberships(self, keyring: Keyring, reported: Iterable[ReportedMembership]) -> None:
        for said in reported:
            ids = keyring.receiver(said.receiver_public_key, said.installation_id, said.source)
            # So that it is looked up whether that one is forgotten.
            self.receivers.setdefault(ids.receiver_id, NewReceiver(ids))
            channel_id = keyring.channel(said.channel_id)
            self.channels[channel_id] = said.channel_id
            self.membership_reports.setdefault((channel_id, ids.receiver_id), set()).add(
                MembershipReport(said.created_at, said.joined_at, said.left_at)
            )

    def add_runs(self, keyring: Keyring, runs: Iterable[ReportRun]) -> None:
        for installation, first, last, first_sent_at, last_sent_at, source in runs:
            installation_id = keyring.installed(installation, source)
            if installation_id is not None:
                run = NewRun(first, last, first_sent_at, last_sent_at)
                self.runs.setdefault(installation_id, []).append(run)

    def add_lost(self, keyring: Keyring, lost: Iterable[LostReports]) -> None:
        for installation, *said, source in lost:
            installation_id = keyring.installed(installation, source)
            if installation_id is not None:
                first, last, first_sent_at, last_sent_at = said
                self.lost.add((installation_id, first, last, first_sent_at, last_sent_at))

    def add_sent_envelopes(self, keyring: Keyring, envelopes: Iterable[SentEnvelope]) -> None:
        for sent in envelopes:
            ids = keyring.receiver(sent.sender_public_key, sent.installation_id, Source.STATUS_GO)
            self.receivers.setdefault(ids.receiver_id, NewReceiver(ids))
            key = (keyring.envelope(sent.envelope_id), ids.receiver_id)
            self.sent_envelopes.setdefault(key, sent.created_at)

    def without(self, keyring: Keyring, receivers: Set[int]) -> "Batch":
        """What the others said, merged anew: a merged message does not tell who said what of it."""
        rest = Batch(
            receivers={
                receiver_id: receiver
                for receiver_id, receiver in self.receivers.items()
                if receiver_id not in receivers
            },
            sent_envelopes={
                key: created_at
                for key, created_at in self.sent_envelopes.items()
                if key[1] not in receivers
            },
            membership_reports={
                key: said
                for key, said in self.membership_reports.items()
                if key[1] not in receivers
            },
            runs=self.runs,  # the statements that write these leave out what is forgotten
            lost=self.lost,
        )
        for _, sample in self.said:
            ids = keyring.receiver(
                sample.receiver_public_key, sample.installation_id, sample.source
            )
            if ids.receiver_id not in receivers:
                rest.add_samples(keyring, [sample])
        for channel_id, _ in rest.membership_reports:
            rest.channels[channel_id] = self.channels[channel_id]
        return rest


def union(runs: Iterable[NewRun]) -> list[NewRun]:
    """`runs` with those that touch or overlap made one, ascending."""
    merged: list[NewRun] = []
    for run in sorted(runs, key=lambda run: run[:2]):
        if merged and run.first_sequence <= merged[-1].last_sequence + 1:
            merged[-1] = _joined(merged[-1], run)
        else:
            merged.append(run)
    return merged


def least(a: int | None, b: int | None) -> int | None:
    """The lesser of two where None is unknown, as SQL's least() has it."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def greatest(a: int | None, b: int | None) -> int | None:
    """The greater of two, likewise."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)


def floor_to_minute(unix_ms: int) -> int:
    return unix_ms // MINUTE_MS * MINUTE_MS


def storable(text: str) -> str:
    """`text` without NUL, which PostgreSQL's text refuses; ids with NUL were refused before."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _joined(a: NewRun, b: NewRun) -> NewRun:
    """Two runs that touch or overlap, `a` not beginning later, as `write_runs` joins them."""
    if a.first_sequence == b.first_sequence:
        first_sent_at = least(a.first_sent_at, b.first_sent_at)
    else:
        first_sent_at = b.first_sent_at if a.first_sent_at is None else a.first_sent_at
    if a.last_sequence == b.last_sequence:
        last_sent_at = greatest(a.last_sent_at, b.last_sent_at)
    else:
        longer, shorter = (a, b) if a.last_sequence > b.last_sequence else (b, a)
        last_sent_at = longer.last_sent_at
        if last_sent_at is None:
            last_sent_at = shorter.last_sent_at
    last_sequence = max(a.last_sequence, b.last_sequence)
    return NewRun(a.first_sequence, last_sequence, first_sent_at, last_sent_at)


def _describe(
    receiver: NewReceiver, platform: str, app_version: str, server: str, created_at: int
) -> None:
    # An empty name is "not said", never "none any more". To a minute, so that who says the same
    # again is written once a minute.
    minute = floor_to_minute(created_at)
    if platform and (said := Description(minute, storable(platform))) > receiver.platform:
        receiver.platform = said
    if app_version and (said := Description(minute, storable(app_version))) > receiver.app_version:
        receiver.app_version = said
    if server and (said := Description(minute, storable(server))) > receiver.server:
        receiver.server = said
