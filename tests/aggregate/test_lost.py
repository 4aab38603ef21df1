"""Numbers that an installation reports as lost: how they are stored, and which holes they make."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.aggregate.algorithm import holes_of
from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    LostReports,
    ReportRun,
    from_unix_ms,
    parse_timeframe,
    window_at,
)
from devtelemetry.retention.clean import clean
from devtelemetry.retention.forget import forget_installation, forget_key
from devtelemetry.store.database import Database
from oracle.coverage import holes
from oracle.samples import Lost, Numbers, OracleSample
from support.store import START, empty
from support.worlds import Pushed, store_pushes

HOUR = parse_timeframe("1h")


def run(first: int, last: int, first_sent_at: int | None, last_sent_at: int | None) -> Pushed:
    return Pushed((), ReportRun("phone", first, last, first_sent_at, last_sent_at))


def lost(first: int, last: int, first_sent_at: int, last_sent_at: int) -> Pushed:
    return Pushed((), lost=(LostReports("phone", first, last, first_sent_at, last_sent_at),))


async def said_lost(database: Database) -> list[tuple[int, ...]]:
    async with database.acquire() as connection:
        rows = await connection.fetch("select * from lost_report order by 1, 2, 3, 4, 5")
    return [tuple(row)[1:] for row in rows]


async def open_spans(database: Database, day: int = START // DAY_MS) -> set[tuple[int, int]]:
    """The holes of ann's phone that touch that day and are not empty."""
    window = window_at(parse_timeframe("1d"), from_unix_ms(day * DAY_MS))
    async with database.acquire() as connection:
        found = await holes_of(connection, window)
    pairs = zip(found["hole_after"], found["hole_before"], strict=True)
    return {(after, before) for after, before in pairs if before - after > 1}


SENT_AT = st.integers(0, 20).map(lambda at: START + at)
NUMBERS = st.dictionaries(st.integers(1, 12), st.none() | SENT_AT)
LOST = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 3), SENT_AT, st.integers(0, 9)).map(
        lambda one: Lost(one[0], one[0] + one[1], one[2], one[2] + one[3])
    ),
    max_size=4,
)
ANN = Heartbeat("ann", "phone", "", "", START)


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(numbers=NUMBERS, said=LOST, data=st.data())
async def test_the_holes_are_the_oracles_in_whatever_order_it_is_said(
    numbers: Numbers, said: list[Lost], data: st.DataObject, database: Database
) -> None:
    await empty(database)
    pushes = [run(number, number, at, at) for number, at in numbers.items()]
    pushes += [lost(*one) for one in said]
    pushes = data.draw(st.permutations(pushes + pushes[:2]))
    cut = data.draw(st.integers(0, len(pushes)))
    await store_pushes(database, pushes[:cut], pushes[cut:], heartbeats=[ANN])
    expected = {(after, before) for after, before in holes(numbers, said) if before - after > 1}
    assert await open_spans(database) == expected


async def test_what_is_lost_is_said_once_however_often_it_is_said(database: Database) -> None:
    await store_pushes(database, [lost(2, 3, 20, 30)] * 2, [lost(2, 3, 20, 30), lost(2, 4, 20, 40)])
    assert await said_lost(database) == [(2, 3, 20, 30), (2, 4, 20, 40)]


async def test_forgetting_takes_it_along_and_what_still_comes_is_dropped(
    database: Database,
) -> None:
    for forgets_key in (False, True):
        await empty(database)
        ann = OracleSample("m1", "c1", "ann", START, START, "phone")
        await store_pushes(database, [Pushed((ann,)), lost(2, 3, 20, 30)])
        if forgets_key:
            await forget_key(database, "ann")
        else:
            await forget_installation(database, "phone", now_ms=START)
            await store_pushes(database, [lost(4, 5, 20, 30)])
        assert await said_lost(database) == []


async def test_cleaning_takes_what_is_lost_of_days_that_are_gone_and_opens_no_hole_by_it(
    database: Database,
) -> None:
    day = START // DAY_MS * DAY_MS
    old, new = day - HOUR_MS, day + HOUR_MS
    await store_pushes(
        database,
        [Pushed((OracleSample("m", "c", "ben", old - DAY_MS, old - DAY_MS),))],
        # Lost numbers between two reports, one of a day that is kept. No number is unexplained.
        [run(1, 1, old, old), lost(2, 3, old, old + 1), run(4, 4, new, new)],
        # Lost numbers of the day that is kept. One is reported twice, once with older times.
        [lost(5, 6, new, new + 9), lost(5, 5, old, old), run(7, 7, new + 9, new + 9)],
        # This number arrived after all.
        [lost(8, 8, new, new), run(8, 8, new + 9, new + 9)],
        heartbeats=[ANN],
    )
    before = await open_spans(database)
    assert before == {(new - 1, new + 10)}

    now = from_unix_ms(START) + timedelta(days=7)
    # Windows of a day: there would be 330 of an hour, computed in the same way.
    rules = AggregateRules((parse_timeframe("1d"),), settle_time=timedelta(0))
    await compute_due(database, rules, now=lambda: now)
    assert (await clean(database, rules, timedelta(days=7), now=lambda: now)).dropped
    assert await said_lost(database) == [(5, 5, old, old), (5, 6, new, new + 9)]
    assert await open_spans(database) == before

    # A week later only the last run is left.
    later = now + timedelta(days=7)
    await store_pushes(
        database,
        [
            Pushed((OracleSample("m", "c", "ben", new, new),)),
            run(9, 9, new + 8 * DAY_MS, new + 8 * DAY_MS),
        ],
        now_ms=START + 8 * DAY_MS,
    )
    await compute_due(database, rules, now=lambda: later)
    assert (await clean(database, rules, timedelta(days=7), now=lambda: later)).dropped
    assert await said_lost(database) == []
    assert await open_spans(database, START // DAY_MS + 8) == set()
