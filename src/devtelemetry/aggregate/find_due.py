"""Finds the windows that are due, from what is stored. due.py decides."""

from collections.abc import Sequence
from datetime import datetime

from devtelemetry.aggregate.cleaned import cleaned_days_of, is_cleaned
from devtelemetry.aggregate.due import Arrived, has_news, must_compute
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import (
    Timeframe,
    Window,
    WindowState,
    from_unix_ms,
    window_at,
    windows_between,
)
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Row
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__)
_NO_NEWS = Arrived(None, None)


async def due_windows(
    connection: Connection, rules: AggregateRules, now: datetime
) -> list[tuple[Timeframe, Window]]:
    """The windows to compute now, in the order of their ends; of two with the same end, the shorter
    one first."""
    arrivals = await connection.fetch(_QUERIES["arrivals"])
    if not arrivals:
        return []
    cleaned_days = await cleaned_days_of(connection)
    first = from_unix_ms(arrivals[0]["sent_minute"])
    due: list[tuple[Timeframe, Window]] = []
    for timeframe in rules.timeframes:
        news = dict.fromkeys(
            windows_between(timeframe, max(first, now - rules.lookback), now), _NO_NEWS
        )
        news.update(_news(timeframe, arrivals))
        stored = await _stored_states(connection, rules, timeframe, min(news))
        waiting_since = now
        for window, arrived in news.items():
            if is_cleaned(window, cleaned_days):
                continue
            state, computed_at = stored.get(window.start, (None, None))
            if must_compute(
                timeframe,
                window,
                state=state,
                computed_at=computed_at,
                arrived=arrived,
                settle_time=rules.settle_time,
                recompute_interval=rules.recompute_interval,
                now=now,
            ):
                due.append((timeframe, window))
                if computed_at is None:
                    waiting_since = min(waiting_since, window.end + timeframe.allowed_lateness)
        lag = (now - waiting_since).total_seconds()
        metrics.WINDOW_LAG_SECONDS.labels(timeframe.name).set(lag)
    return sorted(due, key=lambda item: (item[1].end, item[0].length))


async def unsettled(
    connection: Connection, rules: AggregateRules, first: datetime, end: datetime
) -> list[tuple[Timeframe, Window]]:
    """The windows with samples that overlap [first, end) and must still be computed.

    These are windows that are not stored as settled, and settled windows that lack samples that
    were recorded in time.
    """
    arrivals = await connection.fetch(_QUERIES["arrivals"])
    cleaned_days = await cleaned_days_of(connection)
    open_windows = []
    for timeframe in rules.timeframes:
        stored = await _stored_states(connection, rules, timeframe, window_at(timeframe, first))
        for window, arrived in sorted(_news(timeframe, arrivals).items()):
            if window.end <= first or window.start >= end:
                continue
            if is_cleaned(window, cleaned_days):
                continue
            state, computed_at = stored.get(window.start, (None, None))
            if state is not WindowState.SETTLED or has_news(state, computed_at, arrived):
                open_windows.append((timeframe, window))
    return open_windows


def _news(timeframe: Timeframe, arrivals: Sequence[Row]) -> dict[Window, Arrived]:
    """When samples last came for each window."""
    news: dict[Window, Arrived] = {}
    for row in arrivals:
        window = window_at(timeframe, from_unix_ms(row["sent_minute"]))
        known = news.get(window, _NO_NEWS)
        news[window] = Arrived(
            max(known.at_ms or 0, row["arrived_at"]),
            max(known.on_time_at_ms or 0, row["arrived_on_time_at"] or 0) or None,
        )
    return news


async def _stored_states(
    connection: Connection, rules: AggregateRules, timeframe: Timeframe, first: Window
) -> dict[datetime, tuple[WindowState, datetime]]:
    rows = await connection.fetch(
        _QUERIES["computed"],
        timeframe=timeframe.name,
        membership=rules.membership.value,
        first_start=first.start,
    )
    return {row["window_start"]: (WindowState(row["state"]), row["computed_at"]) for row in rows}
