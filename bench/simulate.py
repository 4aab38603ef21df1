"""Measured figures of networks with known losses: the table of docs/evidence/networks.md.

For each network, `devtelemetry simulate` runs one simulated hour with a fixed seed against a real
`serve` process. Then `aggregate --timeframe 1h --window-start …` computes the figures, which are
put beside the truth. They are the same on every machine.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.machine import conditions
from bench.postgres import server_version
from bench.report import Result, Table
from devtelemetry.simulator.compare import Comparison, Figures, compare
from devtelemetry.simulator.server import ServeProcess
from devtelemetry.simulator.show import stages
from devtelemetry.store.embedded import EmbeddedServer


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    options: Sequence[str]


CASES = (
    Case("nothing", ("--loss=0",)),
    Case("independent", ("--loss-model=independent", "--loss=0.05")),
    Case("bursts", ("--loss-model=bursts", "--loss=0.05")),
    Case("platform", ("--loss-model=platform", "--loss=0.03")),
    Case("release", ("--loss-model=release", "--loss=0.03")),
    Case("sending", ("--loss-model=sending", "--loss=0.03")),
    Case("path", ("--loss-model=path", "--loss=0.03")),
    Case("everyone", ("--loss-model=everyone", "--loss=0.05")),
    Case("stages", ("--loss-model=stages", "--loss=0.1")),
    Case("mixed", ("--loss-model=mixed", "--loss=0.05")),
    Case("everyone, outsiders", ("--loss-model=everyone", "--loss=0.05", "--outsiders=0.3")),
    Case("mixed, reports lost", ("--loss-model=mixed", "--loss=0.05", "--report-loss=0.1")),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="draw the channels into this file"
    )


@dataclass(frozen=True, slots=True)
class Found:
    case: Case
    truth: dict[str, Any]  # of its only window
    whole: Comparison
    channels: Sequence[Comparison]
    seconds: float


def run(options: argparse.Namespace) -> Result:
    with (
        TemporaryDirectory(prefix="devtelemetry-bench-") as directory,
        ServeProcess(Path(directory) / "data", "--log-level=warning") as server,
    ):
        server.wait_until_ready()
        with EmbeddedServer(server.data_dir) as database:
            before = conditions(asyncio.run(server_version(database.url)))
        found = [_simulate(case, server, options.nodes, options.seed) for case in CASES]
    if options.picture is not None:
        from bench.picture import draw  # noqa: PLC0415 - takes its time, and nobody else needs it

        draw([(one.case.name, one.whole, one.channels) for one in found], options.picture)
    return Result(
        "Measured beside true",
        before,
        [_ratios(found), _pairs(found), _stages(found)],
        notes=(f"{options.nodes} nodes, 12 channels, one hour, seed {options.seed}",),
        figures={"cases": [_figures(one) for one in found]},
    )


def _simulate(case: Case, server: ServeProcess, nodes: int, seed: int) -> Found:
    path = server.data_dir.with_name("truth.json")
    started = time.perf_counter()
    _devtelemetry(
        "simulate",
        f"--target={server.grpc}",
        f"--truth={path}",
        f"--nodes={nodes}",
        f"--seed={seed}",
        *case.options,
    )
    seconds = time.perf_counter() - started
    truth = json.loads(path.read_text())
    (window,) = truth["windows"]
    of_server = (f"--data-dir={server.data_dir}", "--timeframe=1h")
    _devtelemetry("aggregate", *of_server, f"--window-start={window['start']}")
    report = json.loads(_devtelemetry("report", *of_server, "--json"))
    whole, *channels = compare(truth, report)
    print(f"simulate: {case.name}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return Found(case, window, whole, channels, seconds)


def _devtelemetry(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "devtelemetry", *arguments],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout


def _ratios(found: Sequence[Found]) -> Table:
    return Table(
        "Delivery ratio and R, in percent; the difference in points",
        ("losses", "true", "measured", "difference", "true R", "measured R", "difference"),
        [
            (
                one.case.name,
                *_beside(one.whole.true.delivery_ratio, _measured(one).delivery_ratio),
                *_beside(one.whole.true.reliability, _measured(one).reliability),
            )
            for one in found
        ],
    )


def _beside(true: float | None, measured: float | None) -> tuple[str, str, str]:
    assert true is not None
    assert measured is not None
    return f"{100 * true:.2f}", f"{100 * measured:.2f}", f"{100 * (measured - true):+.2f}"


def _pairs(found: Sequence[Found]) -> Table:
    return Table(
        "The pairs that they are made of",
        ("losses", "expected", "counted", "unknown", "lost", "missing", "invisible", "untold"),
        [
            (
                one.case.name,
                f"{one.whole.true.counts.expected:,}",
                f"{_measured(one).counts.expected:,}",
                f"{_measured(one).counts.unknown:,}",
                f"{one.whole.true.counts.missing:,}",
                f"{_measured(one).counts.missing:,}",
                f"{one.truth['invisible']:,}",
                f"{one.truth['untold']:,}",
            )
            for one in found
        ],
    )


def _stages(found: Sequence[Found]) -> Table:
    return Table(
        "What became of the missing pairs, and how came the others: true / measured",
        ("losses", *stages(found[0].whole.true)),
        [
            (
                one.case.name,
                *(
                    f"{true:,} / {measured:,}"
                    for true, measured in zip(
                        stages(one.whole.true).values(),
                        stages(_measured(one)).values(),
                        strict=True,
                    )
                ),
            )
            for one in found
        ],
    )


def _measured(found: Found) -> Figures:
    assert found.whole.measured is not None, "it was computed"
    return found.whole.measured


def _figures(found: Found) -> dict[str, Any]:
    return {
        "name": found.case.name,
        "options": found.case.options,
        "truth": found.truth,
        "measured": _measured(found),
        "seconds": found.seconds,
    }
