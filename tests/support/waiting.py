"""Waits for sessions of the database that wait for a lock."""

import asyncio
from typing import Any

from devtelemetry.store.locks import Lock

LOCKS_HERE = (
    "pg_locks where pid <> pg_backend_pid() and pid in (select pid from pg_locks "
    "where database = (select oid from pg_database where datname = current_database()))"
)
"""The locks of other sessions of this database, which shares its server with other tests"""

WAITING_HERE = f"{LOCKS_HERE} and not granted"


async def until_waiting(
    connection: Any, sessions: int = 1, *, lock: Lock | None = None
) -> list[int]:
    """Waits until so many sessions wait for a lock; returns their process ids.

    lock  an advisory lock; None: any lock of any kind
    """
    of_lock = "" if lock is None else f" and locktype = 'advisory' and objid = {int(lock)}"
    async with asyncio.timeout(30):
        while True:
            rows = await connection.fetch(f"select distinct pid from {WAITING_HERE}{of_lock}")
            if len(rows) >= sessions:
                return [row["pid"] for row in rows]
            await asyncio.sleep(0.01)
