"""What the client costs the app that embeds it: calls, memory, disk, wake-ups when idle."""

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.machine import conditions, memory
from bench.report import Result, Table
from devtelemetry.client import Limits, Settings, TelemetryClient, Timing

NOBODY = "127.0.0.1:1"  # nobody listens on this port
_CHANNELS = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--pace", type=float, default=0.5, help="ms between paced calls")
    parser.add_argument("--samples", type=int, default=100_000, help="samples in the outbox")
    parser.add_argument("--idle", type=float, default=120.0, metavar="SECONDS")


@dataclass(frozen=True, slots=True)
class Calls:
    """Times of one call, in µs."""

    how: str
    calls: int
    median: float
    p99: float
    p999: float
    slowest: float


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    with tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name:
        directory = Path(name)
        with running_server(directory / "server") as server:
            calls = _calls(directory, server, options.calls, options.pace)
            outbox = _outbox(directory, options.samples)
            idle = _idle(directory, server, options.idle)
    sizes = [
        ("samples", f"{options.samples:,}"),
        ("file, MiB", f"{outbox['file'] / 2**20:.1f}"),
        ("bytes a sample in the file", f"{outbox['file'] / options.samples:.0f}"),
        ("memory of the process before, MiB", f"{outbox['before']:.1f}"),
        ("memory with that many waiting, MiB", f"{outbox['after']:.1f}"),
        ("file after the opt-out, KiB", f"{outbox['wiped'] / 1024:.0f}"),
    ]
    idleness = [
        ("measured for, seconds", f"{options.idle:.0f}"),
        ("rounds of the client's thread in that time", f"{idle['rounds']:.0f}"),
        ("wake-ups of all threads in that time", f"{idle['switches']:.0f}"),
        ("wake-ups a second while a connection is open", f"{idle['connected']:.1f}"),
        ("wake-ups a second before there was a client", f"{idle['without']:.2f}"),
    ]
    return Result(
        name="Client",
        conditions={**about, "SQLite": sqlite3.sqlite_version},
        tables=[
            Table(
                "Time of one `message_received` on the app's thread, µs",
                ("", "calls", "median", "p99", "p99.9", "slowest"),
                [
                    (
                        one.how,
                        f"{one.calls:,}",
                        *(f"{value:.1f}" for value in (one.median, one.p99, one.p999, one.slowest)),
                    )
                    for one in calls
                ],
            ),
            Table("An outbox that nobody empties", ("", ""), sizes),
            Table("Idle: switched on, all sent", ("", ""), idleness),
        ],
        figures={"calls": [asdict(one) for one in calls], "outbox": outbox, "idle": idle},
    )


@contextmanager
def running_server(data_dir: Path) -> Iterator[str]:
    """Runs a real server; yields its gRPC address."""
    arguments = ("--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--log-level=warning")
    process = subprocess.Popen(
        [sys.executable, "-m", "devtelemetry", "serve", f"--data-dir={data_dir}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("ready "):
        raise SystemExit("the server did not start")
    try:
        yield dict(part.split("=", 1) for part in line.split()[1:])["grpc"]
    finally:
        process.terminate()
        process.wait(timeout=60)


def _calls(directory: Path, server: str, calls: int, pace_ms: float) -> list[Calls]:
    settings = Settings(directory / "calls.db")
    client = TelemetryClient(settings, server, receiver_public_key="0x04aa", platform="desktop")
    client.start()
    results = [_measure("off", client, calls, 0.0)]
    settings.enable()
    results.append(_measure("on, one right after the other", client, calls, 0.0))
    results.append(_measure(f"on, one every {pace_ms} ms", client, calls // 5, pace_ms))
    client.close(timeout=30.0)
    return results


def _measure(how: str, client: TelemetryClient, calls: int, pace_ms: float) -> Calls:
    took = []
    sent_at = time.time_ns() // 1_000_000 + 1000
    ids = [(f"0x{number:064x}", f"channel-{number % _CHANNELS}") for number in range(calls)]
    for message_id, channel_id in ids:
        before = time.perf_counter_ns()
        client.message_received(message_id=message_id, channel_id=channel_id, sent_at=sent_at)
        took.append(time.perf_counter_ns() - before)
        if pace_ms:
            time.sleep(pace_ms / 1000)
    ranked = sorted(took)
    return Calls(
        how,
        calls,
        statistics.median(took) / 1000,
        ranked[int(calls * 0.99)] / 1000,
        ranked[int(calls * 0.999)] / 1000,
        ranked[-1] / 1000,
    )


def _outbox(directory: Path, samples: int) -> dict[str, float]:
    """Disk and memory of a full outbox, in bytes and MiB."""
    settings = Settings(directory / "outbox.db")
    settings.enable()
    limits = Limits(samples=samples, size_bytes=2**30)
    client = TelemetryClient(settings, NOBODY, receiver_public_key="0x04aa", limits=limits)
    client.start()
    before = memory([os.getpid()]).resident
    sent_at = time.time_ns() // 1_000_000 + 1000
    for number in range(samples):
        client.message_received(
            message_id=f"0x{number:064x}",
            channel_id=f"0x{number % _CHANNELS:064x}",
            sent_at=sent_at + number,
            topics=b"\0" * 4,
            envelope_id=f"0x{number:064x}",
            message_type="CHAT_MESSAGE",
            message_size=200,
        )
        if number % 1000 == 0:
            time.sleep(0.02)  # waits for the outbox, so that samples do not gather in memory
    _wait(lambda: settings.status().waiting == samples)
    after = memory([os.getpid()]).resident
    client.close(timeout=0.1)
    file = _size(settings)
    settings.disable()
    return {"before": before, "after": after, "file": file, "wiped": _size(settings)}


def _size(settings: Settings) -> int:
    path = settings.storage.path
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.is_file())


def _idle(directory: Path, server: str, seconds: float) -> dict[str, float]:
    without = _switches_while_idle(min(seconds, 60.0)) / min(seconds, 60.0)
    settings = Settings(directory / "idle.db")
    settings.enable()
    client = TelemetryClient(settings, server, receiver_public_key="0x04aa")
    client.start()
    client.message_received(
        message_id="m", channel_id="c", sent_at=time.time_ns() // 1_000_000 + 1000
    )
    _wait(lambda: settings.status().acknowledged == 1)
    connected = _switches_while_idle(2.0) / 2.0
    time.sleep(Timing().idle_connection)  # after it the connection is closed
    rounds = client.wakeups
    switches = _switches_while_idle(seconds)
    rounds = client.wakeups - rounds
    client.close()
    return {
        "rounds": rounds,
        "switches": switches,
        "without": without,
        "connected": connected,
    }


def _switches_while_idle(seconds: float) -> int:
    before = _switches()
    time.sleep(seconds)
    return _switches() - before


def _switches() -> int:
    """How often the threads of this process went to sleep by themselves."""
    total = 0
    for status in Path("/proc/self/task").glob("*/status"):
        for line in _lines(status):
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def _lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # the thread has ended
        return ()


def _wait(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not in {seconds} s")
        time.sleep(0.05)
