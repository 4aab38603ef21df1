"""Runs the program: in the test's own process, which saves a second, or in a process of its own."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import structlog

from devtelemetry.__main__ import main
from devtelemetry.runtime import logs


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


def in_process(*arguments: str, check: bool = True) -> Done:
    """Runs a command line, given as its words. No event loop may run: the program starts its own.

    check  asserts that it succeeds
    """
    out, err = _Stream(), _Stream()
    with (
        mock.patch.object(sys, "argv", ["devtelemetry", *arguments]),
        # The test runner has set up logging and the process itself.
        mock.patch.object(logs, "configure_logging"),
        mock.patch("devtelemetry.__main__.make_ready"),
        structlog.testing.capture_logs(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main()
    done = Done(status, out.text, err.text)
    assert not check or status == 0, (arguments, done)
    return done


class _Stream(io.TextIOWrapper):
    """Takes bytes and text, as sys.stdout does."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()


def command(*arguments: str) -> list[str]:
    """The command line of the installed program."""
    return [sys.executable, "-m", "devtelemetry", *arguments]


def run(
    *arguments: str,
    check: bool = True,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs the program in a process until it ends.

    text         its standard input
    environment  variables in addition to the present ones
    """
    done = subprocess.run(
        command(*arguments),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert not check or done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done
