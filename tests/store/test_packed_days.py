"""Old days are packed: they take less room, and nothing in them changes."""

from datetime import timedelta

import asyncpg
import pytest

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import DAY_MS, Sample, from_unix_ms, parse_timeframe
from devtelemetry.retention import clean as cleaning
from devtelemetry.retention.clean import clean
from devtelemetry.store.database import Connection, Database, Row
from devtelemetry.store.partitions import day_of, existing_days, pack_day, packed_days
from support.store import START, store

DAY = day_of(START)
KEY = "receipt_20260302_pkey"
RULES = AggregateRules((parse_timeframe("1h"),))


def of_day(start_ms: int) -> list[list[Sample]]:
    """The samples of 600 messages by three receivers, one receiver after the other."""
    return [
        [
            Sample(f"m{number}", "c", receiver, sent_at, sent_at + 3_000)
            for number in range(600)
            for sent_at in [start_ms + number * 50]
        ]
        for receiver in "abc"
    ]


async def rows_of(connection: Connection) -> list[Row]:
    return await connection.fetch("select * from receipt order by 1, 2, 3, 4")


async def bytes_of(connection: Connection) -> int:
    size: int = await connection.fetchval(f"select pg_relation_size('{KEY}')")
    return size


async def test_a_day_that_is_packed_is_as_before_and_takes_less(database: Database) -> None:
    await store(database, *of_day(START))
    async with database.acquire() as connection:
        before, bytes_before = await rows_of(connection), await bytes_of(connection)
        assert await packed_days(connection) == set()
        await pack_day(connection, DAY, lock_timeout="60s")
        assert await packed_days(connection) == {DAY}
        assert await rows_of(connection) == before
        assert await bytes_of(connection) < 0.9 * bytes_before


async def test_a_day_whose_packing_was_broken_off_is_packed_again(database: Database) -> None:
    await store(database, *of_day(START))
    async with database.acquire() as connection:
        await pack_day(connection, DAY, lock_timeout="60s")
        await connection.execute(
            f"create unique index {KEY}_ccnew on receipt_20260302 "
            "(sent_at, channel_id, message_id, receiver_id)"
        )
        assert await packed_days(connection) == set()
        await pack_day(connection, DAY, lock_timeout="60s")
        assert await packed_days(connection) == {DAY}


async def test_cleaning_packs_a_day_two_days_after_its_end_and_while_others_write_later(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(database, *of_day(START), *of_day(START + DAY_MS))
    now = from_unix_ms((DAY + 3) * DAY_MS)

    async def cleaned() -> set[int]:
        await clean(database, RULES, timedelta(days=7), now=lambda: now)
        async with database.acquire() as connection:
            assert await existing_days(connection) == {DAY, DAY + 1}
            return await packed_days(connection)

    monkeypatch.setattr(cleaning, "PACK_LOCK_TIMEOUT", "50ms")
    writer = await asyncpg.connect(database_url)
    async with writer.transaction():
        await writer.execute("update receipt set state = state where sent_at < $1", START + 1_000)
        assert await cleaned() == set()
    await writer.close()
    monkeypatch.undo()
    assert await cleaned() == {DAY}
