"""Changing rows that ingest may hold in memory: repair, forget, clean."""

import contextlib
from collections.abc import AsyncIterator

from devtelemetry.store.database import Connection
from devtelemetry.store.locks import NAMESPACE, Lock


@contextlib.asynccontextmanager
async def rewriting(connection: Connection, *, lock_timeout: str = "30s") -> AsyncIterator[None]:
    """A transaction that has the stored rows to itself.

    Waits for the ingest transactions that run, and holds off new ones until it ends; then they
    know by the epoch that what they remember of stored rows is void. Raises asyncpg's
    LockNotAvailableError if that takes longer than `lock_timeout`: rather later than holding up
    ingest behind one slow reader.
    """
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{lock_timeout}'")
        await connection.execute("select pg_advisory_xact_lock($1, $2)", NAMESPACE, Lock.INGEST)
        yield
        await connection.execute("update deployment set ingest_epoch = ingest_epoch + 1")
