"""Lines a second that `import` stores, and its memory, which must not grow with the file.

The real command, with its own processes, imports a file that was made before into an empty
database. Every line is a new sample.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from bench.machine import conditions, cpu_seconds, family, memory
from bench.postgres import server_version
from bench.report import Result, Table
from bench.workload import RECEIVERS, Workload
from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer

START_MS = 1_772_409_600_000  # 2026-03-02T00:00Z
LINES_A_DAY = 1_000_000  # a day of event time; so ten million lines fill ten partitions

_LOOK_SECONDS = 0.2  # between two looks at the memory of the processes


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lines",
        type=int,
        nargs="+",
        default=[300_000, 1_000_000],
        metavar="N",
        help="lines of each file; each is imported into a new database",
    )
    parser.add_argument(
        "--receivers", type=int, default=5, help=f"of each message, out of {RECEIVERS}"
    )
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[2], metavar="N", help="processes that store"
    )
    parser.add_argument("--rounds", type=int, default=1, help="repetitions; each is shown")


@dataclass(frozen=True, slots=True)
class Imported:
    """One file. CPU in seconds, memory in MiB, both of all processes of the command together."""

    workers: int
    lines: int
    seconds: float
    import_cpu: float
    postgres_cpu: float
    peak_mib: float
    database_bytes: int


def run(options: argparse.Namespace) -> Result:
    before: dict[str, str] = {}
    found = []
    with TemporaryDirectory(prefix="devtelemetry-bench-") as name:
        for lines in sorted(set(options.lines)):
            file = Path(name) / "lines.ndjson"
            with file.open("wb") as written:
                written.writelines(_lines(lines, options.receivers))
            for _ in range(options.rounds):
                for workers in options.workers:
                    with TemporaryDirectory(prefix="devtelemetry-bench-") as data:
                        one, version = _import(file, Path(data), lines, workers)
                    before = before or conditions(version)
                    found.append(one)
                    _tell(one)
    return Result(
        "Import",
        before,
        [_table(found)],
        notes=(
            f"{options.receivers} receivers a message",
            "import and PostgreSQL share the cores",
        ),
        figures={"files": [asdict(one) for one in found]},
    )


def _lines(lines: int, receivers: int) -> Iterator[bytes]:
    return Workload(
        first_message=0,
        messages=lines // receivers,
        samples_per_request=1,
        start_ms=START_MS,
        messages_per_second=LINES_A_DAY / receivers / 86_400,
        receivers=receivers,
    ).lines()


def _import(file: Path, data: Path, lines: int, workers: int) -> tuple[Imported, str]:
    """Imports a file; also returns PostgreSQL's version. PostgreSQL already runs, with tables."""
    with EmbeddedServer(data) as server:
        version = asyncio.run(_prepare(server.url))
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
        postgres_before = cpu_seconds(family(postmaster))
        ended_before = _ended_seconds()
        started = time.perf_counter()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "devtelemetry", "import"),
                *(f"--data-dir={data}", f"--workers={workers}", str(file)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        peak = 0.0
        try:
            while process.poll() is None:
                peak = max(peak, _resident(process.pid))
                time.sleep(_LOOK_SECONDS)
            seconds = time.perf_counter() - started
            assert process.stdout is not None
            said = process.stdout.read().strip()
        finally:
            process.kill()
            process.wait()
        assert said == f"imported {lines}, duplicates 0, rejected 0", said
        imported = Imported(
            workers,
            lines,
            seconds,
            _ended_seconds() - ended_before,
            cpu_seconds(family(postmaster)) - postgres_before,
            peak,
            asyncio.run(_database_bytes(server.url)),
        )
    return imported, version


async def _prepare(url: str) -> str:
    async with Database(url):
        return await server_version(url)


def _ended_seconds() -> float:
    """CPU time of our children that have ended, and of their children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _resident(pid: int) -> float:
    try:
        return memory(family(pid)).resident
    except OSError:  # a process has just ended
        return 0.0


def _table(found: list[Imported]) -> Table:
    return Table(
        "One file each, into an empty database",
        (
            *("lines", "workers", "seconds", "lines/s"),
            *("import µs/line", "PostgreSQL µs/line", "peak MiB", "database GiB"),
        ),
        [
            (
                f"{one.lines:,}",
                f"{one.workers}",
                f"{one.seconds:,.1f}",
                f"{one.lines / one.seconds:,.0f}",
                f"{one.import_cpu / one.lines * 1e6:.1f}",
                f"{one.postgres_cpu / one.lines * 1e6:.1f}",
                f"{one.peak_mib:.0f}",
                f"{one.database_bytes / 2**30:.1f}",
            )
            for one in found
        ],
    )


async def _database_bytes(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        size: int = await connection.fetchval("select pg_database_size(current_database())")
    finally:
        await connection.close()
    return size


def _tell(one: Imported) -> None:
    print(
        f"import: {one.lines:,} lines by {one.workers} in {one.seconds:.1f} s, "
        f"{one.peak_mib:.0f} MiB",
        file=sys.stderr,
        flush=True,
    )
