"""A clock with which no other clock agrees drops, settles and refuses nothing by age."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from devtelemetry.model import DAY_MS, HOUR_MS, MINUTE_MS
from devtelemetry.model.errors import ClockInDoubt
from devtelemetry.runtime.clock import now_ms
from devtelemetry.server import jobs
from devtelemetry.store.clock import WITNESSES, AgreedClock, confirm
from devtelemetry.store.database import Database

LEAP = timedelta(hours=1)


class Machine:
    """A machine whose clock and passing time the test decides."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms
        self.seconds = 0.0

    def read_ms(self) -> int:
        return now_ms() + self.ahead_ms

    def elapsed(self) -> float:
        return self.seconds

    def clock(self, database: Database) -> AgreedClock:
        return AgreedClock(database, LEAP, read_ms=self.read_ms, elapsed=self.elapsed)


def is_believed(clock: AgreedClock) -> bool:
    try:
        clock.now_ms()
    except ClockInDoubt:
        return False
    return True


async def seen_at(database: Database, at: int) -> None:
    async with database.acquire() as connection:
        await confirm(connection, at)


async def known_receivers(database: Database, count: int) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "insert into receiver (receiver_id, owner_id, platform_minute) "
            "select i, i, 0 from generate_series(1, $1) i",
            count,
        )


@contextlib.asynccontextmanager
async def server(machine: Machine, database: Database) -> AsyncIterator[AgreedClock]:
    clock = machine.clock(database)
    async with clock.watched():
        yield clock


async def test_nobody_believes_a_clock_before_a_look(database: Database) -> None:
    assert not is_believed(Machine().clock(database))


@pytest.mark.parametrize("ahead_ms", [30 * DAY_MS, -30 * DAY_MS, 61 * MINUTE_MS, -61 * MINUTE_MS])
async def test_a_clock_far_from_where_a_server_was_last_is_in_doubt(
    database: Database, ahead_ms: int
) -> None:
    async with server(Machine(), database) as clock:
        assert is_believed(clock)
    async with server(Machine(ahead_ms), database) as clock:
        assert not is_believed(clock)
        assert clock.doubt is not None
        assert "devtelemetry clock --confirm" in clock.doubt
    # What this server noted must not make the next one believe the clock.
    async with server(Machine(ahead_ms), database) as clock:
        assert not is_believed(clock)
    async with server(Machine(), database) as clock:
        assert is_believed(clock)


async def test_a_first_server_is_held_against_the_databases_clock(database: Database) -> None:
    async with server(Machine(30 * DAY_MS), database) as clock:
        assert not is_believed(clock)
    async with server(Machine(), database) as clock:
        assert is_believed(clock)


@pytest.mark.parametrize("by_ms", [2 * HOUR_MS, -2 * HOUR_MS])
async def test_a_clock_that_is_set_is_in_doubt_at_once_and_believed_once_it_is_set_back(
    database: Database, by_ms: int
) -> None:
    machine = Machine()
    async with server(machine, database) as clock:
        machine.ahead_ms += by_ms
        assert not is_believed(clock)  # before any look
        await clock.look()
        assert not is_believed(clock)
        machine.ahead_ms -= by_ms
        await clock.look()
        assert is_believed(clock)


async def test_time_that_passes_is_no_jump(database: Database) -> None:
    machine = Machine()
    async with server(machine, database) as clock:
        # The database was away for a day, so the server could not note that it runs.
        machine.ahead_ms += DAY_MS
        machine.seconds += DAY_MS / 1000
        assert is_believed(clock)
        await clock.look()
        assert is_believed(clock)


async def test_after_a_long_pause_clients_tell_the_time(database: Database) -> None:
    await seen_at(database, now_ms() - 30 * DAY_MS)
    await known_receivers(database, 10)
    async with server(Machine(), database) as clock, server(Machine(), database) as other:
        for number in range(WITNESSES):
            assert not is_believed(clock)
            # One client does not count more than once.
            for _ in range(3):
                await (other if number else clock).hear(f"0x{number}", "", now_ms(), 0)
        await clock.look()
        assert is_believed(clock)
        await other.look()
        assert is_believed(other)


async def test_a_wrong_clock_is_not_believed_for_what_honest_clients_say(
    database: Database,
) -> None:
    await seen_at(database, now_ms() - MINUTE_MS)
    async with server(Machine(30 * DAY_MS), database) as clock:
        for number in range(20):
            await clock.hear(f"0x{number}", "phone", now_ms(), now_ms())
            assert not is_believed(clock)


async def test_the_majority_of_clients_counts(database: Database) -> None:
    await seen_at(database, now_ms() - 30 * DAY_MS)
    await known_receivers(database, 10)
    async with server(Machine(), database) as clock:
        for number in range(4):
            await clock.hear(f"wrong-{number}", "", now_ms() - 30 * DAY_MS, 0)
        for number in range(4):
            await clock.hear(f"right-{number}", "", now_ms(), 0)
            assert not is_believed(clock)
        await clock.hear("right-4", "", now_ms(), 0)
        assert is_believed(clock)


async def test_where_few_clients_are_known_as_many_suffice(database: Database) -> None:
    await seen_at(database, now_ms() - 30 * DAY_MS)
    await known_receivers(database, 1)
    async with server(Machine(), database) as clock:
        await clock.hear("0x1", "", now_ms(), 0)
        assert is_believed(clock)


async def test_a_client_that_does_not_say_its_time_tells_it_by_a_new_message_alone(
    database: Database,
) -> None:
    await seen_at(database, now_ms() - 30 * DAY_MS)
    async with server(Machine(), database) as clock:
        await clock.hear("0x1", "", 0, now_ms() - 2 * DAY_MS)
        await clock.hear("0x1", "", 0, 0)
        assert not is_believed(clock)
        await clock.hear("0x1", "", 0, now_ms() - MINUTE_MS)
        assert is_believed(clock)


async def test_nonsense_is_no_witness_and_no_fault(database: Database) -> None:
    await seen_at(database, now_ms() - 30 * DAY_MS)
    async with server(Machine(), database) as clock:
        for said in (1, 2**64 - 1):
            await clock.hear("\0" * 10_000, "", said, said)
        assert not is_believed(clock)


async def test_the_operator_may_say_that_it_is_right(database: Database) -> None:
    await seen_at(database, now_ms() - 30 * DAY_MS)
    async with server(Machine(), database) as clock:
        await clock.hear("0x1", "", now_ms() - 30 * DAY_MS, 0)
        await seen_at(database, now_ms())
        await clock.look()
        assert is_believed(clock)
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from clock_witness") == 0


async def test_jobs_run_on_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = asyncio.Event()
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        monkeypatch.setattr("time.time", lambda: 0.0)
        if runs == 3:
            ran.set()

    task = asyncio.create_task(jobs._run_often("x", job, timedelta(milliseconds=10)))
    await asyncio.wait_for(ran.wait(), 60)
    task.cancel()
