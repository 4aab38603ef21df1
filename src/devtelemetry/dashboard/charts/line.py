"""The delivery ratio over time, with the band of its interval. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

from devtelemetry import words
from devtelemetry.dashboard.charts.axes import share_ticks, time_ticks
from devtelemetry.dashboard.charts.pieces import pieces_of
from devtelemetry.dashboard.charts.values import HEIGHT, WIDTH, Chart, Key, Path
from devtelemetry.dashboard.state import PageState, address_of_part
from devtelemetry.dashboard.views.values import Point
from devtelemetry.estimate.interval import Interval

_MS = timedelta(milliseconds=1)
_KEYS = (
    Key("line", "settled"),
    Key("line dashed", "provisional", "provisional"),
    Key("band", "95 % interval", "interval"),
)


class Drawn(NamedTuple):
    """Of a window: its ratio by where it is drawn, and the interval."""

    settled: float | None
    provisional: float | None
    alone: float | None  # between two gaps, where it would be no line
    interval: Interval | None


def line_chart(points: Sequence[Point], asked: PageState) -> Chart:
    """The line; provisional parts are dashed. `points`: one at least."""
    floor = _floor(points)
    return Chart(
        "delivery-ratio.png",
        in_words(points),
        points[0].start,
        points[-1].end,
        asked.timeframe.length // _MS,
        address_of_part(asked, None),
        time_ticks(points[0].start, points[-1].end),
        share_ticks(floor, 1.0),
        _paths(drawn_of(points), floor),
        pieces_of(points, asked, _said),
        _KEYS,
        "gaps: no ratio",
        False,
        points,
        "points.html",
    )


def drawn_of(points: Sequence[Point]) -> list[Drawn]:
    """What is drawn of each, oldest first. What is not all is never drawn as all."""
    return [
        Drawn(
            None if point.provisional else _below_all(point.ratio),
            # The dashed part begins at the last point before it, so that the line does not break.
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
        x = WIDTH * (number + 0.5) / len(drawn)
        y = HEIGHT * min(1.0, (1 - ratio) / (1 - floor))
        return f"{x:.1f} {y:.1f}"

    def line(of: Sequence[float | None]) -> str:
        return "".join(
            "M" + "L".join(spot(number, ratio) for number, ratio in run) for run in _runs(of)
        )

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
        Path("line", line([one.settled for one in drawn])),
        Path("line dashed", line([one.provisional for one in drawn])),
        Path("dots", dots),
    )
    return [path for path in found if path.d]


_T = TypeVar("_T")


def _runs(of: Sequence[_T | None]) -> Iterator[list[tuple[int, _T]]]:
    """What is known, in runs without a gap, each with its place."""
    run: list[tuple[int, _T]] = []
    for number, one in enumerate(of):
        if one is not None:
            run.append((number, one))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _said(some: Sequence[Point]) -> Sequence[str]:
    missing = sum(point.counts.missing for point in some)
    corroborated = sum(point.counts.corroborated for point in some)
    if len(some) == 1 and some[0].ratio is None:
        return (some[0].reason or "no ratio",)
    if not corroborated:
        return ("no ratio",)
    said = [f"{words.percent(1 - missing / corroborated)} delivered"]
    if len(some) == 1:
        said.append(f"95 % interval {words.interval(some[0].interval)}")
    said.append(f"{words.count(missing)} of {words.count(corroborated)} missing")
    if any(point.provisional for point in some):
        said.append("provisional")
    return said


def in_words(points: Sequence[Point]) -> str:
    """What who does not see the line is told of it."""
    known = [point for point in points if point.ratio is not None]
    if not known:
        return "No window of the span has a delivery ratio."
    least = min(known, key=lambda point: point.ratio or 0.0)
    most = max(known, key=lambda point: point.ratio or 0.0)
    gaps = len(points) - len(known)
    provisional = sum(point.provisional for point in points)
    return (
        f"Delivery ratio of {len(known):,} windows from {words.utc(points[0].start)} to "
        f"{words.utc(points[-1].end)}: lowest {words.percent(least.ratio)} in that of "
        f"{words.utc(least.start)}, highest {words.percent(most.ratio)} in that of "
        f"{words.utc(most.start)}, last {words.percent(known[-1].ratio)}. "
        f"{gaps:,} windows have no ratio, {provisional:,} are provisional."
    )


def _floor(points: Sequence[Point]) -> float:
    """Where the axis begins: below the line, and as far down as most of the band needs, but not so
    far that the line is flat."""
    ratios = [point.ratio for point in points if point.ratio is not None]
    if not ratios:
        return 0.0
    lows = sorted(point.interval.lower for point in points if point.interval is not None)
    least = min(ratios)
    low = max(min(least, lows[len(lows) // 20] if lows else least), 1 - 3 * (1 - least), 0.0)
    return next(edge for edge in _FLOORS if edge <= low)


_FLOORS = (0.99, 0.98, 0.975, 0.95, 0.9, 0.8, 0.75, 0.5, 0.0)
