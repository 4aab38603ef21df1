"""The program: in the test's own process, which saves its start, or as a process.

Nothing of it is replaced.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from devtelemetry.__main__ import main
from devtelemetry.runtime import logs
from devtelemetry.settings.names import environment_name
from devtelemetry.settings.settings import Settings
from support.server import command


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Run = Callable[..., Done]


def program_in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What runs a command line, given as its words; of the environment it sees no setting."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)
    monkeypatch.setattr(logs, "configure_logging", lambda *_: None)  # it is the test runner's here

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["devtelemetry", *arguments])
        capsys.readouterr()
        with structlog.testing.capture_logs():
            status = main()
        return Done(status, *capsys.readouterr())

    return run


def program(
    *arguments: str, text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The program as a process."""
    return subprocess.run(
        command(*arguments),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
