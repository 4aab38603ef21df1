"""How the program logs: to stderr, for people or as JSON. Standard output is for results.

Lines of structlog and of libraries that use `logging` look the same. Strangers can cause warnings
and errors, so only some lines of a kind are written.
"""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

import structlog
from structlog.typing import Processor

LINES = 10  # of one kind in an interval
INTERVAL_SECONDS = 60.0

_Kind = tuple[str, str, int]  # the logger, and the place in the code


@dataclass(slots=True)
class _Seen:
    """The lines of one kind in an interval: since when, the first line, and how many."""

    since: float
    record: logging.LogRecord
    lines: int = 0


class RatedHandler(logging.StreamHandler[TextIO]):
    """Writes at most LINES warnings and errors from one place in the code in INTERVAL_SECONDS.
    After the interval, before the next line of any kind, it writes how many more there were.

    monotonic  seconds of a clock that never goes back
    """

    def __init__(self, stream: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._monotonic = monotonic
        self._seen: dict[_Kind, _Seen] = {}  # at most one for each place in the code

    def emit(self, record: logging.LogRecord) -> None:
        now = self._monotonic()
        self._tell_of_others(now)
        if record.levelno >= logging.WARNING:
            kind = (record.name, record.pathname, record.lineno)
            seen = self._seen.setdefault(kind, _Seen(now, record))
            seen.lines += 1
            if seen.lines > LINES:
                return
        super().emit(record)

    def _tell_of_others(self, now: float) -> None:
        """Ends intervals that are over, and writes how many lines they left out."""
        for kind, seen in list(self._seen.items()):
            if now - seen.since < INTERVAL_SECONDS:
                continue
            del self._seen[kind]
            if seen.lines > LINES:
                super().emit(_left_out(seen.record, seen.lines - LINES))


def _left_out(record: logging.LogRecord, lines: int) -> logging.LogRecord:
    said = record.msg["event"] if isinstance(record.msg, dict) else record.getMessage()
    return logging.LogRecord(
        record.name,
        record.levelno,
        record.pathname,
        record.lineno,
        "%d more lines like this one were left out: %.200s",
        (lines, said),
        None,
    )


def configure_logging(level: str, form: str) -> None:
    """Sets up logging of a process. level, form: the settings log_level and log_format."""
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    )
    render: list[Processor]
    if form == "json":
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Plain, because a traceback with local variables would show samples, ids and tokens.
        render = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = RatedHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.raiseExceptions = False  # else a closed terminal would cause a traceback
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # At "info" these log how they work, not what happened. httpx logs whole URLs, and the URL of a
    # store may have a secret in it.
    for name in ("alembic.runtime.plugins", "uvicorn", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
