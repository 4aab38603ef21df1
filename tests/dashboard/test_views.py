"""Texts of pages: an unknown share is never called 0 or 100 %, and changes are told in words."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from devtelemetry import words
from devtelemetry.dashboard.beside import NOTHING_BESIDE, Beside
from devtelemetry.dashboard.charts.axes import time_ticks
from devtelemetry.dashboard.charts.hours import hours_of
from devtelemetry.dashboard.charts.line import drawn_of, in_words, line_chart
from devtelemetry.dashboard.charts.losses import losses_chart, losses_in_words, shares_of
from devtelemetry.dashboard.reading import Days, OverviewReading, WindowReading
from devtelemetry.dashboard.state import PageState, WindowPageState, read_asked
from devtelemetry.dashboard.views.changes import changes
from devtelemetry.dashboard.views.overview import overview
from devtelemetry.dashboard.views.parts import (
    delay_bars,
    line_beside,
    loss_bars,
    points_of,
    reason_rows,
    why_no_ratio,
)
from devtelemetry.dashboard.views.values import LineBeside, Overview, Point
from devtelemetry.dashboard.views.window import window_page
from devtelemetry.figures.derive import Totals
from devtelemetry.model import (
    DAY,
    HOUR,
    NO_COUNTS,
    WEEK,
    ChannelReliability,
    Counts,
    Delays,
    Dimension,
    Figures,
    Group,
    LossReason,
    MembershipPolicy,
    Spread,
    Spreads,
    Window,
    WindowReliability,
    WindowState,
    parse_moment,
    parse_timeframe,
)
from devtelemetry.problems.problem import Problems
from devtelemetry.releases.notes import Note

FRAMES = [parse_timeframe(name) for name in ("1h", "1d", "1w")]
PRESENT = MembershipPolicy.PRESENT
START = datetime(2026, 3, 2, 10, tzinfo=UTC)
ASKED = PageState(FRAMES[0], "24h", PRESENT)
ALONE = LineBeside(None, [], [])
NO_PROBLEMS = Problems(FRAMES[0], PRESENT, START)


def spreads(missing: int, pairs: int, clusters: int = 40) -> Spreads:
    """Spreads of losses that fall evenly on the clusters."""
    each = pairs // clusters
    one = Spread(clusters, missing * missing // clusters + 1, missing * each, pairs * each)
    return Spreads(one, one, one)


def window(
    hour: int = 0,
    missing: int = 20,
    pairs: int = 1000,
    *,
    groups: Sequence[Group] = (),
    channels: Sequence[ChannelReliability] = (),
    unknown: int = 0,
    clusters: int = 40,
    influence: float | None = None,
    state: WindowState = WindowState.SETTLED,
) -> WindowReliability:
    start = START + hour * HOUR
    counts = Counts(50, clusters, pairs, missing, pairs, unknown) if pairs else NO_COUNTS
    return WindowReliability(
        "1h",
        Window(start, start + HOUR),
        PRESENT,
        state,
        counts.reliability,
        counts,
        1,
        start + 2 * HOUR,
        tuple(channels),
        Figures(spreads(missing, pairs, clusters) if pairs else Spreads(), influence=influence),
        tuple(groups),
    )


def group(by: Dimension, value: str | None, missing: int, pairs: int = 1000) -> Group:
    return Group(by, value, Counts(50, 40, pairs, missing, pairs), spreads(missing, pairs))


def channel(name: str, receivers: int, expected: int, missing: int = 0) -> ChannelReliability:
    return ChannelReliability(name, Counts(3, receivers, expected, missing, expected))


def day(missing: int, *, first_hour: int, **options: object) -> list[WindowReliability]:
    return [window(first_hour + hour, missing, **options) for hour in range(24)]  # type: ignore[arg-type]


def days(
    before: list[WindowReliability],
    after: list[WindowReliability],
    moved: Sequence[tuple[str, Totals, Totals]] = (),
) -> Days:
    return Days(FRAMES[0], START + 24 * HOUR, before, after, moved)


def column(points: Sequence[Point], name: str) -> list[float | None]:
    return [getattr(drawn, name) for drawn in drawn_of(points)]


def texts(found: Days | None) -> list[tuple[str, str]]:
    return [
        (change.tone, f"{change.link_text} {change.text}".strip())
        for change in changes(found, ASKED)
    ]


def test_where_problems_are_listed_two_days_without_a_change_say_why() -> None:
    found = days(day(20, first_hour=0), day(20, first_hour=24))
    said = [
        changes(found, ASKED, has_problems=has_problems)[-1].text for has_problems in (False, True)
    ]
    assert said[0] == "No platform, version or channel changed by more than chance explains."
    assert said[1] == "The problems above were found by comparing more than these two days."


# ------------------------------------------------------------------------------- what is not known


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, words.NOT_COMPUTED),
        (window(pairs=0), words.NOTHING_TO_COMPARE),
        (window(pairs=0, channels=[channel("c", 1, 0)]), words.NOT_COMPARABLE),
        (window(pairs=0, channels=[channel("c", 2, 0)]), words.NOT_COMPARABLE),
        (replace(window(), counts=Counts(1, 2, 2, 0, 0)), words.TOO_FEW),
        (window(), ""),
    ],
)
def test_a_window_without_a_ratio_says_why(found: WindowReliability | None, reason: str) -> None:
    assert why_no_ratio(found).partition(":")[0] == reason


def test_with_few_receivers_there_is_a_ratio_and_no_interval() -> None:
    view = shown([window(clusters=9)])
    assert (view.now[0].ratio, view.now[0].interval) == ("98.00 %", words.TOO_FEW)


def test_what_is_not_all_never_reads_as_all() -> None:
    assert shown([window(missing=1, pairs=1_000_000)]).now[0].ratio == "99.99 %"


def test_a_window_that_was_never_computed_is_a_gap_of_the_line() -> None:
    windows = [window(0), window(2, pairs=0)]
    points = points_of(windows, ASKED, START + 3 * HOUR)
    assert len(points) == 24
    assert [point.ratio for point in points[-3:]] == [0.98, None, None]
    assert [point.reason for point in points[-3:]] == ["", words.NOT_COMPUTED, words.NOT_COMPARABLE]
    assert column(points, "settled")[-3:] == [0.98, None, None]
    assert column(points, "alone")[-3:] == [0.98, None, None], "a lone window is a point"
    assert "22 windows" not in in_words(points, ALONE)
    assert "1 windows" in in_words(points, ALONE)


def test_no_line_at_all_is_said() -> None:
    assert in_words([], ALONE) == "No window of the span has a delivery ratio."


def test_losses_are_shares_of_what_could_be_noticed() -> None:
    counts = Counts(1, 2, 1_000, 20, 1_000, unreadable=7, dropped=1, not_sent=4)
    windows = [replace(window(0), counts=counts), window(1, pairs=0)]
    points = points_of(windows, ASKED, START + 2 * HOUR)[-2:]
    assert shares_of(points) == [(0.008, 0.007, 0.004, 0.001), ()]
    chart = losses_chart(points, ASKED)
    assert [tick.text for tick in chart.y] == ["2 %", "1.6 %", "1.2 %", "0.8 %", "0.4 %", "0 %"]
    assert [path.look for path in chart.paths] == [f"loss {of.value}" for of in words.LOSS_CLASSES]
    assert [piece.said.splitlines()[1:] for piece in chart.pieces] == [
        ["20 of 1,000 missing", "not arrived 8 (0.80 %)", "unreadable 7 (0.70 %)",
         "not sent 4 (0.40 %)", "dropped 1 (0.10 %)"],
        [words.NOTHING_TO_COMPARE],
    ]  # fmt: skip
    assert losses_in_words(points).endswith(": 8 not arrived, 7 unreadable, 4 not sent, 1 dropped.")
    assert losses_in_words([]) == "Nothing was lost in the span."


def test_the_provisional_part_of_the_line_is_dashed_and_joins_the_settled_one() -> None:
    windows = [window(0), window(1), window(2, state=WindowState.PROVISIONAL)]
    points = points_of(windows, ASKED, START + 3 * HOUR)
    assert column(points, "settled")[-3:] == [0.98, 0.98, None]
    assert column(points, "provisional")[-3:] == [None, 0.98, 0.98]
    assert column(points, "alone")[-3:] == [None, None, None]


def test_what_is_not_all_is_drawn_below_all() -> None:
    point = points_of([window(missing=1, pairs=10_000_000)], ASKED, START + HOUR)[-1]
    assert column([point], "settled") == [0.999999]


def test_each_part_of_a_line_says_what_it_is_and_leads_on() -> None:
    windows = [window(0), window(1, pairs=0), window(2, state=WindowState.PROVISIONAL)]
    chart = line_chart(points_of(windows, ASKED, START + 3 * HOUR), ASKED, ALONE)
    assert [path.look for path in chart.paths] == ["band", "line", "line dashed", "dots"]
    first, gap, last = chart.pieces[-3:]
    assert first.said.splitlines() == [
        "2026-03-02 10:00 UTC", "98.00 % delivered", "95 % interval 96.89–98.72 %",
        "20 of 1,000 missing",
    ]  # fmt: skip
    assert gap.said.splitlines() == ["2026-03-02 11:00 UTC", words.NOT_COMPARABLE]
    assert last.said.splitlines()[-1] == "provisional"
    assert first.href.startswith("/window?timeframe=1h&start=2026-03-02T10%3A00%3A00Z")
    assert sum(piece.width for piece in chart.pieces) == pytest.approx(100, abs=0.1)


def test_where_windows_are_too_narrow_to_hit_several_lead_to_a_part_of_the_span() -> None:
    asked = replace(ASKED, span="30d")
    windows = [window(hour, missing=10 + hour) for hour in range(4)]
    chart = line_chart(points_of(windows, asked, START + 4 * HOUR), asked, ALONE)
    assert len(chart.pieces) == 180
    last = chart.pieces[-1]
    assert last.said.splitlines() == [
        "2026-03-02 10:00 UTC to 2026-03-02 14:00 UTC", "98.85 % delivered",
        "46 of 4,000 missing",
    ]  # fmt: skip
    part = read_asked(dict(parse_qsl(urlsplit(last.href).query)), FRAMES, PRESENT)
    assert part.fixed == Window(START, START + 4 * HOUR)
    assert part.timeframe == FRAMES[0]


@pytest.mark.parametrize(
    ("start", "length", "labels"),
    [
        ("2026-03-02T10:00", timedelta(hours=24),
         ["12:00 · 2 Mar 2026", "15:00", "18:00", "21:00", "3 Mar", "03:00", "06:00", "09:00"]),
        ("2026-12-30T05:00", timedelta(days=7),
         ["31 Dec 2026", "1 Jan 2027", "2 Jan", "3 Jan", "4 Jan", "5 Jan", "6 Jan"]),
        ("2026-03-03T00:00", timedelta(days=30),
         ["9 Mar 2026", "16 Mar", "23 Mar", "30 Mar"]),
        ("2025-11-15T00:00", timedelta(days=366),
         ["Jan 2026", "Mar", "May", "Jul", "Sep", "Nov"]),
    ],
)  # fmt: skip
def test_the_axis_of_time_has_months_and_where_it_begins_the_year(
    start: str, length: timedelta, labels: list[str]
) -> None:
    began = parse_moment(start)
    ticks = time_ticks(began, began + length)
    assert [tick.text for tick in ticks] == labels
    assert all(0 <= tick.at < 100 for tick in ticks)


def test_a_label_of_the_axis_is_left_out_only_where_it_would_overlap_the_one_before() -> None:
    began = parse_moment("2026-11-24T00:10")
    ticks = time_ticks(began, began + timedelta(hours=24))
    assert [tick.text for tick in ticks][:2] == ["03:00 · 24 Nov 2026", "06:00"]
    assert ticks[1].off == "off-middle off-narrow"
    assert ticks[2].off == "off-narrow"
    assert not any(tick.off for tick in (ticks[0], ticks[4]))
    months = time_ticks(began, began + timedelta(days=366))
    assert not any("wide" in tick.off or "middle" in tick.off for tick in months)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=7), "7 min"),
        (timedelta(minutes=83), "1 h 23 min"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_how_old_data_are_is_said_in_two_units(length: timedelta, said: str) -> None:
    assert words.age(length) == said


def test_delays_that_nobody_told_are_no_distribution() -> None:
    counts = (980, *(0,) * 14)
    assert delay_bars(Totals(Counts(1, 2, 1000, 20, 1000), delays=Delays(counts, counts))) == []


def test_the_line_has_the_objective_the_week_before_and_what_happened_meanwhile() -> None:
    windows = [window(hour, 20) for hour in range(3)]
    points = points_of(windows, ASKED, START + 3 * HOUR)[-3:]
    beside = Beside(
        [replace(window(1), window=Window(START + HOUR - WEEK, START + 2 * HOUR - WEEK))],
        [(START + HOUR, "2.36.0")],
        [Note(1, START + 2 * HOUR, "2.36.0", "rolled\nback"), Note(2, START, "", "a <b>")],
    )
    found = line_beside(points, ASKED, beside, 0.9)
    assert found.week_before == [None, 0.98, None]
    assert [(one.letter, one.at, one.text) for one in found.moments] == [
        ("A", START, "a <b>"),
        ("B", START + HOUR, "version 2.36.0 first seen"),
        ("C", START + 2 * HOUR, "2.36.0: rolled\\u000aback"),
    ]
    chart = line_chart(points, ASKED, found)
    assert [path.look for path in chart.paths][:3] == ["before", "objective", "moment"]
    span = Window(START, START + 3 * HOUR)
    since = replace(ASKED, span="", fixed=span, since=START + 1.5 * HOUR)
    assert [
        (one.at, one.text) for one in line_beside(points, since, NOTHING_BESIDE, None).moments
    ] == [(START + HOUR, "the sums of this page begin")]
    assert not line_beside(points, replace(since, since=START), NOTHING_BESIDE, None).moments
    assert [(tick.at, tick.text) for tick in chart.letters] == [
        (0, "A"),
        (33.33, "B"),
        (66.67, "C"),
    ]
    assert "0 are below the objective of 90 %." in chart.in_words
    assert float(chart.y[-1].text.removesuffix(" %")) <= 90


def test_an_objective_far_below_the_line_does_not_make_it_flat() -> None:
    points = points_of([window(0, 1)], ASKED, START + HOUR)[-1:]
    chart = line_chart(points, ASKED, LineBeside(0.5, [], []))
    assert chart.y[-1].text == "99 %"
    assert "objective" not in {path.look for path in chart.paths}
    assert chart.keys[-1].text == "objective 50 %, below this part"


def test_each_hour_of_each_day_has_the_shade_of_what_was_lost_in_it() -> None:
    lost = {0: 10, 1: 11, 24: 101, 25: 20, 26: 0}  # hours after 10:00 → lost pairs of 1,000
    windows = [window(hour, missing) for hour, missing in lost.items()]
    asked = PageState(FRAMES[0], "", PRESENT, fixed=Window(START, START + 27 * HOUR))
    points = points_of(windows, asked, START + 27 * HOUR)
    found = hours_of(points, asked, 0.99)
    assert found is not None
    assert found.rows == 2
    assert [tick.text for tick in found.days] == ["2 Mar", "3 Mar"]
    assert found.shades == [
        "M10 0h1v1h-1zM12 1h1v1h-1z",
        "M11 0h1v1h-1zM11 1h1v1h-1z",
        "",
        "",
        "M10 1h1v1h-1z",
    ]
    assert found.keys[0] == "up to 1 % lost"
    assert len(found.cells) == 27
    assert found.cells[24].said == "2026-03-03 10:00 UTC: 89.90 % delivered"
    assert found.cells[2].said.endswith("no ratio")
    # In the hour from 10:00, (10 + 101) of 2,000 are lost; in the one from 12:00, none.
    assert "the hour from 10:00 UTC lost most: 94.45 % delivered." in found.in_words
    assert "99.99 %" not in found.in_words
    assert "from 12:00 lost least: 100.00 %." in found.in_words


def test_shorter_windows_are_put_together_to_hours_and_longer_ones_are_not_shown() -> None:
    quarter = parse_timeframe("15m")
    asked = PageState(quarter, "", PRESENT, fixed=Window(START, START + 2 * DAY))
    points = points_of([window(0, 40)], asked, START + 2 * DAY)
    found = hours_of(points, asked, 0.99)
    assert found is not None
    assert found.rows == 3
    assert len(found.cells) == 48
    part = dict(parse_qsl(urlsplit(found.cells[1].href).query))
    assert (part["from"], part["to"]) == ("2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z")
    days = PageState(FRAMES[1], "7d", PRESENT)
    assert hours_of(points_of([], days, START), days, 0.99) is None
    one = PageState(FRAMES[0], "", PRESENT, fixed=Window(START, START + 3 * HOUR))
    assert hours_of(points_of([], one, START), one, 0.99) is None
    long = PageState(FRAMES[0], "", PRESENT, fixed=Window(START, START + 33 * DAY))
    assert hours_of(points_of([], long, START), long, 0.99) is None


def test_all_pairs_are_in_the_losses_by_kind() -> None:
    counts = Counts(1, 2, 1000, 20, 990, 30, unreadable=7, dropped=1, not_sent=4)
    bars = loss_bars(counts, ASKED)
    assert [(bar.name, bar.count) for bar in bars] == [
        ("delivered", 980),
        ("not arrived", 8),
        ("unreadable", 7),
        ("not sent", 4),
        ("dropped", 1),
        ("unknown: the report is missing", 30),
    ]
    assert sum(bar.share for bar in bars) == pytest.approx(100)


def test_reasons_are_shown_with_what_became_of_it_where_somebody_says_why() -> None:
    reasons = [
        LossReason("not_arrived", "", 8),
        LossReason("unreadable", "no_session_key", 1_200),
        LossReason("not_sent", "", 4),
        LossReason(None, None, 3),
    ]
    assert [(row.of, row.reason, row.pairs) for row in reason_rows(reasons)] == [
        ("unreadable", "no_session_key", "1,200"),
        ("not sent", words.NOT_SAID, "4"),
        ("other reasons", "", "3"),
    ]


# ------------------------------------------------------------------------- what changed, in words


def test_without_two_days_nothing_is_compared() -> None:
    assert "not yet a full day" in texts(None)[0][1]
    assert "nothing" not in texts(days([], day(20, first_hour=24)))[0][1]
    assert "compare with" in texts(days([], day(20, first_hour=24)))[0][1]


def test_a_day_like_the_other_is_called_chance() -> None:
    found = texts(days(day(20, first_hour=0), day(21, first_hour=24)))
    assert found[0] == (
        "note",
        "97.90 % was delivered, 98.00 % the day before: −0.10 points, which may well be chance.",
    )
    assert found[1][1].startswith("No platform, version or channel changed")


def test_a_bad_day_is_told_with_what_it_was_before() -> None:
    found = texts(days(day(20, first_hour=0), day(200, first_hour=24)))
    assert found[0] == (
        "worse",
        "80.00 % was delivered, 98.00 % the day before: worse by 18.00 points.",
    )


def test_a_version_that_got_worse_and_a_new_one_are_named() -> None:
    by = Dimension.APP_VERSION
    old = [group(by, "2.30", 20), group(by, None, 20)]
    new = [group(by, "2.30", 300), group(by, "2.31", 20), group(by, None, 400)]
    found = texts(days(day(20, first_hour=0, groups=old), day(21, first_hour=24, groups=new)))
    assert (
        "worse",
        "App version 2.30 is worse by 28.00 points: 70.00 %, 98.00 % the day before.",
    ) in found
    assert ("note", "App version 2.31 is new, with 33.33 % of the expected deliveries.") in found
    assert not any("(other)" in text for _, text in found), "who is in the rest changes"


def test_a_channel_that_changed_beyond_chance_is_linked_and_one_that_did_not_is_not() -> None:
    def share(missing: int) -> Totals:
        spread = spreads(missing, 1000)
        return Totals(Counts(9, 40, 1000, missing, 1000), Spreads(Spread(), spread[1], spread[2]))

    moved = [("<b>c</b>", share(10), share(400)), ("calm", share(10), share(12))]
    found = changes(days(day(20, first_hour=0), day(20, first_hour=24), moved), ASKED)
    (linked,) = [change for change in found if change.href]
    assert linked.link_text == "<b>c</b>"
    assert linked.href.startswith("/channel?")
    assert "%3Cb%3Ec%3C%2Fb%3E" in linked.href
    assert linked.text == "is worse by 39.00 points: 60.00 %, 99.00 % the day before."


def test_lost_reports_and_fewer_receivers_are_told_apart_from_lost_messages() -> None:
    found = texts(days(day(20, first_hour=0), day(20, first_hour=24, unknown=50, clusters=30)))
    assert ("worse", ("More reports were lost: 4.76 % of the pairs are unknown, 0.00 % "
            "the day before.")) in found  # fmt: skip
    assert ("worse", "30 receivers reported in a window of 1h on average, 40 the day before.") in (
        found
    )
    assert found[0][0] == "note"


# ------------------------------------------------------------------------------------- the pages


def shown(
    windows: Sequence[WindowReliability], *, now: datetime | None = None, has_samples: bool = True
) -> Overview:
    anchor = windows[-1].window.end if windows else None
    reading = OverviewReading(
        ASKED,
        anchor,
        [(FRAMES[0], windows)],
        windows,
        windows,
        NOTHING_BESIDE,
        None,
        None,
        (),
        (),
        NO_PROBLEMS,
        has_samples,
    )
    return overview(reading, FRAMES, now=now or (anchor or START) + HOUR, objective=0.99)


def test_a_trend_is_told_only_beyond_chance() -> None:
    steady = shown([window(hour, 20) for hour in range(15)]).now[0]
    assert (steady.tone, steady.trend) == ("", "compared with the 14 before: cannot tell")
    fallen = shown([*(window(hour, 20) for hour in range(14)), window(14, 300)]).now[0]
    assert (fallen.tone, fallen.trend) == (
        "worse",
        "compared with the 14 before: worse by 28.00 points",
    )


@pytest.mark.parametrize(
    ("influence", "said"),
    [
        (None, ""),
        (0.2, ""),
        (0.3, ", which one installation or network alone could cause"),
    ],
)
def test_that_one_could_cause_it_is_said_where_it_changes_the_verdict(
    influence: float | None, said: str
) -> None:
    fallen = window(14, 300, influence=influence)
    trend = shown([*(window(hour, 20) for hour in range(14)), fallen]).now[0].trend
    assert trend == f"compared with the 14 before: worse by 28.00 points{said}"
    steady = shown([window(0, 20), window(1, 21, influence=0.9)]).now[0].trend
    assert steady == "compared with the window before: cannot tell"


def test_a_line_that_ended_long_ago_says_so() -> None:
    fresh = shown([window()], now=START + 3 * HOUR)
    assert fresh.stale == []
    stale = shown([window()], now=START + timedelta(days=3))
    assert "ended 2 days ago" in stale.stale[0]


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (1, "No change beyond chance."),
        (72, "Nothing is known yet of the last 3 days. No change beyond chance before that."),
    ],
)
def test_that_nothing_was_found_long_ago_says_nothing_of_today(hours: int, said: str) -> None:
    found = Problems(FRAMES[0], MembershipPolicy.PRESENT, START, earlier_days=9)
    reading = OverviewReading(
        ASKED,
        None,
        [(FRAMES[0], [window()])],
        [],
        [],
        NOTHING_BESIDE,
        None,
        None,
        (),
        (),
        found,
        True,
    )
    page = overview(reading, FRAMES, now=START + hours * HOUR, objective=0.99)
    assert page.no_problem == said


def test_a_timeframe_without_a_window_yet_says_so() -> None:
    frames = [(FRAMES[0], [window()]), (FRAMES[1], [])]
    reading = OverviewReading(
        ASKED, None, frames, [], [], NOTHING_BESIDE, None, None, (), (), NO_PROBLEMS, True
    )
    view = overview(reading, FRAMES, now=START, objective=0.99)
    assert view.empty == ""
    assert (view.now[1].title, view.now[1].ratio) == ("Last day", "")
    assert view.now[1].reason.startswith(words.NOT_COMPUTED)


def test_what_ended_long_ago_is_not_called_the_last() -> None:
    assert shown([window()], now=START + 3 * HOUR).now[0].title == "Last hour"
    assert shown([window()], now=START + timedelta(days=400)).now[0].title == "Latest hour"


def test_who_has_nothing_is_told_what_to_do() -> None:
    assert shown([], has_samples=False).empty == "first"
    assert shown([], has_samples=True).empty == "waiting"
    assert shown([window()]).empty == ""


def test_a_window_that_is_to_come_says_from_when_on_it_is_computed() -> None:
    asked = WindowPageState(FRAMES[0], START, PRESENT)
    page = window_page(
        WindowReading(asked, None, []),
        now=START,
        settle_time=timedelta(days=1),
    )
    assert page.headline == ""
    assert page.reason == "not yet computed: it is due at 2026-03-02 12:00 UTC"


def test_the_channels_of_a_window_come_worst_first_and_those_without_a_ratio_last() -> None:
    channels = [
        channel("alone", 1, 0),
        channel("good", 9, 100, 1),
        channel("bad", 9, 100, 50),
        replace(channel("devtelemetry-audit/x", 9, 100, 90)),
    ]
    page = window_page(
        WindowReading(WindowPageState(FRAMES[0], START, PRESENT), window(channels=channels), []),
        now=START + 9 * HOUR,
        settle_time=timedelta(days=1),
    )
    assert [(row.name, row.ratio) for row in page.channels] == [
        ("devtelemetry-audit/x", "10.00 %"),
        ("bad", "50.00 %"),
        ("good", "99.00 %"),
        ("alone", words.NOT_COMPARABLE),
    ]
    assert "audit" in page.channels[0].note


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("general", "general"),
        ("a\nb\x1b[31m", "a\\u000ab\\u001b[31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("<b>&", "<b>&"),
    ],
)
def test_what_cannot_be_seen_in_an_id_is_shown(text: str, shown_as: str) -> None:
    assert words.visible(text) == shown_as
