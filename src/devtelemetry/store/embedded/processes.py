"""Finds out which processes run and which sockets listen, and waits for them."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from devtelemetry.store.embedded.program import PORT


def until(deadline: float) -> Iterator[None]:
    """Turns of a polling loop until deadline, at least one, 5 ms to 200 ms apart."""
    pause_seconds = 0.005
    while True:
        yield
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            return
        time.sleep(min(pause_seconds, left_seconds))
        pause_seconds = min(pause_seconds * 1.5, 0.2)


def command_line(pid: int) -> list[bytes]:
    """The words of a process's command line; [b""] if it is gone, a zombie, or hidden from us."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def parent_of(pid: int) -> int | None:
    """The pid of a process's parent; None if the process is gone. Source: proc(5)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full: it is alive and busy
        except OSError:
            return False
        return True


def can_hold_socket(directory: Path) -> bool:
    """Whether a socket can be bound here and named in a URL. Removes files of a dead postmaster.

    It cannot if the path is longer than 107 bytes (sun_path, unix(7)), or if the file system has no
    sockets, as some that a container shares with its host. A comma ends the name for PostgreSQL,
    asyncpg and libpq; a quote and a newline are special to PostgreSQL.
    """
    # The pid in a dead postmaster's .lock may belong to another process now.
    for left in directory.glob(f".s.PGSQL.{PORT}*"):
        left.unlink()
    path = directory / f".s.PGSQL.{PORT}"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(os.fsencode(path))
        except OSError:
            return False
    path.unlink()
    return not set(str(directory)) & set(',"\n')
