"""A wait for a lock is logged, with the process that has the lock."""

import asyncio

import asyncpg
import pytest
from structlog.testing import capture_logs

from devtelemetry.runtime import metrics
from devtelemetry.store import locks
from devtelemetry.store.database import Database
from devtelemetry.store.locks import NAMESPACE, Lock, watch_locks
from support.waiting import until_waiting


def longest() -> float:
    (metric,) = metrics.LOCK_WAIT_SECONDS.collect()
    return metric.samples[0].value


async def test_a_long_wait_is_said_with_who_holds_the_lock(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await asyncpg.connect(database_url)
    await holder.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.INGEST)
    pid = await holder.fetchval("select pg_backend_pid()")

    async def wait() -> None:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(
                "select pg_advisory_xact_lock_shared($1, $2)", NAMESPACE, Lock.INGEST
            )

    waiting = asyncio.create_task(wait())
    async with database.acquire() as connection:
        await until_waiting(connection)
        monkeypatch.setattr(locks, "LONG_SECONDS", 600.0)
        with capture_logs() as lines:
            await watch_locks(connection)
        assert not lines, "it does not wait for long yet"
        assert longest() > 0
        monkeypatch.setattr(locks, "LONG_SECONDS", 0.0)
        with capture_logs() as lines:
            await watch_locks(connection)
        assert [line["lock"] for line in lines] == ["ingest"]
        assert f"process {pid} " in lines[0]["held_by"]
        await holder.close()
        await waiting
        with capture_logs() as lines:
            await watch_locks(connection)
        assert not lines
        assert longest() == 0
