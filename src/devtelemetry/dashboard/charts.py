"""The options of the charts (ECharts). Pure.

What begins with `:` is evaluated in the browser by NiceGUI: constants of ours, which call
static/dashboard.js. Nothing of them comes from a client.
"""

from collections.abc import Sequence
from typing import Any

from devtelemetry import words
from devtelemetry.dashboard.views.values import Point
from devtelemetry.model import unix_ms

_TICKS = 5
_GRID = {"left": 56, "right": 16, "top": 16, "bottom": 32}


def line(points: Sequence[Point]) -> dict[str, Any]:
    """The delivery ratio over time, with the band of its interval; provisional parts are dashed."""
    floor = _floor(points)
    return {
        "animation": False,
        "grid": _GRID,
        "dataset": {"dimensions": COLUMNS, "source": rows_of(points)},
        "textStyle": {"fontFamily": "inherit"},
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",
            ":formatter": "dt.tooltip",
            ":backgroundColor": "dt.color('raised')",
            ":borderColor": "dt.color('line')",
            "textStyle": {":color": "dt.color('ink')", "fontSize": 12},
            "axisPointer": {"lineStyle": {":color": "dt.color('muted')"}},
        },
        "xAxis": {
            "type": "time",
            "axisLabel": {":color": "dt.color('muted')", "hideOverlap": True},
            "axisLine": {"lineStyle": {":color": "dt.color('line')"}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": floor,
            "max": 1,
            "interval": (1 - floor) / _TICKS,
            "axisLabel": {":color": "dt.color('muted')", ":formatter": "dt.percent"},
            "splitLine": {"lineStyle": {":color": "dt.color('line')"}},
        },
        "series": [
            {**_BAND, **_column("lower"), "lineStyle": {"opacity": 0}},
            {
                **_BAND,
                **_column("band"),
                "lineStyle": {"opacity": 0},
                "areaStyle": {":color": "dt.color('band')", "opacity": 1},
            },
            {
                **_LINE,
                **_column("settled"),
                "lineStyle": {":color": "dt.color('accent')", "width": 2},
            },
            {
                **_LINE,
                **_column("provisional"),
                "lineStyle": {":color": "dt.color('accent')", "width": 2, "type": [4, 4]},
            },
            # A window between two gaps would be no line at all.
            {**_LINE, **_column("alone"), "type": "scatter"},
        ],
    }


COLUMNS = (
    "start",
    "settled",
    "provisional",
    "alone",
    "lower",
    "band",
    "missing",
    "corroborated",
)
"""Of a row of the chart's data: ms; ratios by where they are drawn; the interval's lower bound and
width; counts. static/dashboard.js reads them by their place"""


def rows_of(points: Sequence[Point]) -> list[list[float | None]]:
    """The chart's data, oldest first. Ratios have six digits: what is not all is never 1."""
    return [
        [
            unix_ms(point.start),
            None if point.provisional else _digits(point.ratio),
            # The dashed part begins at the last point before it, so that the line does not break.
            _digits(point.ratio)
            if point.provisional or (after is not None and after.provisional)
            else None,
            _digits(point.ratio) if _has_none(before) and _has_none(after) else None,
            None if point.interval is None else _digits(point.interval.lower),
            None
            if point.interval is None
            else round(point.interval.upper - point.interval.lower, 6),
            point.counts.missing,
            point.counts.corroborated,
        ]
        for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False)
    ]


def _has_none(neighbour: Point | None) -> bool:
    return neighbour is None or neighbour.ratio is None


def _digits(ratio: float | None) -> float | None:
    if ratio is None or ratio >= 1:
        return ratio
    return min(round(ratio, 6), 0.999999)


def _column(name: str) -> dict[str, Any]:
    return {"name": name, "encode": {"x": "start", "y": name}}


_BAND = {
    "type": "line",
    "stack": "band",
    "symbol": "none",
    "silent": True,
    "stackStrategy": "all",
    "tooltip": {"show": False},
    "emphasis": {"disabled": True},
}

_LINE = {
    "type": "line",
    "symbolSize": 5,
    "showSymbol": False,
    "triggerLineEvent": True,
    "itemStyle": {":color": "dt.color('accent')"},
    "emphasis": {"disabled": True},
}


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
