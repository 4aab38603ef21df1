"""Errors of commands: one line that says what is wrong and what to do, and an exit status."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
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
def one_line_errors() -> Iterator[None]:
    """Ends the program where the block fails: 2 for usage, 130 for Ctrl-C, else 1."""
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
        # Whoever read the output has gone. What is left of it must not fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error or 'timed out'}", 1)
    except Exception as error:
        logging.getLogger(__name__).debug("what went wrong", exc_info=True)
        _fail(
            f"a fault in the program: {type(error).__name__}: {error}; "
            "please report it with what --log-level debug shows",
            1,
        )


def _fail(message: str, status: int) -> NoReturn:
    line = " ".join(message.split())
    sys.stderr.write(f"devtelemetry: {line}\n")
    raise typer.Exit(status)
