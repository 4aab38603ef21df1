"""The losses of each hour of each day: days are rows, hours of the day columns. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from devtelemetry import words
from devtelemetry.dashboard.charts.axes import share_top
from devtelemetry.dashboard.charts.values import Tick
from devtelemetry.dashboard.state import PageState, address_of_part
from devtelemetry.dashboard.views.values import Point
from devtelemetry.model import DAY, HOUR, Window

MOST_DAYS = 31
_MOST_LINKED = 9  # days: with more, cells are smaller than a fingertip, and links fill the page
_TIMES = (1, 2, 5, 10)  # where each shade ends, in multiples of the losses that are allowed
_PARTS = (0.1, 0.25, 0.5, 0.75)  # without an objective: in parts of about the most lost in an hour
_ROUNDED = 1e-12  # more than the rounding error of the edges
_HOURS = 24


@dataclass(frozen=True, slots=True)
class HourCell:
    """row, column  from 0"""

    row: int
    column: int
    said: str
    href: str


@dataclass(frozen=True, slots=True)
class Hours:
    """shades  SVG paths in a box of 24 × `rows`, the fewest losses first
    cells   with a hint and a link; empty if there are too many
    keys    what each shade means
    """

    in_words: str
    rows: int
    days: Sequence[Tick]
    hours: Sequence[Tick]
    shades: Sequence[str]
    keys: Sequence[str]
    cells: Sequence[HourCell]


def hours_of(points: Sequence[Point], asked: PageState, objective: float | None) -> Hours | None:
    """None if windows do not fit into hours, or are from only one day, or more than MOST_DAYS.

    objective  the share that should be delivered; None if the points show one class of losses
    """
    if not points or asked.timeframe.length > HOUR or HOUR % asked.timeframe.length:
        return None
    first = _midnight(points[0].start)
    rows = -(-(points[-1].end - first) // DAY)
    if not 1 < rows <= MOST_DAYS:
        return None
    sums: dict[tuple[int, int], list[Point]] = defaultdict(list)
    for point in points:
        sums[(point.start - first) // DAY, point.start.hour].append(point)
    lost = {at: share for at, some in sums.items() if (share := _lost(some)) is not None}
    if objective is None:
        top = share_top(max(lost.values(), default=0.0))
        edges = [part * top for part in _PARTS]
    else:
        edges = [times * (1 - objective) for times in _TIMES]
    return Hours(
        _in_words(sums, asked),
        rows,
        [
            Tick(100 * (row + 0.5) / rows, f"{day.day} {day:%b}")
            for row in range(rows)
            for day in [first + row * DAY]
        ],
        [Tick(100 * hour / _HOURS, f"{hour:02}:00") for hour in range(0, _HOURS, 6)],
        [_shade(lost, shade, edges) for shade in range(len(edges) + 1)],
        [
            *(f"up to {round(100 * edge, 3):g} % lost" for edge in edges),
            "more",
        ],
        [_cell(at, some, asked) for at, some in sums.items()] if rows <= _MOST_LINKED else [],
    )


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _lost(some: Sequence[Point]) -> float | None:
    pairs = sum(point.counts.corroborated for point in some)
    return sum(point.counts.missing for point in some) / pairs if pairs else None


def _shade(lost: Mapping[tuple[int, int], float], shade: int, edges: Sequence[float]) -> str:
    return "".join(
        f"M{column} {row}h1v1h-1z"
        for (row, column), share in lost.items()
        if sum(share > edge + _ROUNDED for edge in edges) == shade
    )


def _cell(at: tuple[int, int], some: Sequence[Point], asked: PageState) -> HourCell:
    row, column = at
    share = _lost(some)
    said = "no ratio" if share is None else f"{words.percent(1 - share)} {_what(asked)}"
    href = some[0].href
    if len(some) > 1:
        href = address_of_part(asked, Window(some[0].start, some[-1].end))
    return HourCell(row, column, f"{words.utc(some[0].start)}: {said}", href)


def _what(asked: PageState) -> str:
    return "delivered" if asked.loss is None else "not lost in this way"


def _in_words(sums: Mapping[tuple[int, int], Sequence[Point]], asked: PageState) -> str:
    by_hour: dict[int, list[Point]] = defaultdict(list)
    for (_, hour), some in sums.items():
        by_hour[hour] += some
    lost = {hour: share for hour, some in by_hour.items() if (share := _lost(some)) is not None}
    if not lost:
        return "No hour of the span has a ratio."
    worst, best = max(lost, key=lambda hour: lost[hour]), min(lost, key=lambda hour: lost[hour])
    return (
        f"Over all days, the hour from {worst:02}:00 UTC lost most: "
        f"{words.percent(1 - lost[worst])} {_what(asked)}. The hour from {best:02}:00 lost least: "
        f"{words.percent(1 - lost[best])}."
    )
