"""A command's work, and what ends it early."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a command's work; Ctrl-C and SIGTERM end it in order, the bundled database too."""

    async def interruptible() -> _T:
        # At once, even while it waits for a line of standard input, where the loop does not run.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return await work

    with sigterm_ends():
        return asyncio.run(interruptible())


@contextlib.contextmanager
def sigterm_ends() -> Iterator[None]:
    """SIGTERM leaves the block like an exit, so that what it holds is cleaned up."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
