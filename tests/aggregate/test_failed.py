"""A window that cannot be computed is set aside, shown, tried again, and stops no other window."""

from datetime import datetime, timedelta

import pytest
from rich.console import Console

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.failed import FailedWindow, read_failed_windows
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import HOUR_MS, MembershipPolicy, from_unix_ms, parse_timeframe
from devtelemetry.report.report import print_report
from devtelemetry.report.request import ReportRequest
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Database
from support.store import LATER, START, store_hours

RULES = AggregateRules((parse_timeframe("1h"),), lookback=timedelta(0))
HOURS = 4
BROKEN = from_unix_ms(START + HOUR_MS)


async def computed(database: Database, now: datetime) -> list[datetime]:
    found: list[datetime] = []
    await compute_due(
        database, RULES, now=lambda: now, on_window=lambda one: found.append(one.window.start)
    )
    return found


async def break_it(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            f"""
            create function refuse() returns trigger language plpgsql as $$
            begin
                if new.window_start = '{BROKEN.isoformat()}' then
                    raise exception 'it is broken';
                end if;
                return new;
            end $$;
            create trigger refuse before insert or update on reliability_window
            for each row execute function refuse()
            """
        )


async def mend(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("drop trigger refuse on reliability_window")


async def test_a_window_that_fails_stops_no_other_and_is_tried_again(database: Database) -> None:
    await store_hours(database, HOURS)
    await break_it(database)
    rest = [from_unix_ms(START + hour * HOUR_MS) for hour in range(HOURS + 1) if hour != 1]
    failures = metrics.WINDOWS_FAILED.labels("1h")._value.get()
    assert await computed(database, LATER) == rest
    assert metrics.WINDOWS_FAILED.labels("1h")._value.get() == failures + 1
    (failed,) = await read_failed_windows(database, MembershipPolicy.PRESENT)
    assert (failed.timeframe, failed.start, failed.failures) == ("1h", BROKEN, 1)
    assert "it is broken" in failed.error

    # It is tried again after a while, and then after twice as long.
    assert await computed(database, LATER + timedelta(minutes=4)) == []
    assert metrics.WINDOWS_FAILED.labels("1h")._value.get() == failures + 1
    await computed(database, LATER + timedelta(minutes=5))
    (failed,) = await read_failed_windows(database, MembershipPolicy.PRESENT)
    assert failed.failures == 2
    assert failed.tried_again_at == LATER + timedelta(minutes=15)

    console = Console(width=200, record=True)
    await print_report(database, console, ReportRequest(influence_limit=0.01))
    said = "The 1h window of 2026-03-02 11:00 UTC could not be computed, 2 times so far"
    assert said in console.export_text()

    await mend(database)
    assert await computed(database, LATER + timedelta(hours=1)) == [BROKEN]
    assert await read_failed_windows(database, MembershipPolicy.PRESENT) == []


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 5), (2, 10), (7, 320), (8, 360), (1_000_000, 360)]
)
def test_it_waits_longer_each_time_and_never_for_good(failures: int, minutes: int) -> None:
    failed = FailedWindow("1h", BROKEN, failures, LATER, "")
    assert failed.tried_again_at - LATER == timedelta(minutes=minutes)
