"""Somebody at a terminal with an example messenger."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from support.driven import until


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
