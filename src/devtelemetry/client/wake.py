"""Waking a client's background thread, from its own process or another one.

The thread sleeps on an event, without a timer. For other processes a second thread waits for
datagrams on a port of this machine: whoever changes a setting sends one to every client that runs
on the same file. Port and a random word are in a file that only the user can read; nothing but that
word wakes anybody.
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
_LAST_SECONDS = 1.0  # for a datagram that a firewall keeps, maybe
_LOG = logging.getLogger("devtelemetry.client")


class Alarm:
    """What one client's thread sleeps on."""

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
            # What another process changes is seen with the next thing that wakes the thread.
            _LOG.warning("no port of this machine can be listened on: %s", error)
            self._socket.close()
            return
        self._listener = threading.Thread(
            target=self._listen, name="devtelemetry-wake", daemon=True
        )
        self._listener.start()

    def ring(self) -> None:
        """Wakes the thread; at once if it sleeps, else as soon as it wants to. Any thread may."""
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Until somebody rings, or for so long; infinite: for as long as nobody rings."""
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
                # All of it: where a datagram is longer than what is read, Windows has an error.
                came = self._socket.recv(_LARGEST_DATAGRAM)
            except OSError as error:
                _LOG.warning("other processes cannot wake this one any more: %s", error)
                return
            if secrets.compare_digest(came, self._word):
                self._event.set()


def ring_all(directory: Path) -> None:
    """Wakes every client that runs on the file beside `directory`, in whatever process."""
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
