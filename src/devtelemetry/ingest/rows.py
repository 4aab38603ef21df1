"""Writes one batch in one transaction, which is committed when `write` returns.

Every statement gets its rows as arrays of the same length, sorted by key and without repeated keys.
Two writers that take the same locks in the same order cannot deadlock.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from devtelemetry.ingest.batch import Batch, floor_to_minute
from devtelemetry.ingest.caps import Caps, Named, Names, add_bytes, write_types
from devtelemetry.ingest.envelopes import lock_envelopes, write_envelopes
from devtelemetry.ingest.known import Known, Writing
from devtelemetry.ingest.merged import CLOCKS, RECEIVERS_CLOCK
from devtelemetry.ingest.messages import write_messages
from devtelemetry.ingest.receipts import doubt_messages, write_receipts
from devtelemetry.ingest.reported import (
    write_coarse,
    write_lost,
    write_membership_reports,
    write_runs,
    write_wrong_times,
)
from devtelemetry.model import HOUR_MS
from devtelemetry.store.database import Connection
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.migrate import check_revision
from devtelemetry.store.partitions import day_of, make_days
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "rows.sql")


@dataclass(frozen=True, slots=True)
class Stored:
    """What one transaction stored. Samples = new + duplicates + dropped + refused ones.

    refused  names that are beyond a cap
    brought  this day's bytes of each installation whose bytes were added in this transaction
    """

    new: int = 0
    duplicates: int = 0
    dropped: int = 0  # samples of installations that opted out or are being forgotten
    conflicts: int = 0  # samples whose sentAt differs from their message's, by a clock as good
    late: int = 0  # samples that came after their shortest window was settled
    refused: Set[Named] = frozenset()
    brought: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettleRule:
    """When a sample is late: from when its window is settled.

    window_ms  the shortest timeframe
    settle_ms  from a window's end to its last computation
    """

    window_ms: int = HOUR_MS
    settle_ms: int = 24 * HOUR_MS

    def settled_at(self, sent_at: int) -> int:
        """From when on samples of a message that was sent at `sent_at` are late. Unix ms."""
        return (sent_at // self.window_ms + 1) * self.window_ms + self.settle_ms


class RowWriter:
    """Writes batches to one database; remembers what is stored already.

    One per event loop. Not safe for two batches at the same time.
    """

    def __init__(
        self,
        keyring: Keyring,
        settle_rule: SettleRule,
        caps: Caps = Caps(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self.keyring = keyring
        self._names = Names(keyring.memory, caps)
        self._settle_rule = settle_rule
        self._known = Known(keyring.memory)

    async def write(self, connection: Connection, batch: Batch, *, now_ms: int) -> Stored:
        """Commits `batch`, or raises and stores nothing of it.

        now_ms  Unix ms of the wall clock, for noting which windows changed

        It is safe to repeat this after any error, even one after the commit, because writing twice
        has the same effect as writing once.
        """
        while True:
            await self._make_days(connection, batch)
            async with connection.transaction():
                if not await self._enter(connection):
                    continue  # the memory was void, the known days included; so begin again
                told = await self._without_forgotten(connection, batch)
                named = self._new_names(batch, told)
                refused = await self._names.refuse(connection, named, now_ms)
                kept = told.without(self.keyring, refused=refused) if refused else told
                writing = Writing(connection, self.keyring, kept, self._known)
                writing.learned.names = {one: None for one in named if one not in refused}
                await lock_envelopes(writing)
                await write_messages(writing)
                new = await write_receipts(writing)
                changed = await write_envelopes(writing)
                changed += await doubt_messages(writing)
                conflicts, late = await self._write_arrivals(writing, changed, now_ms)
                await write_membership_reports(writing)
                await write_runs(writing)
                await write_lost(writing)
                await write_coarse(writing)
                await write_types(connection, writing.learned.names, now_ms)
                brought = await add_bytes(connection, batch.brought, now_ms)
                # Last, because all transactions write the same few rows.
                await write_wrong_times(connection, batch.wrong_times, now_ms)
            self._known.remember(writing.learned)
            self.keyring.memory.make_room()  # not before, because the batch relies on the memory
            return Stored(
                new=new,
                duplicates=kept.samples - new,
                dropped=batch.samples - told.samples,
                conflicts=conflicts,
                late=late,
                refused=refused,
                brought=brought,
            )

    async def _make_days(self, connection: Connection, batch: Batch) -> None:
        # The days of every sentAt, because repair may move a message to any of them.
        said = {one.sent_at for message in batch.messages.values() for one in message.samples}
        said |= {one.sent_at for one in batch.said_unnamed}
        days = set(map(day_of, said))
        if not days <= self._known.days:
            await make_days(connection, days)
            self._known.days |= days

    async def _enter(self, connection: Connection) -> bool:
        """Keeps others from rewriting rows until the transaction ends. Returns whether the memory
        is valid; if not, empties it."""
        await connection.execute(_QUERIES["enter"], namespace=NAMESPACE, lock=Lock.INGEST)
        now = await connection.fetchrow(_QUERIES["epoch"])
        assert now is not None, "a deployment has one row"
        check_revision(now["revision"])
        if now["ingest_epoch"] == self._known.epoch:
            return True
        self._known = Known(self.keyring.memory, now["ingest_epoch"])
        return False

    async def _without_forgotten(self, connection: Connection, batch: Batch) -> Batch:
        """`batch` without receivers that opted out or are being forgotten.

        A remembered receiver need not be looked up again, because an opt-out makes the memory void.
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
            receiver_ids=[ids.receiver_id for ids in unknown],
            installation_ids=[ids.installation_id for ids in unknown],
        )
        if not rows:
            return batch
        return batch.without(self.keyring, {row["receiver_id"] for row in rows})

    def _new_names(self, batch: Batch, kept: Batch) -> dict[Named, int]:
        """The names in the batch that are not remembered, if their receivers may be stored."""
        known, receivers = self._known.names, kept.receivers
        return {
            one: whose
            for one, whose in batch.named.items()
            if one not in known and one[1] in receivers
        }

    async def _write_arrivals(
        self, writing: Writing, changed: list[int], now_ms: int
    ) -> tuple[int, int]:
        """Notes for which minutes of event time something came. Their windows are computed again.

        changed  the sentAt of messages that reports of envelopes changed, and every sentAt that
                 doubted messages may get

        Returns how many samples contradict their message's sentAt, and how many are late.
        """
        conflicts = late = 0
        on_time: dict[int, bool] = {}  # by minute of event time: whether anything was on time
        settled_at = self._settle_rule.settled_at
        for key, message in writing.batch.messages.items():
            sent_at, clock, *_ = writing.message(key)
            for sample in [one for one in message.samples if one.sent_at != sent_at]:
                if clock == CLOCKS[sample.sent_at_clock] != RECEIVERS_CLOCK:
                    conflicts += 1
                on_time.setdefault(floor_to_minute(sample.sent_at), True)
            late_from = settled_at(sent_at)
            are_late = [
                one
                for one in message.samples
                if one.created_at is not None and one.created_at >= late_from
            ]
            late += len(are_late)
            minute = floor_to_minute(sent_at)
            on_time[minute] = on_time.get(minute, False) or len(are_late) < len(message.samples)
        for sent_at in changed:
            minute = floor_to_minute(sent_at)
            on_time[minute] = on_time.get(minute, False) or now_ms < settled_at(sent_at)

        arrived_at = floor_to_minute(now_ms)
        rows = []
        for minute, is_on_time in sorted(on_time.items()):
            on_time_at = arrived_at if is_on_time else None
            known_at, known_on_time_at = writing.known.arrivals.get(minute, (-1, -1))
            if arrived_at > known_at or (is_on_time and arrived_at > (known_on_time_at or -1)):
                rows.append((minute, arrived_at, on_time_at))
                writing.learned.arrivals[minute] = (arrived_at, on_time_at or known_on_time_at)
        if rows:
            await writing.connection.execute(
                _QUERIES["upsert_arrivals"],
                **arrays(rows, "sent_minutes", "arrived_at", "arrived_on_time_at"),
            )
        return conflicts, late
