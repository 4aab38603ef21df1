"""Finds the windows that wait for the store of time series, and sends them.

There is no queue of points. Each window's row says which of its states the store has. So nothing
grows while the store is away, and points are made from the window when it is sent.
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

SLICE_WINDOWS = 200  # keys of windows read at a time; their figures are read one by one
# A store that restarts is back in seconds. What a person must correct is tried every five minutes.
BACKOFF = Timing(first_retry=1.0, longest_retry=120.0, rare_retry=300.0)
PATIENCE_SECONDS = 300.0
LOCK_WAIT_SECONDS = 60
BUSY_ATTEMPTS = 20  # to send a request that is not the first of its windows
LONGEST_BUSY_SECONDS = 60.0

# A store that is killed may lose points that it took: VictoriaMetrics writes every few seconds.
UNWRITTEN = timedelta(minutes=1)

_QUERIES = queries(__package__)
_BEFORE_ALL = (datetime(1, 1, 1, tzinfo=UTC), "")
_log = structlog.get_logger(__name__)

Record: TypeAlias = Mapping[str, Any]
"""A row that identifies a window: timeframe, window_start, window_end"""


@dataclass(frozen=True, slots=True)
class Published:
    """windows  how many were sent, whatever became of their points"""

    windows: int = 0
    points: Outcome = field(default_factory=Outcome)

    def plus(self, other: "Published") -> "Published":
        return Published(self.windows + other.windows, self.points.plus(other.points))


@dataclass(frozen=True, slots=True)
class PublishedSeries:
    """Which series of a window are sent.

    membership  only windows of this policy, because series do not have the policy as a label
    by_channel  whether each comparable channel has series too
    labels      further labels of every series
    """

    membership: MembershipPolicy = MembershipPolicy.PRESENT
    by_channel: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Windows that overlap [start, end), aware. None: no bound, or every timeframe."""

    start: datetime | None = None
    end: datetime | None = None
    timeframe: str | None = None

    @property
    def parameters(self) -> dict[str, datetime | str | None]:
        """The parameters of queries that select windows by this span."""
        return {"start": self.start, "end": self.end, "timeframe": self.timeframe}


def stamped(window: WindowReliability, series: PublishedSeries) -> list[Stamped]:
    """The points of a window, all at its end."""
    at_ms = window.window.end_ms
    return [
        Stamped(labels_of(name, {**series.labels, **labels}), at_ms, value)
        for name, labels, value in points_of(window, by_channel=series.by_channel)
    ]


class Pace:
    """Spaces requests, so that each with the pause after it keeps to so many points a second.

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
        """Called before a request of so many points; returns when the request may begin."""
        now = self._monotonic()
        if now < self._next_at:
            await self._sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + points / self._points_per_second


_UNPACED = Pace(float("inf"))


class Publisher:
    """Each run sends the windows that wait. After a failure the store is left alone for a while."""

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
        """Sends nothing if another server is sending, or if it is too early after a failure."""
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
                    "windows wait: the store did not accept them",
                    error=str(error),
                    next_try_in_seconds=round(self._backoff.until - self._monotonic(), 1),
                )
        metrics.PUBLISH_PENDING_WINDOWS.set(await count_waiting(self._database, self._series))
        return published


def fall_back(backoff: Backoff, error: StoreAway, now: float) -> None:
    """Sets when to try again after this error. now: by the clock of `backoff`"""
    if error.retry_after_seconds is not None:
        backoff.told_to_wait(now, error.retry_after_seconds)
    elif error.failed is Failed.MISDIRECTED:
        backoff.failed_for_a_person_to_mend(now)
    else:
        backoff.failed(now)


async def count_waiting(database: Database, series: PublishedSeries) -> int:
    """How many windows wait for the store."""
    async with database.acquire() as connection:
        count: int = await connection.fetchval(
            _QUERIES["count_waiting"], membership=series.membership.value
        )
    return count


async def publish_waiting(
    database: Database, store: RemoteWrite, series: PublishedSeries, *, now: Callable[[], datetime]
) -> Published:
    """Sends every window whose state the store does not have, oldest first; nothing if another
    server is sending.

    Raises StoreAway if the store does not take them. The store may have been killed, so windows
    that it took in the minute before wait again as well.
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
    """How many windows back_fill sends for this span."""
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

    points_per_second  the pace of requests, as in Pace
    on_sent  called with the sum so far, whenever windows were sent

    Waits up to five minutes for a store that is away, and up to a minute for a server that is
    sending. Windows that such a store may have lost wait again, for a server to send them.
    Raises Unavailable if the time was not enough, or if a person must correct something. The error
    says how far it got.
    """
    published = Published()
    pace = Pace(points_per_second, monotonic=monotonic, sleep=sleep)
    backoff = Backoff(BACKOFF)
    after = _BEFORE_ALL
    last_start: datetime | None = None
    give_up: float | None = None  # counted from a failure, because a slow pace is not a failure
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
            _log.warning("the store did not accept the points; trying again", error=str(error))
            await sleep(max(0.0, backoff.until - monotonic()))


@contextlib.asynccontextmanager
async def _publishing(database: Database) -> AsyncIterator[Connection]:
    """A session that holds the lock for sending. Raises Unavailable after a minute without it."""
    for _ in range(LOCK_WAIT_SECONDS):
        async with (
            database.acquire() as session,
            try_lock(session, Lock.PUBLISH) as is_ours,
        ):
            if is_ours:
                yield session
                return
        await asyncio.sleep(1)
    raise Unavailable("a server is publishing windows now; try again later")


async def _deliver(
    database: Database,
    store: RemoteWrite,
    series: PublishedSeries,
    rows: Sequence[Record],
    *,
    now: Callable[[], datetime],
    pace: Pace = _UNPACED,
) -> AsyncIterator[tuple[Published, Record]]:
    """Sends the windows of these rows, some at a time. Yields what was sent, and the last row.

    Figures are read in short transactions, so that none is open while the store answers. Raises
    StoreAway; then windows that the store took in the minute before wait again.
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
            # In a thread, because 1,000 channels take 45 to 85 ms.
            points += await asyncio.to_thread(stamped, window, series)
        if len(points) < REQUEST_POINTS and position < len(rows):
            continue
        outcome = Outcome()
        for first in range(0, len(points), REQUEST_POINTS):
            try:
                # The first request is tried once: its windows may as well wait for the next run.
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
    """attempts  how often to try while the store is busy; it says how long to wait. With only one,
    a window of more requests than the store takes at a time would never get through"""
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
    """`out_of_order 3, too_old 1`, the most frequent first"""
    return ", ".join(f"{reason.value} {count}" for reason, count in rejected.most_common())
