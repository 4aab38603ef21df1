"""Samples of many requests, merged into the rows of one transaction. Pure.

Samples of one thing are merged by the same rules as in the database. So it does not matter whether
they meet in one transaction or not (docs/algorithm.md, "Canonical data").
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.ingest.caps import CHANNEL, KEY, Named, named_in
from devtelemetry.ingest.merged import (
    CLOCKS,
    MessageKey,
    NewMessage,
    NewReceipt,
    Vote,
    greatest,
    least,
)
from devtelemetry.ingest.said import (
    NOT_SAID,
    NOWHERE,
    Clock,
    ClockSaid,
    Description,
    Heartbeat,
    Origin,
    OriginSaid,
    before,
)
from devtelemetry.model import (
    MINUTE_MS,
    LostReports,
    MembershipReport,
    Outcome,
    ReportedMembership,
    ReportRun,
    SaidOfEnvelope,
    Sample,
    Source,
)
from devtelemetry.store.keyring import Keyring, ReceiverIds

MembershipKey = tuple[int, int]  # channel_id, receiver_id
CoarseKey = tuple[int, int, int, int]  # channel_id, receiver_id, since_at, one_in
MessageEnvelopeKey = tuple[int, int, int]  # channel_id, message_id, envelope_id
UnnamedKey = tuple[int, int, int]  # envelope_id, channel_id (0: any), receiver_id
EventKey = tuple[int, int, int, int]  # envelope_id, event, installation_id, receiver_id (0: none)


class Unnamed(NamedTuple):
    """A sample without a message id, of an unreadable envelope. The least one counts."""

    created_at: int
    sent_at: int
    clock: int  # as stored
    reason: str


class Told(NamedTuple):
    """What a client reported of an envelope. The least one counts, which is the first."""

    created_at: int
    reason: str


@dataclass(slots=True)
class NewReceiver:
    """What is new about a receiver. Minutes are Unix ms; None if there is nothing new.

    version_before  the latest of its versions that differs from app_version
    described_by    platform, app version, server and minute that were merged last
    """

    ids: ReceiverIds
    platform: Description = NOT_SAID
    app_version: Description = NOT_SAID
    version_before: Description = NOT_SAID
    server: Description = NOT_SAID
    described_by: tuple[str, str, str, int] | None = None
    last_heartbeat_minute: int | None = None
    clock: Clock | None = None
    origin: Origin = NOWHERE


class NewRun(NamedTuple):
    """A run of numbers: its row in the database without the installation."""

    first_sequence: int
    last_sequence: int
    first_sent_at: int | None
    last_sent_at: int | None


@dataclass(slots=True)
class Batch:
    channels: dict[int, str] = field(default_factory=dict)
    messages: dict[MessageKey, NewMessage] = field(default_factory=dict)
    receivers: dict[int, NewReceiver] = field(default_factory=dict)
    message_envelopes: dict[MessageEnvelopeKey, int] = field(default_factory=dict)
    first_envelopes: dict[MessageKey, int] = field(
        default_factory=dict
    )  # of messages that have one
    # Messages that came by status-go's interface. Reports of their envelopes are looked up.
    with_events: set[MessageKey] = field(default_factory=set)
    events: dict[EventKey, Told] = field(default_factory=dict)
    unnamed: dict[UnnamedKey, Unnamed] = field(default_factory=dict)
    membership_reports: dict[MembershipKey, set[MembershipReport]] = field(default_factory=dict)
    runs: dict[int, list[NewRun]] = field(default_factory=dict)  # by installation_id
    lost: set[tuple[int, int, int, int, int]] = field(default_factory=set)  # rows of lost_report
    coarse: dict[CoarseKey, int] = field(default_factory=dict)  # the last sentAt of each
    wrong_times: Counter[tuple[str, str]] = field(default_factory=Counter)  # platform, app version
    named: dict[Named, int] = field(default_factory=dict)  # who answers for each name
    brought: Mapping[int, int] = field(default_factory=dict)  # bytes by installation, if many
    said_unnamed: list[Sample] = field(default_factory=list)
    # The messages, by the ids of channel and message as clients send them.
    by_name: dict[tuple[str, str], NewMessage] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return sum(len(one.samples) for one in self.messages.values()) + len(self.said_unnamed)

    def add_samples(self, keyring: Keyring, samples: Iterable[Sample]) -> None:
        by_name = self.by_name
        # The receiver_id, by all that a sample says of its reporter. All samples of a request say
        # the same; a file repeats it now and then.
        reporters: dict[tuple[object, ...], int] = {}
        for sample in samples:
            # Unpacked at once, because reading one field after the other costs a microsecond.
            (
                message_name, channel, public_key, sent_at, created_at, installation, is_sent, _,
                envelope, received_at, _, _, platform, app_version, source, outcome, _, via, clock,
                server,
            ) = sample  # fmt: skip
            minute = created_at and created_at // MINUTE_MS
            says = (public_key, installation, source, platform, app_version, server, minute)
            receiver_id = reporters.get(says)
            if receiver_id is None:
                receiver_id = reporters[says] = self._add_reporter(keyring, sample)
            if not message_name:
                self._add_unnamed(keyring, sample, receiver_id)
                continue

            vote = None if created_at is None else (CLOCKS[clock], created_at, sent_at)
            message = by_name.get((channel, message_name))
            if message is None:
                message = self._add_message(keyring, sample, vote)
            elif vote is None or vote[1] <= message.settled_at or vote[0] < message.vote[0]:
                message.add(sample, vote)
            message.samples.append(sample)

            receipt = message.receipts.get(receiver_id)
            if receipt is not None:
                receipt.add(sample, vote)
            elif vote is None or outcome is not Outcome.HELD:
                receipt = message.receipts[receiver_id] = NewReceipt(None, None, is_sent)
                receipt.add(sample, vote)
            else:
                receipt = message.receipts[receiver_id] = NewReceipt(
                    created_at,
                    received_at or None,
                    is_sent,
                    0,
                    via,
                    created_at if is_sent else None,
                    vote,
                )

            if envelope and created_at is not None and envelope != message.envelope:
                envelope_id = keyring.envelope(envelope)
                self.message_envelopes.setdefault((*message.key, envelope_id), created_at)
                self.first_envelopes.setdefault(message.key, envelope_id)
                message.envelope = envelope
            if source is Source.STATUS_GO:
                if envelope and created_at is not None and receipt.created_at == created_at:
                    receipt.envelope_id = keyring.envelope(envelope)
                self.with_events.add(message.key)

    def _add_reporter(self, keyring: Keyring, sample: Sample) -> int:
        """Adds what a sample says of its reporter; returns the receiver_id."""
        ids = keyring.receiver(sample.receiver_public_key, sample.installation_id, sample.source)
        receiver = self.receivers.get(ids.receiver_id)
        if receiver is None:
            receiver = self.receivers[ids.receiver_id] = NewReceiver(ids)
        platform, app_version, server = sample.platform, sample.app_version, sample.server
        created_at = sample.created_at or 0
        describes = (platform, app_version, server, created_at // MINUTE_MS)
        if describes != receiver.described_by:
            _describe(receiver, platform, app_version, server, created_at)
            receiver.described_by = describes
        return ids.receiver_id

    def _add_message(self, keyring: Keyring, sample: Sample, vote: Vote | None) -> NewMessage:
        """The message of a sample whose channel and message id are new to the batch."""
        channel_id = keyring.channel(sample.channel_id)
        key = (channel_id, keyring.message(sample.message_id))
        self.channels[channel_id] = sample.channel_id
        message = self.messages.get(key)
        if message is None:
            message = self.messages[key] = NewMessage.of(key, sample, vote)
        else:
            message.add(sample, vote)  # another name with the same hash
        self.by_name[sample.channel_id, sample.message_id] = message
        return message

    def _add_unnamed(self, keyring: Keyring, sample: Sample, receiver_id: int) -> None:
        assert sample.created_at is not None
        self.said_unnamed.append(sample)
        # The channel's name is stored with the message, if the message comes.
        channel_id = keyring.channel(sample.channel_id) if sample.channel_id else 0
        key = (keyring.envelope(sample.envelope_id), channel_id, receiver_id)
        new = Unnamed(
            sample.created_at, sample.sent_at, CLOCKS[sample.sent_at_clock], sample.reason
        )
        self.unnamed[key] = min(new, self.unnamed.get(key, new))

    def add_heartbeat(self, keyring: Keyring, beat: Heartbeat) -> None:
        ids = keyring.receiver(beat.receiver_public_key, beat.installation_id, beat.source)
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

    def add_origins(self, keyring: Keyring, origins: Iterable[OriginSaid]) -> None:
        for said in origins:
            ids = keyring.receiver(said.receiver_public_key, said.installation_id, said.source)
            receiver = self.receivers.setdefault(ids.receiver_id, NewReceiver(ids))
            bucket_id = keyring.bucket(said.network) if said.network else 0
            origin = Origin(floor_to_minute(said.created_at), bucket_id, said.token)
            receiver.origin = max(receiver.origin, origin)

    def add_memberships(self, keyring: Keyring, reported: Iterable[ReportedMembership]) -> None:
        for said in reported:
            ids = keyring.receiver(said.receiver_public_key, said.installation_id, said.source)
            # Added so that the writer looks up whether this receiver is being forgotten.
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

    def add_coarse(self, key: CoarseKey, sent_at: int) -> None:
        self.coarse[key] = max(sent_at, self.coarse.get(key, sent_at))

    def add_lost(self, keyring: Keyring, lost: Iterable[LostReports]) -> None:
        for installation, *said, source in lost:
            installation_id = keyring.installed(installation, source)
            if installation_id is not None:
                first, last, first_sent_at, last_sent_at = said
                self.lost.add((installation_id, first, last, first_sent_at, last_sent_at))

    def add_said_of_envelopes(self, keyring: Keyring, said: Iterable[SaidOfEnvelope]) -> None:
        for one in said:
            receiver_id = 0
            installation_id = keyring.installed(one.installation_id, Source.STATUS_GO) or 0
            if one.receiver_public_key:
                ids = keyring.receiver(
                    one.receiver_public_key, one.installation_id, Source.STATUS_GO
                )
                receiver_id = ids.receiver_id
                self.receivers.setdefault(receiver_id, NewReceiver(ids))
            elif not installation_id:
                continue  # it names neither a key nor an installation
            key = (keyring.envelope(one.envelope_id), int(one.event), installation_id, receiver_id)
            told = Told(one.created_at, one.reason)
            self.events[key] = min(told, self.events.get(key, told))

    def without(
        self,
        keyring: Keyring,
        receivers: Set[int] = frozenset(),
        refused: Set[Named] = frozenset(),
    ) -> "Batch":
        """The batch without `receivers`, merged again from the samples, because a merged message
        does not show which receiver said what.

        refused  names that are beyond a cap; what uses them is left out too
        """
        receivers = receivers | {receiver_id for what, receiver_id, _ in refused if what == KEY}
        rest = Batch(
            receivers={
                receiver_id: receiver
                for receiver_id, receiver in self.receivers.items()
                if receiver_id not in receivers
            },
            events={key: told for key, told in self.events.items() if key[3] not in receivers},
            membership_reports={
                key: said
                for key, said in self.membership_reports.items()
                if key[1] not in receivers and (CHANNEL, key[1], key[0]) not in refused
            },
            coarse={
                key: until
                for key, until in self.coarse.items()
                if key[1] not in receivers and (CHANNEL, key[1], key[0]) not in refused
            },
            runs=self.runs,  # the statements that write these leave out forgotten installations
            lost=self.lost,
        )
        said = [sample for message in self.messages.values() for sample in message.samples]
        rest.add_samples(
            keyring,
            (
                sample
                for sample in (*said, *self.said_unnamed)
                if _receiver_id(keyring, sample) not in receivers
                and (not refused or named_in(keyring, (sample,)).keys().isdisjoint(refused))
            ),
        )
        rest.channels.update((id_, self.channels[id_]) for id_, _ in rest.membership_reports)
        return rest


def _receiver_id(keyring: Keyring, sample: Sample) -> int:
    names = (sample.receiver_public_key, sample.installation_id, sample.source)
    return keyring.receiver(*names).receiver_id


def union(runs: Iterable[NewRun]) -> list[NewRun]:
    """`runs` in ascending order; runs that touch or overlap are joined."""
    merged: list[NewRun] = []
    for run in sorted(runs, key=lambda run: run[:2]):
        if merged and run.first_sequence <= merged[-1].last_sequence + 1:
            merged[-1] = _joined(merged[-1], run)
        else:
            merged.append(run)
    return merged


def floor_to_minute(unix_ms: int) -> int:
    return unix_ms // MINUTE_MS * MINUTE_MS


def storable(text: str) -> str:
    """`text` without NUL, which PostgreSQL does not store. Ids with NUL were refused before."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _joined(a: NewRun, b: NewRun) -> NewRun:
    """Joins two runs that touch or overlap, as `write_runs` does. `a` does not begin after `b`."""
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
    # An empty name means "not said", never "none any more". Times are cut to the minute, so that a
    # receiver that says the same again is written only once a minute.
    minute = floor_to_minute(created_at)
    if platform and (said := Description(minute, storable(platform))) > receiver.platform:
        receiver.platform = said
    if app_version:
        said = Description(minute, storable(app_version))
        known = receiver.app_version, receiver.version_before
        receiver.app_version = max(said, known[0])
        receiver.version_before = before(receiver.app_version, said, *known)
    if server and (said := Description(minute, storable(server))) > receiver.server:
        receiver.server = said
