"""What SIGKILL of a client costs: it is killed at random moments under load."""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.client import running_server
from bench.machine import conditions
from bench.report import Result, Table
from devtelemetry.client import Settings

_NODE = Path(__file__).parents[1] / "tests" / "support" / "node.py"
_NAME = "killed"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=float, default=2000.0, help="most messages a second")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name:
        directory = Path(name)
        settings = Settings(directory / "node.db")
        settings.enable()
        log = directory / "log"
        with running_server(directory / "server") as server:
            for _ in range(options.kills):
                before = log.stat().st_size if log.exists() else 0
                process = _start(settings, server, log, options.rate)
                while not log.exists() or log.stat().st_size == before:
                    time.sleep(0.001)
                time.sleep(dice.uniform(0.0, 0.4))
                process.send_signal(signal.SIGKILL)
                process.wait()
            last = _start(settings, server, log, options.rate, "10")
            if last.wait(timeout=120):
                raise SystemExit("the client did not end in order")
            waiting = settings.status().waiting
        stored = _stored(directory / "server")
        returned, begun = _said(log, "done"), _said(log, "begun")
        dropped = settings.status().dropped
    missing = returned - set(stored)
    rows = [
        ("kills", str(options.kills)),
        ("calls that had returned", f"{len(returned):,}"),
        ("calls that a kill interrupted", f"{len(begun - returned):,}"),
        ("on the server", f"{len(stored):,}"),
        ("of those that had returned, missing", str(len(missing))),
        ("there twice", str(len(stored) - len(set(stored)))),
        ("counted as dropped", str(dropped)),
        ("still waiting", str(waiting)),
    ]
    figures = {
        "returned": len(returned),
        "begun": len(begun),
        "stored": len(stored),
        "missing": len(missing),
        "dropped": dropped,
    }
    table = Table(f"Killed under up to {options.rate:.0f} messages a second", ("", ""), rows)
    return Result("Kills", about, [table], figures=figures)


def _start(
    settings: Settings, server: str, log: Path, rate: float, *count: str
) -> "subprocess.Popen[bytes]":
    begun = len(_said(log, "begun"))
    what = [str(settings.storage.path), server, _NAME, str(begun), str(rate), str(log), *count]
    return subprocess.Popen([sys.executable, str(_NODE), *what])


def _said(log: Path, word: str) -> set[int]:
    lines = log.read_text().splitlines() if log.exists() else []
    return {int(line.split()[1]) for line in lines if line.startswith(word)}


def _stored(data_dir: Path) -> list[int]:
    """The numbers of the messages that the server stored."""
    done = subprocess.run(
        [sys.executable, "-m", "devtelemetry", "export", f"--data-dir={data_dir}"],
        capture_output=True,
        text=True,
        check=True,
    )
    ids = [json.loads(line).get("messageId", "") for line in done.stdout.splitlines()]
    return [int(one.rpartition("-")[2]) for one in ids if one.startswith(f"{_NAME}-")]
