"""A page's address: a state that is written is read back, and nothing is guessed."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from devtelemetry.dashboard.state import (
    BREAKDOWNS,
    MOST_FINE,
    MOST_POINTS,
    SPANS,
    BadState,
    PageState,
    WindowPageState,
    address,
    address_of_part,
    fitting,
    narrow,
    path_of,
    read_asked,
    read_asked_window,
    summed_timeframe,
    widen,
)
from devtelemetry.model import Dimension, LossClass, MembershipPolicy, Window, parse_timeframe

TIMEFRAMES = [parse_timeframe(name) for name in ("15m", "1h", "1d", "1w")]
PRESENT = MembershipPolicy.PRESENT

ids = st.text(min_size=1, max_size=60).filter(
    lambda text: "\0" not in text and not any(0xD800 <= ord(letter) < 0xE000 for letter in text)
)


spans = st.builds(
    lambda seconds, minutes: Window(
        datetime.fromtimestamp(seconds, UTC), datetime.fromtimestamp(seconds + 60 * minutes, UTC)
    ),
    st.integers(40_000_000, 4_000_000_000),
    st.integers(1, 1_000_000),
)


def query_of(link: str) -> dict[str, str]:
    return dict(QueryParams(link.partition("?")[2]))


@given(
    timeframe=st.sampled_from(TIMEFRAMES),
    span=st.sampled_from(sorted(SPANS)),
    membership=st.sampled_from(MembershipPolicy),
    by=st.sampled_from(BREAKDOWNS),
    channel=st.none() | ids,
    fixed=st.none() | spans,
    since=st.none() | st.integers(0, 59),
    where=st.dictionaries(st.sampled_from(Dimension), st.just("") | ids, max_size=2),
    loss=st.none() | st.sampled_from(LossClass),
    across=st.none() | st.sampled_from(Dimension),
)
def test_a_shared_link_shows_the_same_page(  # type: ignore[no-untyped-def]
    timeframe, span, membership, by, channel, fixed, since, where, loss, across
) -> None:
    asked = PageState(timeframe, "" if fixed else span, membership, by, channel, fixed, loss=loss)
    if fixed and since is not None:
        asked = replace(asked, since=fixed.start + timedelta(seconds=since))
    for dimension, value in where.items():
        asked = narrow(asked, dimension, value)
    if len(where) == 1 and across not in where:
        asked = replace(asked, across=across)
    link = address(asked)
    assert link.isascii()
    path = link.partition("?")[0]
    assert read_asked(query_of(link), TIMEFRAMES, PRESENT, path=path) == asked


def test_a_page_is_narrowed_and_widened_group_by_group() -> None:
    asked = PageState(TIMEFRAMES[1], "7d", PRESENT)
    ios = narrow(asked, Dimension.PLATFORM, "ios")
    both = narrow(ios, Dimension.APP_VERSION, "2")
    assert narrow(both, Dimension.PLATFORM, "web").where == (
        (Dimension.PLATFORM, "web"),
        (Dimension.APP_VERSION, "2"),
    )
    assert narrow(narrow(asked, Dimension.APP_VERSION, "2"), Dimension.PLATFORM, "ios") == both
    assert widen(both, Dimension.APP_VERSION) == ios
    assert (path_of(asked), path_of(ios)) == ("/", "/group")
    assert path_of(replace(ios, channel="c")) == "/channel"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "no group is named; allowed: one of platform"),
        ({"platform": "a", "app_version": "b", "path": "c"}, "allowed: up to 2 at once"),
        ({"platform": "a\0"}, "platform: is no such value"),
        ({"platform": "x" * 1001}, "platform: is no such value"),
        ({"loss_class": "lost"}, "loss_class: 'lost' is not known; allowed: not_arrived"),
        ({"platform": "a", "across": "platform"}, "allowed beside one group: app_version"),
        ({"platform": "a", "app_version": "b", "across": "path"}, "allowed beside one group: none"),
        ({"id": "c"}, "'id' is not known here"),
    ],
)
def test_a_group_that_is_none_is_said_to_be_none(query: dict[str, str], said: str) -> None:
    with pytest.raises(BadState, match=re.escape(said)):
        read_asked(query, TIMEFRAMES, PRESENT, path="/group")


def test_the_overview_is_of_everything() -> None:
    with pytest.raises(BadState, match="'platform' is not known here"):
        read_asked({"platform": "ios"}, TIMEFRAMES, PRESENT)


@given(channel=st.none() | ids, hour=st.integers(0, 100_000))
def test_a_shared_link_of_a_window_shows_that_window(channel: str | None, hour: int) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
    asked = WindowPageState(TIMEFRAMES[1], start, PRESENT, channel)
    assert read_asked_window(query_of(address(asked)), TIMEFRAMES, PRESENT) == asked


@pytest.mark.parametrize(
    "query",
    [
        {"span": "2d"},
        {"timeframe": "1y"},
        {"by": "colour"},
        {"by": "platform"},  # which is always shown
        {"membership": "all"},
        {"chanel": "x"},
        {"timeframe": "0h"},
        {"from": "2026-03-02"},
        {"to": "2026-03-02"},
        {"from": "yesterday", "to": "2026-03-02"},
        {"from": "2026-03-02", "to": "2026-03-02"},
        {"from": "1971-01-01", "to": "2026-03-02"},
        {"from": "2026-03-01", "to": "2026-03-02", "span": "7d"},
        {"since": "2026-03-01"},
        {"from": "2026-03-01", "to": "2026-03-02", "since": "2026-02-28"},
        {"from": "2026-03-01", "to": "2026-03-02", "since": "2026-03-02"},
        {"from": "2026-03-01", "to": "2026-03-02", "since": "lunch"},
    ],
)
def test_what_is_not_understood_is_said(query: dict[str, str]) -> None:
    with pytest.raises(BadState, match="allowed"):
        read_asked(query, TIMEFRAMES, PRESENT)


@pytest.mark.parametrize("channel", ["", "a\0b", "x" * 513, "€" * 171])
def test_no_channel_s_id_is_said_to_be_none(channel: str) -> None:
    with pytest.raises(BadState, match="id: "):
        read_asked({"id": channel}, TIMEFRAMES, PRESENT, path="/channel")


@pytest.mark.parametrize(
    ("start", "said"),
    [("", "missing"), ("yesterday", "not a time"), ("2026-03-02T10:01Z", "one starts at")],
)
def test_a_start_of_no_window_is_said(start: str, said: str) -> None:
    with pytest.raises(BadState, match=said):
        read_asked_window({"start": start, "timeframe": "1h"}, TIMEFRAMES, PRESENT)


@given(timeframe=st.sampled_from(TIMEFRAMES), span=st.sampled_from(sorted(SPANS)))
def test_a_line_never_has_more_windows_than_fit(timeframe, span) -> None:  # type: ignore[no-untyped-def]
    fitted = fitting(PageState(timeframe, span, PRESENT), TIMEFRAMES)
    assert fitted.points <= MOST_POINTS
    assert fitted.timeframe.length >= timeframe.length
    few = summed_timeframe(fitted, TIMEFRAMES, 200)
    assert few.length >= fitted.timeframe.length
    assert SPANS[span] // few.length <= 200


@given(timeframe=st.sampled_from(TIMEFRAMES), fixed=spans)
@example(
    TIMEFRAMES[0],
    Window(datetime(2026, 3, 1, 22, 39, tzinfo=UTC), datetime(2026, 4, 4, 7, 1, tzinfo=UTC)),
)
def test_a_fixed_span_is_shown_in_whole_windows_and_as_many_as_fit(timeframe, fixed) -> None:  # type: ignore[no-untyped-def]
    asked = PageState(timeframe, "", PRESENT, fixed=fixed)
    bounds = asked.bounds(None)
    assert bounds is not None
    assert bounds.start <= fixed.start < bounds.start + timeframe.length
    assert bounds.end - timeframe.length < fixed.end <= bounds.end
    assert fitting(asked, TIMEFRAMES).points <= MOST_POINTS


@given(fixed=spans)
def test_a_part_of_a_span_comes_in_the_shortest_windows_there_is_room_for(fixed: Window) -> None:
    link = address_of_part(PageState(TIMEFRAMES[2], "1y", PRESENT), fixed)
    asked = read_asked(query_of(link), TIMEFRAMES, PRESENT)
    assert asked.fixed == fixed
    assert asked.points <= MOST_FINE + 1
    shorter = [one for one in TIMEFRAMES if one.length < asked.timeframe.length]
    assert all((fixed.end - fixed.start) // one.length >= MOST_FINE for one in shorter)


def test_a_script_ends_the_link_to_a_part() -> None:
    link = address_of_part(PageState(TIMEFRAMES[1], "7d", PRESENT, channel="a&b"), None)
    asked = read_asked(
        query_of(f"{link}&from=2026-03-02T10:00:00Z&to=2026-03-02T11:00:00Z"),
        TIMEFRAMES,
        PRESENT,
        path="/channel",
    )
    assert (asked.channel, asked.timeframe, asked.points) == ("a&b", TIMEFRAMES[0], 4)
