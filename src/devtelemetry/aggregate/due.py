"""Which windows are due. Pure: the clock is a parameter.

Source: docs/algorithm.md, "When".
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from devtelemetry.model import Timeframe, Window, WindowState, from_unix_ms, window_starting
from devtelemetry.model.errors import ConfigurationError

# An arrival is noted by the start of its minute, perhaps by the clock of another server.
_ARRIVAL_MARGIN = timedelta(minutes=3)


class Arrived(NamedTuple):
    """When samples last came for a window, in Unix ms to the minute; None: no samples came.

    on_time_at_ms  the same for samples that were recorded in time. If they come after the window
                   was settled, they are from an imported file, and the window lacks them.
    """

    at_ms: int | None
    on_time_at_ms: int | None


def is_due(timeframe: Timeframe, window: Window, now: datetime) -> bool:
    """Whether `window` may be computed for the first time."""
    return now >= window.end + timeframe.allowed_lateness


def ended_window(timeframe: Timeframe, start: datetime, now: datetime) -> Window:
    """The window that starts at `start`. Raises ConfigurationError if no window starts then, or it
    has not ended."""
    try:
        window = window_starting(timeframe, start)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if now < window.end:
        raise ConfigurationError(
            f"the window ends at {window.end.isoformat()}, in the future; allowed: a window that "
            "is over"
        )
    return window


def state_at(window: Window, settle_time: timedelta, now: datetime) -> WindowState:
    """The state of `window` if it is computed at `now`: settled once the settle time is over."""
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

    state, computed_at  from its stored row; None: never computed
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
    """Whether samples came since `computed_at` that the window should include.

    Also true if samples came up to three minutes before `computed_at`, which may be in the window
    already. One computation too many changes nothing.
    """
    news_at_ms = arrived.on_time_at_ms if state is WindowState.SETTLED else arrived.at_ms
    if news_at_ms is None or computed_at is None:
        return False
    return from_unix_ms(news_at_ms) + _ARRIVAL_MARGIN > computed_at
