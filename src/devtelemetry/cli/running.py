"""Runs a command's work, and ends it early at a signal."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a command's work. Ctrl-C, SIGTERM and SIGHUP end it, and what it started, in order."""

    async def interruptible() -> _T:
        # Ctrl-C must work at once, even while the work blocks the loop in reading standard input.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return await work

    with sigterm_ends():
        return asyncio.run(interruptible())


@contextlib.contextmanager
def sigterm_ends() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block like an exit, so that it cleans up after itself."""
    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            before[number] = signal.signal(number, _leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)
