"""One process's use of the bundled PostgreSQL: takes the locks, starts and stops it."""

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from devtelemetry.model.errors import EmbeddedError
from devtelemetry.store.embedded.cluster import STOP_SECONDS, Cluster
from devtelemetry.store.embedded.files import describe, make_private_dir, try_lock, unlock
from devtelemetry.store.embedded.processes import command_line, until
from devtelemetry.store.embedded.program import NAME, PORT

_log = logging.getLogger(__name__)

_HOLDER_TIMEOUT_SECONDS = 1.0  # usually milliseconds are enough


class AlreadyServing(EmbeddedError):
    """Another `serve` uses the data directory; the text names both."""


def _usable(data_dir: Path) -> Path:
    """The absolute path. Raises EmbeddedError if there is none, or its name is not in UTF-8."""
    try:
        path = data_dir.expanduser().resolve()
    except RuntimeError as error:
        raise EmbeddedError(
            f"data_dir: {data_dir} is in the home directory, but this account has none: name "
            "another directory with --data-dir, or a database with --database"
        ) from error
    except FileNotFoundError as error:
        raise EmbeddedError(
            f"data_dir: {data_dir} is in the working directory, which is gone: change into one "
            "that exists, or give an absolute path"
        ) from error
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise EmbeddedError(
            f"data_dir: the name {data_dir} is not in UTF-8: choose another name"
        ) from error
    return path


class EmbeddedServer:
    """One process's use of the PostgreSQL in a data directory.

    data_dir               made with mode 0700 if absent
    exclusive              be the one `serve` of the directory
    start_timeout_seconds  for start() and ensure_running(), until connections are accepted;
                           includes recovery after a crash

    Methods block, and may be called from any thread.
    """

    def __init__(
        self, data_dir: Path, *, exclusive: bool = False, start_timeout_seconds: float = 120
    ) -> None:
        self._data_dir = _usable(data_dir)
        self._exclusive = exclusive
        self._start_timeout_seconds = start_timeout_seconds
        self._cluster = Cluster(self._data_dir)
        self._mutex = threading.RLock()
        self._serve_lock: int | None = None
        self._users_lock: int | None = None
        self._socket_dir: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """For asyncpg and libpq: `postgresql://devtelemetry@/devtelemetry?host=…&port=5432&…`.

        Valid until stop(). Raises EmbeddedError before start().
        """
        if self._socket_dir is None:
            raise EmbeddedError(f"the PostgreSQL of {self._data_dir} is not in use: call start()")
        # Everything is named, or else PGPORT or PGSSLMODE of the environment would be used.
        return (
            f"postgresql://{NAME}@/{NAME}?host={quote(str(self._socket_dir))}&port={PORT}"
            "&sslmode=disable&target_session_attrs=any&passfile=/nonexistent"
        )

    def start(self) -> None:
        """Join the PostgreSQL that runs, or start it. Makes the cluster first if there is none.

        Returns once it accepts connections. Harmless if called again.
        Raises AlreadyServing, or EmbeddedError if it cannot be used; then no lock is held.
        """
        deadline = time.monotonic() + self._start_timeout_seconds
        with self._mutex:
            try:
                make_private_dir(self._data_dir)
                if self._exclusive and self._serve_lock is None:
                    self._serve_lock = self._take_serve_lock()
                with self._control(deadline):
                    if self._users_lock is None:
                        self._users_lock = self._lock("users", fcntl.LOCK_SH, deadline)
                    self._socket_dir, _ = self._cluster.bring_up(deadline)
            except OSError as error:
                self._let_go()
                raise EmbeddedError(describe(error, self._data_dir)) from error
            except EmbeddedError:
                self._let_go()  # a server that still recovers goes on; the next start joins it
                raise
            except BaseException:
                self.stop()  # after Ctrl-C: leave no server running that nobody uses
                raise

    def ensure_running(self) -> bool:
        """Restart PostgreSQL if it died or is stopping; True if that was needed.

        A process that runs for long calls this now and then; it also bounds postgres.log. If
        PostgreSQL runs, it takes 0.1 ms.
        Raises EmbeddedError as start() does, and if start() was not called. After a failed restart
        the locks are still held, so the call may be repeated.
        """
        deadline = time.monotonic() + self._start_timeout_seconds
        with self._mutex:
            if self._users_lock is None:
                raise EmbeddedError(
                    f"the PostgreSQL of {self._data_dir} is not in use: call start()"
                )
            try:
                if self._cluster.is_up():
                    self._cluster.bound_log()
                    return False
                with self._control(deadline):
                    self._socket_dir, restarted = self._cluster.bring_up(deadline)
                    return restarted
            except OSError as error:
                raise EmbeddedError(describe(error, self._data_dir)) from error

    def stop(self) -> None:
        """Leave. The last process that leaves stops PostgreSQL and waits for that.

        Harmless if repeated or never started. If the server does not stop, that is logged and
        nothing is raised; the next start waits for the server or joins it.
        """
        with self._mutex:
            if self._users_lock is None:
                self._let_go()
                return
            try:
                with self._control(time.monotonic() + self._start_timeout_seconds):
                    unlock(self._users_lock)
                    self._users_lock = None
                    last = try_lock(self._path("users"), fcntl.LOCK_EX)
                    if last is not None:
                        unlock(last)
                        self._cluster.shut_down(time.monotonic() + STOP_SECONDS)
            except (EmbeddedError, OSError) as error:
                _log.warning("PostgreSQL is left running in %s: %s", self._data_dir, error)
            finally:
                self._let_go()

    def _path(self, lock: Literal["serve", "control", "users"]) -> Path:
        return self._data_dir / f"{lock}.lock"

    def _let_go(self) -> None:
        for lock in (self._users_lock, self._serve_lock):
            if lock is not None:
                unlock(lock)
        self._users_lock = self._serve_lock = self._socket_dir = None

    def _lock(self, name: Literal["control", "users"], operation: int, deadline: float) -> int:
        """Wait for a lock and take it. Raises EmbeddedError at deadline."""
        for _ in until(deadline):
            lock = try_lock(self._path(name), operation)
            if lock is not None:
                return lock
        raise EmbeddedError(
            f"another process is still starting or stopping PostgreSQL in {self._data_dir}:"
            " try again when it is done"
        )

    @contextlib.contextmanager
    def _control(self, deadline: float) -> Iterator[None]:
        """Only we start or stop PostgreSQL during the block. Raises EmbeddedError at deadline."""
        lock = self._lock("control", fcntl.LOCK_EX, deadline)
        try:
            yield
        finally:
            unlock(lock)

    def _take_serve_lock(self) -> int:
        """Be the one serve, and write our pid into the file. Raises AlreadyServing.

        If the process in the file is alive, it raises at once. Otherwise it tries for a moment:
        either another serve took the lock and is about to write its pid, or the dead one had just
        forked, and its child has the lock until it executes its program.
        """
        path, holder = self._path("serve"), ""
        for _ in until(time.monotonic() + _HOLDER_TIMEOUT_SECONDS):
            lock = try_lock(path, fcntl.LOCK_EX)
            if lock is not None:
                os.ftruncate(lock, 0)
                os.pwrite(lock, b"%d" % os.getpid(), 0)
                return lock
            holder = path.read_text(encoding="ascii")
            if holder and command_line(int(holder)) != [b""]:
                break
        raise AlreadyServing(
            f"{self._data_dir} is already served by process {holder or 'unknown'}: stop that one"
            " first, or choose another data directory"
        )
