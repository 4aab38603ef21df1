"""The background jobs of a server: compute what is due, publish it, clean, make days ahead.

Each may run on every server of a deployment: an advisory lock lets one of them work. A run that
fails is logged and counted, and the next one takes up where it left.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.publish.publisher import Publisher
from devtelemetry.retention.clean import clean, make_days_ahead
from devtelemetry.runtime import metrics
from devtelemetry.server.wiring import age_limits, aggregate_rules, published_series, remote_write
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database

CLEAN_INTERVAL = timedelta(hours=1)  # days become due at midnight; the rest are second tries
PUBLISH_INTERVAL = timedelta(seconds=5)  # to ask costs an index that is mostly empty

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def running_jobs(
    settings: Settings, database: Database, *, now: Callable[[], datetime]
) -> AsyncIterator[None]:
    """Runs the jobs until the block is left; a window under way is then computed again later."""
    rules = aggregate_rules(settings)
    limits = age_limits(settings)

    async def aggregate() -> None:
        computed = await compute_due(database, rules, now=now)
        if computed:
            _log.info("computed", windows=computed)

    async def sweep() -> None:
        await clean(database, rules, settings.retention, now=now)

    async def make_days() -> None:
        await make_days_ahead(database, limits, now=now)

    jobs: list[tuple[str, Callable[[], Awaitable[object]], timedelta]] = [
        ("make_days", make_days, CLEAN_INTERVAL),
        ("aggregate", aggregate, settings.job_interval),
        ("clean", sweep, CLEAN_INTERVAL),
    ]
    async with contextlib.AsyncExitStack() as stack:
        if settings.remote_write_url is not None:
            store = await stack.enter_async_context(remote_write(settings))
            publisher = Publisher(database, store, published_series(settings), now=now)
            interval = min(PUBLISH_INTERVAL, settings.job_interval)
            jobs.append(("publish", publisher.run, interval))
        with _scheduled(jobs):
            yield


@contextlib.contextmanager
def _scheduled(
    jobs: Iterable[tuple[str, Callable[[], Awaitable[object]], timedelta]],
) -> Iterator[None]:
    """Runs each job now and then in its interval."""
    scheduler = AsyncIOScheduler(timezone=UTC)
    for name, job, interval in jobs:
        scheduler.add_job(
            _guarded(name, job),
            "interval",
            seconds=interval.total_seconds(),
            next_run_time=datetime.now(UTC),
            max_instances=1,  # a long run is not joined by a second one
            coalesce=True,
            misfire_grace_time=None,  # late is better than never
        )
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


def _guarded(name: str, job: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await job()
        except asyncio.CancelledError:
            _log.debug("job cut short by the end of the server", job=name)
        except Exception:
            metrics.JOB_FAILURES.labels(name).inc()
            _log.exception("job failed, it runs again", job=name)

    return run
