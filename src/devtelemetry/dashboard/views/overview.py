"""The overview: the figures now, over time, by group, and the worst channels. Pure."""

from collections.abc import Sequence
from datetime import datetime

from devtelemetry import words
from devtelemetry.aggregate.due import is_due
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.reading import OverviewReading, Worst
from devtelemetry.dashboard.state import PageState, WindowPageState, address
from devtelemetry.dashboard.views.changes import changes
from devtelemetry.dashboard.views.parts import (
    channel_rows,
    choices,
    clusters,
    empty,
    known_fact,
    line_beside,
    points_of,
    span_of_line,
    tone_of,
    two_groups,
    verdict_text,
    why_no_ratio,
)
from devtelemetry.dashboard.views.values import (
    Fact,
    FindingRow,
    Now,
    Overview,
    ProblemRow,
)
from devtelemetry.estimate.verdict import compare
from devtelemetry.figures.derive import Totals, sum_of, totals_of
from devtelemetry.model import MembershipPolicy, Timeframe, Window, WindowReliability, WindowState
from devtelemetry.problems.problem import NO_PROBLEM, Problems

MOST_FAILED = 3  # windows that could not be computed; more are not shown


def overview(
    reading: OverviewReading,
    timeframes: Sequence[Timeframe],
    *,
    now: datetime,
    objective: float,
) -> Overview:
    asked = reading.asked
    points = points_of(reading.windows, asked, reading.anchor)
    total = sum_of(reading.tiles)
    latest = [
        _now(timeframe, windows, asked.membership, now) for timeframe, windows in reading.latest
    ]
    has_windows = any(windows for _, windows in reading.latest)
    return Overview(
        asked,
        choices(asked, timeframes),
        [ProblemRow(one.name, one.page, one.what, one.how_sure) for one in reading.problems.found],
        _no_problem(reading.problems, now),
        reading.problems.until,
        _stale(reading, now),
        latest,
        _overview_facts(reading, total),
        [
            words.failed(one.timeframe, one.start, one.failures, one.error)
            for one in reading.failed[:MOST_FAILED]
        ],
        [FindingRow(one.where, one.what, one.remedy, one.see) for one in reading.findings],
        changes(reading.days, asked, has_problems=bool(reading.problems.found)),
        _changes_title(reading, now),
        _span_fact(asked, total),
        points,
        line_beside(points, asked, reading.beside, objective),
        two_groups(reading.tiles, asked),
        [] if reading.worst is None else channel_rows(reading.worst.channels, asked),
        "" if reading.worst is None else _worst_of(reading.worst),
        "" if has_windows else empty(reading.has_samples),
    )


def _is_old(timeframe: Timeframe, end: datetime, now: datetime) -> bool:
    """Whether even the window after the next one is due, so that this is not the latest window."""
    return is_due(timeframe, Window(end, end + timeframe.length), now - timeframe.length)


def _now(
    timeframe: Timeframe,
    windows: Sequence[WindowReliability],
    membership: MembershipPolicy,
    now: datetime,
) -> Now:
    title = texts.TIMEFRAMES.get(timeframe.name, f"Latest {timeframe.name}")
    if windows and _is_old(timeframe, windows[-1].window.end, now):
        title = texts.OLD_TIMEFRAMES.get(timeframe.name, title)
    if not windows:
        reason = f"{words.NOT_COMPUTED}: no {timeframe.name} window has ended long enough ago"
        return Now(title, None, None, "", "", reason, "", "", "", False, [])
    last, before = windows[-1], windows[:-1]
    totals = totals_of(last)
    ratio = last.counts.delivery_ratio
    trend, tone = "", ""
    if ratio is not None and before:
        verdict = compare(totals.interval, sum_of(before).interval)
        versus = "the window before" if len(before) == 1 else f"the {len(before)} before"
        trend = f"compared with {versus}: {verdict_text(verdict, [last])}"
        tone = tone_of(verdict)
    return Now(
        title,
        last.window.start,
        last.window.end,
        address(WindowPageState(timeframe, last.window.start, membership)),
        "" if ratio is None else words.percent(ratio),
        why_no_ratio(last),
        words.interval(totals.interval),
        trend,
        tone,
        last.state is WindowState.PROVISIONAL,
        [one.counts.delivery_ratio for one in windows],
    )


def _overview_facts(reading: OverviewReading, total: Totals) -> list[Fact]:
    windows = reading.asked.summed_of(reading.windows)
    facts = [_receivers_fact(windows)]
    if windows:
        facts.append(_channels_fact(windows))
    facts.append(known_fact(total.counts))
    covered = [
        (one.sample_coverage, one.counts.expected)
        for one in windows
        if one.sample_coverage is not None
    ]
    facts.append(
        Fact(
            "Sample coverage",
            words.percent(_weighted(covered)) if covered else words.TOO_FEW,
            "estimated, weighted by expected pairs" if covered else "",
            "sample coverage",
        )
    )
    return facts


def _weighted(values: Sequence[tuple[float, int]]) -> float:
    weight = sum(count for _, count in values)
    if not weight:
        return sum(value for value, _ in values) / len(values)
    return sum(value * count for value, count in values) / weight


def _receivers_fact(windows: Sequence[WindowReliability]) -> Fact:
    """Distinct receivers are known for each window, not for several windows together."""
    report = clusters(windows, lambda one: one.figures.spreads.over_receivers.clusters)
    if not report:
        return Fact("Receivers that report", words.NO_REPORTERS, "", "receivers")
    return Fact(
        "Receivers that report",
        words.short_count(report[-1]),
        f"in the latest window with a figure; {min(report):,} to {max(report):,} in the span",
        "receivers",
    )


def _channels_fact(windows: Sequence[WindowReliability]) -> Fact:
    channels = clusters(windows, lambda one: one.figures.spreads.over_channels.clusters)
    if not channels:
        return Fact("Comparable channels", "none", "", "comparable")
    return Fact(
        "Comparable channels",
        words.short_count(channels[-1]),
        "in the latest window with a figure",
        "comparable",
    )


def _span_fact(asked: PageState, total: Totals) -> Fact:
    ratio = total.counts.delivery_ratio
    label = span_of_line(asked)
    if ratio is None:
        return Fact(label, words.NOT_COMPARABLE, "no window of the span has a ratio")
    return Fact(
        label,
        words.percent(ratio),
        f"95 % interval {words.interval(total.interval)}; {words.count(total.counts.missing)} of "
        f"{words.count(total.counts.corroborated)} missing",
        "delivery ratio",
    )


def _no_problem(problems: Problems, now: datetime) -> str:
    """Why no problem is listed. If the windows are old, this says nothing about today."""
    said = problems.nothing
    if said != NO_PROBLEM or problems.timeframe is None or problems.until is None:
        return said
    if not _is_old(problems.timeframe, problems.until, now):
        return said
    since = words.ago(now - problems.until)
    return f"Nothing is known yet of the last {since}. {said.rstrip('.')} before that."


def _stale(reading: OverviewReading, now: datetime) -> list[str]:
    """A warning if the line ends long ago."""
    if reading.anchor is None:
        return []
    asked = reading.asked
    if not _is_old(asked.timeframe, reading.anchor, now):
        return []
    return [
        (
            f"The latest {asked.timeframe.name} window ended "
            f"{words.ago(now - reading.anchor)} ago, "
            f"{words.utc(reading.anchor)}. Later ones are {words.NOT_COMPUTED}: the server is "
            "catching up, or no server that computes windows is running."
        )
    ]


def _changes_title(reading: OverviewReading, now: datetime) -> str:
    if reading.days is None or not reading.days.after:
        return "Since yesterday"
    end = reading.days.after[-1].window.end
    if _is_old(reading.days.timeframe, end, now):
        return f"In the 24 hours until {words.utc(end)}"
    return "Since yesterday"


def _worst_of(worst: Worst) -> str:
    return (
        f"Sums over the {worst.timeframe.name} windows from {words.utc(worst.start)} to "
        f"{words.utc(worst.end)}"
    )
