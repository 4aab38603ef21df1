"""Stores lines in the database as ingest stores pushes, with the recorded createdAt."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import RowWriter, SettleRule, Stored
from devtelemetry.ingest.sampled import add_wanted
from devtelemetry.ingest.typed import NEVER
from devtelemetry.model.errors import DatabaseAway, Unavailable
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store import whole
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.repair import rewriting
from devtelemetry.store.sampling import OF_ALL, adopt_rule, read_sampling
from devtelemetry.store.sql import queries
from devtelemetry.transfer.files import TransferError
from devtelemetry.transfer.parse import Rule
from devtelemetry.transfer.reading import Listener, Reader, Said

RETRY_SECONDS = 60.0  # how long a batch is retried; a database that restarts is back by then
_WAIT_SECONDS = 7 * 86_400.0  # for a lock; in effect, as long as it takes

_QUERIES = queries(__package__, "transfer.sql", **whole.MESSAGE)
_WINDOWS = {"namespace": NAMESPACE, "lock": Lock.AGGREGATE}


@dataclass(slots=True)
class Imported:
    """What became of the lines. Their samples are imported + duplicates."""

    imported: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Tally:
    """What became of some lines: how many samples of each kind.

    unsampled  samples of messages that the rules of sampling of their time leave out
    forgotten  samples of receivers that opted out or are being forgotten
    has_marks  whether some lines are authors' marks, whose messages may be unknown
    """

    new: int = 0
    duplicates: int = 0
    rejected: int = 0
    unsampled: int = 0
    forgotten: int = 0
    has_marks: bool = False

    def add(self, other: "Tally") -> None:
        self.new += other.new
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.unsampled += other.unsampled
        self.forgotten += other.forgotten
        self.has_marks |= other.has_marks


async def import_samples(
    database: Database,
    lines: Iterable[bytes],
    limits: AgeLimits,
    settle_rule: SettleRule,
    *,
    now_ms: Callable[[], int],
    on_rejected: Callable[[int, str], None],
    on_note: Callable[[str], None],
    on_batch: Callable[[], None] = lambda: None,
) -> Imported:
    """Stores `lines` in their order, in transactions of BATCH_LINES.

    limits    applied as of each sample's createdAt
    now_ms    Unix ms of the wall clock, for noting which windows changed
    on_batch  called after each commit; the other two are those of Listener

    An author's mark counts if a sample of its message is in the same file or was stored before.

    No window is computed meanwhile. Raises Unavailable if the database stays away. Then committed
    batches stay; if the same lines are imported again, these samples count as duplicates.
    """
    reader = Reader(iter(lines), limits, Listener(on_rejected, on_note))
    total = Tally()
    async with Importer(database, settle_rule, now_ms, on_note) as importer:
        while said := reader.batch():
            total.add(await importer.store(said))
            on_batch()
        total.rejected = reader.rejected
        return await importer.finish(total)


class Importer:
    """Stores lines over one connection, which also keeps windows from being computed. If the
    connection is lost, it takes another one. Use it in an `async with`.

    now_ms   Unix ms of the wall clock, for noting which windows changed
    on_note  called with what a person should know
    """

    def __init__(
        self,
        database: Database,
        settle_rule: SettleRule,
        now_ms: Callable[[], int],
        on_note: Callable[[str], None],
    ) -> None:
        self._database = database
        self._settle_rule = settle_rule
        self._now_ms = now_ms
        self._on_note = on_note
        self._stack = contextlib.AsyncExitStack()
        self._connection: Connection | None = None
        self._rows: RowWriter
        self._sampling: Sampling | None = None

    async def __aenter__(self) -> Self:
        keyring = await self._database.keyring(knows_pseudonyms=True)
        self._rows = RowWriter(keyring, self._settle_rule)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    def forget_rules(self) -> None:
        """Call this if another process stored rules of sampling; they are then read again."""
        self._sampling = None

    async def store(self, said: Said) -> Tally:
        """Stores a batch in one transaction. Raises Unavailable, and TransferError if its rules of
        sampling do not fit those of the database."""
        keyring, batch = self._rows.keyring, Batch()
        if said.rules or self._sampling is None:
            self._sampling = await self._read_sampling(said.rules)
        unsampled = sum(
            add_wanted(batch, self._sampling, keyring, samples, one_in)
            for one_in, samples in said.samples.items()
        )
        batch.add_memberships(keyring, said.memberships)
        batch.add_runs(keyring, said.runs)
        batch.add_lost(keyring, said.lost)
        stored = await self._write(batch)
        return Tally(stored.new, stored.duplicates, 0, unsampled, stored.dropped, said.has_marks)

    async def finish(self, tally: Tally) -> Imported:
        """The result for a file. Call this when all importers of the file have stored their part.

        tally  the sum over all importers
        """
        dropped = await self._drop_unreported() if tally.has_marks else 0
        if dropped:
            self._on_note(
                f"{dropped} lines without createdAt were rejected: no sample reports their messages"
            )
        if tally.unsampled:
            self._on_note(
                f"{tally.unsampled} lines were not stored: the rule of sampling leaves their "
                "messages out"
            )
        if tally.forgotten:
            self._on_note(
                f"{tally.forgotten} lines were rejected: their installations opted out or "
                "are being forgotten"
            )
        return Imported(
            tally.new - dropped, tally.duplicates, tally.rejected + dropped + tally.forgotten
        )

    async def _write(self, batch: Batch) -> Stored:
        give_up = time.monotonic() + RETRY_SECONDS
        delay = 0.05
        while True:
            try:
                connection = self._connection or await self._join()
                return await self._rows.write(connection, batch, now_ms=self._now_ms())
            except DatabaseAway as error:
                # The commit may have succeeded; then it is harmless to write again.
                if time.monotonic() + delay > give_up:
                    raise Unavailable(
                        f"the database cannot be reached: {error.detail}; import the same file "
                        "again later, no line will count twice"
                    ) from error
                self._on_note(
                    f"the database cannot be reached: {error.detail}; the import tries again"
                )
                await self._leave()
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)

    async def _read_sampling(self, rules: Sequence[Rule]) -> Sampling:
        """Adds the file's rules of sampling to those of this deployment, and returns all. Raises
        TransferError if the two have different salts."""
        connection = self._connection or await self._join()
        for rule in rules:
            channel_id = OF_ALL
            if rule.channel_id:
                channel_id = self._rows.keyring.channel(rule.channel_id)
            change = Change(rule.from_ms, rule.one_in)
            if not await adopt_rule(connection, rule.salt, channel_id, change):
                raise TransferError(
                    "samplingSalt: the file and this database sample by different salts; allowed: "
                    "a database without rules of sampling, or with the same salt"
                )
        return await read_sampling(connection)

    async def _drop_unreported(self) -> int:
        """Deletes authors' marks whose messages nobody reports; returns how many.

        This shows only at the end, because a mark may come before the sample of its message.
        """
        connection = self._connection or await self._join()
        async with rewriting(connection):
            # Another import may still bring the sample of a mark. It cleans up when it ends.
            if not await connection.fetchval(_QUERIES["is_only_import"], **_WINDOWS):
                return 0
            dropped: int = await connection.fetchval(_QUERIES["drop_unreported"], never=NEVER)
            return dropped

    async def _join(self) -> Connection:
        connection = await self._stack.enter_async_context(self._database.acquire())
        # Released with the connection: the pool resets what a session holds.
        if not await connection.fetchval(_QUERIES["try_hold_windows"], **_WINDOWS):
            self._on_note("windows are being computed; the import waits until they are done")
            await connection.execute(_QUERIES["hold_windows"], **_WINDOWS, seconds=_WAIT_SECONDS)
        self._connection = connection
        return connection

    async def _leave(self) -> None:
        self._connection = None
        await self._stack.aclose()
