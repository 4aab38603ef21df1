"""Whether a window's time, memory and temporary files grow only in step with its receipts."""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import reduce
from operator import add
from pathlib import Path

import asyncpg

from bench.aggregate import CHANNELS, DAY, RECEIVERS_OF_CHANNEL, RULES, Hour, fill
from bench.machine import conditions, memory
from bench.postgres import fresh_database, server_version, temporary_server
from bench.report import Result, Table
from devtelemetry.aggregate.compute import compute_one
from devtelemetry.model import parse_timeframe
from devtelemetry.store.database import Database

_HOURS_OF_WEEK = 7 * 24
_LOOK_SECONDS = 0.2
_PAGE_MIB = os.sysconf("SC_PAGESIZE") / 2**20
_NOW = DAY + timedelta(days=30)  # so that each window is settled


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--receipts",
        type=int,
        nargs="*",
        default=[1_000_000, 10_000_000, 50_000_000],
        metavar="N",
        help="receipts of an hour",
    )
    parser.add_argument(
        "--week",
        type=int,
        nargs="*",
        default=[10_000_000, 100_000_000],
        metavar="N",
        help="receipts of a week",
    )


def run(options: argparse.Namespace) -> Result:
    return asyncio.run(_run(options))


@dataclass(frozen=True, slots=True)
class _Cost:
    """The cost of one window, in MiB.

    postgres_mib   peak of the private memory of all PostgreSQL processes together
    server_mib     peak of the process that runs the queries
    temporary_mib  temporary files
    """

    name: str
    receipts: int
    seconds: float
    postgres_mib: float
    server_mib: float
    temporary_mib: float


async def _run(options: argparse.Namespace) -> Result:
    costs = []
    with temporary_server() as url:
        about = conditions(await server_version(url))
        for receipts in options.receipts:
            async with fresh_database(url, "hour") as database:
                made = await fill(database, receipts, first=12, hours=1)
                costs.append(await _cost(database, "1h", made))
        for receipts in options.week:
            async with fresh_database(url, "week") as database:
                an_hour = receipts // _HOURS_OF_WEEK
                made = await fill(database, an_hour, first=0, hours=_HOURS_OF_WEEK)
                costs.append(await _cost(database, "1w", made))
    return Result(
        "Growth",
        about,
        [_table(costs)],
        notes=(
            f"{CHANNELS} channels of {RECEIVERS_OF_CHANNEL} receivers; each window computed once",
            "every result equals what the generator knows",
        ),
        figures={"windows": [asdict(cost) for cost in costs]},
    )


def _table(costs: list[_Cost]) -> Table:
    return Table(
        "One window, alone in its database",
        (
            "window",
            "receipts, M",
            "s",
            "µs/receipt",
            "PostgreSQL's own memory, MiB",
            "peak of the process that asks, MiB",
            "temporary files, MiB",
        ),
        [
            (
                cost.name,
                f"{cost.receipts / 1e6:.2f}",
                f"{cost.seconds:.1f}",
                f"{cost.seconds / cost.receipts * 1e6:.2f}",
                f"{cost.postgres_mib:.0f}",
                f"{cost.server_mib:.0f}",
                f"{cost.temporary_mib:.0f}",
            )
            for cost in costs
        ],
    )


async def _cost(database: Database, timeframe: str, made: list[Hour]) -> _Cost:
    whole = reduce(add, made)
    frame = parse_timeframe(timeframe)
    start = made[0].start
    watcher = await asyncpg.connect(database.url)
    try:
        spilled = await _spilled(watcher)
        async with _watching(watcher) as most:
            began = time.perf_counter()
            result = await compute_one(database, RULES, frame, start, now=lambda: _NOW)
            seconds = time.perf_counter() - began
        spilled = await _spilled(watcher) - spilled
    finally:
        await watcher.close()
    counts = result.counts
    found = (counts.messages, counts.expected, counts.missing)
    assert found == (whole.messages, whole.expected, whole.missing), (found, whole)
    print(
        f"growth: {timeframe} of {whole.receipts:,}: {seconds:.1f} s", file=sys.stderr, flush=True
    )
    return _Cost(
        timeframe,
        whole.receipts,
        seconds,
        max(most, default=0.0),
        memory([os.getpid()]).peak,
        spilled / 2**20,
    )


async def _spilled(connection: asyncpg.Connection) -> int:
    """Bytes of temporary files that statements in the database wrote so far."""
    await connection.execute("select pg_stat_clear_snapshot()")
    written: int = await connection.fetchval(
        "select temp_bytes from pg_stat_database where datname = current_database()"
    )
    return written


@contextlib.asynccontextmanager
async def _watching(connection: asyncpg.Connection) -> AsyncIterator[list[float]]:
    """Yields a list to which the private memory of the database's processes is added, in MiB."""
    held: list[float] = []

    async def watch() -> None:
        while True:
            rows = await connection.fetch(
                "select pid from pg_stat_activity where datname = current_database()"
            )
            held.append(sum(_own_mib(row["pid"]) for row in rows))
            await asyncio.sleep(_LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield held
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _own_mib(pid: int) -> float:
    """Resident memory that is not shared with other processes."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0  # the process is gone
    return (int(resident) - int(shared)) * _PAGE_MIB
