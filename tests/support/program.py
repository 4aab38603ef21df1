"""The program, run in the test's own process: its start is saved, and nothing of it is replaced."""

import json
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
