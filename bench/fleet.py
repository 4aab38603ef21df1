"""A fleet of devices that push at their own times to a real server, beside what `plan` forecasts.

The times are those of the client (docs/client.md): a device pushes when its oldest sample has
waited for the push interval, and sends a heartbeat after half an hour of silence. Both times are
shortened by up to a fifth. The requests are made before, and replayed over real connections.
"""

import argparse
import asyncio
import pickle
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from bench.fleet_load import Outcome, Push, Replay
from bench.machine import Memory, conditions
from bench.postgres import server_version
from bench.report import Result, Table
from bench.serving import Serve, run_json
from bench.workload import device_request
from devtelemetry.estimate.machines import DAY_SECONDS, Fleet, Machines, needs_of
from devtelemetry.runtime.clock import now_ms

WARM_UP_SECONDS = 10.0  # in which the server meets the first channels and receivers
IDLE_SECONDS = 15.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=120.0, help="of load for each fleet")
    parser.add_argument(
        "--fleet",
        nargs="+",
        default=["200:60", "400:60", "4000:600"],
        metavar="MESSAGES:SECONDS",
        help="messages a device gets in a day, and its push interval",
    )
    parser.add_argument(
        "--check",
        nargs="*",
        default=["1000:300"],
        metavar="MESSAGES:SECONDS",
        help="the same, for fleets that the fitted costs do not use",
    )
    parser.add_argument("--receivers", type=int, default=25, help="of each message")
    parser.add_argument(
        "--held", type=int, nargs="+", default=[0], help="held connections; 0: one for each push"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes of serve")


@dataclass(frozen=True, slots=True)
class Run:
    """One run. CPU is in seconds of one processor, memory in MiB, sizes in bytes."""

    fleet: Fleet
    held: int
    seconds: float
    requests: float  # a second
    samples: float  # a second
    server_cpu: float  # a second, without idle_cpu
    postgres_cpu: float  # a second, without idle_cpu
    idle_cpu: float  # a second, of server and PostgreSQL while nobody pushes
    load_cpu: float  # a second
    wire_bytes: float  # a second
    disk_bytes: int  # growth of tables and indexes in this time
    log_bytes: int  # of the write-ahead log written in this time
    p50_ms: float
    p99_ms: float
    latest_ms: float
    refused: int
    most_open: int
    memory_mib: Memory


def run(options: argparse.Namespace) -> Result:
    runs = []
    before: dict[str, str] = {}
    for held in options.held:
        for said in (*options.fleet, *options.check):
            messages, interval = map(float, said.split(":"))
            fleet = Fleet(options.devices, messages, options.receivers, push_interval=interval)
            # Each fleet has a database of its own, so that sizes are those of its samples.
            with Serve(options.workers) as serve:
                before = before or conditions(asyncio.run(server_version(serve.url)))
                runs.append(_run(serve, fleet, held, options.seconds))
            _tell(runs[-1])
    return Result(
        "Fleet",
        before,
        [_table(runs), _fitted(runs[: len(options.fleet)]), _beside(runs)],
        notes=(
            f"{options.devices:,} devices, {options.seconds:g} s of each fleet",
            f"{options.receivers} receivers a message, `serve --workers {options.workers}`",
            "server, devices and PostgreSQL share the cores; no TLS",
        ),
        figures={"runs": [asdict(one) for one in runs]},
    )


def _run(serve: Serve, fleet: Fleet, held: int, seconds: float) -> Run:
    pushes = list(_pushes(fleet, WARM_UP_SECONDS + seconds, now_ms() + 5_000))
    warm_up = [one for one in pushes if one.at_seconds < WARM_UP_SECONDS]
    _replay(serve, warm_up, held)
    rest = [
        Push(one.at_seconds - WARM_UP_SECONDS, one.device, one.samples, one.body)
        for one in pushes[len(warm_up) :]
    ]
    disk, log = asyncio.run(_sizes(serve.url))
    idle = serve.cpu()
    time.sleep(IDLE_SECONDS)
    server, postgres = serve.cpu()
    idle_server, idle_postgres = (
        (now - then) / IDLE_SECONDS for now, then in zip((server, postgres), idle, strict=True)
    )
    outcome = _replay(serve, rest, held)
    server_after, postgres_after = serve.cpu()
    disk_after, log_after = asyncio.run(_sizes(serve.url))
    return Run(
        fleet,
        held,
        outcome.seconds,
        outcome.pushes / outcome.seconds,
        outcome.samples / outcome.seconds,
        (server_after - server) / outcome.seconds - idle_server,
        (postgres_after - postgres) / outcome.seconds - idle_postgres,
        idle_server + idle_postgres,
        outcome.cpu_seconds / outcome.seconds,
        outcome.wire_bytes / outcome.seconds,
        disk_after - disk,
        log_after - log,
        outcome.latencies_ms["p50"],
        outcome.latencies_ms["p99"],
        outcome.latest_ms,
        outcome.refused,
        outcome.most_open,
        serve.memory(),
    )


def _replay(serve: Serve, pushes: Sequence[Push], held: int) -> Outcome:
    host, _, port = serve.target.rpartition(":")
    with TemporaryDirectory(prefix="devtelemetry-bench-") as directory:
        file = Path(directory) / "replay"
        file.write_bytes(pickle.dumps(Replay(host, int(port), pushes, held)))
        outcome = Outcome(**run_json("bench.fleet_load", str(file)))
    assert not outcome.failed, outcome
    return outcome


def _pushes(fleet: Fleet, seconds: float, start_ms: int) -> Iterator[Push]:
    """The pushes of all devices from the start on, in order. The fleet was at work before."""
    dice = random.Random(f"fleet {fleet}")
    longest = max(fleet.interval, fleet.heartbeat)
    found: list[tuple[float, int, Sequence[float]]] = []
    receivers = int(fleet.receivers)
    for channel in range(fleet.devices // receivers):
        sent = list(_messages(dice, fleet.messages / DAY_SECONDS, -2 * longest, seconds))
        for member in range(receivers):
            device = channel * receivers + member
            found += _of_device(dice, fleet, device, sent, seconds)
    found.sort(key=lambda one: one[0])
    for at, device, messages in found:
        request = device_request(
            device,
            device // receivers,
            [start_ms + int(sent * 1000) for sent in messages],
            start_ms + int(at * 1000),
        )
        yield Push(at, device, len(messages), request.SerializeToString())


def _messages(dice: random.Random, rate: float, begin: float, end: float) -> Iterator[float]:
    """When messages are sent, in seconds: at random, `rate` a second on average."""
    at = begin
    while (at := at + dice.expovariate(rate)) < end:
        yield at


def _of_device(
    dice: random.Random, fleet: Fleet, device: int, sent: Sequence[float], seconds: float
) -> Iterator[tuple[float, int, Sequence[float]]]:
    """The pushes of one device: when, which device, and when each of its messages was sent."""
    # Each device began at a random time. Otherwise all would push at the same times.
    last = -dice.uniform(1, 2) * max(fleet.interval, fleet.heartbeat)
    waiting: list[float] = []
    share = dice.uniform(0.8, 1.0)
    for at in [*(one for one in sent if one > last), float("inf")]:
        while True:
            due = waiting[0] + share * fleet.interval if waiting else last + share * fleet.heartbeat
            if due >= min(at, seconds):
                break
            if due >= 0:
                yield due, device, waiting
            last, waiting, share = due, [], dice.uniform(0.8, 1.0)
        if at > seconds:
            return
        waiting.append(at)


async def _sizes(url: str) -> tuple[int, int]:
    """Bytes of tables and indexes, and of the log written since the database was made."""
    connection = await asyncpg.connect(url)
    try:
        return (
            await connection.fetchval("select pg_database_size(current_database())"),
            int(await connection.fetchval("select pg_current_wal_lsn() - '0/0'::pg_lsn")),
        )
    finally:
        await connection.close()


def _table(runs: Sequence[Run]) -> Table:
    return Table(
        "What a fleet takes",
        (
            *("messages a day", "push interval", "connections", "requests/s", "samples/s"),
            *("server cores", "PostgreSQL cores", "idle cores", "kB/s on the wire"),
            *(
                "p50 ms",
                "p99 ms",
                "refused",
                "open at once",
                "disk bytes a sample",
                "log bytes a sample",
                "server MiB",
            ),
        ),
        [
            (
                f"{one.fleet.messages:,.0f}",
                f"{one.fleet.push_interval:g} s",
                f"{one.held} held" if one.held else "one a push",
                f"{one.requests:,.1f}",
                f"{one.samples:,.1f}",
                f"{one.server_cpu:.3f}",
                f"{one.postgres_cpu:.3f}",
                f"{one.idle_cpu:.3f}",
                f"{one.wire_bytes / 1000:,.0f}",
                f"{one.p50_ms:.1f}",
                f"{one.p99_ms:.1f}",
                f"{one.refused}",
                f"{one.most_open}",
                f"{one.disk_bytes / one.samples / one.seconds:,.0f}",
                f"{one.log_bytes / one.samples / one.seconds:,.0f}",
                f"{one.memory_mib.resident:.0f}",
            )
            for one in runs
        ],
    )


def _fitted(runs: Sequence[Run]) -> Table:
    """What a request costs, and what a sample costs, by least squares."""
    quantities = {
        "server_us": [one.server_cpu * 1e6 for one in runs],
        "postgres_us": [one.postgres_cpu * 1e6 for one in runs],
        "wire_bytes": [one.wire_bytes for one in runs],
        "log_bytes": [one.log_bytes / one.seconds for one in runs],
    }
    requests, samples = [one.requests for one in runs], [one.samples for one in runs]
    rows = []
    for name, taken in quantities.items():
        of_request, of_sample = _least_squares(requests, samples, taken)
        rows.append((name, f"{of_request:,.0f}", f"{of_sample:,.1f}"))
    return Table("Constants that these fleets give", ("", "a request", "a sample"), rows)


def _least_squares(
    a: Sequence[float], b: Sequence[float], c: Sequence[float]
) -> tuple[float, float]:
    """x and y for which a·x + b·y is closest to c, by relative errors."""
    rows = [(one / of, other / of) for one, other, of in zip(a, b, c, strict=True)]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    ac, bc = sum(row[0] for row in rows), sum(row[1] for row in rows)
    determinant = aa * bb - ab * ab
    if not determinant:
        return float("nan"), float("nan")  # one fleet cannot tell requests from samples
    return (ac * bb - bc * ab) / determinant, (aa * bc - ab * ac) / determinant


def _beside(runs: Sequence[Run]) -> Table:
    """What `plan` forecasts for the same fleets."""
    rows = []
    for one in runs:
        plan = needs_of(one.fleet, Machines(peak=1))
        rows.append(
            (
                f"{one.fleet.messages:,.0f}, {one.fleet.push_interval:g} s",
                f"{one.requests:,.1f} / {plan.requests:,.1f}",
                f"{one.samples:,.1f} / {plan.samples:,.1f}",
                f"{one.server_cpu:.3f} / {plan.server_cores:.3f}",
                f"{one.postgres_cpu:.3f} / {plan.postgres_cores:.3f}",
                f"{one.wire_bytes / 1000:,.0f} / {plan.network / 1000:,.0f}",
            )
        )
    return Table(
        "Measured / planned",
        ("fleet", "requests/s", "samples/s", "server cores", "PostgreSQL cores", "kB/s"),
        rows,
    )


def _tell(one: Run) -> None:
    print(
        f"fleet: {one.fleet.messages:g} messages a day, every {one.fleet.push_interval:g} s: "
        f"{one.requests:.0f} requests/s, {one.samples:.0f} samples/s, "
        f"{one.server_cpu:.2f} + {one.postgres_cpu:.2f} cores",
        file=sys.stderr,
        flush=True,
    )
