"""Waiting for what only the database knows."""

import asyncio

from devtelemetry.store.database import Connection


async def until_waiting(connection: Connection, sessions: int = 1) -> None:
    """Until so many sessions wait for a lock of any kind."""
    async with asyncio.timeout(30):
        while (
            await connection.fetchval("select count(distinct pid) from pg_locks where not granted")
            < sessions
        ):
            await asyncio.sleep(0.01)
