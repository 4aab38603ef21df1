"""Lines a second that `import` stores, and the memory it takes, however long the file is.

The real command, a process of its own, reads lines from a pipe while they are made. Every line is a
new sample.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from bench.machine import Memory, conditions, cpu_seconds, memory
from bench.postgres import server_version
from bench.report import Result, Table
from bench.workload import RECEIVERS, Workload
from devtelemetry.store.embedded import EmbeddedServer

START_MS = 1_772_409_600_000  # 2026-03-02T00:00Z
LINES_A_DAY = 1_000_000  # of event time: ten million lines fill ten partitions

_LOOK_SECONDS = 0.05  # between two looks at the memory of a process that ends by itself


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lines",
        type=int,
        nargs="+",
        default=[300_000, 1_000_000],
        metavar="N",
        help="of one file; memory is read after each of them",
    )
    parser.add_argument(
        "--receivers", type=int, default=5, help=f"of a message, up to {RECEIVERS} in all"
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """The importing process when it had taken so many lines."""

    lines: int
    seconds: float  # since its start
    cpu_seconds: float
    memory_mib: Memory


def run(options: argparse.Namespace) -> Result:
    with (
        TemporaryDirectory(prefix="devtelemetry-bench-") as directory,
        # Running already: what is measured does not start PostgreSQL.
        EmbeddedServer(Path(directory) / "data") as server,
    ):
        before = conditions(asyncio.run(server_version(server.url)))
        marks = _import(Path(directory), options.receivers, sorted(set(options.lines)))
        stored_bytes = asyncio.run(_database_bytes(server.url))
    return Result(
        "Import",
        before,
        [_table(marks)],
        notes=(
            f"one file of {marks[-1].lines:,} lines, {options.receivers} receivers a message",
            f"the database has {stored_bytes / 2**30:.1f} GiB afterwards",
        ),
        figures={"marks": [asdict(mark) for mark in marks], "database_bytes": stored_bytes},
    )


def _import(directory: Path, receivers: int, counts: list[int]) -> list[Mark]:
    messages = -(-counts[-1] // receivers)
    workload = Workload(
        first_message=0,
        messages=messages,
        samples_per_request=1,
        start_ms=START_MS,
        messages_per_second=LINES_A_DAY / receivers / 86_400,
        receivers=receivers,
    )
    log = directory / "import.log"
    with log.open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "devtelemetry",
                "import",
                f"--data-dir={directory / 'data'}",
                "-",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    marks = []
    try:
        for mark in _feed(process, workload, counts, started):
            marks.append(mark)
            _tell(mark)
        assert process.stdout is not None
        said = process.stdout.read().decode().strip()
    finally:
        process.kill()
        process.wait()
    expected = f"imported {workload.samples}, duplicates 0, rejected 0"
    assert said == expected, f"{said}\n{log.read_text()}"
    return marks


def _feed(
    process: "subprocess.Popen[bytes]", workload: Workload, counts: list[int], started: float
) -> Iterator[Mark]:
    """Writes all lines. Yields a mark after each of `counts`, the last one when the process ends.

    A pipe holds little: what is written is read, but for a fraction of a batch.
    """
    assert process.stdin is not None
    waiting = deque(counts[:-1])
    written = 0
    with contextlib.suppress(BrokenPipeError):  # its log says why it ended
        for lines in workload.lines():
            process.stdin.write(lines)
            written += workload.receivers
            if waiting and written >= waiting[0]:
                waiting.popleft()
                yield _mark(process.pid, written, started)
        process.stdin.close()
    last = _mark(process.pid, written, started)
    resident = last.memory_mib.resident  # of the import, not of its leaving
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        mark = _mark(process.pid, written, started)
        if mark.memory_mib.peak > 0:  # else it has just ended, and has no memory any more
            last = mark
    yield replace(last, memory_mib=Memory(resident, last.memory_mib.peak))


def _mark(pid: int, lines: int, started: float) -> Mark:
    return Mark(lines, time.perf_counter() - started, cpu_seconds([pid]), memory([pid]))


def _table(marks: list[Mark]) -> Table:
    rows = []
    before = Mark(0, 0.0, 0.0, Memory(0.0, 0.0))
    for mark in marks:
        lines = mark.lines - before.lines
        rows.append(
            (
                f"{mark.lines:,}",
                f"{mark.seconds:,.0f}",
                f"{lines / (mark.seconds - before.seconds):,.0f}",
                f"{(mark.cpu_seconds - before.cpu_seconds) / lines * 1e6:.1f}",
                f"{mark.memory_mib.resident:.0f}",
                f"{mark.memory_mib.peak:.0f}",
            )
        )
        before = mark
    return Table(
        "The importing process after so many lines of one file",
        (
            "lines",
            "seconds",
            "lines/s since the row before",
            "µs/line",
            "resident MiB",
            "peak MiB",
        ),
        rows,
    )


async def _database_bytes(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        size: int = await connection.fetchval("select pg_database_size(current_database())")
    finally:
        await connection.close()
    return size


def _tell(mark: Mark) -> None:
    print(
        f"import: {mark.lines:,} lines in {mark.seconds:.0f} s, {mark.memory_mib.resident:.0f} MiB",
        file=sys.stderr,
        flush=True,
    )
