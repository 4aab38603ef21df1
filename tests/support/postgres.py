"""A PostgreSQL that is not the bundled one: the system's, started in a directory of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ci import missing_part
from support.ports import free_port


@contextmanager
def system_postgres(*, listens: bool = False) -> Iterator[str]:
    """The URL of a fresh server, which is gone after the block.

    listens  on loopback; else on a socket only
    """
    programs = postgres_programs()
    # Not below pytest's directory, which is closed to the account that PostgreSQL must run as.
    directory = Path(tempfile.mkdtemp(prefix="devtelemetry-postgres-"))
    account = "postgres" if os.geteuid() == 0 else None
    try:
        if account is not None:
            os.chown(directory, pwd.getpwnam(account).pw_uid, -1)
        _run(account, programs / "initdb", "-D", directory / "data", "-U", "tester", "-A", "trust")
        port = free_port() if listens else 5432
        host = "127.0.0.1" if listens else ""
        options = f"-k {directory} -p {port} -c listen_addresses='{host}' -c fsync=off"
        control = ("-D", directory / "data", "-w", "-l", directory / "log")
        _run(account, programs / "pg_ctl", *control, "-o", options, "start")
        try:
            yield f"postgresql://tester@/postgres?host={host or directory}&port={port}"
        finally:
            _run(account, programs / "pg_ctl", *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def postgres_programs() -> Path:
    """Where the system's PostgreSQL has its programs, the newest if there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb)]
    if not found:
        missing_part("no PostgreSQL besides the bundled one (Debian: apt-get install postgresql)")
    return found[-1].parent


def _run(account: str | None, *arguments: object) -> None:
    # Not captured by a pipe: the server that pg_ctl starts would keep it open.
    subprocess.run(
        [str(argument) for argument in arguments],
        user=account,
        cwd="/",
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
