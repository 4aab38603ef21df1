"""Where the lines and labels of axes are. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from devtelemetry.dashboard.charts.values import Tick
from devtelemetry.model import DAY, HOUR, WEEK

Y_PARTS = 5
_MOST = 9  # labels of the time axis

_LEAST_WIDTHS = {"off-wide": 968, "off-middle": 585, "off-narrow": 245}
"""How wide a chart is at least, in px, where each class of dashboard.css hides labels"""

_LETTER, _APART = 7.2, 6.0  # px: mean width of a wide font's letter; space between two labels

_STEPS = (
    timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30), HOUR, 3 * HOUR, 6 * HOUR,
    12 * HOUR, DAY, 2 * DAY,
)  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24)


def time_ticks(start: datetime, end: datetime) -> list[Tick]:
    """Hours, days or months in UTC; the first label, and the first of each year, has the year."""
    moments = _moments(start, end)
    length = end - start
    ticks = []
    year = None
    for moment in moments:
        text = _label(moment, moments, with_year=moment.year != year)
        year = moment.year
        ticks.append(Tick(round(100 * ((moment - start) / length), 2), text))
    fitting = {name: set(_fitting(ticks, width)) for name, width in _LEAST_WIDTHS.items()}
    return [
        replace(tick, off=" ".join(name for name, fit in fitting.items() if number not in fit))
        for number, tick in enumerate(ticks)
    ]


def _fitting(ticks: Sequence[Tick], width: float) -> Iterator[int]:
    """The numbers of labels, from the left, that do not overlap the label before."""
    taken = -math.inf
    for number, tick in enumerate(ticks):
        length = _LETTER * len(tick.text)
        begins = tick.at / 100 * width - _BEFORE[tick.anchor] * length
        if begins >= taken + _APART:
            yield number
            taken = begins + length


_BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}


def share_ticks(floor: float, top: float) -> list[Tick]:
    """Shares from `floor` to `top`, from the top down."""
    return [
        Tick(100 * part / Y_PARTS, _percent(top - (top - floor) * part / Y_PARTS))
        for part in range(Y_PARTS + 1)
    ]


def share_top(most: float) -> float:
    """Where an axis from 0 ends, so that `most` fits on it."""
    return next((edge for edge in _TOPS if edge >= most), 1.0)


_TOPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


def _percent(share: float) -> str:
    return f"{round(100 * share, 3):g} %"


def _moments(start: datetime, end: datetime) -> Sequence[datetime]:
    for step in _STEPS:
        if (end - start) / step <= _MOST:
            return list(_every(step, start, end))
    # A week begins on Monday, as windows of a week do.
    if (end - start) / WEEK <= _MOST:
        monday = _floor(start, DAY) - timedelta(days=start.weekday())
        return [one for one in _from(monday, WEEK, end) if one >= start]
    months = (end - start) / (30 * DAY)
    every = next((one for one in _MONTHS if months / one <= _MOST), _MONTHS[-1])
    return [one for one in _first_days(start, end) if (one.year * 12 + one.month - 1) % every == 0]


def _every(step: timedelta, start: datetime, end: datetime) -> Iterator[datetime]:
    first = _floor(start, step)
    return (one for one in _from(first, step, end) if one >= start)


def _from(moment: datetime, step: timedelta, end: datetime) -> Iterator[datetime]:
    while moment < end:
        yield moment
        moment += step


def _first_days(start: datetime, end: datetime) -> Iterator[datetime]:
    moment = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while moment < end:
        if moment >= start:
            yield moment
        moment = (moment + 32 * DAY).replace(day=1)


def _floor(moment: datetime, step: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (moment - epoch) // step * step


def _label(moment: datetime, all_of_them: Sequence[datetime], *, with_year: bool) -> str:
    apart = all_of_them[1] - all_of_them[0] if len(all_of_them) > 1 else DAY
    year = f" {moment.year}" if with_year else ""
    if apart >= 28 * DAY:
        return f"{moment:%b}{year}"
    day = f"{moment.day} {moment:%b}{year}"
    is_first = moment == all_of_them[0]
    if apart >= DAY:
        return day
    if moment.hour == moment.minute == 0:
        return day
    return f"{moment:%H:%M} · {day}" if is_first else f"{moment:%H:%M}"
