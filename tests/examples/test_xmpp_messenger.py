"""The example for XMPP, as people run it: a real prosody, a real server, two people."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ci import needs_package
from support.driven import until
from support.prosody import HOST, PASSWORD, ROOMS, Prosody
from support.server import ServerProcess, exported_samples

needs_package("slixmpp")
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "examples" / "xmpp_messenger.py"
ROOM = f"room@{ROOMS}"


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


class Person:
    def __init__(self, name: str, directory: Path, prosody: Prosody, telemetry: str) -> None:
        options = [f"--plain={prosody.address}", f"--telemetry={telemetry}"]
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM, f"{name}@{HOST}", ROOM, *options],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XMPP_PASSWORD": PASSWORD},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self._process.stdout)

    def type(self, line: str, printed: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self.wait_for(printed)

    def wait_for(self, printed: str) -> None:
        until(lambda: printed in self.lines)

    def shows(self, field: str) -> bool:
        self.type("/telemetry show", "}")
        return any(field in line for line in self.lines)

    def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(60)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


def test_two_people_talk_and_each_reports_once_opted_in(
    server: ServerProcess, tmp_path: Path
) -> None:
    with Prosody(tmp_path, ("ann", "ben")) as prosody:
        ann, ben = (Person(name, tmp_path, prosody, server.grpc) for name in ("ann", "ben"))
        try:
            for person in (ann, ben):
                person.wait_for(f"you are in: {ROOM}")
            ann.type("before", "ann: before")
            for person in (ann, ben):
                person.type("/telemetry on", "telemetry is on")
            ann.type("hello", "ann: hello")
            ben.wait_for("ann: hello")
            ben.type("hi", "ben: hi")
            ann.wait_for("ben: hi")
            until(lambda: ann.shows('"message_id": "ann/'))
        finally:
            ann.end()
            ben.end()
    said = [(line["channelId"], line.get("sentByReceiver")) for line in exported_samples(server)]
    assert sorted(said, key=str) == [(ROOM, None)] * 2 + [(ROOM, True)] * 2


def test_the_example_has_less_than_60_lines_of_its_own() -> None:
    lines = PROGRAM.read_text(encoding="utf-8").partition("\nclass ")[2].splitlines()
    assert len([line for line in lines if line.strip()]) < 60
