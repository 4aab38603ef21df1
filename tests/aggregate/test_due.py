"""The scheduler's work over days, on real PostgreSQL with a clock that the test sets."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from devtelemetry.aggregate.compute import compute_due, compute_one
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.model import Sample, WindowReliability, WindowState, parse_timeframe, unix_ms
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.retention.clean import CleanResult, clean
from devtelemetry.store.database import Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.partitions import existing_days
from devtelemetry.store.repair import rewriting
from support.waiting import until_waiting

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOURLY = AggregateRules(tuple(parse_timeframe(name) for name in ("1h", "1d", "1w")))
# A week has 14 windows of twelve hours, but 168 of one. Tests use the former if it does not matter.
RULES = AggregateRules(tuple(parse_timeframe(name) for name in ("12h", "1d", "1w")))


class Deployment:
    """A database, a clock, and the jobs that compute and clean."""

    def __init__(self, database: Database, writer: RowWriter) -> None:
        self.database = database
        self.writer = writer
        self.rules = RULES
        self.now = MONDAY

    async def report(
        self,
        message: str,
        sent: datetime,
        *receivers: str,
        created: datetime | None = None,
    ) -> None:
        """Each receiver reports the message, now unless `created` is given."""
        created_at = unix_ms(created or self.now)
        batch = Batch()
        batch.add_samples(
            self.writer.keyring,
            [Sample(message, "c1", key, unix_ms(sent), created_at) for key in receivers],
        )
        async with self.database.acquire() as connection:
            await self.writer.write(connection, batch, now_ms=unix_ms(self.now))

    async def compute(self) -> list[WindowReliability]:
        windows: list[WindowReliability] = []
        await compute_due(self.database, self.rules, now=lambda: self.now, on_window=windows.append)
        return windows

    async def clean(self) -> CleanResult:
        return await clean(self.database, self.rules, 7 * DAY, now=lambda: self.now)

    async def days(self) -> set[int]:
        async with self.database.acquire() as connection:
            return await existing_days(connection)


@pytest.fixture
async def deployment(database: Database) -> Deployment:
    return Deployment(database, RowWriter(await database.keyring(), SettleRule()))


def named(windows: list[WindowReliability]) -> list[tuple[str, datetime]]:
    return [(window.timeframe, window.window.start) for window in windows]


async def test_nothing_stored_means_nothing_due(deployment: Deployment) -> None:
    assert await deployment.compute() == []


async def test_an_hour_is_provisional_then_recomputed_on_news_then_settled_once(
    deployment: Deployment,
) -> None:
    deployment.rules = HOURLY
    sent = MONDAY + timedelta(minutes=30)
    deployment.now = MONDAY + 2 * HOUR
    await deployment.report("m1", sent, "a", "b")
    await deployment.report("m2", sent + timedelta(minutes=1), "a")
    await deployment.report("m9", deployment.now, "a", "b", "c")
    (first,) = await deployment.compute()
    assert (first.timeframe, first.window.start) == ("1h", MONDAY)
    assert (first.state, first.revision) == (WindowState.PROVISIONAL, 1)
    assert (first.counts.expected, first.counts.missing) == (4, 1)
    assert await deployment.compute() == []

    deployment.now += timedelta(minutes=4)
    await deployment.report("m2", sent + timedelta(minutes=1), "b")
    assert await deployment.compute() == []  # at most once in ten minutes
    deployment.now += timedelta(minutes=6)
    (second,) = await deployment.compute()
    assert (second.revision, second.counts.missing) == (2, 0)

    deployment.now = MONDAY + HOUR + DAY
    settled = [w for w in await deployment.compute() if named([w]) == [("1h", MONDAY)]]
    assert [(w.state, w.revision) for w in settled] == [(WindowState.SETTLED, 2)]

    # A late sample is stored, but the settled figure stays.
    deployment.now += HOUR
    await deployment.report("m1", sent, "c")
    deployment.now += HOUR
    assert ("1h", MONDAY) not in named(await deployment.compute())


async def test_after_an_outage_everything_due_is_computed_oldest_first_and_once(
    deployment: Deployment,
) -> None:
    deployment.rules = HOURLY
    for hour in range(0, 60, 7):
        deployment.now = MONDAY + hour * HOUR
        await deployment.report(f"m{hour}", deployment.now, "a", "b")
    deployment.now = MONDAY + 8 * DAY + HOUR
    await deployment.report("alive", deployment.now, "a", "b")

    windows = await deployment.compute()

    ends = [window.window.end for window in windows]
    assert ends == sorted(ends)
    keys = named(windows)
    assert len(set(keys)) == len(keys)
    hours = {start for timeframe, start in keys if timeframe == "1h"}
    # Windows without samples are computed too, as far back as samples are kept.
    assert {MONDAY + n * HOUR for n in (0, 7, 14, 56)} <= hours
    assert {MONDAY + DAY + n * HOUR for n in range(1, 24 * 7)} <= hours
    assert ("1w", MONDAY) in keys
    week = next(w for w in windows if w.timeframe == "1w")
    assert week.state is WindowState.SETTLED
    assert week.counts.messages == 9
    silent = next(w for w in windows if named([w]) == [("1h", MONDAY + 3 * DAY)])
    assert (silent.reliability, silent.counts.delivery_ratio) == (None, None)
    assert await deployment.compute() == []


async def test_two_servers_do_not_compute_twice(deployment: Deployment) -> None:
    deployment.rules = HOURLY
    deployment.now = MONDAY + HOUR
    await deployment.report("m1", MONDAY, "a", "b")
    deployment.now = MONDAY + 5 * HOUR
    both = await asyncio.gather(deployment.compute(), deployment.compute())
    again = await deployment.compute()
    computed = named(both[0]) + named(both[1]) + named(again)
    assert len(computed) == len(set(computed)) > 0


async def test_windows_wait_for_an_import_that_is_not_whole(
    deployment: Deployment, database: Database
) -> None:
    deployment.rules = HOURLY
    await deployment.report("m1", MONDAY, "a", "b")
    deployment.now = MONDAY + 5 * HOUR
    async with database.acquire() as importing:
        await importing.execute("select pg_advisory_lock_shared($1, $2)", NAMESPACE, Lock.AGGREGATE)
        assert await deployment.compute() == []
        await importing.execute(
            "select pg_advisory_unlock_shared($1, $2)", NAMESPACE, Lock.AGGREGATE
        )
    assert len(await deployment.compute()) > 0


async def test_an_import_after_the_settling_is_taken_in(deployment: Deployment) -> None:
    sent = MONDAY + timedelta(minutes=5)
    await deployment.report("m1", sent, "a", created=sent)
    await deployment.report("after", MONDAY + 12 * HOUR, "a", "b", created=MONDAY + 13 * HOUR)
    deployment.now = MONDAY + 30 * DAY
    await deployment.compute()
    await deployment.report("m1", sent, "b", created=sent + HOUR)
    await deployment.report("m0", MONDAY, "b", created=sent + HOUR)
    deployment.now += HOUR
    (first,) = [w for w in await deployment.compute() if named([w]) == [("12h", MONDAY)]]
    assert (first.state, first.revision, first.counts.expected) == (WindowState.SETTLED, 2, 3)


async def test_a_day_goes_when_it_is_old_and_all_its_windows_are_settled_and_not_before(
    deployment: Deployment, database: Database
) -> None:
    for day in range(9):
        deployment.now = MONDAY + day * DAY + HOUR
        await deployment.report(f"m{day}", deployment.now, "a", "b")
    monday = (MONDAY - datetime(1970, 1, 1, tzinfo=UTC)).days
    deployment.now = MONDAY + 8 * DAY + 2 * HOUR
    result = await deployment.clean()
    assert result.dropped == ()
    assert [day for day, _ in result.kept] == ["2026-03-02"]
    assert "is not settled" in result.kept[0][1]

    await deployment.compute()
    result = await deployment.clean()

    assert result == CleanResult(dropped=("2026-03-02",))
    assert await deployment.days() == {monday + day for day in range(1, 9)}
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from message") == 8
        # Memberships outlive the samples.
        first = await connection.fetchval("select min(first_sent_at) from membership")
    assert first == unix_ms(MONDAY + HOUR)

    # Ingest must forget the day and its message. The message may come again, as a new one.
    await deployment.report("m0", deployment.now, "a")
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from message") == 9
    assert (await deployment.clean()).dropped == ()


async def test_a_week_that_is_still_open_keeps_its_days(deployment: Deployment) -> None:
    friday = MONDAY - 3 * DAY
    deployment.now = friday
    await deployment.report("m1", friday, "a", "b")
    deployment.now = friday + 8 * DAY
    await deployment.compute()
    result = await deployment.clean()
    # The Friday's week ended on Monday and is settled, so the Friday may go.
    assert result.dropped == ("2026-02-27",)
    await deployment.report("m2", MONDAY, "a", "b", created=MONDAY)
    deployment.now = MONDAY + 8 * DAY - HOUR
    await deployment.compute()
    assert [day for day, _ in (await deployment.clean()).kept] == []  # seven days old, not eight
    deployment.now = MONDAY + 8 * DAY
    assert [day for day, _ in (await deployment.clean()).kept] == ["2026-03-02"]
    await deployment.compute()
    assert (await deployment.clean()).dropped == ("2026-03-02",)


async def test_samples_that_wait_to_be_computed_keep_their_day(deployment: Deployment) -> None:
    await deployment.report("m1", MONDAY, "a", created=MONDAY)
    deployment.now = MONDAY + 30 * DAY
    await deployment.compute()
    deployment.now += DAY
    await deployment.report("m1", MONDAY, "b", created=MONDAY)
    assert [day for day, _ in (await deployment.clean()).kept] == ["2026-03-02"]
    deployment.now += HOUR
    await deployment.compute()
    assert (await deployment.clean()).dropped == ("2026-03-02",)


async def test_what_was_computed_outlives_its_samples(
    deployment: Deployment, database: Database
) -> None:
    for day in range(9):
        deployment.now = MONDAY + day * DAY + HOUR
        await deployment.report(f"m{day}", deployment.now, "a", "b")
    deployment.now = MONDAY + 8 * DAY + 2 * HOUR
    await deployment.compute()
    assert (await deployment.clean()).dropped == ("2026-03-02",)
    async with database.acquire() as connection:
        before = await connection.fetch("select * from reliability_window order by 1, 2")

    # Imported samples that were recorded in time, for a week of which a part was cleaned.
    await deployment.report("new", MONDAY + 3 * DAY, "a", created=MONDAY + 3 * DAY)
    await deployment.report("old", MONDAY, "a", created=MONDAY)
    # A sample of the day before. Its windows only touch the cleaned day, so they are complete.
    before_midnight = MONDAY - timedelta(minutes=1)
    await deployment.report("eve", before_midnight, "a", created=before_midnight)
    await deployment.report("morrow", MONDAY + DAY, "a", created=MONDAY + DAY)
    deployment.now += HOUR
    windows = named(await deployment.compute())

    assert ("1w", MONDAY) not in windows
    assert ("12h", MONDAY) not in windows
    assert {("12h", MONDAY - 12 * HOUR), ("1d", MONDAY - DAY), ("12h", MONDAY + DAY)} <= set(
        windows
    )
    assert ("12h", MONDAY + 3 * DAY) in windows
    async with database.acquire() as connection:
        week = "select * from reliability_window where timeframe = '1w' and window_start = $1"
        after = await connection.fetchrow(week, MONDAY)
    assert after in before
    with pytest.raises(ConfigurationError, match="were cleaned"):
        await compute_one(database, RULES, RULES.timeframes[1], MONDAY, now=lambda: deployment.now)
    # The next cleaning drops what came for the cleaned day. No window waits for it.
    assert (await deployment.clean()).dropped == ("2026-03-01", "2026-03-02")


async def test_ingest_that_waited_for_a_rewrite_knows_of_it(
    deployment: Deployment, database: Database
) -> None:
    await deployment.report("m1", MONDAY, "a", "b")
    async with database.acquire() as connection:
        async with rewriting(connection):
            await connection.execute(
                "truncate receipt, message, membership, receiver, channel, sample_kind"
            )
            waiting = asyncio.create_task(deployment.report("m1", MONDAY, "a", "b"))
            await until_waiting(connection)
        await waiting
        for table, rows in (("receipt", 2), ("message", 1), ("membership", 2), ("receiver", 2)):
            assert await connection.fetchval(f"select count(*) from {table}") == rows, table
