"""Which windows there are and which are due. Pure: the clock is a parameter.

Source: docs/algorithm.md, "Terms" and "When".
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from devtelemetry.model import EPOCH, Timeframe, Window, WindowState, from_unix_ms

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)

_UNITS = {"m": timedelta(minutes=1), "h": HOUR, "d": DAY, "w": WEEK}
_NAME = re.compile(r"([1-9]\d{0,3})([mhdw])")
_FIRST_MONDAY = EPOCH + timedelta(days=4)  # 1970-01-05


# Arrivals are noted by the beginning of their minute and by another server's clock.
_ARRIVAL_MARGIN = timedelta(minutes=3)


class Arrived(NamedTuple):
    """When samples last came for a window, Unix ms to the minute; None: none did.

    on_time_at_ms  of those recorded before the window was settled. They come after that only from
                   a file that is imported, and then the window was settled without them.
    """

    at_ms: int | None
    on_time_at_ms: int | None


def parse_timeframe(name: str, allowed_lateness: timedelta | None = None) -> Timeframe:
    """The timeframe called `name`: a number and m, h, d or w, as in 15m, 1h, 1d, 1w.

    allowed_lateness  None: as long as the window up to 1 h, 6 h up to a day, 24 h beyond

    Raises ValueError with what is allowed.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no timeframe; allowed: a number and m, h, d or w, as in 1h")
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

    Hours start on the hour, days at midnight, weeks on Monday 00:00, all UTC; windows of other
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
            f"no {timeframe.name} window starts at {start.isoformat()}; the one that holds it "
            f"starts at {window.start.isoformat()}"
        )
    return window


def windows_between(timeframe: Timeframe, first: datetime, last: datetime) -> Iterator[Window]:
    """The windows that hold `first`, `last` and what lies between, oldest first."""
    window = window_at(timeframe, first)
    while window.start <= last:
        yield window
        window = Window(window.end, window.end + timeframe.length)


def is_due(timeframe: Timeframe, window: Window, now: datetime) -> bool:
    """Whether `window` may be computed for the first time."""
    return now >= window.end + timeframe.allowed_lateness


def state_at(window: Window, settle_time: timedelta, now: datetime) -> WindowState:
    """What a computation at `now` makes of `window`: settled once the settle time has passed."""
    return WindowState.SETTLED if now >= window.end + settle_time else WindowState.PROVISIONAL


def must_compute(
    timeframe: Timeframe,
    window: Window,
    *,
    state: WindowState | None,
    computed_at: datetime | None,
    arrived: Arrived,
    settle_time: timedelta,
    recompute_interval: timedelta,
    now: datetime,
) -> bool:
    """Whether `window` has to be computed at `now`.

    state, computed_at  of its stored row; None: never computed
    """
    if not is_due(timeframe, window, now):
        return False
    if state is None or computed_at is None:
        return True
    settles_now = state_at(window, settle_time, now) is WindowState.SETTLED
    if state is WindowState.PROVISIONAL and settles_now:
        return True
    return has_news(state, computed_at, arrived) and now >= computed_at + recompute_interval


def has_news(state: WindowState, computed_at: datetime | None, arrived: Arrived) -> bool:
    """Whether samples came since `computed_at` that its computation should have had.

    True as well for up to three minutes of samples that it may have had: computing once more than
    needed changes nothing.
    """
    news_at_ms = arrived.on_time_at_ms if state is WindowState.SETTLED else arrived.at_ms
    if news_at_ms is None or computed_at is None:
        return False
    return from_unix_ms(news_at_ms) + _ARRIVAL_MARGIN > computed_at
