"""A person who uses an example messenger at a terminal."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from support.driven import until
from support.server import ServerProcess, exported_samples


class Person:
    """The program runs in `directory`; `lines` is what it printed."""

    def __init__(self, directory: Path, *command: str | Path, **environment: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
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


def talk(
    server: ServerProcess, room: str, ann: tuple[Person, str], ben: tuple[Person, str], id_of: str
) -> None:
    """Two people, known by their names in the room, talk before and after they opt in; both end.

    Asserts that author and receiver report each message from the opt-in on.

    id_of  how the ids of messages begin
    """
    (a, a_name), (b, b_name) = ann, ben
    try:
        for person in (a, b):
            person.wait_for(f"you are in: {room}")
        a.type("before", f"{a_name}: before")
        for person in (a, b):
            person.type("/telemetry on", "telemetry is on")
        a.type("hello", f"{a_name}: hello")
        b.wait_for(f"{a_name}: hello")
        b.type("hi", f"{b_name}: hi")
        a.wait_for(f"{b_name}: hi")
        until(lambda: a.shows(f'"message_id": "{id_of}'))
    finally:
        a.end()
        b.end()
    said = [(line["channelId"], line.get("sentByReceiver")) for line in exported_samples(server)]
    assert sorted(said, key=str) == [(room, None)] * 2 + [(room, True)] * 2


def own_lines(program: Path) -> int:
    """How many lines, without blank ones, an example has from its first class on."""
    lines = program.read_text(encoding="utf-8").partition("\nclass ")[2].splitlines()
    return sum(bool(line.strip()) for line in lines)
