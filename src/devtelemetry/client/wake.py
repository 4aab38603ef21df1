"""Waking a client's background thread, from its own process or another one.

The thread sleeps on an event, without a timer. For other processes, a second thread waits for
datagrams on a port of this machine. A process that changes a setting sends one to every client that
runs on the same file. The port and a random word are in a file that only the user can read. Only a
datagram with that word wakes the client.
"""

import contextlib
import logging
import secrets
import socket
import threading
from pathlib import Path

from devtelemetry.client.storage import make_private

_SUFFIX = ".port"
_HERE = "127.0.0.1"
_WORD_BYTES = 16
_LARGEST_DATAGRAM = 2**16
_LAST_SECONDS = 1.0  # at most, because a firewall may swallow the datagram that ends the listener
_LOG = logging.getLogger("devtelemetry.client")


class Alarm:
    """The alarm that wakes one client's background thread."""

    def __init__(self, directory: Path, slot: int) -> None:
        self._event = threading.Event()
        self._path = directory / f"{slot}{_SUFFIX}"
        self._word = secrets.token_bytes(_WORD_BYTES)
        self._is_open = True
        self._listener: threading.Thread | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((_HERE, 0))
            self._port = self._socket.getsockname()[1]
            make_private(self._path)
            self._path.write_text(f"{self._port} {self._word.hex()}", encoding="ascii")
        except OSError as error:
            # A change by another process is then noticed when something else wakes the thread.
            _LOG.warning("the client cannot listen on any port of this machine: %s", error)
            self._socket.close()
            return
        self._listener = threading.Thread(
            target=self._listen, name="devtelemetry-wake", daemon=True
        )
        self._listener.start()

    def ring(self) -> None:
        """Wakes the thread; if it is awake, its next sleep ends at once. Any thread may call it."""
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Sleeps until somebody rings or the seconds are over; they may be infinite."""
        self._event.wait(min(seconds, threading.TIMEOUT_MAX))
        self._event.clear()

    def close(self) -> None:
        if self._listener is None:
            return
        self._path.unlink(missing_ok=True)
        self._is_open = False
        _send(self._port, self._word)
        self._listener.join(_LAST_SECONDS)
        self._socket.close()

    def _listen(self) -> None:
        while self._is_open:
            try:
                # Large enough for any datagram: Windows raises an error if one does not fit.
                came = self._socket.recv(_LARGEST_DATAGRAM)
            except OSError as error:
                _LOG.warning("other processes can no longer wake this one: %s", error)
                return
            if secrets.compare_digest(came, self._word):
                self._event.set()


def ring_all(directory: Path) -> None:
    """Wakes every client that runs on the file beside `directory`, in any process."""
    for path in directory.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError, ValueError):  # that client is gone
            port, word = path.read_text(encoding="ascii").split()
            _send(int(port), bytes.fromhex(word))


def _send(port: int, word: bytes) -> None:
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sender.sendto(word, (_HERE, port))
