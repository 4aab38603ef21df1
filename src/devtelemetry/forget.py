"""Deleting what one person or one installation reported, at once and for good."""

from collections.abc import Sequence

from devtelemetry.store.database import Connection, Database
from devtelemetry.store.repair import rewriting
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "forget.sql")


async def forget_key(database: Database, public_key: str) -> int:
    """Deletes all that the receivers of `public_key` reported, on any installation.

    Returns how many samples went. Stored figures stay: they are counts and name nobody.
    """
    keyring = await database.keyring()
    return await _forget(database, "receivers_of_owner", keyring.owner(public_key))


async def forget_installation(database: Database, installation_id: str) -> int:
    """The same for one installation: what an opt-out asks for."""
    keyring = await database.keyring()
    return await _forget(
        database, "receivers_of_installation", keyring.installation(installation_id)
    )


async def _forget(database: Database, find: str, hashed: int) -> int:
    async with database.acquire() as connection:
        # Whoever asks for one that was never here must not hold up ingest with it.
        if not await connection.fetchval(_QUERIES["is_known"], hashed):
            return 0
        async with rewriting(connection):
            rows = await connection.fetch(_QUERIES[find], hashed)
            await connection.execute(_QUERIES["delete_events"], hashed)
            return await _delete(connection, [row["receiver_id"] for row in rows])


async def _delete(connection: Connection, receivers: Sequence[int]) -> int:
    if not receivers:
        return 0
    deleted = await connection.fetch(_QUERIES["delete_receipts"], receivers)
    for name in ("delete_memberships", "delete_sent_envelopes", "delete_receivers"):
        await connection.execute(_QUERIES[name], receivers)
    messages = [[row[name] for row in deleted] for name in ("sent_at", "channel_id", "message_id")]
    await connection.execute(_QUERIES["delete_orphaned_messages"], *messages)
    return sum(row["samples"] for row in deleted)
