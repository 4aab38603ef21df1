"""More ingest processes on one gRPC port, to use more than one core.

The kernel spreads the connections over the processes. A worker that dies is replaced. What it had
acknowledged was committed; clients send the rest again.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from multiprocessing.process import BaseProcess

import structlog

from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.runtime import metrics
from devtelemetry.runtime.garbage import relax
from devtelemetry.runtime.logs import configure_logging
from devtelemetry.server.endpoint import GRACE_SECONDS, ingest_endpoint
from devtelemetry.server.wiring import watched_clock
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database

START_SECONDS = 60.0
RESTART_SECONDS = 1.0  # between the death of a worker and its replacement

_log = structlog.get_logger(__name__)
_spawn = multiprocessing.get_context("spawn")  # a fork would share the parent's gRPC threads


@contextlib.asynccontextmanager
async def ingest_workers(
    settings: Settings, database_url: str, port: int, *, count: int
) -> AsyncIterator[None]:
    """Keeps `count` workers running on `port` until the block ends; then stops them."""
    processes: list[BaseProcess] = []
    keeper: asyncio.Task[None] | None = None

    async def start() -> None:
        await _start(processes, settings, database_url, port)

    try:
        for _ in range(count):
            await start()
        keeper = asyncio.create_task(_keep(processes, count, start))
        yield
    finally:
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.join, GRACE_SECONDS + 5)
            if process.is_alive():
                process.kill()


async def _start(
    processes: list[BaseProcess],
    settings: Settings,
    database_url: str,
    port: int,
) -> None:
    """Adds a worker to `processes` and waits until it listens."""
    ready = _spawn.Event()
    process = _spawn.Process(
        target=_main,
        args=(settings, database_url, port, ready),
        name="ingest-worker",
        daemon=True,
    )
    process.start()
    processes.append(process)  # before any wait, so that it is stopped together with the others
    started = asyncio.get_running_loop().time()
    while not await asyncio.to_thread(ready.wait, 0.2):
        if not process.is_alive():
            raise DevTelemetryError(
                "an ingest worker did not start; its own log line has the reason"
            )
        if asyncio.get_running_loop().time() - started > START_SECONDS:
            process.kill()
            raise DevTelemetryError(f"an ingest worker did not start in {START_SECONDS:.0f} s")


async def _keep(
    processes: list[BaseProcess], count: int, start: Callable[[], Awaitable[None]]
) -> None:
    """Replaces workers that died, until it is cancelled."""
    while True:
        await asyncio.sleep(RESTART_SECONDS)
        for process in [process for process in processes if not process.is_alive()]:
            _log.error("ingest worker died", exit_code=process.exitcode)
            metrics.forget_process(process.pid)
            processes.remove(process)
        try:
            while len(processes) < count:
                await start()
        except (DevTelemetryError, OSError) as error:
            # The next round tries again. It also finds a worker that was started and died.
            _log.error("the ingest worker has no successor yet", error=str(error))


def _main(
    settings: Settings,
    database_url: str,
    port: int,
    ready: threading.Event,
) -> None:
    # The parent decides when to stop, but a Ctrl-C at the terminal reaches all processes.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    configure_logging(settings.log_level, settings.log_format)
    relax()
    try:
        asyncio.run(_work(settings, database_url, port, ready))
    except DevTelemetryError as error:
        _log.error("an ingest worker cannot work", error=str(error))
        sys.exit(1)


async def _work(
    settings: Settings,
    database_url: str,
    port: int,
    ready: threading.Event,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # If the parent is killed, it cannot send a signal, but its end of this file closes.
        loop.add_reader(parent.sentinel, os._exit, 1)
    async with (
        Database(database_url) as database,
        watched_clock(settings, database) as clock,
        ingest_endpoint(settings, database, port=port, now_ms=clock.now_ms, hear=clock.hear),
    ):
        ready.set()
        await stop.wait()
