"""Lines into the database: the way of what is pushed, with the recorded createdAt."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import RowWriter, SettleRule, Stored
from devtelemetry.ingest.sampled import add_wanted
from devtelemetry.ingest.typed import NEVER
from devtelemetry.model import Sample
from devtelemetry.model.errors import DatabaseAway, Unavailable
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.repair import rewriting
from devtelemetry.store.sampling import OF_ALL, adopt_rule, read_sampling
from devtelemetry.store.sql import queries
from devtelemetry.transfer.fields import BadLine, show
from devtelemetry.transfer.files import MAX_LINE_BYTES, TransferError
from devtelemetry.transfer.parse import Line, Rule, is_json, parse_line

BATCH_SAMPLES = 5_000  # lines of one transaction
RETRY_SECONDS = 60.0  # how long a batch is tried again: a database that restarts is back by then
_WAIT_SECONDS = 7 * 86_400.0  # a lock is waited for as long as it takes

_MARK = b"\xef\xbb\xbf"  # a byte order mark, with which some programs begin a file

_QUERIES = queries(__package__, "transfer.sql")
_WINDOWS = {"namespace": NAMESPACE, "lock": Lock.AGGREGATE}


@dataclass(slots=True)
class Imported:
    """What became of the lines. Samples = imported + duplicates."""

    imported: int = 0
    duplicates: int = 0
    rejected: int = 0


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
    """Stores what `lines` say, in order, in transactions of BATCH_SAMPLES.

    limits       applied at each sample's createdAt
    now_ms       Unix ms of the wall clock, for noting which windows changed
    on_rejected  told the number (from 1) and the fault of each line that is skipped
    on_note      told what else a person should know

    An author's mark counts if a sample of its message is in the same file or was stored before.
    on_batch     called after each commit

    While it runs no window is computed. Raises Unavailable if the database stays away; what is
    committed by then stays, and importing the same lines again counts it as duplicates.
    """
    reader = _Reader(iter(lines), limits, on_rejected, on_note)
    rows = RowWriter(await database.keyring(knows_pseudonyms=True), settle_rule)
    total = Imported()
    forgotten = unsampled = 0
    sampling: Sampling | None = None
    async with _Session(database, on_note) as session:
        while lines_read := reader.batch():
            batch = Batch()
            rules = [said.rule for said in lines_read if said.rule]
            if rules or sampling is None:
                sampling = await session.sampling(rules, rows.keyring)
            by_rate = defaultdict[int, list[Sample]](list)
            for said in lines_read:
                if said.sample:
                    by_rate[said.one_in].append(said.sample)
            for one_in, samples in by_rate.items():
                unsampled += add_wanted(batch, sampling, rows.keyring, samples, one_in)
            batch.add_memberships(
                rows.keyring, [one for said in lines_read for one in said.memberships]
            )
            batch.add_runs(rows.keyring, [said.run for said in lines_read if said.run])
            batch.add_lost(rows.keyring, [said.lost for said in lines_read if said.lost])
            stored = await session.write(rows, batch, now_ms)
            total.imported += stored.new
            total.duplicates += stored.duplicates
            forgotten += stored.dropped
            on_batch()
        if reader.has_marks:
            dropped = await session.drop_unreported()
            if dropped:
                on_note(f"{dropped} lines without createdAt are of messages that no sample reports")
                total.imported -= dropped
                reader.rejected += dropped
    if unsampled:
        on_note(f"{unsampled} lines are of messages that are not in the sample of their time")
    if forgotten:
        on_note(f"{forgotten} lines are of who opted out or is being forgotten")
    total.rejected = reader.rejected + forgotten
    return total


class _Session:
    """A connection that keeps windows from being computed; another one if it is lost."""

    def __init__(self, database: Database, on_note: Callable[[str], None]) -> None:
        self._database = database
        self._on_note = on_note
        self._stack = contextlib.AsyncExitStack()
        self._connection: Connection | None = None

    async def __aenter__(self) -> "_Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def write(self, rows: RowWriter, batch: Batch, now_ms: Callable[[], int]) -> Stored:
        give_up = time.monotonic() + RETRY_SECONDS
        delay = 0.05
        while True:
            try:
                connection = self._connection or await self._join()
                return await rows.write(connection, batch, now_ms=now_ms())
            except DatabaseAway as error:
                # The commit may have succeeded; writing once more is harmless.
                if time.monotonic() + delay > give_up:
                    raise Unavailable(
                        f"the database cannot be reached: {error.detail}; import the same file "
                        "again later, nothing of it will count twice"
                    ) from error
                self._on_note(f"the database cannot be reached: {error.detail}; trying again")
                await self._leave()
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)

    async def sampling(self, rules: Sequence[Rule], keyring: Keyring) -> Sampling:
        """The rules of this deployment, with those of the file, if both choose alike."""
        connection = self._connection or await self._join()
        for rule in rules:
            channel_id = keyring.channel(rule.channel_id) if rule.channel_id else OF_ALL
            change = Change(rule.from_ms, rule.one_in)
            if not await adopt_rule(connection, rule.salt, channel_id, change):
                raise TransferError(
                    "samplingSalt: the file has a sample of the messages and this database another "
                    "one; allowed: a database without rules of sampling, or with the same salt"
                )
        return await read_sampling(connection)

    async def drop_unreported(self) -> int:
        """Takes out the authors of messages that nobody reports: they are nothing.

        That shows only at the end, since a mark may come before the sample of its message.
        """
        connection = self._connection or await self._join()
        async with rewriting(connection):
            # Another import may have brought the mark and not yet the sample: then it clears up.
            if not await connection.fetchval(_QUERIES["is_only_import"], **_WINDOWS):
                return 0
            dropped: int = await connection.fetchval(_QUERIES["drop_unreported"], never=NEVER)
            return dropped

    async def _join(self) -> Connection:
        connection = await self._stack.enter_async_context(self._database.acquire())
        # Released with the connection: the pool resets what a session holds.
        if not await connection.fetchval(_QUERIES["try_hold_windows"], **_WINDOWS):
            self._on_note("windows are being computed; waiting for the end of that")
            await connection.execute(_QUERIES["hold_windows"], **_WINDOWS, seconds=_WAIT_SECONDS)
        self._connection = connection
        return connection

    async def _leave(self) -> None:
        self._connection = None
        await self._stack.aclose()


@dataclass(slots=True)
class _Reader:
    """Lines to what they say, batch by batch; counts and tells what is wrong on the way."""

    lines: Iterator[bytes]
    limits: AgeLimits
    on_rejected: Callable[[int, str], None]
    on_note: Callable[[str], None]
    number: int = 0
    rejected: int = 0
    unknown: set[str] = field(default_factory=set)
    has_marks: bool = False
    broken: TransferError | None = None

    def batch(self) -> list[Line]:
        """The next lines; empty at the end. A broken file's last ones come before its error."""
        said: list[Line] = []
        try:
            said.extend(islice(self._said(), BATCH_SAMPLES))
        except TransferError as error:
            self.broken = error
        if not said and self.broken is not None:
            raise self.broken
        return said

    def _said(self) -> Iterator[Line]:
        for line in self.lines:
            self.number += 1
            for part in _parts(line):
                said = self._parse(part)
                if said is not None:
                    yield said

    def _parse(self, line: bytes) -> Line | None:
        """What it says; None: nothing."""
        if not line.strip():
            return None
        try:
            if len(line) > MAX_LINE_BYTES:
                raise BadLine(f"longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301
            said = parse_line(line, self.limits, on_unknown=self._note_unknown)
        except BadLine as error:
            self.rejected += 1
            self.on_rejected(self.number, str(error))
            return None if error.run is None else Line(run=error.run)
        self.has_marks |= said.sample is not None and said.sample.created_at is None
        return said

    def _note_unknown(self, name: str) -> None:
        # Bounded: names that differ from line to line would fill the memory.
        if name not in self.unknown and len(self.unknown) < 20:
            self.unknown.add(name)
            self.on_note(f"line {self.number}: the field {show(name)} is not known; ignored")


def _parts(line: bytes) -> list[bytes]:
    """Without byte order marks, which stand in the middle where files were put together.

    In the middle of a line where the file before it has no newline at its end.
    """
    if _MARK not in line:
        return [line]
    line = line.removeprefix(_MARK)
    first, mark, rest = line.partition(b"}" + _MARK + b"{")
    if not mark or is_json(line):  # then it is in a text
        return [line]
    return [first + b"}", *_parts(b"{" + rest)]
