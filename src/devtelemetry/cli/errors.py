"""Errors of commands: one line that states what is wrong and what to do, and an exit status."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NoReturn

import typer

from devtelemetry.model.errors import (
    ClockInDoubt,
    DatabaseAway,
    DatabaseError,
    DevTelemetryError,
)
from devtelemetry.settings.errors import BadOption


@contextlib.contextmanager
def one_line_errors(is_json: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Ends the program if the block fails, with status 2 for usage, 130 for Ctrl-C, else 1.

    is_json  whether the line must look like a line of a JSON log
    """
    try:
        with _one_line_errors():
            yield
    except _Failed as failed:
        say_error(failed.line, is_json=is_json())
        raise typer.Exit(failed.status) from None


class _Failed(Exception):
    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.line = line
        self.status = status


def say_error(line: str, *, is_json: bool) -> None:
    """Writes an error to stderr; with `is_json` as a line of a JSON log."""
    if is_json:
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        said = {"event": line, "level": "error", "logger": "devtelemetry", "timestamp": at}
        line = json.dumps(said)
    else:
        line = f"devtelemetry: {line}"
    # The terminal may be closed.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort, ModuleNotFoundError):
        raise
    except BadOption as error:
        _fail(str(error), 2)
    except DatabaseAway as error:
        _fail(f"the database: {error.detail}", 1)
    except ClockInDoubt as error:
        _fail(error.detail, 1)
    except DatabaseError as error:
        _fail(f"the database: {error}", 1)
    except DevTelemetryError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        # The reader of the output is gone. Output that is still buffered must not fail again at the
        # end, so it goes to /dev/null.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not error.filename:
            _fail("the working directory is gone: change into one that exists", 1)
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error or 'timed out'}", 1)
    except Exception as error:
        logging.getLogger(__name__).debug("the command failed", exc_info=True)
        _fail(
            f"a fault in the program: {type(error).__name__}: {error}; please report it together "
            "with the output of --log-level debug",
            1,
        )


def _fail(message: str, status: int) -> NoReturn:
    raise _Failed(" ".join(message.split()), status)
