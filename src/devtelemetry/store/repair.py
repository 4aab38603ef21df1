"""Corrects stored rows that later samples showed to be wrong, before anyone reads or rewrites them.

When ingest finds that a stored row is wrong, it notes that in the same transaction. Figures are
computed from repaired rows only, so they do not depend on the order of arrival. Three things can be
wrong:

- The sentAt or the type of a message: samples may differ in sentAt, and the type may come with a
  later sample than the first. Then the receipts of the message move, and with them the first and
  last moments of the receivers that report it.
- When a receiver last reported: only if reports are accepted out of the order of their createdAt
  (by an import, or by servers whose clocks differ).
- Delays, if the author's clock is off: the author's own report shows by how much, and may come
  after other reports. Their delays were stored as if the author's clock were right.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

from devtelemetry.model import MINUTE_MS, Window
from devtelemetry.model.errors import Unavailable
from devtelemetry.store import whole
from devtelemetry.store.author_clocks import author_offsets
from devtelemetry.store.database import Connection, Database, Row
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.partitions import day_start_ms, existing_days
from devtelemetry.store.sql import arrays, queries

SNAPSHOT_ATTEMPTS = 10  # one fails only if ingest finds a row to be wrong in the meantime
CORRECTED_MESSAGES = 500  # in one transaction: ingest waits no longer than for a group commit

_ALL_TIME = (-(2**63), 2**63 - 1)  # Unix ms

_QUERIES = queries(__package__, "repair.sql", **whole.RECEIPT, **whole.MESSAGE)

_MOVED = (
    *("sent_at", "clock", "channel_id", "message_id", "receiver_id", "created_at", "received_at"),
    *("kind", "sent_by_receiver", "state", "authored_at", "envelope_id"),
)


async def repair(database: Database) -> None:
    """Corrects all rows that are noted as wrong."""
    async with database.acquire() as connection:
        if not await _needs_repair(connection, _ALL_TIME):
            return
        # Ingest goes on between these transactions. The few messages that it notes meanwhile are
        # corrected below.
        noted = await connection.fetchval(_QUERIES["count_doubted_messages"])
        for _ in range(noted // CORRECTED_MESSAGES):
            async with holding_ingest_out(connection):
                await _settle_messages(connection)
                await raise_epoch(connection)
        is_done = False
        while not is_done:
            async with rewriting(connection):
                corrected = await _correct_delays(connection)
                is_done = corrected < CORRECTED_MESSAGES


@contextlib.asynccontextmanager
async def repaired_snapshot(
    database: Database, *, readonly: bool = True, delays_of: Window | None = None
) -> AsyncIterator[Connection]:
    """A transaction that sees one state of the database, in which all rows are repaired.

    delays_of  the window whose delays are right, too; delays of other windows may be wrong

    In a snapshot without repair, a message may have receipts under two sentAt. Ingest may find
    something new between the repair and the snapshot. The snapshot shows that, and then both are
    done again. Raises Unavailable after SNAPSHOT_ATTEMPTS.
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

    It waits for the ingest transactions that run, and new ones wait until it ends. Raises
    DatabaseAway if it waits for a lock longer than `lock_timeout`: ingest must not wait behind one
    slow reader, and the work can be done later.
    """
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{lock_timeout}'")
        await connection.execute(_QUERIES["lock_ingest_out"], namespace=NAMESPACE, lock=Lock.INGEST)
        yield


async def raise_epoch(connection: Connection) -> None:
    """Makes the ingest transactions that wait forget what they remember of stored rows."""
    await connection.execute(_QUERIES["raise_epoch"])


@contextlib.asynccontextmanager
async def rewriting(connection: Connection, *, lock_timeout: str = "30s") -> AsyncIterator[None]:
    """A transaction that runs without ingest, on repaired rows (except delays).

    For all work that changes rows which ingest may have in memory: repair, forget, clean.
    """
    async with holding_ingest_out(connection, lock_timeout=lock_timeout):
        if await connection.fetchval(_QUERIES["needs_repair"]):
            while await _settle_messages(connection):
                pass
            doubted = await connection.fetch(_QUERIES["last_reports"])
            await connection.execute(
                _QUERIES["redate_receivers"], **arrays(doubted, "receiver_ids", "created_at")
            )
            await connection.execute(_QUERIES["forget_doubts"])
        yield
        await raise_epoch(connection)


async def _needs_repair(connection: Connection, sent_between: tuple[int, int]) -> bool:
    """Whether wrong rows are noted. sent_between: delays of these messages, Unix ms, half-open."""
    start, end = sent_between
    noted: bool = await connection.fetchval(_QUERIES["needs_repair"]) or await connection.fetchval(
        _QUERIES["doubts_delays"], start_ms=start, end_ms=end
    )
    return noted


async def _correct_delays(connection: Connection) -> int:
    """Corrects the delays of up to CORRECTED_MESSAGES noted messages; returns how many."""
    noted = await connection.fetch(_QUERIES["take_doubted_delays"], most=CORRECTED_MESSAGES)
    if not noted:
        return 0
    dated = [
        tuple(row)
        for row in await connection.fetch(
            _QUERIES["dated_by_authors"], **arrays(noted, "channel_ids", "message_ids")
        )
    ]
    offsets = await author_offsets(connection, dated)
    rows = [(*message, offsets.get(message[1:], 0)) for message in dated]
    await connection.execute(
        _QUERIES["correct_delays"],
        **arrays(rows, "sent_at", "channel_ids", "message_ids", "clock_offsets"),
    )
    return len(noted)


async def _settle_messages(connection: Connection) -> bool:
    """Gives the receipts of some noted messages the type and the sentAt that count.

    Returns False if no message was noted.
    """
    noted = await connection.fetch(_QUERIES["take_doubted_messages"], most=CORRECTED_MESSAGES)
    if not noted:
        return False
    doubted = arrays(noted, "channel_ids", "message_ids")
    await connection.execute(_QUERIES["retype_receipts"], **doubted)
    moves = await connection.fetch(
        _QUERIES["decide_messages"], **doubted, days_kept=sorted(await existing_days(connection))
    )
    if moves:
        await _move(connection, moves)
    return True


async def _move(connection: Connection, moves: Sequence[Row]) -> None:
    """Moves the receipts of messages. moves: rows of `decide_messages`."""
    columns = arrays(
        moves,
        *("channel_ids", "message_ids", "moved_from", "old_clocks", "sent_at", "clocks", "kinds"),
    )
    receipts = await connection.fetch(_QUERIES["take_receipts"], **columns)
    moved_from = columns.pop("moved_from")
    del columns["old_clocks"], columns["kinds"]
    await connection.execute(_QUERIES["set_messages"], **columns)
    columns.pop("clocks")
    await connection.execute(_QUERIES["doubt_moved_delays"], **columns)
    await connection.execute(_QUERIES["move_failures"], **columns, moved_from=moved_from)
    rows = [
        (*(receipt[name] for name in _MOVED), *(receipt["vote"] or (None, None, None)))
        for receipt in receipts
    ]
    await connection.execute(
        _QUERIES["put_receipts"],
        **arrays(
            rows,
            *("sent_at", "clocks", "channel_ids", "message_ids", "receiver_ids", "created_at"),
            *("received_at", "kinds", "sent_by_receiver", "states", "authored_at", "envelope_ids"),
            *("vote_clocks", "vote_created_at", "vote_sent_at"),
        ),
    )
    await _respan(connection, [r for r in receipts if r["moved_from"] != r["sent_at"]])


async def _respan(connection: Connection, receipts: Sequence[Row]) -> None:
    """Computes first_sent_at and last_sent_minute again where a moved receipt may have set them."""
    pairs = sorted({(r["channel_id"], r["receiver_id"]) for r in receipts if r["vote"]})
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
