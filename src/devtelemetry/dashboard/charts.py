"""The options of the charts (ECharts). Pure.

What begins with `:` is evaluated in the browser by NiceGUI: constants of ours, which call
static/dashboard.js. Nothing of them comes from a client.
"""

from collections.abc import Sequence
from typing import Any

from devtelemetry.dashboard import words
from devtelemetry.dashboard.views.values import Point
from devtelemetry.model import unix_ms

_TICKS = 5
_GRID = {"left": 56, "right": 16, "top": 16, "bottom": 32}


def line(points: Sequence[Point]) -> dict[str, Any]:
    """The delivery ratio over time, with the band of its interval; what is provisional is dashed.

    An item is [ms, ratio, lower, upper, missing, corroborated, 1 if provisional].
    """
    items = [_item(point) for point in points]
    floor = _floor(points)
    settled = [item if not item[6] else [item[0], None, *item[2:]] for item in items]
    # The dashed part begins at the last point before it, so that the line does not break.
    dashed = [
        item if item[6] or _before_provisional(items, number) else [item[0], None, *item[2:]]
        for number, item in enumerate(items)
    ]
    lower = [[item[0], item[2]] for item in items]
    band = [[item[0], _minus(item[3], item[2])] for item in items]
    return {
        "animation": False,
        "grid": _GRID,
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
            {**_BAND, "data": lower, "name": "lower", "lineStyle": {"opacity": 0}},
            {
                **_BAND,
                "data": band,
                "name": "interval",
                "lineStyle": {"opacity": 0},
                "areaStyle": {":color": "dt.color('band')", "opacity": 1},
            },
            {
                **_LINE,
                "data": settled,
                "name": "settled",
                "lineStyle": {":color": "dt.color('accent')", "width": 2},
            },
            {
                **_LINE,
                "data": dashed,
                "name": "provisional",
                "lineStyle": {":color": "dt.color('accent')", "width": 2, "type": [4, 4]},
            },
        ],
    }


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
        f"{words.utc(points[-1].end)}: least {words.percent(least.ratio)} in that of "
        f"{words.utc(least.start)}, most {words.percent(most.ratio)} in that of "
        f"{words.utc(most.start)}, last {words.percent(known[-1].ratio)}. "
        f"{gaps:,} windows have no ratio, {provisional:,} are provisional."
    )


def _item(point: Point) -> list[Any]:
    return [
        unix_ms(point.start),
        point.ratio,
        point.lower,
        point.upper,
        point.counts.missing,
        point.counts.corroborated,
        int(point.provisional),
    ]


def _before_provisional(items: Sequence[list[Any]], number: int) -> bool:
    return number + 1 < len(items) and bool(items[number + 1][6])


def _minus(upper: float | None, lower: float | None) -> float | None:
    return None if upper is None or lower is None else upper - lower


def _floor(points: Sequence[Point]) -> float:
    """Where the axis begins: below the line, and as far down as most of the band needs, but not so
    far that the line is flat."""
    ratios = [point.ratio for point in points if point.ratio is not None]
    if not ratios:
        return 0.0
    lows = sorted(point.lower for point in points if point.lower is not None)
    least = min(ratios)
    low = max(min(least, lows[len(lows) // 20] if lows else least), 1 - 3 * (1 - least), 0.0)
    return next(edge for edge in _FLOORS if edge <= low)


_FLOORS = (0.99, 0.98, 0.975, 0.95, 0.9, 0.8, 0.75, 0.5, 0.0)
