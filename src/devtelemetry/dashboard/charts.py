"""The options of the charts (ECharts). Pure.

What begins with `:` is evaluated in the browser by NiceGUI: constants of ours, which call
static/dashboard.js. Nothing of them comes from a client.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from devtelemetry import words
from devtelemetry.dashboard.views.values import Point
from devtelemetry.model import LossClass, unix_ms

_TICKS = 5
_GRID = {"left": 56, "right": 16, "top": 16, "bottom": 32}


def line(points: Sequence[Point]) -> dict[str, Any]:
    """The delivery ratio over time, with the band of its interval; provisional parts are dashed."""
    floor = _floor(points)
    return {
        **_over_time("dt.tooltip"),
        "grid": _GRID,
        "dataset": {"dimensions": COLUMNS, "source": rows_of(points)},
        "yAxis": _share_axis() | {"min": floor, "max": 1, "interval": (1 - floor) / _TICKS},
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


def losses(points: Sequence[Point]) -> dict[str, Any]:
    """What was lost over time, as shares of what could have been: a bar a window, its classes one
    on the other. Each has a texture, so that they are told apart without colours."""
    return {
        **_over_time("dt.lossTooltip"),
        "aria": {"enabled": True, "label": {"enabled": False}},  # textures need it
        "grid": _GRID | {"top": 56},  # the legend has two lines on a phone
        "legend": {"top": 0, "textStyle": {":color": "dt.color('ink')"}, "itemWidth": 22},
        "dataset": {"dimensions": LOSS_COLUMNS, "source": loss_rows_of(points)},
        "yAxis": _share_axis() | {"min": 0},
        "series": [
            {
                "type": "bar",
                "stack": "losses",
                "name": words.LOSS_CLASSES[of],
                "encode": {"x": "start", "y": of.value},
                "itemStyle": {":color": f"dt.color('{colour}')", "decal": texture},
                "barCategoryGap": "10%",
                "emphasis": {"disabled": True},
            }
            for of, (colour, texture) in _LOSS_STYLES.items()
        ],
    }


_STRIPES = {"symbol": "rect", "dashArrayX": [1, 0], ":color": "dt.color('raised')"}
_LOSS_STYLES: Mapping[LossClass, tuple[str, Mapping[str, Any]]] = {
    LossClass.NOT_ARRIVED: ("bad", {"symbol": "none"}),
    LossClass.UNREADABLE: ("accent", _STRIPES | {"dashArrayY": [2, 3], "rotation": -0.785}),
    LossClass.NOT_SENT: ("warn", _STRIPES | {"dashArrayY": [2, 3], "rotation": 0}),
    LossClass.DROPPED: (
        "muted",
        {
            "symbol": "circle",
            "symbolSize": 0.7,
            "dashArrayX": [[4, 4], [0, 4, 4, 0]],
            "dashArrayY": [4, 0],
            ":color": "dt.color('raised')",
        },
    ),
}

LOSS_COLUMNS = ("start", *LossClass, "missing", "corroborated")
"""Of a row of the chart of losses: ms; shares by class; counts. static/dashboard.js reads them by
their place"""


def loss_rows_of(points: Sequence[Point]) -> list[list[float | None]]:
    """The data of the chart of losses, oldest first; None where there is nothing to share."""
    return [
        [
            unix_ms(point.start),
            *(
                round(number / point.counts.corroborated, 6) if point.counts.corroborated else None
                for number in point.counts.losses.values()
            ),
            point.counts.missing,
            point.counts.corroborated,
        ]
        for point in points
    ]


def losses_in_words(points: Sequence[Point]) -> str:
    """What who does not see the bars is told of them."""
    lost = Counter[LossClass]()
    for point in points:
        lost.update(point.counts.losses)
    if not lost.total():
        return "Nothing was lost in the span."
    return (
        f"What was lost in {len(points):,} windows from {words.utc(points[0].start)} to "
        f"{words.utc(points[-1].end)}: {words.losses_of(lost)}."
    )


def _over_time(tooltip: str) -> dict[str, Any]:
    """What charts over time have in common.

    tooltip  a function of static/dashboard.js
    """
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",
            ":formatter": tooltip,
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
    }


def _share_axis() -> dict[str, Any]:
    return {
        "type": "value",
        "axisLabel": {":color": "dt.color('muted')", ":formatter": "dt.percent"},
        "splitLine": {"lineStyle": {":color": "dt.color('line')"}},
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
