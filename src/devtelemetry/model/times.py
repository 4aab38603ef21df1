"""Times: Unix milliseconds, timeframes and windows. Pure.

Source: docs/algorithm.md, "Terms".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIMES = datetime(9000, 1, 1, tzinfo=UTC)
_FIRST_MONDAY = EPOCH + timedelta(days=4)  # 1970-01-05

_UNITS = {"m": timedelta(minutes=1), "h": HOUR, "d": DAY, "w": WEEK}
_NAME = re.compile(r"([1-9]\d{0,3})([mhdw])")
_DURATION = re.compile(r"(\d{1,12})(ms|s|m|h|d)")
_DURATION_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime, exact (no floats)."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_unix_ms(milliseconds: int) -> datetime:
    """The aware UTC datetime of Unix milliseconds."""
    return EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A window length, and when its windows are computed.

    name              as the user writes it: "1h", "1d", "1w", "15m"
    length            a whole number of minutes
    allowed_lateness  how long after its end a window is first computed
    """

    name: str
    length: timedelta
    allowed_lateness: timedelta


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Half-open [start, end) in event time, aware UTC."""

    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        return unix_ms(self.start)

    @property
    def end_ms(self) -> int:
        return unix_ms(self.end)


def longest_up_to(timeframes: Sequence[Timeframe], length: timedelta) -> Timeframe | None:
    """The longest timeframe that is not longer than `length`, else the shortest; None if none.

    timeframes  the shortest first
    """
    short = [one for one in timeframes if one.length <= length]
    return short[-1] if short else next(iter(timeframes), None)


def parse_timeframe(name: str, allowed_lateness: timedelta | None = None) -> Timeframe:
    """The timeframe called `name`: a number and m, h, d or w, as in 15m, 1h, 1d, 1w.

    allowed_lateness  None: the length of the window up to 1 h, 6 h up to a day, else 24 h

    Raises ValueError with what is allowed.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f"{_short(name)} is not a timeframe; allowed: a number and m, h, d or w, as in 1h"
        )
    length = int(match[1]) * _UNITS[match[2]]
    if allowed_lateness is None:
        if length <= HOUR:
            allowed_lateness = length
        elif length <= DAY:
            allowed_lateness = 6 * HOUR
        else:
            allowed_lateness = DAY
    if allowed_lateness < timedelta(0):
        raise ValueError(f"the allowed lateness of {name} is negative; allowed: 0 or more")
    return Timeframe(name, length, allowed_lateness)


def window_at(timeframe: Timeframe, moment: datetime) -> Window:
    """The window that holds `moment` (aware).

    Hours start on the hour, days at midnight, weeks on Monday 00:00, all in UTC. Windows of other
    lengths are counted from 1970-01-01.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; allowed: an aware datetime")
    origin = _FIRST_MONDAY if timeframe.length == WEEK else EPOCH
    start = origin + (moment - origin) // timeframe.length * timeframe.length
    return Window(start, start + timeframe.length)


def window_starting(timeframe: Timeframe, start: datetime) -> Window:
    """The window that starts at `start`. Raises ValueError if none does, naming the nearest."""
    window = window_at(timeframe, start)
    if window.start != start:
        raise ValueError(
            f"no {timeframe.name} window starts at {start.isoformat()}; the window that contains "
            f"this time starts at {window.start.isoformat()}"
        )
    return window


def windows_between(timeframe: Timeframe, first: datetime, last: datetime) -> Iterator[Window]:
    """The windows from the one that holds `first` to the one that holds `last`, oldest first."""
    window = window_at(timeframe, first)
    while window.start <= last:
        yield window
        window = Window(window.end, window.end + timeframe.length)


def parse_moment(text: str) -> datetime:
    """An ISO 8601 date or time as aware UTC; without a zone it is UTC.

    Raises ValueError, also outside the years 1970 to 8999: later, windows would have no dates.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{_short(text)} is not a time; allowed: ISO 8601, as in 2026-03-02T10:00:00Z or "
            "2026-03-02"
        ) from None
    if not EPOCH <= moment < _END_OF_TIMES:
        raise ValueError(f"{text!r} is out of range; allowed: the years 1970 to 8999")
    return moment


def _short(text: str) -> str:
    """What somebody typed, cut to fit into an error."""
    return repr(text) if len(text) <= 64 else f"{text[:64]!r}…"


def parse_duration(value: object) -> timedelta:
    """`7d`, `24h`, `10m`, `90s`, `500ms`, or a timedelta. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a duration")
    try:
        return int(match[1]) * _DURATION_UNITS[match[2]]
    except OverflowError:
        raise ValueError("is out of range") from None


def write_duration(value: timedelta) -> str:
    """The duration in the largest unit that gives a whole number."""
    for name, unit in _DURATION_UNITS.items():
        if value and value % unit == timedelta(0):
            return f"{value // unit}{name}"
    return "0s"
