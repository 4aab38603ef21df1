"""A span's sums come from the longest windows that tile it, whatever windows its line shows."""

import itertools
from datetime import UTC, datetime, timedelta

from bench.months import Made, make_months

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard.reading import Reader
from devtelemetry.dashboard.state import PageState
from devtelemetry.figures.derive import sum_of
from devtelemetry.figures.tiles import tiles
from devtelemetry.model import (
    DAY,
    HOUR,
    NO_COUNTS,
    WEEK,
    Dimension,
    MembershipPolicy,
    Window,
    WindowReliability,
    WindowState,
    parse_timeframe,
)
from devtelemetry.store.database import Database

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NOON = MONDAY + 15 * DAY + 12 * HOUR
FRAMES = [parse_timeframe(name) for name in ("1h", "1d", "1w")]


def windows(
    length: timedelta, start: datetime, end: datetime, *, without: int | None = None
) -> list[WindowReliability]:
    """without  the number of a window that was never computed"""
    return [
        WindowReliability(
            timeframe=str(length),
            window=Window(start + number * length, start + (number + 1) * length),
            membership=MembershipPolicy.PRESENT,
            state=WindowState.SETTLED,
            reliability=None,
            counts=NO_COUNTS,
            revision=1,
            computed_at=end,
            channels=(),
        )
        for number in range((end - start) // length)
        if number != without
    ]


def lengths(found: list[WindowReliability]) -> list[timedelta]:
    return [one.window.end - one.window.start for one in found]


def test_the_longest_come_first_and_shorter_ones_fill_what_is_left() -> None:
    begin, end = MONDAY - 2 * HOUR, MONDAY + 8 * DAY + 3 * HOUR
    hours = windows(HOUR, begin, end)
    days = windows(DAY, MONDAY - DAY, MONDAY + 9 * DAY)
    weeks = windows(WEEK, MONDAY - WEEK, MONDAY + WEEK)
    found = tiles([weeks, days, hours])
    assert lengths(found) == [HOUR, HOUR, WEEK, DAY, HOUR, HOUR, HOUR]
    assert found[0].window.start == begin
    assert all(one.window.end == other.window.start for one, other in itertools.pairwise(found))
    assert found[-1].window.end == end


def test_a_longer_one_that_was_never_computed_is_made_up_for_by_shorter_ones() -> None:
    hours = windows(HOUR, MONDAY, MONDAY + 3 * DAY)
    days = windows(DAY, MONDAY, MONDAY + 3 * DAY, without=1)
    assert lengths(tiles([days, hours])) == [DAY, *[HOUR] * 24, DAY]
    assert tiles([hours]) == hours


async def test_a_span_has_the_same_figures_whatever_windows_its_line_has(
    database: Database,
) -> None:
    await make_months(database, Made([f"c{number}" for number in range(12)], NOON, 15 * DAY))
    rules = AggregateRules(tuple(FRAMES))
    reader = Reader(database, FRAMES, rules, lambda: NOON)
    span = Window(MONDAY, MONDAY + 9 * DAY)
    pages = [
        PageState(frame, "", MembershipPolicy.PRESENT, Dimension.APP_VERSION, of, span, where)
        for of, where in ((None, ()), ("c0", ()), (None, ((Dimension.PLATFORM, "ios"),)))
        for frame in FRAMES[:2]
    ]
    for by_hours, by_days in zip(pages[::2], pages[1::2], strict=True):
        read = reader.subject if by_hours.channel or by_hours.where else reader.overview
        found = [await read(one) for one in (by_hours, by_days)]
        assert [len(one.windows) for one in found] == [9 * 24, 9]
        assert [len(one.tiles) for one in found] == [3, 3]
        totals = [sum_of(one.tiles) for one in found]
        assert totals[0].counts.corroborated
        assert totals[0].interval is not None
        assert totals[0] == totals[1]
