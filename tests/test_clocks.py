"""The figures of clients' clocks: how many are off, and by how much."""

from collections.abc import Sequence

from devtelemetry.figures.clocks import RECENT_MS, Clocks, read_clocks
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import ClockSaid, Heartbeat
from devtelemetry.model import HOUR_MS, MINUTE_MS
from devtelemetry.store.database import Database
from support.store import START

NOBODY = {"1s": 0, "10s": 0, "1m": 0, "1h": 0}


async def push(database: Database, *offsets: int | None, at_ms: int = START) -> None:
    """A heartbeat for each offset, by the receiver of that position; None: no `client_time`."""
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    for number, offset in enumerate(offsets):
        batch.add_heartbeat(writer.keyring, Heartbeat(f"{number}", "", "", "", at_ms))
        if offset is not None:
            batch.add_clocks(writer.keyring, [ClockSaid(f"{number}", "", offset, at_ms)])
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=at_ms)


async def stored(database: Database) -> Sequence[tuple[int, int]]:
    async with database.acquire() as connection:
        rows = await connection.fetch("select clock_offset, clock_said_at from receiver")
    return [tuple(row) for row in rows]


async def test_nobody_has_no_clock(database: Database) -> None:
    assert await read_clocks(database, now_ms=START) == Clocks(0, 0, NOBODY, 0, 0, None, None)
    await push(database, None)
    assert await read_clocks(database, now_ms=START) == Clocks(1, 0, NOBODY, 0, 0, None, None)


async def test_a_clock_is_off_by_more_than_the_edge_in_either_direction(database: Database) -> None:
    await push(database, 0, 1_000, -1_000, 1_001, -10_001, MINUTE_MS + 1, -HOUR_MS - 1, None)
    assert await read_clocks(database, now_ms=START + 1) == Clocks(
        receivers=8,
        told=7,
        off_by_more={"1s": 4, "10s": 3, "1m": 2, "1h": 1},
        ahead=2,
        behind=2,
        median_ms=1_001,
        greatest_ms=HOUR_MS + 1,
    )


async def test_only_who_reported_of_late_is_looked_at(database: Database) -> None:
    await push(database, HOUR_MS)
    last = START + RECENT_MS
    assert (await read_clocks(database, now_ms=last)).told == 1
    assert (await read_clocks(database, now_ms=last + 1)).receivers == 0
    # It pushes again without `client_time`. Its old offset is not used any more.
    await push(database, None, at_ms=last)
    clocks = await read_clocks(database, now_ms=last + 1)
    assert (clocks.receivers, clocks.told) == (1, 0)


async def test_what_was_told_last_counts_whatever_comes_first(database: Database) -> None:
    for order in ([1, 2, 0], [0, 2, 1], [2, 1, 0]):
        told = [(5_000, START), (-7, START + 1), (-9, START + 1)]
        for number in order:
            offset, at_ms = told[number]
            await push(database, offset, at_ms=at_ms)
        assert await stored(database) == [(-7, START + 1)]
        async with database.acquire() as connection:
            await connection.execute("truncate receiver")


async def test_what_was_told_last_counts_within_one_transaction(database: Database) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    batch.add_heartbeat(writer.keyring, Heartbeat("a", "", "", "", START))
    for offset, at_ms in ((-9, START + 1), (-7, START + 1), (5_000, START)):
        batch.add_clocks(writer.keyring, [ClockSaid("a", "", offset, at_ms)])
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=START)
    assert await stored(database) == [(-7, START + 1)]
