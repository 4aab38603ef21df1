"""How long the client holds up its app's thread, and how much of that is due to the machine.

A call takes long for one of three reasons. It works so long (processor time). Other processes
displace it (preemptions). Or it waits: for a lock, for the disk, or for Python's GIL, which the
client's own thread may hold during one of its steps.
"""

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.client import running_server
from bench.machine import conditions
from bench.report import Result, Table
from devtelemetry.client import Settings, TelemetryClient, Timing
from devtelemetry.client.sender import Sender

LONG_MS = 5.0
_STEPS = ("_look_at_settings", "_flush", "_push_batch", "_take_answer")
_LOADS = (("3 a second", 0.3, 0.05), ("50 a second", 0.02, 1.0), ("500 a second", 0.002, 8.0),
          ("one right after the other", 0.0, 20.0))  # fmt: skip


class Used(NamedTuple):
    """Of the calling thread: wall clock and processor time in ms, and how often it waited."""

    wall: float
    cpu: float
    waits: int  # for a lock or the disk
    preemptions: int  # because other processes got the processor

    def since(self, before: "Used") -> "Used":
        return Used(
            self.wall - before.wall,
            self.cpu - before.cpu,
            self.waits - before.waits,
            self.preemptions - before.preemptions,
        )


def _used() -> Used:
    of_thread = resource.getrusage(resource.RUSAGE_THREAD)
    wall, cpu = time.perf_counter_ns() / 1e6, time.thread_time_ns() / 1e6
    return Used(wall, cpu, of_thread.ru_nvcsw, of_thread.ru_nivcsw)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=float, default=1.0, help="factor on the calls of each load")


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    steps: defaultdict[str, list[Used]] = defaultdict(list)
    for name in _STEPS:
        setattr(Sender, name, _timed(getattr(Sender, name), steps[name]))
    rows, of_steps = [], []
    with tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name:
        directory = Path(name)
        with running_server(directory / "server") as server:
            settings = Settings(directory / "node.db")
            settings.enable()
            timing = Timing(flush=0.2, batch=1.0)
            client = TelemetryClient(settings, server, receiver_public_key="0x04aa", timing=timing)
            client.start()
            for load, pause, thousands in _LOADS:
                count = int(1000 * thousands * options.times)
                rows.append(_row(load, _call(client, load, count, pause)))
                of_steps += [_of_step(load, name, found) for name, found in steps.items() if found]
                for found in steps.values():
                    found.clear()
            client.close(timeout=30.0)
    return Result(
        "Held",
        about,
        [
            Table(
                "Calls of the app, ms",
                ("messages", "calls", "wall p50", "p99", "most", "processor p99", "most",
                 f"wall over {LONG_MS:g}", "of these preempted", "waited by itself alone"),
                rows,
            ),
            Table(
                "Steps of the client's own thread, ms of the processor",
                ("messages", "step", "times", "p50", "most"),
                of_steps,
            ),
        ],
    )  # fmt: skip


def _timed(step: Callable[..., Any], found: list[Used]) -> Callable[..., Any]:
    def timed(sender: Sender, *arguments: Any) -> Any:
        before = _used()
        try:
            return step(sender, *arguments)
        finally:
            found.append(_used().since(before))

    return timed


def _call(client: TelemetryClient, load: str, count: int, pause: float) -> list[Used]:
    found = []
    sent_at = time.time_ns() // 1_000_000 + 1000
    for number in range(count):
        message_id, channel_id = f"{load} {number}", f"channel-{number % 20}"
        before = _used()
        client.message_received(message_id=message_id, channel_id=channel_id, sent_at=sent_at)
        found.append(_used().since(before))
        if pause:
            time.sleep(pause)
    return found


def _row(load: str, calls: Sequence[Used]) -> tuple[str, ...]:
    walls, cpus = (sorted(times) for times in list(zip(*calls, strict=True))[:2])
    long = [call for call in calls if call.wall > LONG_MS]
    return (
        load,
        f"{len(calls):,}",
        *(f"{value:.2f}" for value in (_at(walls, 0.5), _at(walls, 0.99), walls[-1])),
        *(f"{value:.2f}" for value in (_at(cpus, 0.99), cpus[-1])),
        str(len(long)),
        str(sum(call.preemptions > 0 for call in long)),
        str(sum(call.waits > 0 and not call.preemptions for call in long)),
    )


def _of_step(load: str, name: str, found: Sequence[Used]) -> tuple[str, ...]:
    cpus = sorted(step.cpu for step in found)
    return load, name.strip("_"), str(len(found)), f"{_at(cpus, 0.5):.2f}", f"{cpus[-1]:.2f}"


def _at(ranked: Sequence[float], share: float) -> float:
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
