"""The cluster: makes, starts, finds and stops it. The caller holds the locks."""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from devtelemetry.model.errors import EmbeddedError
from devtelemetry.store.embedded.files import open_private, sync, try_lock
from devtelemetry.store.embedded.identity import Identity, choose_identity, environment, last_words
from devtelemetry.store.embedded.processes import (
    can_hold_socket,
    command_line,
    listens,
    parent_of,
    until,
)
from devtelemetry.store.embedded.program import (
    NAME,
    PORT,
    POSTGRES_MAJOR,
    POSTGRESQL_CONF,
    program,
    settings_text,
)

_log = logging.getLogger(__name__)

_LOG_BYTES = 10 * 2**20
STOP_SECONDS = 60.0  # a checkpoint of 256 MB; systemd kills a service after 90 s
_DISK_FULL = re.compile("No space left on device|Check free disk space|wrote only")
_NO_PROCESS = 2**31 - 1  # no Linux pid is that large (PID_MAX_LIMIT is 2^22)


@dataclass(frozen=True)
class PidFile:
    """What the postmaster wrote in postmaster.pid. May be stale: proves nothing by itself."""

    pid: int
    socket_dir: Path
    status: str  # "starting", "ready", "stopping"

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None if there is no such file, or if it is incomplete.

        Source: postgres/src/include/utils/pidfile.h.
        """
        try:
            lines = os.fsdecode(path.read_bytes()).splitlines()
            return cls(int(lines[0]), Path(lines[4]), lines[7].strip())
        except (FileNotFoundError, ValueError, IndexError):
            return None

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{PORT}"


class Cluster:
    """The PostgreSQL of one data directory. Callers hold control.lock; OSError passes through."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._pgdata = data_dir / "postgres"
        self._pid_path = self._pgdata / "postmaster.pid"
        self._log_path = data_dir / "postgres.log"
        self._log_start = 0  # the position in the log at which the last start began
        # Shown in the title of each process: "postgres: devtelemetry-1a2b3c4d: checkpointer".
        digest = hashlib.blake2b(os.fsencode(data_dir), digest_size=4).hexdigest()
        self._cluster_name = f"{NAME}-{digest}"

    def is_up(self) -> bool:
        """Whether it listens and is not stopping. Needs no lock."""
        told = PidFile.read(self._pid_path)
        return told is not None and told.status == "ready" and listens(told.socket)

    def bring_up(self, deadline: float) -> tuple[Path, bool]:
        """Make it accept connections. Returns the directory of its socket, and if it was started.

        Raises EmbeddedError at deadline, or if a start fails.
        """
        started = False
        self._log_start = self._log_bytes()
        for _ in until(deadline):
            lock = try_lock(self._data_dir / "postgres.lock", fcntl.LOCK_EX)
            if lock is not None:
                try:
                    if started:
                        raise EmbeddedError(self._why_from_log("PostgreSQL does not start"))
                    self._start(lock, deadline)
                    started = True
                finally:
                    os.close(lock)  # the postmaster has a copy, and so keeps the lock
                continue
            told = PidFile.read(self._pid_path)
            if told is not None and told.status == "ready" and self._accepts(told):
                return told.socket_dir, started
            if told is not None and self._is_postmaster(told.pid):
                # It recovers from a crash, or somebody else stops it. A stop may wait until all
                # sessions end, also ours: SIGINT ends them now.
                if told.status == "stopping":
                    os.kill(told.pid, signal.SIGINT)
            else:
                self._kill_orphans()
        raise EmbeddedError(
            self._why_from_log(
                f"PostgreSQL is not ready in time; it is still starting in {self._data_dir}, try "
                "again later"
            )
        )

    def shut_down(self, deadline: float) -> None:
        """Shut down fast: end sessions, write all to disk, and wait until no process is left.

        Raises EmbeddedError at deadline; the shutdown goes on.
        """
        asked = None
        for _ in until(deadline):
            lock = try_lock(self._data_dir / "postgres.lock", fcntl.LOCK_EX)
            if lock is not None:
                os.close(lock)
                if asked is not None and asked.socket_dir.parent != self._data_dir:
                    with contextlib.suppress(OSError):
                        asked.socket_dir.rmdir()
                return
            told = PidFile.read(self._pid_path)
            if told is None or not self._is_postmaster(told.pid):
                self._kill_orphans()
            elif asked is None or told.pid != asked.pid:
                os.kill(told.pid, signal.SIGINT)
                asked = told
        raise EmbeddedError(f"it has not stopped within {STOP_SECONDS:.0f} s")

    def bound_log(self) -> None:
        """Keep postgres.log at about 10 MiB, and one older file.

        The log is copied and truncated, not renamed, because PostgreSQL goes on writing to the
        open file. Lines written between the two steps are lost.
        """
        if self._log_bytes() <= _LOG_BYTES:
            return
        with (
            os.fdopen(open_private(self._log_path, 0), "r+b") as log,
            os.fdopen(open_private(self._log_path.with_suffix(".log.1"), 0), "wb") as before,
        ):
            before.truncate()
            shutil.copyfileobj(log, before)
            log.truncate(0)

    def _start(self, lock: int, deadline: float) -> None:
        """Start a postmaster, which inherits postgres.lock. Makes the cluster first if needed."""
        identity = choose_identity(self._pgdata, program("postgres"))
        if not self._is_made():
            self._make(identity, lock, deadline)
        if self._pgdata.stat().st_uid != identity.owner_uid:
            identity.give(self._pgdata)
        self._disarm_stale_pid(identity)
        self._write(self._pgdata / "devtelemetry.conf", settings_text().encode(), identity)
        socket_dir = self._make_socket_dir(identity)
        self.bound_log()
        self._log_start = self._log_bytes()
        log = open_private(self._log_path, os.O_APPEND)
        try:
            must_hold: dict[str, object] = {
                "listen_addresses": "",
                "unix_socket_directories": socket_dir,
                "unix_socket_permissions": "0700",
                "port": PORT,
                "cluster_name": self._cluster_name,
            }
            options = [x for name, value in must_hold.items() for x in ("-c", f"{name}={value}")]
            identity.run(
                [program("postgres"), "-D", str(self._pgdata), *options],
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
        if major != str(POSTGRES_MAJOR):
            raise EmbeddedError(
                f"{self._pgdata} was made by PostgreSQL {major}, but this program comes with "
                f"PostgreSQL {POSTGRES_MAJOR}: dump it with PostgreSQL {major} and restore it into "
                "a new data directory"
            )
        return True

    def _make(self, identity: Identity, lock: int, deadline: float) -> None:
        """Make the cluster, its superuser and its database.

        It is made in postgres.new, synced and then renamed, so a kill at any moment leaves either
        nothing or everything. initdb inherits the lock: if it outlives its caller, the next start
        does not remove postgres.new while initdb still writes there.
        """
        new = self._data_dir / "postgres.new"
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        identity.own(new)
        initdb = [program("initdb"), "-D", str(new), "-U", NAME, "--no-instructions"]
        # Anyone who reaches the socket may log in: its directory is private to the owner.
        initdb += ["--auth-local=trust", "--auth-host=reject"]
        # The same sort order on every machine: by code point. upper() and lower() know Unicode.
        initdb += ["--encoding=UTF8", "--locale=C"]
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        # In single-user mode, so that the database exists before the directory gets its name.
        single = [program("postgres"), "--single", "-D", str(new)]
        single += ["-c", "exit_on_error=on", "-c", "log_checkpoints=off", "postgres"]
        statement = f"create database {NAME}\n"
        for command, text in ((initdb, ""), (single, statement)):
            done = identity.run(command, text=text, lock=lock, deadline=deadline)
            if done.returncode != 0:
                shutil.rmtree(new, ignore_errors=True)  # the disk may be full
                what = f"cannot make a database in {self._data_dir}"
                raise EmbeddedError(self._why(what, done.stdout))
        self._write(new / "postgresql.conf", POSTGRESQL_CONF.encode(), identity)
        sync(new)
        new.rename(self._pgdata)
        sync(self._data_dir)

    def _write(self, path: Path, content: bytes, identity: Identity) -> None:
        """Replace a file of the cluster atomically. A symbolic link is replaced, not followed."""
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        identity.own(Path(name))
        Path(name).rename(path)

    def _make_socket_dir(self, identity: Identity) -> Path:
        """A private directory that can hold the socket: in the data directory, else in /tmp.

        Not $XDG_RUNTIME_DIR: it is deleted with the login session, which serve may outlive. A
        process that joins reads the place in postmaster.pid.
        """
        beside_data = self._data_dir / "socket"
        beside_data.mkdir(mode=0o700, exist_ok=True)
        identity.own(beside_data)
        if can_hold_socket(beside_data):
            return beside_data
        elsewhere = Path("/tmp") / self._cluster_name  # noqa: S108 - checked below
        try:
            elsewhere.mkdir(mode=0o700)
            identity.own(elsewhere)
        except FileExistsError:
            found = elsewhere.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == identity.owner_uid
            if not ours or stat.S_IMODE(found.st_mode) != 0o700:  # somebody squats the name
                elsewhere = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=elsewhere.parent))
                identity.own(elsewhere)
        if not can_hold_socket(elsewhere):
            raise EmbeddedError(f"neither {beside_data} nor {elsewhere} can hold a Unix socket")
        return elsewhere

    # Which process is which.

    def _disarm_stale_pid(self, identity: Identity) -> None:
        """Make PostgreSQL see that the postmaster.pid of a dead postmaster is stale.

        PostgreSQL goes by the pid in line 1. If the kernel gave that pid to another process of the
        same user, PostgreSQL would refuse to start. So the line is overwritten. The file stays: by
        its other lines PostgreSQL finds processes that still use the cluster's shared memory.
        Raises EmbeddedError if the pid is a postmaster of this cluster: it does not hold
        postgres.lock, so somebody started it by hand.
        """
        try:
            first, *rest = self._pid_path.read_bytes().splitlines(keepends=True)
            pid = abs(int(first))  # negative: of `postgres --single`
        except FileNotFoundError:
            return
        except ValueError:
            # Empty or cut off, after a power cut or on a full disk. PostgreSQL would not start.
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
        words = command_line(pid)
        if Path(os.fsdecode(words[0])).name != "postgres":
            return False
        if os.fsencode(self._pgdata) in words:
            return True
        try:  # somebody may have started it with `-D .`
            return Path(f"/proc/{pid}/cwd").readlink() == self._pgdata
        except OSError:
            return False

    def _kill_orphans(self) -> None:
        """Kill the children of a postmaster that was killed.

        They would end by themselves when they next wait for something. But a long query goes on,
        and until then the cluster cannot be started. Their shared memory is lost with their
        postmaster anyway, and recovery restores the data.
        """
        title = os.fsencode(f"postgres: {self._cluster_name}: ")
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and command_line(int(entry.name))[0].startswith(title):
                parent = parent_of(int(entry.name))
                if parent is not None and not self._is_postmaster(parent):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(entry.name), signal.SIGKILL)

    def _accepts(self, told: PidFile) -> bool:
        """Whether it answers clients. While it recovers or stops, it does not."""
        where = ["-h", str(told.socket_dir), "-p", str(PORT), "-t", "3"]
        done = subprocess.run(  # noqa: S603 - our own program and arguments
            [program("pg_isready"), "-q", *where, "-U", NAME, "-d", NAME],
            check=False,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
        return done.returncode == 0

    # Texts of errors.

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
                f" (the disk of {self._data_dir} was full; {free_mib} MiB are free now: make room)"
            )
        return text
