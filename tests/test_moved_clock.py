"""A server with a wrong clock, or one that is set: nothing is dropped, settled or refused."""

import asyncio
from pathlib import Path

import asyncpg
import grpc
import pytest

from devtelemetry.model import DAY_MS, HOUR_MS, MINUTE_MS
from devtelemetry.runtime.clock import now_ms
from support.asked import push, ready, until
from support.moved_clock import MovedClock
from support.program import run
from support.server import ServerProcess

pytestmark = pytest.mark.slow

RECEIVERS = 3
# What a wrong clock could destroy.
COSTS = """
select
    (select count(*) from receipt),
    (select count(*) from cleaned_day),
    (select count(*) from reliability_window where state = 'settled')
"""


async def cost(database_url: str) -> tuple[int, ...]:
    connection = await asyncpg.connect(database_url)
    try:
        (row,) = await connection.fetch(COSTS)
        return tuple(row)
    finally:
        await connection.close()


async def test_a_server_that_starts_a_month_ahead_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    where = f"--database={database_url}"
    sent_at = now_ms() - 3 * HOUR_MS
    with ServerProcess(tmp_path / "right", where) as server:
        for receiver in range(RECEIVERS):
            assert push(server, receiver, sent_at) is grpc.StatusCode.OK
        until(lambda: ready(server)[0] == 200)
    assert await cost(database_url) == (RECEIVERS, 0, 0)

    clock = MovedClock(tmp_path / "time", "+30d")
    options = ("--job-interval=1s", "--log-level=debug")
    with ServerProcess(
        tmp_path / "wrong", where, *options, environment=clock.environment
    ) as server:
        for receiver in range(2 * RECEIVERS):
            assert push(server, receiver, now_ms() - MINUTE_MS) is grpc.StatusCode.UNAVAILABLE
        status, told = ready(server)
        assert status == 503
        assert "devtelemetry clock --confirm" in told
        # Every job has run.
        until(lambda: all(f"job={name}" in server.log_path.read_text() for name in JOBS))
        assert "Traceback" not in server.log_path.read_text()
    for name in ("clean", "aggregate"):
        refused = run(name, where, check=False, environment=clock.environment)
        assert refused.returncode == 1, name
        assert "devtelemetry clock --confirm" in refused.stderr
    assert await cost(database_url) == (RECEIVERS, 0, 0)

    with ServerProcess(tmp_path / "right", where) as server:
        assert push(server, 0, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
        assert ready(server)[0] == 200


JOBS = ("aggregate", "clean", "make_days")


async def a_month_goes_by(database_url: str) -> None:
    """Makes the database believe that a month went by. No server may run, which would note it."""
    connection = await asyncpg.connect(database_url)
    try:
        while await connection.fetchval(_OTHERS):
            await asyncio.sleep(0.1)
        await connection.execute(
            "update clock_seen set seen_at = seen_at - $1::bigint", 30 * DAY_MS
        )
    finally:
        await connection.close()


_OTHERS = (
    "select count(*) from pg_stat_activity "
    "where datname = current_database() and pid <> pg_backend_pid() "
    "and backend_type = 'client backend'"
)


async def test_after_a_month_off_a_server_comes_back_by_what_its_clients_say(
    tmp_path: Path, database_url: str
) -> None:
    where = f"--database={database_url}"
    with ServerProcess(tmp_path / "before", where) as server:
        for receiver in range(RECEIVERS):
            assert push(server, receiver, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
    await a_month_goes_by(database_url)
    with ServerProcess(tmp_path / "after", where, "--workers=2") as server:
        assert ready(server)[0] == 503
        for receiver in range(RECEIVERS - 1):
            assert push(server, receiver, now_ms() - MINUTE_MS) is grpc.StatusCode.UNAVAILABLE
        # The push with which enough receivers agree is itself accepted.
        assert push(server, RECEIVERS - 1, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
        until(lambda: ready(server)[0] == 200)

    await a_month_goes_by(database_url)
    with ServerProcess(tmp_path / "after", where) as server:
        assert ready(server)[0] == 503
        assert "is in doubt" in run("clock", where).stdout
        assert "is believed" in run("clock", where, "--confirm").stdout
        until(lambda: ready(server)[0] == 200)


async def test_a_clock_that_is_set_while_a_server_runs_costs_nothing(
    tmp_path: Path, database_url: str
) -> None:
    clock = MovedClock(tmp_path / "time", "+0")
    options = (f"--database={database_url}", "--job-interval=1s")
    with ServerProcess(tmp_path / "data", *options, environment=clock.environment) as server:
        assert push(server, 0, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
        stored = await cost(database_url)
        for by in ("+30d", "-30d"):
            clock.move(by)
            assert push(server, 1, now_ms() - MINUTE_MS) is grpc.StatusCode.UNAVAILABLE
            assert ready(server)[0] == 503
            assert await cost(database_url) == stored
            clock.move("+0")
            until(lambda: ready(server)[0] == 200)
        assert push(server, 1, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
