"""Spoilt requests to every door of a real server, between honest ones: nothing is lost or leaked.

The requests depend only on the seed, the client and the round (and on the hour, because reports
that are too old are refused). Each finding names these.
"""

import argparse
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.checks import Watched, failures, grown, in_log, lost, watch, watching
from bench.fuzz_client import Notes, play
from bench.machine import conditions
from bench.report import Result, Table
from support.server import ServerProcess

CLIENTS = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=60.0, help="most rounds a second")


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    ends = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name:
        found = fuzz(Path(name), options.seed, options.rate, lambda _: time.monotonic() < ends)
    return _result(options, about, found)


@dataclass(slots=True)
class Fuzzed:
    answers: Counter[tuple[str, str]]
    acknowledged: int
    findings: list[str]
    watched: list[Watched]  # the server's process, at regular times
    idle: tuple[Watched, Watched]  # the process before and after all clients
    log_lines: int


def fuzz(directory: Path, seed: int, rate: float, goes_on: Callable[[int], bool]) -> Fuzzed:
    """Plays against a server in `directory`, while `goes_on` is true for the round's number."""
    all_notes = [Notes() for _ in range(CLIENTS)]
    with ServerProcess(
        directory / "data", "--legacy-rate=1000000", "--log-format=json", "--log-level=info",
        "--recompute-interval=2m", "--job-interval=10s", "--timeframes=1h,1d",
    ) as server:  # fmt: skip
        before = watch(server.pid)
        clients = [
            threading.Thread(
                target=play, args=(server, notes, seed, number, rate / CLIENTS, goes_on)
            )
            for number, notes in enumerate(all_notes)
        ]
        with watching(server.pid) as watched:
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        findings = [one for notes in all_notes for one in notes.findings]
        time.sleep(2.0)  # by then the server has closed the connections of clients that left
        after = watch(server.pid)
        acknowledged = set[str]().union(*(notes.acknowledged for notes in all_notes))
        findings += lost(server, acknowledged)
        findings += failures(server)
        ended = server.terminate()
        if ended:
            findings.append(f"the server ended with status {ended}")
        lines = server.log_path.read_text(encoding="utf-8").splitlines()
        findings += in_log(lines)
    findings += grown(before, after, watched)
    answers = sum((notes.answers for notes in all_notes), Counter[tuple[str, str]]())
    return Fuzzed(answers, len(acknowledged), findings, watched, (before, after), len(lines))


def _result(options: argparse.Namespace, about: Mapping[str, str], found: Fuzzed) -> Result:
    before, after = found.idle
    marks = [
        (f"after {share} %", found.watched[(len(found.watched) - 1) * share // 100])
        for share in (10, 25, 50, 75, 100)
        if found.watched
    ]
    doors = Counter[str]()
    for (door, _), count in found.answers.items():
        doors[door] += count
    return Result(
        "Fuzz",
        about,
        [
            Table(
                f"Rounds, seed {options.seed}, {options.minutes:g} minutes",
                ("door", "rounds", "answers"),
                [
                    (
                        door,
                        f"{count:,}",
                        ", ".join(
                            f"{answer} {times:,}"
                            for (of, answer), times in found.answers.most_common()
                            if of == door
                        ),
                    )
                    for door, count in doors.most_common()
                ],
            ),
            Table(
                "The server's process",
                ("", "resident memory, MiB", "descriptors"),
                [
                    (name, f"{one.resident_mib:.0f}", str(one.descriptors))
                    for name, one in (("before", before), *marks, ("without clients", after))
                ],
            ),
        ],
        notes=[
            f"honest samples acknowledged: {found.acknowledged:,}",
            f"lines of log: {found.log_lines:,}",
            f"findings: {len(found.findings)}",
            *(f"finding: {one}" for one in found.findings[:50]),
        ],
        figures={"findings": found.findings, "watched": found.watched},
    )
