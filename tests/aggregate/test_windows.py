"""Which windows there are, and when they are due. Pure."""

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.aggregate.due import Arrived, is_due, must_compute, state_at
from devtelemetry.model import (
    WindowState,
    parse_timeframe,
    unix_ms,
    window_at,
    window_starting,
    windows_between,
)

NAMES = st.sampled_from(["1m", "15m", "1h", "6h", "1d", "1w", "2w", "90m"])
MOMENTS = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NEVER = Arrived(None, None)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("name", "moment", "start"),
    [
        ("1h", "2026-03-02T10:59:59.999+00:00", "2026-03-02T10:00+00:00"),
        ("1h", "2026-03-02T11:00+00:00", "2026-03-02T11:00+00:00"),
        ("1d", "2026-03-02T00:00+00:00", "2026-03-02T00:00+00:00"),
        ("1d", "2026-03-02T00:30+01:00", "2026-03-01T00:00+00:00"),
        ("1w", "2026-03-08T23:59+00:00", "2026-03-02T00:00+00:00"),
        ("1w", "2026-03-02T00:00+00:00", "2026-03-02T00:00+00:00"),
        ("15m", "2026-03-02T10:44+00:00", "2026-03-02T10:30+00:00"),
        ("2w", "1970-01-14T23:00+00:00", "1970-01-01T00:00+00:00"),
    ],
)
def test_hours_days_and_weeks_start_where_people_expect(name: str, moment: str, start: str) -> None:
    assert window_at(parse_timeframe(name), at(moment)).start == at(start)


@given(name=NAMES, moment=MOMENTS)
def test_every_moment_lies_in_exactly_one_window(name: str, moment: datetime) -> None:
    timeframe = parse_timeframe(name)
    window = window_at(timeframe, moment)
    assert window.start <= moment < window.end
    assert window.end - window.start == timeframe.length
    assert window_at(timeframe, window.end).start == window.end
    # Rows with times in minutes rely on this.
    assert window.start_ms % 60_000 == window.end_ms % 60_000 == 0


@given(name=NAMES, moment=MOMENTS, span=st.timedeltas(timedelta(0), timedelta(days=3)))
def test_windows_between_are_all_of_them_oldest_first(
    name: str, moment: datetime, span: timedelta
) -> None:
    timeframe = parse_timeframe(name)
    windows = list(windows_between(timeframe, moment, moment + span))
    assert windows[0] == window_at(timeframe, moment)
    assert windows[-1] == window_at(timeframe, moment + span)
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))


@pytest.mark.parametrize(
    ("name", "lateness"),
    [("15m", 15 * MINUTE), ("1h", HOUR), ("6h", 6 * HOUR), ("1d", 6 * HOUR), ("1w", DAY)],
)
def test_allowed_lateness_follows_the_length_unless_told(name: str, lateness: timedelta) -> None:
    assert parse_timeframe(name).allowed_lateness == lateness
    assert parse_timeframe(name, MINUTE).allowed_lateness == MINUTE


@pytest.mark.parametrize("name", ["", "1", "h", "0h", "-1h", "1s", "1.5h", "1H", "12345d", "1h "])
def test_what_is_no_timeframe_is_refused_with_what_is(name: str) -> None:
    with pytest.raises(ValueError, match=r"allowed: a number and m, h, d or w"):
        parse_timeframe(name)


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        window_at(parse_timeframe("1h"), datetime(2026, 3, 2))  # noqa: DTZ001


def test_a_start_that_is_none_is_refused_with_the_one_that_holds_it() -> None:
    with pytest.raises(ValueError, match="starts at 2026-03-02T10:00:00"):
        window_starting(parse_timeframe("1h"), at("2026-03-02T10:30+00:00"))
    zone = timezone(timedelta(hours=5, minutes=30))
    same = window_starting(parse_timeframe("1h"), at("2026-03-02T10:00+00:00").astimezone(zone))
    assert same.start == at("2026-03-02T10:00+00:00")


def test_a_window_is_due_at_its_lateness_and_settled_at_its_settle_time() -> None:
    timeframe = parse_timeframe("1h")
    window = window_at(timeframe, at("2026-03-02T10:30+00:00"))
    due = at("2026-03-02T12:00+00:00")
    assert not is_due(timeframe, window, due - timedelta(microseconds=1))
    assert is_due(timeframe, window, due)
    settled = window.end + DAY
    assert state_at(window, DAY, settled - timedelta(microseconds=1)) is WindowState.PROVISIONAL
    assert state_at(window, DAY, settled) is WindowState.SETTLED


def decide(
    now: datetime,
    state: WindowState | None = None,
    computed_at: datetime | None = None,
    arrived: Arrived = NEVER,
) -> bool:
    timeframe = parse_timeframe("1h")
    return must_compute(
        timeframe,
        window_at(timeframe, at("2026-03-02T10:30+00:00")),
        state=state,
        computed_at=computed_at,
        arrived=arrived,
        settle_time=DAY,
        recompute_interval=10 * MINUTE,
        now=now,
    )


def test_a_window_is_computed_once_due_then_on_news_then_when_it_settles() -> None:
    end = at("2026-03-02T11:00+00:00")
    due = end + HOUR
    provisional, settled = WindowState.PROVISIONAL, WindowState.SETTLED
    assert not decide(due - MINUTE)
    assert decide(due)
    assert not decide(due + 5 * HOUR, provisional, due)

    news = Arrived(unix_ms(due + HOUR), None)
    assert decide(due + HOUR, provisional, due, news)
    assert not decide(due + 9 * MINUTE, provisional, due, Arrived(unix_ms(due + MINUTE), None))
    assert not decide(due + 2 * HOUR, provisional, due + HOUR + 3 * MINUTE, news)

    assert decide(end + DAY, provisional, due)
    assert not decide(end + 2 * DAY, settled, end + DAY)


def test_what_comes_late_leaves_a_settled_window_alone_and_an_import_does_not() -> None:
    settled_at = at("2026-03-03T11:00+00:00")
    later = settled_at + 2 * HOUR
    late = Arrived(unix_ms(later), None)
    imported = Arrived(unix_ms(later), unix_ms(later))
    assert not decide(later + HOUR, WindowState.SETTLED, settled_at, late)
    assert decide(later + HOUR, WindowState.SETTLED, settled_at, imported)
