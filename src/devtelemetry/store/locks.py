"""PostgreSQL advisory locks: what may run at the same time, over all servers of a database.

A lock is a pair of 32-bit integers. The first is the same for all locks of Dev-Telemetry, so that
other users of the database do not take them by accident. docs/flow.md has a table of all locks.
"""

import contextlib
from collections.abc import AsyncIterator
from enum import IntEnum

import structlog

from devtelemetry.model.errors import DatabaseAway, DatabaseError
from devtelemetry.runtime import metrics
from devtelemetry.store.connection import Connection
from devtelemetry.store.sql import queries

LONG_SECONDS = 30.0  # longer waits for a lock are logged

_QUERIES = queries(__package__, "locks.sql")
_log = structlog.get_logger(__name__)

NAMESPACE = 0x64_74_6C_6D  # "dtlm"


class Lock(IntEnum):
    MIGRATE = 1  # one server migrates, the others wait
    INGEST = 2  # shared by ingest transactions; exclusive while stored rows are rewritten
    AGGREGATE = 3  # one server computes windows; shared by imports: windows wait for a whole import
    CLEAN = 4  # one server cleans
    PARTITIONS = 5  # one server adds days
    ENVELOPES = 7  # one transaction at a time matches envelopes with the reports about them
    FORGET = 8  # one server deletes what a forgotten receiver reported
    PUBLISH = 9  # one server sends windows to the store of time series
    RULES = 10  # shared by all that compute by the same rules; exclusive while they are set
    SAMPLING = 11  # one server makes rules of sampling
    NOTIFY = 12  # one server tells people of problems


@contextlib.asynccontextmanager
async def try_lock(
    connection: Connection, lock: Lock, *, shared: bool = False
) -> AsyncIterator[bool]:
    """Tries to take a lock of the session for the block; yields whether it got the lock."""
    suffix = "_shared" if shared else ""
    held = await connection.fetchval(
        f"select pg_try_advisory_lock{suffix}($1, $2)", NAMESPACE, int(lock)
    )
    try:
        yield held
    finally:
        if held:
            # If the connection is lost, the lock is released already.
            with contextlib.suppress(DatabaseAway, DatabaseError):
                await connection.execute(
                    f"select pg_advisory_unlock{suffix}($1, $2)", NAMESPACE, int(lock)
                )


async def watch_locks(connection: Connection) -> None:
    """Reports the longest wait for a lock on /metrics, and logs long waits with the holders."""
    waits = await connection.fetch(_QUERIES["waits"], namespace=NAMESPACE)
    longest = max((wait["seconds"] for wait in waits), default=0.0)
    metrics.LOCK_WAIT_SECONDS.set(longest)
    for wait in waits:
        if wait["seconds"] >= LONG_SECONDS:
            _log.warning(
                "a long wait for a lock",
                lock=Lock(wait["lock"]).name.lower(),
                seconds=round(wait["seconds"]),
                held_by=wait["held_by"],
            )
