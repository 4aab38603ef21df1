"""The background jobs of a server: compute due windows, publish them, tell people of problems,
clean, make days ahead, decide the sampling, and watch for long waits for locks.

Each job may run on every server of a deployment, because an advisory lock lets only one of them
work. A run that fails is logged and counted, and the next run goes on from there.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.in_force import RulesInForce
from devtelemetry.findings.look import look
from devtelemetry.model import WindowReliability
from devtelemetry.model.errors import (
    ClockInDoubt,
    ConfigurationError,
    DatabaseError,
    Unavailable,
    for_operator,
)
from devtelemetry.notify.notifier import Notifier
from devtelemetry.problems.read import LatestProblems
from devtelemetry.publish.publisher import Publisher
from devtelemetry.retention.clean import clean, make_days_ahead
from devtelemetry.runtime import metrics
from devtelemetry.sampling.decide import decide
from devtelemetry.server.wiring import (
    age_limits,
    aggregate_rules,
    published_series,
    remote_write,
    sampling_wish,
    services,
    webhook,
)
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.store.locks import watch_locks
from devtelemetry.store.migrate import check_schema

CLEAN_INTERVAL = timedelta(hours=1)  # days become due at midnight; the other runs are second tries
LOCKS_INTERVAL = timedelta(seconds=15)
PUBLISH_INTERVAL = timedelta(seconds=5)  # cheap: it looks into an index that is usually empty
NOTIFY_INTERVAL = timedelta(seconds=5)  # cheap: it reads when a window was last computed

_log = structlog.get_logger(__name__)


class Looks:
    """Decides when to look for findings: after each window that is newer than the last look, and
    otherwise at most once in `interval`.

    A look reads a day of receipts. If a client always reports late, some window is computed again
    every minute. Without the limit the server would also look every minute.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval.total_seconds()
        self._last: tuple[datetime, float] | None = None

    def begin(self, end: datetime, seconds: float) -> datetime | None:
        """Call this after a window that ends at `end` was computed. Returns the end of the day to
        look at now, or None if it is too early for another look.

        seconds  of a clock that nobody can set
        """
        if self._last is not None:
            last_end, last_seconds = self._last
            if end <= last_end and seconds < last_seconds + self._interval:
                return None
            end = max(end, last_end)
        self._last = end, seconds
        return end


@contextlib.asynccontextmanager
async def running_jobs(
    settings: Settings,
    database: Database,
    problems: LatestProblems,
    *,
    now: Callable[[], datetime],
) -> AsyncIterator[None]:
    """Runs the jobs until the block ends. A window that is being computed then is computed again
    later."""
    rules = aggregate_rules(settings)
    limits = age_limits(settings)
    in_force = RulesInForce(database, rules)
    looks = Looks(settings.recompute_interval)

    async def aggregate() -> None:
        await in_force.ensure()
        ends: list[datetime] = []

        def note(window: WindowReliability) -> None:
            ends.append(window.window.end)

        computed = await compute_due(database, rules, now=now, on_window=note)
        if not ends:
            return
        _log.info("computed", windows=computed)
        end = looks.begin(max(ends), asyncio.get_running_loop().time())
        if end is not None:
            await look(database, rules, end, now=now)

    async def sweep() -> None:
        await in_force.ensure()
        await clean(
            database, rules, settings.retention, silent_after=settings.silent_after, now=now
        )

    async def locks() -> None:
        async with database.acquire() as connection:
            await watch_locks(connection)

    async def sample() -> None:
        await decide(database, sampling_wish(settings), now=now)

    async def make_days() -> None:
        await make_days_ahead(database, limits, now=now)

    jobs: list[tuple[str, Callable[[], Awaitable[object]], timedelta]] = [
        ("make_days", make_days, CLEAN_INTERVAL),
        ("aggregate", aggregate, settings.job_interval),
        ("clean", sweep, CLEAN_INTERVAL),
        ("sample", sample, settings.job_interval),
        ("locks", locks, LOCKS_INTERVAL),
    ]
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(in_force)
        if settings.remote_write_url is not None:
            store = await stack.enter_async_context(remote_write(settings))
            publisher = Publisher(database, store, published_series(settings), now=now)
            interval = min(PUBLISH_INTERVAL, settings.job_interval)
            jobs.append(("publish", publisher.run, interval))
        if settings.notify_webhook_url or settings.notify_apprise:
            to = webhook(settings)
            notifier = Notifier(
                database,
                problems,
                settings.membership,
                webhook=None if to is None else await stack.enter_async_context(to),
                services=services(settings),
                public_url=settings.public_url,
                now=now,
            )
            jobs.append(("notify", notifier.run, min(NOTIFY_INTERVAL, settings.job_interval)))
        tasks = [
            asyncio.create_task(
                _run_often(name, partial(_unless_overtaken, database, job), interval),
                name=f"job-{name}",
            )
            for name, job, interval in jobs
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _unless_overtaken(database: Database, job: Callable[[], Awaitable[object]]) -> None:
    """Runs a job only if the database has the schema of this version. Raises Overtaken if not."""

    async def check() -> None:
        async with database.acquire() as connection:
            await check_schema(connection)

    await check()
    try:
        await job()
    except DatabaseError:
        await check()  # the schema may have changed while the job ran
        raise


async def _run_often(name: str, job: Callable[[], Awaitable[object]], interval: timedelta) -> None:
    """Runs a job once in each interval, until it is cancelled. Two runs never overlap.

    This uses the loop's time, which nobody can set. If it used the clock and that was set back, the
    job would sleep for so long.
    """
    loop = asyncio.get_running_loop()
    while True:
        next_at = loop.time() + interval.total_seconds()
        await _run_once(name, job)
        await asyncio.sleep(next_at - loop.time())


async def _run_once(name: str, job: Callable[[], Awaitable[object]]) -> None:
    try:
        await job()
    except ClockInDoubt:
        _log.debug("no job while the clock is in doubt", job=name)  # the doubt is logged elsewhere
    except (Unavailable, ConfigurationError) as error:
        metrics.JOB_FAILURES.labels(name).inc()
        _log.warning("job failed, it runs again", job=name, error=for_operator(error))
    except Exception:
        metrics.JOB_FAILURES.labels(name).inc()
        _log.exception("job failed, it runs again", job=name)
