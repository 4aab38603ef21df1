"""Puts right what ingest stored before it knew better, before anyone reads or rewrites it.

Ingest notes what turns out wrong in the transaction that finds it; the figures are computed from
repaired rows only, so they do not depend on the order of arrival.

Two things can turn out wrong only when reports are accepted out of the order of their createdAt (an
import, servers whose clocks differ): a message's sentAt or type, when an earlier sample of it comes
(its receipts then move, and with them the first and last ones of who holds it); and when a
receiver last reported, when an earlier copy of its latest sample comes.

The third is common where clocks are off: the author's own report, which tells by how much, comes
after reports of others, whose delays were stored as if its clock were right.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

from devtelemetry.model import MINUTE_MS, Window
from devtelemetry.model.errors import Unavailable
from devtelemetry.store.database import Connection, Database, Row
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.partitions import day_start_ms, existing_days
from devtelemetry.store.sql import arrays, queries

SNAPSHOT_ATTEMPTS = 10  # each fails only if something of what it reads turns out wrong meanwhile
CORRECTED_MESSAGES = 500  # of one transaction: ingest waits no longer than for a group commit

_ALL_TIME = (-(2**63), 2**63 - 1)  # Unix ms

_QUERIES = queries(__package__, "repair.sql")


async def repair(database: Database) -> None:
    """Repairs what is noted, if anything is."""
    async with database.acquire() as connection:
        if not await _needs_repair(connection, _ALL_TIME):
            return
        is_done = False
        while not is_done:
            async with rewriting(connection):
                corrected = await _correct_delays(connection)
                is_done = corrected < CORRECTED_MESSAGES


@contextlib.asynccontextmanager
async def repaired_snapshot(
    database: Database, *, readonly: bool = True, delays_of: Window | None = None
) -> AsyncIterator[Connection]:
    """A transaction that sees one state of the database, of repaired rows alone.

    delays_of  the window whose receipts have the right delay, too; those of others may be wrong

    In others a message may have receipts under two sentAt. Ingest may find something new between
    the repair and the snapshot, which the snapshot tells: then once more. Raises Unavailable if
    that goes on.
    """
    span = (0, 0) if delays_of is None else (delays_of.start_ms, delays_of.end_ms)
    for _ in range(SNAPSHOT_ATTEMPTS):
        await repair(database)
        async with (
            database.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=readonly),
        ):
            if not await _needs_repair(connection, span):
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
        await connection.execute(_QUERIES["lock_ingest_out"], namespace=NAMESPACE, lock=Lock.INGEST)
        yield


async def raise_epoch(connection: Connection) -> None:
    """Ingest transactions that wait know by it that what they remember of stored rows is void."""
    await connection.execute(_QUERIES["raise_epoch"])


@contextlib.asynccontextmanager
async def rewriting(connection: Connection, *, lock_timeout: str = "30s") -> AsyncIterator[None]:
    """A transaction that has the stored rows to itself, repaired, but for their delays.

    For everyone who changes rows that ingest may hold in memory: repair, forget, clean.
    """
    async with holding_ingest_out(connection, lock_timeout=lock_timeout):
        if await connection.fetchval(_QUERIES["needs_repair"]):
            touched = await _move_receipts(connection)
            await connection.execute(_QUERIES["doubt_moved_delays"])
            await connection.execute(_QUERIES["forget_moves"])
            await connection.execute(_QUERIES["redate_receivers"], receiver_ids=touched)
            await connection.execute(_QUERIES["forget_doubts"])
        yield
        await raise_epoch(connection)


async def _needs_repair(connection: Connection, sent_between: tuple[int, int]) -> bool:
    """Whether anything is noted; of delays: of messages that were sent then, Unix ms, half-open."""
    start, end = sent_between
    noted: bool = await connection.fetchval(_QUERIES["needs_repair"]) or await connection.fetchval(
        _QUERIES["doubts_delays"], start_ms=start, end_ms=end
    )
    return noted


async def _correct_delays(connection: Connection) -> int:
    """Of some of the messages that are noted; returns of how many."""
    noted = await connection.fetch(_QUERIES["take_doubted_delays"], most=CORRECTED_MESSAGES)
    if noted:
        await connection.execute(
            _QUERIES["correct_delays"],
            **arrays(noted, "channel_ids", "message_ids"),
        )
    return len(noted)


async def _move_receipts(connection: Connection) -> list[int]:
    """Returns the receivers whose receipts moved."""
    moves = await connection.fetch(_QUERIES["moved_messages"])
    if not moves:
        return []
    receipts = await connection.fetch(
        _QUERIES["take_receipts"],
        **arrays(moves, "channel_ids", "message_ids", "moved_from", "sent_at", "kinds"),
    )
    if not receipts:
        return []
    # A receiver may have a receipt on either side: they become one, with the earlier date.
    await connection.execute(
        _QUERIES["put_receipts"],
        **arrays(
            receipts,
            *("sent_at", "channel_ids", "message_ids", "receiver_ids"),
            *("created_at", "received_at", "kinds", "sent_by_receiver"),
        ),
    )
    await _respan(connection, receipts)
    return sorted({receipt["receiver_id"] for receipt in receipts})


async def _respan(connection: Connection, receipts: Sequence[Row]) -> None:
    """First sentAt and last minute anew, for whom they may have rested on a moved receipt."""
    pairs = sorted({(r["channel_id"], r["receiver_id"]) for r in receipts if r["created_at"]})
    if not pairs:
        return
    days = await existing_days(connection)
    spans = await connection.fetch(
        _QUERIES["spans_of"], **arrays(pairs, "channel_ids", "receiver_ids")
    )
    found = [
        (
            span["channel_id"],
            span["receiver_id"],
            span["first_sent_at"],
            span["last_sent_at"] // MINUTE_MS * MINUTE_MS,
        )
        for span in spans
    ]
    await connection.execute(
        _QUERIES["set_spans"],
        **arrays(found, "channel_ids", "receiver_ids", "first_sent_at", "last_minutes"),
        oldest_day_kept=day_start_ms(min(days)) if days else 0,
    )
