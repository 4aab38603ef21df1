"""Messengers in processes of their own that a test drives, and the truth by their logs."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devtelemetry.client import Settings
from support.program import in_process
from support.server import ServerProcess

MINUTE_MS = 60_000
SECONDS = 60.0


class Event(NamedTuple):
    """A line of a messenger's own log. `at`: Unix ms, this machine's clock."""

    what: str
    place: str
    message_id: str
    at: int


class Driven:
    """A process of `program` (in tests/support), opted in; `start` starts it, also again."""

    def __init__(self, program: Path, directory: Path, name: str, **options: Any) -> None:
        self.name = name
        self._program = program
        self._log = directory / f"{name}.log"
        path = directory / f"{name}.db"
        self._settings = Settings(path)
        self._settings.enable()
        self._options = {**options, "settings": str(path), "log": str(self._log)}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it and returns at once; `ready` waits."""
        errors = self._log.with_suffix(".err").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, self._program, json.dumps(self._options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        errors.close()

    def ready(self) -> None:
        self._answer("ready")

    def do(self, *command: object) -> None:
        """Does a command and waits until it is done."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(command)}\n")
        self._process.stdin.flush()
        self._answer("done")

    def _answer(self, wanted: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        errors = self._log.with_suffix(".err")
        assert line == f"{wanted}\n", f"{self.name}: {line!r}\n{errors.read_text()[-3000:]}"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._end()

    def quit(self) -> None:
        """Ends it properly: waiting samples are sent first."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait(SECONDS)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()

    @property
    def reported_at(self) -> datetime:
        """When the server last answered it; a time long ago if never."""
        return self._settings.status().last_sent_at or datetime.min.replace(tzinfo=UTC)

    @property
    def events(self) -> list[Event]:
        if not self._log.exists():
            return []
        lines = map(json.loads, self._log.read_text().splitlines())
        return [Event(line["what"], line["place"], line["id"], line["at"]) for line in lines]

    def ids(self, what: str, place: str) -> list[str]:
        return [e.message_id for e in self.events if (e.what, e.place) == (what, place)]

    def stays(self, place: str) -> list[tuple[int, float]]:
        """When it was in the place, by its own log; entering again starts no new stay."""
        stays: list[tuple[int, float]] = []
        for event in self.events:
            if event.place == place and event.what == "joined":
                if not stays or stays[-1][1] < float("inf"):
                    stays.append((event.at, float("inf")))
            elif event.place == place and event.what == "left":
                stays[-1] = (stays[-1][0], event.at)
        return stays


class Pair(NamedTuple):
    message_id: str
    device: str


@dataclass(frozen=True)
class Truth:
    """The true pairs of one place. `fetched`: held from an archive only."""

    expected: frozenset[Pair]
    held: frozenset[Pair]
    fetched: frozenset[Pair]

    @property
    def missing(self) -> frozenset[Pair]:
        return self.expected - self.held


def written(nodes: Iterable[Driven], place: str) -> dict[str, tuple[int, str]]:
    """Message id → when it was written, and on which device."""
    return {
        event.message_id: (event.at, node.name)
        for node in nodes
        for event in node.events
        if (event.what, event.place) == ("wrote", place)
    }


def truth(
    nodes: Sequence[Driven], place: str, readable: Sequence[str] = ("held", "fetched")
) -> Truth:
    """The truth by the messengers' logs: who was in when a message was written, and who got it.

    readable  the log's words for a message that a device holds
    """
    expected = frozenset(
        Pair(message_id, node.name)
        for node in nodes
        for message_id, (at, author) in written(nodes, place).items()
        if author != node.name and any(first <= at <= last for first, last in node.stays(place))
    )

    def had(what: str) -> frozenset[Pair]:
        return expected & {Pair(id_, node.name) for node in nodes for id_ in node.ids(what, place)}

    held = frozenset[Pair]().union(*map(had, readable))
    return Truth(expected, held, had("fetched") - had("held"))


def until(holds: Callable[[], object], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not in {seconds} s"
        time.sleep(0.05)


@dataclass(frozen=True)
class Measured:
    """The server's counts for one channel. missing_at: message id → how many devices lack it."""

    figures: Counter[str]
    missing_at: Counter[str]


def measured(
    server: ServerProcess, nodes: Sequence[Driven], channel_ids: Sequence[str], first_ms: int
) -> dict[str, Measured]:
    """The server's counts over all minutes from `first_ms` to the present one, by channel.

    Waits until the present minute is over and all nodes, which must run, have reported after it.
    """
    end_ms = -(-time.time_ns() // (MINUTE_MS * 1_000_000)) * MINUTE_MS
    time.sleep(max(0.0, end_ms / 1000 - time.time()))
    # An answer that comes just after the end may answer a push of before it.
    end = datetime.fromtimestamp(end_ms / 1000 + 1, UTC)
    until(lambda: all(node.reported_at > end for node in nodes))
    found = {channel_id: Measured(Counter(), Counter()) for channel_id in channel_ids}
    for start in range(first_ms // MINUTE_MS * MINUTE_MS, end_ms, MINUTE_MS):
        iso = datetime.fromtimestamp(start / 1000, UTC).isoformat().replace("+00:00", "Z")
        window = (server.where, "--timeframe=1m", f"--window-start={iso}")
        in_process("aggregate", *window)
        for channel_id, of_channel in found.items():
            which = f"--channel={channel_id}"
            for line in in_process(
                "report", "missing", *window, which, "--ndjson"
            ).out.splitlines():
                message = json.loads(line)
                of_channel.missing_at[message["message_id"]] += message["missing"]
    report = in_process("report", server.where, "--timeframe=1m", "--json").document
    for window_found in report["windows"]:
        if (on_time := window_found["on_time"]["10m"]) is not None:
            assert on_time == pytest.approx(window_found["delivery_ratio"]), "nothing took longer"
        for channel in window_found["channels"]:
            if channel["channel_id"] in found:
                numbers = {name: value for name, value in channel.items() if type(value) is int}
                found[channel["channel_id"]].figures.update(numbers)
    return found
