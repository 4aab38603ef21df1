"""Computes windows: all that are due, or one.

A result is a function of the stored samples alone. So jobs may crash, repeat and overlap. One
server computes at a time, each window in one transaction over one snapshot of repaired rows.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from devtelemetry.aggregate.algorithm import run_algorithm
from devtelemetry.aggregate.cleaned import cleaned_days_of, is_cleaned
from devtelemetry.aggregate.due import ended_window
from devtelemetry.aggregate.failed import failed_windows, forget_failure, note_failure
from devtelemetry.aggregate.find_due import due_windows
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.summarize import summarize
from devtelemetry.model import Timeframe, Window, WindowReliability
from devtelemetry.model.errors import ConfigurationError, DatabaseAway, Unavailable
from devtelemetry.results.rows import Computed
from devtelemetry.results.store import store
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import Lock, try_lock
from devtelemetry.store.repair import repair, repaired_snapshot
from devtelemetry.store.sql import queries
from devtelemetry.words import utc

_WAIT_SECONDS = 60  # for another computation or an import to end
_ATTEMPTS = 10

_QUERIES = queries(__package__)
_log = structlog.get_logger(__name__)


async def compute_due(
    database: Database,
    rules: AggregateRules,
    *,
    now: Callable[[], datetime],
    on_window: Callable[[WindowReliability], None] | None = None,
) -> int:
    """Computes every window that is due, oldest first. Returns how many were computed.

    Returns 0 as well while another server computes or an import runs. A window that fails is set
    aside and tried again later, so it stops no other window.
    """
    computed = 0
    async with (
        database.acquire() as session,
        try_lock(session, Lock.AGGREGATE) as is_ours,
    ):
        if not is_ours:
            return 0
        # Also if no window is due: each repair is then small, and ingest waits for it less long.
        await repair(database)
        waiting: set[str] = set()  # timeframes with a window that is set aside
        failed = {
            (one.timeframe, one.start): one
            for one in await failed_windows(session, rules.membership)
        }
        for timeframe, window in await due_windows(session, rules, now()):
            before = failed.get((timeframe.name, window.start))
            if before is not None and now() < before.tried_again_at:
                waiting.add(timeframe.name)
                continue
            started = time.monotonic()
            try:
                result = await _compute(database, rules, timeframe, window, now())
            except Exception as error:
                # If the failure cannot be noted either, the database fails, not the window.
                await note_failure(database, rules, timeframe, window, error, now())
                waiting.add(timeframe.name)
                metrics.WINDOWS_FAILED.labels(timeframe.name).inc()
                _log.exception(
                    "a window could not be computed; it is tried again later",
                    timeframe=timeframe.name,
                    window=utc(window.start),
                )
                continue
            if before is not None:
                await forget_failure(session, rules, timeframe, window)
            metrics.WINDOW_SECONDS.labels(timeframe.name).observe(time.monotonic() - started)
            metrics.WINDOWS_COMPUTED.labels(timeframe.name, result.state.value).inc()
            computed += 1
            if on_window is not None:
                on_window(result)
        for timeframe in rules.timeframes:
            if timeframe.name in waiting:
                continue
            metrics.WINDOW_LAG_SECONDS.labels(timeframe.name).set(0)
    return computed


async def compute_one(
    database: Database,
    rules: AggregateRules,
    timeframe: Timeframe,
    window_start: datetime,
    *,
    now: Callable[[], datetime],
) -> WindowReliability:
    """Computes the window of `timeframe` that starts at `window_start`, due or not.

    Raises ConfigurationError if no window starts there, the window has not ended, or samples of it
    were cleaned. Raises Unavailable if a running import or another computation does not end within
    a minute.
    """
    window = ended_window(timeframe, window_start, now())
    async with database.acquire() as connection:
        if is_cleaned(window, await cleaned_days_of(connection)):
            raise ConfigurationError(
                f"samples of the {timeframe.name} window of {window.start.isoformat()} were "
                "cleaned: it cannot be computed again, and its stored figures stay"
            )
    for _ in range(_WAIT_SECONDS):
        async with (
            database.acquire() as session,
            try_lock(session, Lock.AGGREGATE) as is_ours,
        ):
            if is_ours:
                return await _compute(database, rules, timeframe, window, now())
        await asyncio.sleep(1)
    raise Unavailable("another process computes windows or imports samples; try again later")


async def _compute(
    database: Database,
    rules: AggregateRules,
    timeframe: Timeframe,
    window: Window,
    now: datetime,
) -> WindowReliability:
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            async with repaired_snapshot(database, readonly=False, delays_of=window) as connection:
                found = await run_algorithm(connection, rules, window)
                names = await _names(connection, found)
                result = summarize(timeframe, window, rules, found, names, now)
                return replace(result, revision=await store(connection, result, found))
        except DatabaseAway:
            # For example, another command computes the same window at the same time.
            if not attempts_left:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _names(connection: Connection, found: Computed) -> Mapping[int, str]:
    rows = await connection.fetch(
        _QUERIES["channel_names"], channel_ids=[row["channel_id"] for row in found.channels]
    )
    return {row["channel_id"]: row["external_id"] for row in rows}
