"""However many viewers read figures, connections are left for everything else."""

from contextlib import AsyncExitStack

import pytest

from devtelemetry.model.errors import Unavailable
from devtelemetry.store import database as room
from devtelemetry.store.database import READERS, Database


async def test_readers_wait_for_each_other_and_nobody_waits_for_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(READERS):
            await stack.enter_async_context(database.read())
        monkeypatch.setattr(room, "READ_SECONDS", 0.05)
        with pytest.raises(Unavailable, match="too long"):
            await stack.enter_async_context(database.read())
        async with database.acquire() as connection:
            assert await connection.fetchval("select 1") == 1
    async with database.read() as connection:
        assert await connection.fetchval("select 1") == 1


async def test_what_takes_too_long_to_read_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "READ_SECONDS", 0.05)
    with pytest.raises(Unavailable, match="too long"):
        async with database.read() as connection:
            await connection.fetchval("select pg_sleep(60)")
    async with database.acquire() as connection:
        running = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)'"
        assert await connection.fetchval(running + " and state = 'active'") == 0
