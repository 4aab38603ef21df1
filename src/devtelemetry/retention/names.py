"""Dropping names that nobody needs any more: clients may make them up."""

from devtelemetry.store.database import Connection
from devtelemetry.store.repair import rewriting
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "names.sql")


async def drop_names(connection: Connection, before_ms: int, *, lock_timeout: str) -> None:
    """Channels and message types that only one installation ever named, or that nothing refers to.

    before_ms  named later they stay; no samples from before are kept

    With a channel go the figures that it had: who named it alone could make up as many as it liked.
    """
    async with rewriting(connection, lock_timeout=lock_timeout):
        await connection.execute(_QUERIES["mark_shared"])
        channels = await connection.fetch(_QUERIES["channels_to_drop"], before_ms=before_ms)
        if channels:
            await connection.execute(
                _QUERIES["drop_channels"], channel_ids=[row["channel_id"] for row in channels]
            )
        await connection.execute(_QUERIES["drop_types"], before_ms=before_ms)
        await connection.execute(_QUERIES["drop_numbers"])
