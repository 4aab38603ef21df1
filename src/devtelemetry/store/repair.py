"""Puts right what ingest stored before it knew better, before anyone reads or rewrites it.

Two things can turn out wrong, and only when reports are accepted out of the order of their
createdAt (an import, servers whose clocks differ): a message's sentAt or type, when an earlier
sample of it comes (its receipts then move, and with them the first and last minutes of who holds
it); and when a receiver last reported, when an earlier copy of its latest sample comes. Ingest
notes both in the transaction that finds them; the figures are computed from repaired rows only, so
they do not depend on the order of arrival.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from devtelemetry.model import MINUTE_MS
from devtelemetry.model.errors import Unavailable
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.partitions import day_start_ms, existing_days
from devtelemetry.store.sql import queries

SNAPSHOT_ATTEMPTS = 10  # each fails only if an earlier copy of a sample comes meanwhile

_QUERIES = queries(__package__, "repair.sql")


async def needs_repair(connection: Connection) -> bool:
    needed: bool = await connection.fetchval(_QUERIES["needs_repair"])
    return needed


async def repair(database: Database) -> None:
    """Repairs what is noted, if anything is."""
    async with database.acquire() as connection:
        if await needs_repair(connection):
            async with rewriting(connection):
                pass  # it repairs before all else


@contextlib.asynccontextmanager
async def repaired_snapshot(
    database: Database, *, readonly: bool = True
) -> AsyncIterator[Connection]:
    """A transaction that sees one state of the database, of repaired rows alone.

    In others a message may have receipts under two sentAt. Ingest may find something new between
    the repair and the snapshot, which the snapshot tells: then once more. Raises Unavailable if
    that goes on.
    """
    for _ in range(SNAPSHOT_ATTEMPTS):
        await repair(database)
        async with (
            database.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=readonly),
        ):
            if not await needs_repair(connection):
                yield connection
                return
    raise Unavailable("the samples kept changing; try again")


@contextlib.asynccontextmanager
async def holding_ingest_out(
    connection: Connection, *, lock_timeout: str = "30s"
) -> AsyncIterator[None]:
    """A transaction that runs while no ingest transaction does.

    Waits for those that run, and holds off new ones until it ends. Raises
    DatabaseAway if that takes longer than `lock_timeout`: rather later than holding up ingest
    behind one slow reader.
    """
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{lock_timeout}'")
        await connection.execute(_QUERIES["lock_ingest_out"], NAMESPACE, Lock.INGEST)
        yield


async def raise_epoch(connection: Connection) -> None:
    """Ingest transactions that wait know by it that what they remember of stored rows is void."""
    await connection.execute(_QUERIES["raise_epoch"])


@contextlib.asynccontextmanager
async def rewriting(connection: Connection, *, lock_timeout: str = "30s") -> AsyncIterator[None]:
    """A transaction that has the stored rows to itself, repaired.

    For everyone who changes rows that ingest may hold in memory: repair, forget, clean.
    """
    async with holding_ingest_out(connection, lock_timeout=lock_timeout):
        if await needs_repair(connection):
            touched = await _move_receipts(connection)
            await connection.execute(_QUERIES["forget_moves"])
            await connection.execute(_QUERIES["redate_receivers"], touched)
            await connection.execute(_QUERIES["forget_doubts"])
        yield
        await raise_epoch(connection)


async def _move_receipts(connection: Connection) -> list[int]:
    """Returns the receivers whose receipts moved."""
    moves = await connection.fetch(_QUERIES["moved_messages"])
    if moves:
        columns = [list(column) for column in zip(*moves, strict=True)]
        receipts = await connection.fetch(_QUERIES["take_receipts"], *columns)
        if receipts:
            values = [list(column) for column in zip(*receipts, strict=True)]
            # A receiver may have a receipt on either side: they become one, with the earlier date.
            await connection.execute(_QUERIES["put_receipts"], *values)
            await _respan(connection, receipts)
            return sorted({receipt["receiver_id"] for receipt in receipts})
    return []


async def _respan(connection: Connection, receipts: Sequence[Any]) -> None:
    """First and last minutes anew, for those whose bounds may have rested on a moved receipt."""
    pairs = sorted({(r["channel_id"], r["receiver_id"]) for r in receipts if r["created_at"]})
    if not pairs:
        return
    days = await existing_days(connection, "receipt")
    kept_from = day_start_ms(min(days)) if days else 0
    channels, receivers = (list(column) for column in zip(*pairs, strict=True))
    spans = [
        (
            row["channel_id"],
            row["receiver_id"],
            row["first_sent_at"] // MINUTE_MS * MINUTE_MS,
            row["last_sent_at"] // MINUTE_MS * MINUTE_MS,
        )
        for row in await connection.fetch(_QUERIES["spans_of"], channels, receivers)
    ]
    columns = [list(column) for column in zip(*spans, strict=True)]
    await connection.execute(_QUERIES["set_spans"], *columns, kept_from)
