"""Writes one batch in one transaction. What it returns from is committed.

The order of the steps, and why each is there, stands in queries.sql.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from devtelemetry.ingest.batch import (
    NOT_SAID,
    Batch,
    Claim,
    Description,
    MembershipKey,
    MessageKey,
    NewMessage,
    NewReceipt,
    ReceiptKey,
    floor_to_minute,
    storable,
    union,
)
from devtelemetry.model import HOUR_MS, Source
from devtelemetry.store.database import Connection
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.partitions import day_of, make_days
from devtelemetry.store.recent import Recent
from devtelemetry.store.sql import queries

# From where on a delay is counted by the author's clock; as the index of receipts has it.
_CLOCK_IS_OFF_MS = 1_000

_QUERIES = queries(__package__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What one transaction stored. Samples = new + duplicates + dropped."""

    new: int = 0
    duplicates: int = 0
    dropped: int = 0  # samples of installations that opted out, and of who is being forgotten
    conflicts: int = 0  # samples whose sentAt is not their message's
    late: int = 0  # samples that came after their shortest window was settled


@dataclass(frozen=True, slots=True)
class SettleRule:
    """After which age of event time a sample is late: its window is settled by then.

    window_ms  the shortest timeframe; settle_ms  from a window's end to its last computation
    """

    window_ms: int = HOUR_MS
    settle_ms: int = 24 * HOUR_MS

    def is_late(self, sent_at: int, created_at: int) -> bool:
        window_end = (sent_at // self.window_ms + 1) * self.window_ms
        return created_at >= window_end + self.settle_ms


class _KnownMessage(NamedTuple):
    """What is stored of a message is this or earlier."""

    claim: Claim
    clock_offset: int  # ms, by how much its author's clock is off; 0: it is right, or not known


class _KnownReceiver(NamedTuple):
    """What is stored of a receiver is this or later."""

    platform: Description
    app_version: Description
    last_receipt_minute: int


_UNKNOWN_RECEIVER = _KnownReceiver(NOT_SAID, NOT_SAID, 0)


@dataclass(slots=True)
class _Changes:
    """What one transaction writes and memory may know once it is committed."""

    channels: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, tuple[str, Source]] = field(default_factory=dict)
    messages: dict[MessageKey, _KnownMessage] = field(default_factory=dict)
    new_messages: set[MessageKey] = field(default_factory=set)
    memberships: dict[MembershipKey, tuple[int, int]] = field(default_factory=dict)
    receivers: dict[int, _KnownReceiver] = field(default_factory=dict)
    arrivals: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    moved_from: list[int] = field(default_factory=list)


class _Known:
    """What memory knows to be committed, so that the database need not be asked or told again.

    A job that rewrites such rows raises the epoch of the deployment; then all of it is void.
    Memberships are (first, last) minutes.
    """

    def __init__(self, epoch: int = -1) -> None:
        self.epoch = epoch
        self.channels: Recent[int, str] = Recent()
        self.kinds: Recent[int, tuple[str, Source]] = Recent()
        self.messages: Recent[MessageKey, _KnownMessage] = Recent()
        self.memberships: Recent[MembershipKey, tuple[int, int]] = Recent()
        self.receivers: Recent[int, _KnownReceiver] = Recent()
        self.arrivals: Recent[int, tuple[int, int | None]] = Recent()
        self.days: set[int] = set()  # that receipts have a partition for

    def remember(self, changes: _Changes) -> None:
        self.channels.remember(changes.channels)
        self.kinds.remember(changes.kinds)
        self.messages.remember(changes.messages)
        self.memberships.remember(changes.memberships)
        self.receivers.remember(changes.receivers)
        self.arrivals.remember(changes.arrivals)


class RowWriter:
    """Writes batches over connections of one database; remembers what is stored already.

    One per event loop. Not safe for two batches at the same time.
    """

    def __init__(self, keyring: Keyring, settle_rule: SettleRule) -> None:
        self.keyring = keyring
        self._settle_rule = settle_rule
        self._known = _Known()

    async def write(self, connection: Connection, batch: Batch, *, now_ms: int) -> Stored:
        """Commits `batch`, or raises and leaves nothing of it.

        now_ms  Unix ms of the wall clock, for noting which windows changed

        Safe to repeat after any error, even one that came after the commit: rows are merged by
        rules for which once and twice are the same.
        """
        while True:
            await self._make_days(connection, batch)
            changes = _Changes()
            async with connection.transaction():
                if not await self._enter(connection):
                    continue  # what memory knew is void, the days included: look again
                kept = await self._without_forgotten(connection, batch)
                if kept.message_envelopes or kept.sent_envelopes:
                    # Two transactions that each bring one half would both miss the other's.
                    # First of all locks: who holds rows must not wait for this one.
                    await connection.execute(_QUERIES["lock_out"], NAMESPACE, Lock.AUTHORS)
                await self._write_names(connection, kept, changes)
                stored = await self._write_samples(connection, kept, changes, now_ms)
                await self._write_reported_memberships(connection, kept)
                await self._write_runs(connection, kept)
            self._known.remember(changes)
            return replace(stored, dropped=len(batch.said) - len(kept.said))

    async def _make_days(self, connection: Connection, batch: Batch) -> None:
        # Marks lie on their message's day too; a known message's day was made with it.
        days = {day_of(message.claim.sent_at) for message in batch.messages.values()}
        if not days <= self._known.days:
            await make_days(connection, days)
            self._known.days |= days

    async def _enter(self, connection: Connection) -> bool:
        """Whether what memory knows still holds, from here to the end of the transaction."""
        await connection.execute(_QUERIES["enter"], NAMESPACE, Lock.INGEST)
        epoch: int = await connection.fetchval(_QUERIES["epoch"])
        if epoch == self._known.epoch:
            return True
        self._known = _Known(epoch)
        return False

    async def _without_forgotten(self, connection: Connection, batch: Batch) -> Batch:
        """What of `batch` may be stored.

        Who is remembered was looked up before: an opt-out makes memory void.
        """
        unknown = [
            receiver.ids
            for receiver_id, receiver in batch.receivers.items()
            if receiver_id not in self._known.receivers
        ]
        if not unknown:
            return batch
        rows = await connection.fetch(
            _QUERIES["forgotten_receivers"],
            [ids.receiver_id for ids in unknown],
            [ids.installation_id for ids in unknown],
        )
        if not rows:
            return batch
        return batch.without(self.keyring, {row["receiver_id"] for row in rows})

    async def _write_names(self, connection: Connection, batch: Batch, changes: _Changes) -> None:
        known = self._known
        channels = [row for row in sorted(batch.channels.items()) if row[0] not in known.channels]
        if channels:
            await connection.execute(_QUERIES["insert_channels"], *_columns(channels, 2))
            changes.channels = dict(channels)
        for message in batch.messages.values():
            claim = message.claim
            kind = self.keyring.kind(claim.source, claim.message_type)
            if kind not in known.kinds:
                changes.kinds[kind] = (claim.message_type, claim.source)
        if changes.kinds:
            rows = [
                (kind, source.value, storable(message_type))
                for kind, (message_type, source) in sorted(changes.kinds.items())
            ]
            await connection.execute(_QUERIES["insert_kinds"], *_columns(rows, 3))

    async def _write_samples(
        self, connection: Connection, batch: Batch, changes: _Changes, now_ms: int
    ) -> Stored:
        await self._write_messages(connection, batch, changes)
        await self._learn_clocks(connection, batch, changes)
        messages = {key: self._message(key, changes) for key in batch.messages}
        new = await self._write_receipts(connection, batch, messages, changes)
        marked = await self._write_authors(connection, batch, changes)

        conflicts = late = 0
        on_time: dict[int, bool] = {}  # by minute of event time: whether one of its samples was
        is_late = self._settle_rule.is_late
        for key, sample in batch.said:
            canonical = messages[key].claim.sent_at
            conflicts += sample.sent_at != canonical
            if sample.created_at is not None and is_late(canonical, sample.created_at):
                late += 1
                on_time.setdefault(floor_to_minute(canonical), False)
            else:
                on_time[floor_to_minute(canonical)] = True
        # A message that moved is missed in the windows of its old sentAt; nothing else says so.
        for sent_at in changes.moved_from:
            on_time[floor_to_minute(sent_at)] = True
        for sent_at in marked:
            minute = floor_to_minute(sent_at)
            on_time[minute] = on_time.get(minute, False) or not is_late(sent_at, now_ms)
        await self._write_arrivals(connection, on_time, changes, now_ms)
        return Stored(new=new, duplicates=len(batch.said) - new, conflicts=conflicts, late=late)

    def _message(self, key: MessageKey, changes: _Changes) -> _KnownMessage:
        return changes.messages.get(key) or self._known.messages[key]

    async def _write_messages(
        self, connection: Connection, batch: Batch, changes: _Changes
    ) -> None:
        """Settles the claim of every message of the batch; afterwards `_message` knows each."""
        known = self._known.messages
        unknown = sorted(key for key in batch.messages if key not in known)
        # Another server may insert one between our look and our insert: look again at those.
        while unknown:
            changes.messages.update(await self._stored_messages(connection, unknown, changes))
            fresh = [key for key in unknown if key not in changes.messages]
            if not fresh:
                break
            rows = [self._message_row(key, batch.messages[key]) for key in fresh]
            inserted = await connection.fetch(_QUERIES["insert_messages"], *_columns(rows, 9))
            for row in inserted:
                key = (row["channel_id"], row["message_id"])
                changes.messages[key] = _KnownMessage(batch.messages[key].claim, 0)
                changes.new_messages.add(key)
            unknown = [key for key in fresh if key not in changes.messages]

        earlier = sorted(
            key
            for key, new in batch.messages.items()
            if new.claim < self._message(key, changes).claim
        )
        if earlier:
            await self._replace_messages(connection, batch, earlier, changes)

    async def _replace_messages(
        self,
        connection: Connection,
        batch: Batch,
        keys: Sequence[MessageKey],
        changes: _Changes,
    ) -> None:
        """An earlier sample than the known ones came: rare, by clocks apart or an import."""
        await connection.execute(_QUERIES["lock_out"], NAMESPACE, Lock.MESSAGES)
        stored = await self._stored_messages(connection, keys, changes)
        rows, moves = [], []
        for key, (old, clock_offset) in sorted(stored.items()):
            new = batch.messages[key]
            # Of one that moves, repair finds the offset anew.
            changes.messages[key] = _KnownMessage(min(old, new.claim), clock_offset)
            if new.claim < old:
                rows.append(self._message_row(key, new))
                kinds = [self.keyring.kind(c.source, c.message_type) for c in (old, new.claim)]
                if old.sent_at != new.claim.sent_at or kinds[0] != kinds[1]:
                    moves.append((*key, old.sent_at))
        if moves:
            await connection.execute(_QUERIES["remember_moves"], *_columns(moves, 3))
            changes.moved_from = [old_sent_at for _, _, old_sent_at in moves]
        await connection.execute(_QUERIES["replace_messages"], *_columns(rows, 9))

    async def _stored_messages(
        self, connection: Connection, keys: Sequence[MessageKey], changes: _Changes
    ) -> dict[MessageKey, _KnownMessage]:
        rows = await connection.fetch(_QUERIES["known_messages"], *_columns(keys, 2))
        kinds = self._known.kinds
        if any(row["kind"] not in kinds and row["kind"] not in changes.kinds for row in rows):
            for row in await connection.fetch(_QUERIES["kinds"]):
                changes.kinds[row["kind"]] = (row["message_type"], Source(row["source"]))
        messages = {}
        for row in rows:
            kind = row["kind"]
            message_type, source = kinds.get(kind) or changes.kinds[kind]
            messages[row["channel_id"], row["message_id"]] = _KnownMessage(
                Claim(row["created_at"], row["sent_at"], message_type, source),
                row["clock_offset"] or 0,
            )
        return messages

    def _message_row(self, key: MessageKey, new: NewMessage) -> tuple[Any, ...]:
        claim, sample = new
        return (
            *key,
            claim.sent_at,
            claim.created_at,
            self.keyring.kind(claim.source, claim.message_type),
            sample.message_size or None,
            sample.message_id,
            sample.envelope_id,
            sample.topics,
        )

    async def _learn_clocks(self, connection: Connection, batch: Batch, changes: _Changes) -> None:
        """What the batch says of its authors' clocks, for the delays of all others."""
        doubted = set()
        for (channel_id, message_id, _), receipt in batch.receipts.items():
            if not receipt.sent_by_receiver or receipt.received_at is None:
                continue
            key = (channel_id, message_id)
            message = self._message(key, changes)
            offset = receipt.received_at - message.claim.sent_at
            if abs(offset) < _CLOCK_IS_OFF_MS:
                continue
            if not message.clock_offset or offset < message.clock_offset:
                changes.messages[key] = message._replace(clock_offset=offset)
                # Of a new message no receipt is stored yet.
                if key not in changes.new_messages:
                    doubted.add((message.claim.sent_at, *key))
        await self._doubt_delays(connection, doubted)

    async def _doubt_delays(
        self, connection: Connection, messages: Set[tuple[int, int, int]]
    ) -> None:
        """Has repair correct the delays of messages: (sent_at, channel_id, message_id)."""
        if messages:
            await connection.execute(_QUERIES["doubt_delays"], *_columns(sorted(messages), 3))

    async def _write_receipts(
        self,
        connection: Connection,
        batch: Batch,
        messages: dict[MessageKey, _KnownMessage],
        changes: _Changes,
    ) -> int:
        """Returns how many receipts are new."""
        receipts = batch.receipts
        rows = sorted((messages[key[0], key[1]].claim.sent_at, *key) for key in receipts)
        latest: dict[int, int] = {}
        new = 0
        if rows:
            kind_of = self.keyring.kind
            values = [receipts[row[1:]] for row in rows]
            kinds = []
            offsets = []
            for (_, channel_id, message_id, _), value in zip(rows, values, strict=True):
                claim, clock_offset = messages[channel_id, message_id]
                kinds.append(kind_of(claim.source, claim.message_type))
                offsets.append(0 if value.sent_by_receiver else clock_offset)
            columns = [
                *_columns(rows, 4),
                [value.created_at for value in values],
                [value.received_at for value in values],
                [value.sent_by_receiver for value in values],
                offsets,
            ]
            new = await connection.fetchval(_QUERIES["insert_receipts"], *columns, kinds)
            if new == len(rows):
                for row, value in zip(rows, values, strict=True):
                    created_at = value.created_at
                    if created_at is not None and created_at > latest.get(row[3], 0):
                        latest[row[3]] = created_at
            else:
                # Some were there. What was re-sent is no news of its receiver: ask for the dates
                # that count.
                merged = await connection.fetch(_QUERIES["merge_receipts"], *columns)
                doubted = sorted({row["receiver_id"] for row in merged if row["is_earlier"]})
                if doubted:
                    await connection.execute(_QUERIES["doubt_receivers"], doubted)
                await self._doubt_delays(connection, self._of_other_clock(merged, changes))
                for receipt in await connection.fetch(_QUERIES["latest_receipts"], *columns[:4]):
                    latest[receipt["receiver_id"]] = receipt["created_at"]
        await self._write_receivers(connection, batch, latest, changes)
        await self._write_memberships(connection, rows, receipts, changes)
        return new

    def _of_other_clock(
        self, merged: Sequence[Any], changes: _Changes
    ) -> set[tuple[int, int, int]]:
        """The messages whose receipts, merged, may say something else of their author's clock."""
        doubted = set()
        for row in merged:
            offset = row["author_offset"]
            if offset is not None:
                key = (row["channel_id"], row["message_id"])
                known = changes.messages.get(key) or self._known.messages.get(key)
                was_off = known is not None and known.clock_offset != 0
                if was_off or abs(offset) >= _CLOCK_IS_OFF_MS:
                    doubted.add((row["sent_at"], *key))
        return doubted

    async def _write_receivers(
        self,
        connection: Connection,
        batch: Batch,
        latest: dict[int, int],
        changes: _Changes,
    ) -> None:
        rows = []
        for receiver_id, receiver in sorted(batch.receivers.items()):
            created_at = latest.get(receiver_id)
            receipt_minute = None if created_at is None else floor_to_minute(created_at)
            known = self._known.receivers.get(receiver_id)
            # Its clock alone is no reason to write: who reports has a row a minute.
            if (
                known is not None
                and receiver.last_heartbeat_minute is None
                and (receipt_minute or 0) <= known.last_receipt_minute
                and receiver.platform <= known.platform
                and receiver.app_version <= known.app_version
            ):
                continue
            known = known or _UNKNOWN_RECEIVER
            rows.append(
                (
                    *receiver.ids,
                    *receiver.platform,
                    *receiver.app_version,
                    receipt_minute,
                    receiver.last_heartbeat_minute,
                    *reversed(receiver.clock or (None, None)),
                )
            )
            changes.receivers[receiver_id] = _KnownReceiver(
                max(receiver.platform, known.platform),
                max(receiver.app_version, known.app_version),
                max(receipt_minute or 0, known.last_receipt_minute),
            )
        if rows:
            await connection.execute(_QUERIES["upsert_receivers"], *_columns(rows, 11))

    async def _write_memberships(
        self,
        connection: Connection,
        rows: Sequence[tuple[int, ...]],
        receipts: dict[ReceiptKey, NewReceipt],
        changes: _Changes,
    ) -> None:
        known = self._known.memberships
        grown = changes.memberships
        for sent_at, channel_id, message_id, receiver_id in rows:
            if receipts[channel_id, message_id, receiver_id].created_at is None:
                continue  # a mark says who wrote it, not that its author was there to receive
            minute = floor_to_minute(sent_at)
            key = (channel_id, receiver_id)
            span = grown.get(key) or known.get(key)
            if span is None:
                grown[key] = (minute, minute)
            elif minute < span[0] or minute > span[1]:
                grown[key] = (min(span[0], minute), max(span[1], minute))
        if grown:
            columns = _columns([(*key, *span) for key, span in sorted(grown.items())], 4)
            await connection.execute(_QUERIES["upsert_memberships"], *columns)

    async def _write_authors(
        self, connection: Connection, batch: Batch, changes: _Changes
    ) -> list[int]:
        """Matches envelopes with who sent them; returns the sentAt of what changed."""
        if not batch.message_envelopes and not batch.sent_envelopes:
            return []
        if batch.message_envelopes:
            rows = [
                (channel_id, message_id, envelope_id, created_at)
                for (channel_id, envelope_id, message_id), created_at in sorted(
                    batch.message_envelopes.items()
                )
            ]
            await connection.execute(_QUERIES["insert_message_envelopes"], *_columns(rows, 4))
        if batch.sent_envelopes:
            sent = [(*key, created_at) for key, created_at in sorted(batch.sent_envelopes.items())]
            await connection.execute(_QUERIES["insert_sent_envelopes"], *_columns(sent, 3))
        envelopes = sorted(
            {key[1] for key in batch.message_envelopes} | {key[0] for key in batch.sent_envelopes}
        )
        authors = await connection.fetch(_QUERIES["authors_of_envelopes"], envelopes)
        if not authors:
            return []
        keys = _columns(
            [(a["sent_at"], a["channel_id"], a["message_id"], a["receiver_id"]) for a in authors], 4
        )
        unknown = [None] * len(authors)
        wrote = [True] * len(authors)
        offsets = [0] * len(authors)
        kinds = [a["kind"] for a in authors]
        marked = await connection.fetch(_QUERIES["insert_marks"], *keys, kinds)
        merged = await connection.fetch(
            _QUERIES["merge_receipts"], *keys, unknown, unknown, wrote, offsets
        )
        await self._doubt_delays(connection, self._of_other_clock(merged, changes))
        return [row["sent_at"] for row in (*marked, *merged)]

    async def _write_arrivals(
        self,
        connection: Connection,
        on_time: dict[int, bool],
        changes: _Changes,
        now_ms: int,
    ) -> None:
        arrived_at = floor_to_minute(now_ms)
        known = self._known.arrivals
        rows = []
        for minute, is_on_time in sorted(on_time.items()):
            arrival = (arrived_at, arrived_at if is_on_time else None)
            stored = known.get(minute, (-1, -1))
            if arrival[0] > stored[0] or (is_on_time and arrived_at > (stored[1] or -1)):
                rows.append((minute, *arrival))
                changes.arrivals[minute] = (arrived_at, arrival[1] or stored[1])
        if rows:
            await connection.execute(_QUERIES["upsert_arrivals"], *_columns(rows, 3))

    async def _write_reported_memberships(self, connection: Connection, batch: Batch) -> None:
        if not batch.memberships:
            return
        rows = []
        for key, new in sorted(batch.memberships.items(), key=lambda item: item[0]):
            joined_said_at, joined_at = new.joined or (None, None)
            left_said_at, left_at = new.left or (None, None)
            rows.append((*key, joined_at, joined_said_at, left_at, left_said_at))
        await connection.execute(_QUERIES["upsert_reported_memberships"], *_columns(rows, 6))

    async def _write_runs(self, connection: Connection, batch: Batch) -> None:
        if batch.runs:
            rows = [
                (installation_id, *run)
                for installation_id, runs in sorted(batch.runs.items())
                for run in union(runs)
            ]
            await connection.execute(_QUERIES["write_runs"], *_columns(rows, 5))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as the arrays that unnest() takes; `width` counts them when there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
