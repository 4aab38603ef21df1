"""PostgreSQL advisory locks: who may do what at the same time, over all servers of a database.

Each is a pair of 32-bit integers; the first says "Dev-Telemetry" to other users of the database.
"""

import contextlib
from collections.abc import AsyncIterator
from enum import IntEnum

import structlog

from devtelemetry.model.errors import DatabaseAway, DatabaseError
from devtelemetry.runtime import metrics
from devtelemetry.store.connection import Connection
from devtelemetry.store.sql import queries

LONG_SECONDS = 30.0  # what waits so long for a lock is worth a line

_QUERIES = queries(__package__, "locks.sql")
_log = structlog.get_logger(__name__)

NAMESPACE = 0x64_74_6C_6D  # "dtlm"


class Lock(IntEnum):
    MIGRATE = 1  # one server migrates, the others wait
    INGEST = 2  # shared by every ingest transaction; exclusive for who rewrites stored rows
    AGGREGATE = 3  # one server computes windows; shared by an import, which must be whole first
    CLEAN = 4  # one server cleans
    PARTITIONS = 5  # one server adds days
    ENVELOPES = 7  # one transaction at a time matches envelopes with what is said of them
    FORGET = 8  # one server deletes what a forgotten receiver reported
    PUBLISH = 9  # one server sends windows to the store of time series
    RULES = 10  # shared by all who compute by the same rules; exclusive for who sets them
    SAMPLING = 11  # one server makes rules of sampling
    NOTIFY = 12  # one server tells people of problems


@contextlib.asynccontextmanager
async def try_lock(
    connection: Connection, lock: Lock, *, shared: bool = False
) -> AsyncIterator[bool]:
    """Tries a session's advisory lock for the block; yields whether it was to be had."""
    suffix = "_shared" if shared else ""
    held = await connection.fetchval(
        f"select pg_try_advisory_lock{suffix}($1, $2)", NAMESPACE, int(lock)
    )
    try:
        yield held
    finally:
        if held:
            # A lost connection has released it already.
            with contextlib.suppress(DatabaseAway, DatabaseError):
                await connection.execute(
                    f"select pg_advisory_unlock{suffix}($1, $2)", NAMESPACE, int(lock)
                )


async def watch_locks(connection: Connection) -> None:
    """Says who waits for a lock for long, and who holds it: on /metrics, and in the log."""
    waits = await connection.fetch(_QUERIES["waits"], namespace=NAMESPACE)
    longest = max((wait["seconds"] for wait in waits), default=0.0)
    metrics.LOCK_WAIT_SECONDS.set(longest)
    for wait in waits:
        if wait["seconds"] >= LONG_SECONDS:
            _log.warning(
                "a lock is waited for",
                lock=Lock(wait["lock"]).name.lower(),
                seconds=round(wait["seconds"]),
                held_by=wait["held_by"],
            )
