"""The system's PostgreSQL instead of the bundled one, started in a directory of its own."""

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
    """The URL of a fresh server that runs until the block is left.

    listens  on loopback too; else only on a socket
    """
    programs = postgres_programs()
    # Not in pytest's directory: the account that PostgreSQL must run as cannot read it.
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
    """The directory of the programs of the system's PostgreSQL, of the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb)]
    if not found:
        missing_part("no PostgreSQL besides the bundled one (Debian: apt-get install postgresql)")
    return found[-1].parent


def _run(account: str | None, *arguments: object) -> None:
    # Without a pipe for the output: the server that pg_ctl starts would keep it open.
    subprocess.run(
        [str(argument) for argument in arguments],
        user=account,
        cwd="/",
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
