"""Small requests, as phones send them, beside a bare gRPC echo of the same bodies.

A real `serve`, the echo (bench/echo.py) and a load generator run in processes of their own. The two
servers get the same requests in turn, over as many connections, one at a time on each.
"""

import argparse
import asyncio
import contextlib
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.load import Outcome, Plan
from bench.machine import conditions, cpu_seconds
from bench.postgres import server_version
from bench.report import Result, Table
from bench.serving import Serve, load
from bench.workload import RECEIVERS, Workload
from devtelemetry.runtime.clock import now_ms

PREPARED_A_SECOND = 8_000  # requests, more than the echo can answer
MESSAGES_PER_SECOND = 1_600  # of event time


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=6.0, help="of load in each cell")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; their median counts")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 10], help="in a request")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="processes of serve")


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, and CPU microseconds for each request."""

    samples: int
    workers: int
    echo: float
    served: float
    p50_ms: float
    p99_ms: float
    echo_cpu: float
    server_cpu: float
    postgres_cpu: float
    load_cpu: float

    @property
    def ratio(self) -> float:
        return self.served / self.echo


def run(options: argparse.Namespace) -> Result:
    rounds: list[Round] = []
    before: dict[str, str] = {}
    first = 0
    for workers in options.workers:
        with Serve(workers) as serve, _echo() as (target, pid):
            before = before or conditions(asyncio.run(server_version(serve.url)))
            for _ in range(options.rounds):
                for samples in options.samples:
                    work = _workload(first, samples, options.seconds)
                    first += work.messages
                    plan = Plan(target, work, options.connections, options.seconds, is_echo=True)
                    cpu = cpu_seconds([pid])
                    echoed = load(plan)
                    cpu = cpu_seconds([pid]) - cpu
                    plan = Plan(serve.target, work, options.connections, options.seconds)
                    server, postgres = serve.cpu()
                    served = load(plan)
                    server_after, postgres_after = serve.cpu()
                    assert not served.errors, served
                    assert not served.rejected, served
                    assert served.accepted == served.answered * samples, served
                    rounds.append(
                        Round(
                            samples,
                            workers,
                            echoed.answered / echoed.seconds,
                            served.answered / served.seconds,
                            served.latencies_ms["p50"],
                            served.latencies_ms["p99"],
                            _each(cpu, echoed),
                            _each(server_after - server, served),
                            _each(postgres_after - postgres, served),
                            _each(served.cpu_seconds, served),
                        )
                    )
                    _tell(rounds[-1])
    return Result(
        "Small requests",
        before,
        [_table(rounds)],
        notes=(
            f"{options.connections} connections; {options.rounds} rounds, the median is shown",
            f"echo and server are loaded in turn, {options.seconds:g} s each",
            "server, echo, load generator and PostgreSQL share the cores",
        ),
        figures={"rounds": [asdict(one) for one in rounds]},
    )


@contextlib.contextmanager
def _echo() -> Iterator[tuple[str, int]]:
    """Runs the echo; yields its address and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.echo"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1], process.pid
    finally:
        process.kill()
        process.wait()


def _workload(first: int, samples: int, seconds: float) -> Workload:
    blocks = math.ceil(PREPARED_A_SECOND * seconds / RECEIVERS)
    messages = blocks * samples
    start_ms = now_ms() - messages * 1000 // MESSAGES_PER_SECOND
    return Workload(first, messages, samples, start_ms, MESSAGES_PER_SECOND)


def _each(seconds: float, outcome: Outcome) -> float:
    return seconds / outcome.answered * 1e6


def _table(rounds: list[Round]) -> Table:
    cells: dict[tuple[int, int], list[Round]] = {}
    for one in rounds:
        cells.setdefault((one.samples, one.workers), []).append(one)

    def median(found: list[Round], name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in found))

    return Table(
        "Requests a second, and CPU µs a request",
        (
            *("samples a request", "workers", "echo/s", "served/s", "of echo", "from–to"),
            *("p50 ms", "p99 ms", "echo µs", "server µs", "PostgreSQL µs", "load µs"),
        ),
        [
            (
                f"{samples}",
                f"{workers}",
                f"{median(found, 'echo'):,.0f}",
                f"{median(found, 'served'):,.0f}",
                f"{median(found, 'ratio'):.2f}",
                f"{min(one.ratio for one in found):.2f}–{max(one.ratio for one in found):.2f}",
                f"{median(found, 'p50_ms'):.1f}",
                f"{median(found, 'p99_ms'):.1f}",
                f"{median(found, 'echo_cpu'):.0f}",
                f"{median(found, 'server_cpu'):.0f}",
                f"{median(found, 'postgres_cpu'):.0f}",
                f"{median(found, 'load_cpu'):.0f}",
            )
            for (samples, workers), found in cells.items()
        ],
    )


def _tell(one: Round) -> None:
    print(
        f"small: {one.samples} samples, {one.workers} workers: {one.served:,.0f}/s, "
        f"{one.ratio:.2f} of the echo",
        file=sys.stderr,
        flush=True,
    )
