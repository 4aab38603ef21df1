"""Waiting for what only the database knows."""

import asyncio
from typing import Any

from devtelemetry.store.locks import Lock

LOCKS_HERE = (
    "pg_locks where pid <> pg_backend_pid() and pid in (select pid from pg_locks "
    "where database = (select oid from pg_database where datname = current_database()))"
)
"""The locks of the other sessions of this database: tests share a server with others"""

WAITING_HERE = f"{LOCKS_HERE} and not granted"


async def until_waiting(
    connection: Any, sessions: int = 1, *, lock: Lock | None = None
) -> list[int]:
    """Until so many sessions wait for a lock; returns their processes.

    lock  an advisory one; None: any lock of any kind
    """
    of_lock = "" if lock is None else f" and locktype = 'advisory' and objid = {int(lock)}"
    async with asyncio.timeout(30):
        while True:
            rows = await connection.fetch(f"select distinct pid from {WAITING_HERE}{of_lock}")
            if len(rows) >= sessions:
                return [row["pid"] for row in rows]
            await asyncio.sleep(0.01)
