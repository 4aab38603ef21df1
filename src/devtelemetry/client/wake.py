"""Waking a client's background thread, from its own process or another one.

A pipe with a name: the thread sleeps in it without a timer, and a byte wakes it. Whoever changes a
setting writes one into the pipe of every client that runs on the same file.
"""

import contextlib
import math
import os
import select
import threading
from pathlib import Path

_SUFFIX = ".wake"


class Alarm:
    """What one client's thread sleeps on."""

    def __init__(self, directory: Path, slot: int) -> None:
        path = directory / f"{slot}{_SUFFIX}"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        # Our own end for writing: without one, the end of another writer would wake us for ever.
        self._writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._lock = threading.Lock()
        self._is_open = True

    def ring(self) -> None:
        """Wakes the thread; at once if it sleeps, else as soon as it wants to. Any thread may."""
        with self._lock:  # or the number of a closed pipe could be somebody else's file by now
            if self._is_open:
                with contextlib.suppress(BlockingIOError):  # it is full: the thread is awake
                    os.write(self._writer, b"\0")

    def sleep(self, seconds: float) -> None:
        """Until somebody rings, or for so long; infinite: for as long as nobody rings."""
        # Rounded up: a sleep that ends a moment early would be followed by one of no length.
        self._poll.poll(math.ceil(max(0.0, seconds) * 1000) if math.isfinite(seconds) else None)
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            os.close(self._writer)
            os.close(self._reader)


def ring_all(directory: Path) -> None:
    """Wakes every client that runs on the file beside `directory`, in whatever process."""
    for path in directory.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # nobody reads: that client is gone
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(descriptor, b"\0")
            finally:
                os.close(descriptor)
