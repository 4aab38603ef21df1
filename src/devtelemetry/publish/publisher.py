"""Which windows wait for the store of time series, and sending them.

What waits is not a queue of points: each window's row says whether the store has it, by state. So
nothing grows while the store is away, and a point is made of its window when it is sent.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import structlog

from devtelemetry.client.schedule import Backoff, Timing
from devtelemetry.figures.document import iso
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.figures.series import points_of
from devtelemetry.model import Dimension, MembershipPolicy, WindowReliability
from devtelemetry.model.errors import Unavailable
from devtelemetry.publish.answer import Failed, Rejected, StoreAway
from devtelemetry.publish.remote_write import (
    REQUEST_POINTS,
    Outcome,
    RemoteWrite,
    Stamped,
    labels_of,
)
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import Lock, try_lock
from devtelemetry.store.sql import queries

SLICE_WINDOWS = 200  # names of windows read at a time; their figures are read one by one
# A store that restarts is back in seconds. What a person must mend is tried every five minutes.
BACKOFF = Timing(first_retry=1.0, longest_retry=120.0, rare_retry=300.0)
PATIENCE_SECONDS = 300.0
LOCK_WAIT_SECONDS = 60
BUSY_ATTEMPTS = 20  # of a request in the middle of a window
LONGEST_BUSY_SECONDS = 60.0

# What a store has taken, it may lose when it is killed: VictoriaMetrics writes every few seconds.
UNWRITTEN = timedelta(minutes=1)

_QUERIES = queries(__package__)
_BEFORE_ALL = (datetime(1, 1, 1, tzinfo=UTC), "")
_log = structlog.get_logger(__name__)

Record: TypeAlias = Mapping[str, Any]
"""A row that names a window: timeframe, window_start, window_end"""


@dataclass(frozen=True, slots=True)
class Published:
    """windows  that were sent, whatever became of their points"""

    windows: int = 0
    points: Outcome = field(default_factory=Outcome)

    def plus(self, other: "Published") -> "Published":
        return Published(self.windows + other.windows, self.points.plus(other.points))


@dataclass(frozen=True, slots=True)
class PublishedSeries:
    """Which series of a window are sent.

    membership  windows of this policy alone: series do not say by which one
    by_channel  series of each channel too
    labels      that every series has beside its own
    """

    membership: MembershipPolicy = MembershipPolicy.PRESENT
    by_channel: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Windows that overlap [start, end), of one timeframe or of any. Aware; None: no bound."""

    start: datetime | None = None
    end: datetime | None = None
    timeframe: str | None = None

    @property
    def parameters(self) -> dict[str, datetime | str | None]:
        """Of the queries that select by it."""
        return {"start": self.start, "end": self.end, "timeframe": self.timeframe}


def stamped(window: WindowReliability, series: PublishedSeries) -> list[Stamped]:
    """The points of a window, all of its end."""
    at_ms = window.window.end_ms
    return [
        Stamped(labels_of(name, {**series.labels, **labels}), at_ms, value)
        for name, labels, value in points_of(window, by_channel=series.by_channel)
    ]


class Pace:
    """No more points a second than so many, of each request and the pause after it.

    points_per_second  more than 0
    """

    def __init__(
        self,
        points_per_second: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._points_per_second = points_per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._next_at = float("-inf")

    async def wait(self, points: int) -> None:
        """Before a request of so many points: returns when it may begin."""
        now = self._monotonic()
        if now < self._next_at:
            await self._sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + points / self._points_per_second


_UNPACED = Pace(float("inf"))


class Publisher:
    """Sends what waits whenever it is told to run, and leaves a store alone that failed."""

    def __init__(
        self,
        database: Database,
        store: RemoteWrite,
        series: PublishedSeries,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._store = store
        self._series = series
        self._now = now
        self._monotonic = monotonic
        self._backoff = Backoff(BACKOFF)

    async def run(self) -> Published:
        """Nothing if another server is at it, or it is too early after a failure."""
        published = Published()
        if self._monotonic() >= self._backoff.until:
            try:
                published = await publish_waiting(
                    self._database, self._store, self._series, now=self._now
                )
                self._backoff.succeeded()
            except StoreAway as error:
                fall_back(self._backoff, error, self._monotonic())
                _log.warning(
                    "windows wait: the store did not take them",
                    error=str(error),
                    next_try_in_seconds=round(self._backoff.until - self._monotonic(), 1),
                )
        metrics.PUBLISH_PENDING_WINDOWS.set(await count_waiting(self._database, self._series))
        return published


def fall_back(backoff: Backoff, error: StoreAway, now: float) -> None:
    """When to try again after this. now: as the backoff has it"""
    if error.retry_after_seconds is not None:
        backoff.told_to_wait(now, error.retry_after_seconds)
    elif error.failed is Failed.MISDIRECTED:
        backoff.failed_for_a_person_to_mend(now)
    else:
        backoff.failed(now)


async def count_waiting(database: Database, series: PublishedSeries) -> int:
    """How many windows the store still has to get."""
    async with database.acquire() as connection:
        count: int = await connection.fetchval(
            _QUERIES["count_waiting"], membership=series.membership.value
        )
    return count


async def publish_waiting(
    database: Database, store: RemoteWrite, series: PublishedSeries, *, now: Callable[[], datetime]
) -> Published:
    """Sends every window whose state the store does not have, oldest first.

    Nothing if another server is at it. Raises StoreAway when the store does not take them: it may
    have been killed, so what it took in the minute before waits again as well.
    """
    published = Published()
    async with (
        database.acquire() as session,
        try_lock(session, Lock.PUBLISH) as is_ours,
    ):
        if not is_ours:
            return published
        await session.execute(_QUERIES["begin"], now=now())
        while True:
            waiting = await session.fetch(
                _QUERIES["waiting"], membership=series.membership.value, slice=SLICE_WINDOWS
            )
            if not waiting:
                break
            async for sent, _ in _deliver(database, store, series, waiting, now=now):
                published = published.plus(sent)
    if published.windows:
        _log.info(
            "published",
            windows=published.windows,
            points=published.points.taken,
            rejected=by_reason(published.points.rejected),
        )
    return published


async def count_within(database: Database, series: PublishedSeries, span: Span) -> int:
    """How many windows a back-fill of the span sends."""
    async with database.acquire() as connection:
        count: int = await connection.fetchval(
            _QUERIES["count_within"], membership=series.membership.value, **span.parameters
        )
    return count


async def back_fill(
    database: Database,
    store: RemoteWrite,
    series: PublishedSeries,
    span: Span,
    *,
    points_per_second: float,
    now: Callable[[], datetime],
    on_sent: Callable[[Published], None],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Published:
    """Sends all windows of a span, oldest first, whether the store has them or not.

    points_per_second  at most, of each request
    on_sent  called with the sum so far, whenever windows were sent

    Waits for a store that is away, five minutes at most, and a minute for a server that publishes.
    What such a store may have lost waits for a server then.
    Raises Unavailable when that was not enough, or where a person must mend something; it says how
    far it came.
    """
    published = Published()
    pace = Pace(points_per_second, monotonic=monotonic, sleep=sleep)
    backoff = Backoff(BACKOFF)
    after = _BEFORE_ALL
    last_start: datetime | None = None
    give_up: float | None = None  # counted from a failure: a slow pace is none
    while True:
        try:
            async with _publishing(database) as session:
                rows = await session.fetch(
                    _QUERIES["within"],
                    membership=series.membership.value,
                    **span.parameters,
                    after_end=after[0],
                    after_timeframe=after[1],
                    slice=SLICE_WINDOWS,
                )
                if not rows:
                    return published
                async for sent, last in _deliver(database, store, series, rows, now=now, pace=pace):
                    published = published.plus(sent)
                    after = last["window_end"], last["timeframe"]
                    last_start = last["window_start"]
                    on_sent(published)
                    backoff.succeeded()
                    give_up = None
        except StoreAway as error:
            fall_back(backoff, error, monotonic())
            give_up = give_up or monotonic() + PATIENCE_SECONDS
            if error.failed is Failed.MISDIRECTED or backoff.until > give_up:
                resume = "" if last_start is None else f"; go on with --from {iso(last_start)}"
                raise Unavailable(f"{error}; sent {published.windows} windows{resume}") from error
            _log.warning("the store did not take the points, trying again", error=str(error))
            await sleep(max(0.0, backoff.until - monotonic()))


@contextlib.asynccontextmanager
async def _publishing(database: Database) -> AsyncIterator[Connection]:
    """A session that holds the lock of who sends. Raises Unavailable if it is not to be had."""
    for _ in range(LOCK_WAIT_SECONDS):
        async with (
            database.acquire() as session,
            try_lock(session, Lock.PUBLISH) as is_ours,
        ):
            if is_ours:
                yield session
                return
        await asyncio.sleep(1)
    raise Unavailable("a server is publishing windows; try again later")


async def _deliver(
    database: Database,
    store: RemoteWrite,
    series: PublishedSeries,
    rows: Sequence[Record],
    *,
    now: Callable[[], datetime],
    pace: Pace = _UNPACED,
) -> AsyncIterator[tuple[Published, Record]]:
    """Sends the windows that these rows name, some at a time; yields what went, and the last row.

    Their figures are read in short transactions of their own: none is open while the store is
    waited for. Raises StoreAway; what the store took in the minute before then waits again.
    """
    windows: list[WindowReliability] = []
    points: list[Stamped] = []
    for position, row in enumerate(rows, 1):
        selection = Selection(
            row["timeframe"],
            row["window_start"],
            row["window_end"],
            membership=series.membership,
            by=(Dimension.PLATFORM,),
            channels=series.by_channel,
        )
        async for window in read_windows(database, selection):
            windows.append(window)
            # Beside the loop: of 1,000 channels 45 to 85 ms.
            points += await asyncio.to_thread(stamped, window, series)
        if len(points) < REQUEST_POINTS and position < len(rows):
            continue
        outcome = Outcome()
        for first in range(0, len(points), REQUEST_POINTS):
            try:
                # What begins a window may as well wait for the next run.
                attempts = BUSY_ATTEMPTS if first else 1
                request = points[first : first + REQUEST_POINTS]
                await pace.wait(len(request))
                sent = await _send(store, request, now=now, attempts=attempts)
            except StoreAway as error:
                if error.failed in (Failed.NETWORK, Failed.SERVER_ERROR):
                    async with database.acquire() as connection:
                        await connection.execute(
                            _QUERIES["unmark"],
                            membership=series.membership.value,
                            interval=UNWRITTEN,
                        )
                raise
            outcome = outcome.plus(sent)
        async with database.acquire() as connection:
            await connection.execute(
                _QUERIES["mark"],
                membership=series.membership.value,
                timeframes=[window.timeframe for window in windows],
                window_starts=[window.window.start for window in windows],
                states=[window.state.value for window in windows],
                revisions=[window.revision for window in windows],
                now=now(),
            )
        yield Published(len(windows), outcome), row
        windows, points = [], []


async def _send(
    store: RemoteWrite, points: Sequence[Stamped], *, now: Callable[[], datetime], attempts: int
) -> Outcome:
    """`attempts`: as often if the store is busy, as it says when. Else a window of more requests
    than a store takes at a time would never get through."""
    for left in reversed(range(attempts)):
        try:
            outcome = await store.send(points)
            break
        except StoreAway as error:
            metrics.PUBLISH_FAILURES.labels(error.failed.value).inc()
            if error.failed is not Failed.BUSY or not left:
                raise
            await asyncio.sleep(min(error.retry_after_seconds or 1.0, LONGEST_BUSY_SECONDS))
    metrics.PUBLISH_POINTS.inc(outcome.taken)
    for reason, count in outcome.rejected.items():
        metrics.PUBLISH_POINTS_REJECTED.labels(reason.value).inc(count)
    metrics.PUBLISH_LAST_SUCCESS.set(now().timestamp())
    return outcome


def by_reason(rejected: Counter[Rejected]) -> str:
    """`out_of_order 3, too_old 1`, the most first"""
    return ", ".join(f"{reason.value} {count}" for reason, count in rejected.most_common())
