"""The delivery ratio over time, with the band of its interval. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from devtelemetry import words
from devtelemetry.dashboard.charts.axes import share_ticks, time_ticks
from devtelemetry.dashboard.charts.pieces import pieces_of
from devtelemetry.dashboard.charts.values import HEIGHT, WIDTH, Chart, Key, Path, Tick
from devtelemetry.dashboard.state import PageState, address_of_part
from devtelemetry.dashboard.views.values import LineBeside, Point
from devtelemetry.estimate.interval import Interval

_MS = timedelta(milliseconds=1)
_SETTLED = Key("line", "settled")
_PROVISIONAL = Key("line dashed", "provisional", "provisional")
_BAND = Key("band", "95 % interval", "interval")


class Drawn(NamedTuple):
    """The ratio of a window in each path that draws it, and its interval."""

    settled: float | None
    provisional: float | None
    alone: float | None  # between two gaps, drawn as a dot
    interval: Interval | None


def line_chart(points: Sequence[Point], asked: PageState, beside: LineBeside) -> Chart:
    """The line, with provisional parts dashed. points: at least one"""
    floor = _floor(points, beside.objective)
    start, end = points[0].start, points[-1].end
    has_intervals = asked.loss is None
    return Chart(
        "delivery-ratio.png",
        in_words(points, beside),
        start,
        end,
        asked.timeframe.length // _MS,
        address_of_part(asked, None),
        time_ticks(start, end),
        share_ticks(floor, 1.0),
        [*_paths_beside(beside, floor, start, end), *_paths(drawn_of(points), floor)],
        pieces_of(points, asked, partial(_said, asked.loss is not None)),
        [_SETTLED, _PROVISIONAL, *([_BAND] if has_intervals else []), *_keys(beside, floor)],
        "gaps: no ratio",
        False,
        points,
        "points.html",
        [Tick(_place(one.at, start, end), one.letter) for one in beside.moments],
        beside.moments,
        has_intervals,
    )


def _place(moment: datetime, start: datetime, end: datetime) -> float:
    return round(100 * ((moment - start) / (end - start)), 2)


def _keys(beside: LineBeside, floor: float) -> Iterator[Key]:
    if beside.week_before:
        yield Key("before", "a week before")
    if beside.objective is not None:
        low = "" if beside.objective >= floor else ", below this part"
        yield Key("objective", f"objective {100 * beside.objective:.10g} %{low}", "objective")


def _paths_beside(
    beside: LineBeside, floor: float, start: datetime, end: datetime
) -> Iterator[Path]:
    if beside.week_before:
        yield Path("before", _line_of(beside.week_before, floor))
    if beside.objective is not None and beside.objective >= floor:
        yield Path("objective", f"M0 {_height(beside.objective, floor):.1f}H{WIDTH}")
    if beside.moments:
        at = (WIDTH * _place(one.at, start, end) / 100 for one in beside.moments)
        yield Path("moment", "".join(f"M{x:.1f} 0V{HEIGHT}" for x in at))


def _height(ratio: float, floor: float) -> float:
    return HEIGHT * min(1.0, (1 - ratio) / (1 - floor))


def _line_of(ratios: Sequence[float | None], floor: float) -> str:
    def spot(number: int, ratio: float) -> str:
        return f"{WIDTH * (number + 0.5) / len(ratios):.1f} {_height(ratio, floor):.1f}"

    return "".join(
        "M" + "L".join(spot(number, ratio) for number, ratio in run) for run in _runs(ratios)
    )


def drawn_of(points: Sequence[Point]) -> list[Drawn]:
    """What is drawn of each point, oldest first. A ratio below 1 is never drawn at 1."""
    return [
        Drawn(
            None if point.provisional else _below_all(point.ratio),
            # The dashed part begins at the last settled point, so that the line does not break.
            _below_all(point.ratio)
            if point.provisional or (after is not None and after.provisional)
            else None,
            _below_all(point.ratio) if _has_none(before) and _has_none(after) else None,
            point.interval,
        )
        for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False)
    ]


def _has_none(neighbour: Point | None) -> bool:
    return neighbour is None or neighbour.ratio is None


def _below_all(ratio: float | None) -> float | None:
    return ratio if ratio is None or ratio >= 1 else min(ratio, 0.999999)


def _paths(drawn: Sequence[Drawn], floor: float) -> list[Path]:
    def spot(number: int, ratio: float) -> str:
        return f"{WIDTH * (number + 0.5) / len(drawn):.1f} {_height(ratio, floor):.1f}"

    band = []
    for run in _runs([one.interval for one in drawn]):
        there = [spot(number, interval.lower) for number, interval in run]
        back = [spot(number, interval.upper) for number, interval in reversed(run)]
        band.append("M" + "L".join((*there, *back)) + "Z")
    dots = "".join(
        f"M{spot(number, one.alone)}h0" for number, one in enumerate(drawn) if one.alone is not None
    )
    found = (
        Path("band", "".join(band)),
        Path("line", _line_of([one.settled for one in drawn], floor)),
        Path("line dashed", _line_of([one.provisional for one in drawn], floor)),
        Path("dots", dots),
    )
    return [path for path in found if path.d]


_T = TypeVar("_T")


def _runs(of: Sequence[_T | None]) -> Iterator[list[tuple[int, _T]]]:
    """The known values in runs without a gap, each with its number."""
    run: list[tuple[int, _T]] = []
    for number, one in enumerate(of):
        if one is not None:
            run.append((number, one))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _said(of_a_loss: bool, some: Sequence[Point]) -> Sequence[str]:
    missing = sum(point.counts.missing for point in some)
    corroborated = sum(point.counts.corroborated for point in some)
    if len(some) == 1 and some[0].ratio is None:
        return (some[0].reason or "no ratio",)
    if not corroborated:
        return ("no ratio",)
    what = "not lost in this way" if of_a_loss else "delivered"
    said = [f"{words.percent(1 - missing / corroborated)} {what}"]
    if len(some) == 1 and not of_a_loss:
        said.append(f"95 % interval {words.interval(some[0].interval)}")
    said.append(f"{words.count(missing)} of {words.count(corroborated)} missing")
    if any(point.provisional for point in some):
        said.append("provisional")
    return said


def in_words(points: Sequence[Point], beside: LineBeside) -> str:
    """The line in words, for people who do not see it."""
    known = [point for point in points if point.ratio is not None]
    if not known:
        return "No window of the span has a delivery ratio."
    least = min(known, key=lambda point: point.ratio or 0.0)
    most = max(known, key=lambda point: point.ratio or 0.0)
    gaps = len(points) - len(known)
    provisional = sum(point.provisional for point in points)
    said = ""
    if beside.objective is not None:
        below = sum((point.ratio or 0.0) < beside.objective for point in known)
        said = f" {below:,} are below the objective of {100 * beside.objective:.10g} %."
    return (
        f"Delivery ratio of {len(known):,} windows from {words.utc(points[0].start)} to "
        f"{words.utc(points[-1].end)}: lowest {words.percent(least.ratio)} in that of "
        f"{words.utc(least.start)}, highest {words.percent(most.ratio)} in that of "
        f"{words.utc(most.start)}, last {words.percent(known[-1].ratio)}. "
        f"{gaps:,} windows have no ratio, {provisional:,} are provisional.{said}"
    )


def _floor(points: Sequence[Point], objective: float | None) -> float:
    """Where the axis begins: below the line, and as far down as most of the band needs, but not so
    far that the line looks flat. Also below the objective, if that is near."""
    ratios = [point.ratio for point in points if point.ratio is not None]
    if not ratios:
        return 0.0
    lows = sorted(point.interval.lower for point in points if point.interval is not None)
    least = min(ratios)
    low = max(min(least, lows[len(lows) // 20] if lows else least), 1 - 3 * (1 - least), 0.0)
    if objective is not None and low > objective >= 1 - _OBJECTIVE_WITHIN * (1 - low):
        low = objective
    return next(edge for edge in _FLOORS if edge <= low)


_OBJECTIVE_WITHIN = 4  # it is near if at most so many times as far from 1 as the axis would reach
_FLOORS = (0.99, 0.98, 0.975, 0.95, 0.9, 0.8, 0.75, 0.5, 0.0)
