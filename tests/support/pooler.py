"""PgBouncer, as Debian ships it, before a PostgreSQL that listens on a socket."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support.ci import missing_part

_PORT = 6432


@contextmanager
def pgbouncer(database_url: str, pool_mode: str = "session") -> Iterator[str]:
    """The URL of the same database behind a pooler that runs until the block is left."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        missing_part("no PgBouncer (Debian: apt-get install pgbouncer)")
    parts = urlsplit(database_url)
    socket = parse_qs(parts.query)["host"][0]
    directory = Path(tempfile.mkdtemp(prefix="devtelemetry-pgbouncer-"))
    # PgBouncer refuses to run as root.
    account = "postgres" if os.geteuid() == 0 else None
    if account is not None:
        os.chown(directory, pwd.getpwnam(account).pw_uid, -1)
    # Options that are not set here have PgBouncer's defaults.
    (directory / "pgbouncer.ini").write_text(
        f"""
[databases]
* = host={socket} port=5432 user={parts.username}
[pgbouncer]
pool_mode = {pool_mode}
listen_addr =
listen_port = {_PORT}
unix_socket_dir = {directory}
auth_type = any
logfile = {directory}/log
"""
    )
    process = subprocess.Popen(
        [program, "--quiet", str(directory / "pgbouncer.ini")],
        user=account,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (directory / f".s.PGSQL.{_PORT}").exists():
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, "the pooler does not listen"
            time.sleep(0.05)
        yield (
            f"postgresql://{parts.username}@/{parts.path.lstrip('/')}?host={directory}&port={_PORT}"
        )
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)
