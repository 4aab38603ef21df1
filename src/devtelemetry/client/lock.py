"""A lock between processes, made with SQLite, which locks files alike on every system."""

import contextlib
import sqlite3
from pathlib import Path

from devtelemetry.client.storage import make_private


class Lock:
    """A file that one holder has at a time. The system releases it when the holder's process ends.

    Raises OSError if the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        make_private(path)
        try:
            self._connection = sqlite3.connect(
                path, timeout=0.0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error
        self.is_held = False

    def take(self) -> bool:
        """Takes the lock if nobody else has it. Returns whether it is ours now."""
        if not self.is_held:
            try:
                # This first: otherwise SQLite would make a journal file beside it.
                self._connection.execute("pragma journal_mode = memory")
                self._connection.execute("begin exclusive")
                self.is_held = True
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise OSError(str(error)) from error
        return self.is_held

    def release(self) -> None:
        if self.is_held:
            self._connection.execute("rollback")
            self.is_held = False

    def close(self) -> None:
        self._connection.close()
        self.is_held = False


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock at `path`. False if the file cannot be used."""
    with contextlib.suppress(OSError):
        lock = Lock(path)
        try:
            return not lock.take()
        finally:
            lock.close()
    return False
