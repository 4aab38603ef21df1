"""A command's work, and what ends it early."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a command's work; Ctrl-C, SIGTERM and SIGHUP end it in order, and what it started."""

    async def interruptible() -> _T:
        # At once, even while it waits for a line of standard input, where the loop does not run.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return await work

    with sigterm_ends():
        return asyncio.run(interruptible())


@contextlib.contextmanager
def sigterm_ends() -> Iterator[None]:
    """SIGTERM and SIGHUP leave the block like an exit, so that what it holds is cleaned up."""
    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            before[number] = signal.signal(number, _leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)
