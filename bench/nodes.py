"""What SIGKILL of a cluster's nodes costs: they are killed in turn under load.

You provide the cluster: a database for this benchmark only, which `devtelemetry distribute` spread.
For each node, an option names its postmaster.pid and the command that starts it again.
"""

import argparse
import asyncio
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bench.machine import conditions
from bench.report import Result, Table
from bench.workload import Workload
from devtelemetry.v1 import PUSH, telemetry_pb2
from support.server import ServerProcess

_PER_REQUEST = 100
_DEADLINE_SECONDS = 30.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument(
        "--node",
        action="append",
        required=True,
        metavar="PIDFILE=COMMAND",
        help="a node to kill; repeat the option to kill several in turn",
    )
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--apart", type=float, default=5.0, help="seconds of load before each kill")
    parser.add_argument("--away", type=float, default=2.0, help="seconds that a node is away")
    parser.add_argument("--seed", type=int, default=1)


@dataclass(slots=True)
class _Load:
    """acked: acknowledged samples, by message id; waits: seconds that each request took"""

    acked: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    is_over: bool = False


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    nodes = [node.partition("=")[::2] for node in options.node]
    with (
        tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name,
        ServerProcess(Path(name) / "data", f"--database={options.database}") as server,
    ):
        load, back = asyncio.run(_under_load(options, nodes, server.grpc))
    stored = Counter(_stored(options.database))
    missing = sum((load.acked - stored).values())
    load.waits.sort()
    rows = [
        ("kills", str(options.kills)),
        ("samples that were acknowledged", f"{sum(load.acked.values()):,}"),
        ("of them missing", str(missing)),
        ("answers that were errors, and sent again", str(sum(load.errors.values()))),
        ("longest wait of a request, s", f"{load.waits[-1]:.1f}"),
        ("a node was back after, s", f"{min(back):.1f} to {max(back):.1f}"),
    ]
    figures = {
        "acked": sum(load.acked.values()),
        "missing": missing,
        "errors": dict(load.errors),
        "back": back,
        "waits": [load.waits[len(load.waits) // 2], load.waits[-1]],
    }
    title = f"{options.kills} kills of {len(nodes)} nodes under {options.connections} connections"
    return Result("Nodes", about, [Table(title, ("", ""), rows)], figures=figures)


async def _under_load(
    options: argparse.Namespace, nodes: list[tuple[str, str]], target: str
) -> tuple[_Load, list[float]]:
    load = _Load()
    requests = _requests()
    pushing = [
        asyncio.create_task(_push(target, requests, load)) for _ in range(options.connections)
    ]
    dice = random.Random(options.seed)
    back = []
    for kill in range(options.kills):
        await asyncio.sleep(options.apart * dice.uniform(0.5, 1.5))
        pid_file, start = nodes[kill % len(nodes)]
        began = time.monotonic()
        await asyncio.to_thread(_kill, pid_file)
        await asyncio.sleep(options.away)
        await asyncio.to_thread(_start, start)
        back.append(time.monotonic() - began)
    await asyncio.sleep(options.apart)
    load.is_over = True
    await asyncio.gather(*pushing)
    return load, back


def _requests() -> Iterator[telemetry_pb2.PushRequest]:
    start_ms = int(time.time() * 1000) - 3_600_000
    first = 0
    while True:
        yield from Workload(first, _PER_REQUEST, _PER_REQUEST, start_ms, 1000.0).requests()
        first += _PER_REQUEST


async def _push(target: str, requests: Iterator[telemetry_pb2.PushRequest], load: _Load) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary(
            PUSH,
            request_serializer=telemetry_pb2.PushRequest.SerializeToString,
            response_deserializer=telemetry_pb2.PushResponse.FromString,
        )
        while not load.is_over:
            request = next(requests)
            began = time.monotonic()
            # Sends it again until it is acknowledged, as a client does.
            while True:
                try:
                    await call(request, timeout=_DEADLINE_SECONDS)
                except grpc.aio.AioRpcError as error:
                    load.errors[error.code().name] += 1
                    await asyncio.sleep(0.5)
                else:
                    break
            load.waits.append(time.monotonic() - began)
            load.acked.update(sample.message_id for sample in request.samples)


def _kill(pid_file: str) -> None:
    """Kills the postmaster and all its children at once, so that no process can finish its work."""
    postmaster = int(Path(pid_file).read_text().split()[0])
    children = [
        int(directory.name)
        for directory in Path("/proc").iterdir()
        if directory.name.isdigit() and _parent(directory) == postmaster
    ]
    for pid in (postmaster, *children):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _start(command: str) -> None:
    while subprocess.run(shlex.split(command), capture_output=True, check=False).returncode:
        time.sleep(0.2)  # its last processes are still ending


def _stored(database: str) -> Iterator[str]:
    """The message id of each stored sample."""
    done = subprocess.run(
        [sys.executable, "-m", "devtelemetry", "export", f"--database={database}"],
        capture_output=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        said = json.loads(line)
        if "messageId" in said:
            yield said["messageId"]
