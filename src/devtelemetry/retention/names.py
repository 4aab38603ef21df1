"""Drops names that nobody needs any more, because clients may make up any number of them."""

from devtelemetry.store.database import Connection
from devtelemetry.store.repair import rewriting
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "names.sql")


async def drop_names(connection: Connection, before_ms: int, *, lock_timeout: str) -> None:
    """Drops channels and types that only one installation ever named, or that nothing refers to.

    before_ms  names that came later stay; no samples from before are kept

    The figures of a dropped channel are deleted, too: the only installation that named it could
    make up any number of channels.
    """
    async with rewriting(connection, lock_timeout=lock_timeout):
        await connection.execute(_QUERIES["mark_shared"])
        channels = await _channels_to_drop(connection, before_ms)
        if channels:
            await connection.execute(_QUERIES["drop_channels"], channel_ids=sorted(channels))
        await connection.execute(_QUERIES["drop_named"], before_ms=before_ms)
        in_use = await connection.fetch(_QUERIES["kinds_in_use"])
        await connection.execute(_QUERIES["drop_types"], in_use=[row["kind"] for row in in_use])
        numbers = await connection.fetch(_QUERIES["numbers_to_drop"])
        await connection.execute(
            _QUERIES["drop_numbers"], installation_ids=[row["installation_id"] for row in numbers]
        )


async def _channels_to_drop(connection: Connection, before_ms: int) -> set[int]:
    """Channels without samples. If two installations ever named a channel: only without members and
    without figures. If only one ever did: only if it did not since `before_ms`."""
    without_samples = await connection.fetch(_QUERIES["without_samples"])
    by_shared: dict[bool, list[int]] = {True: [], False: []}
    for row in without_samples:
        by_shared[row["is_shared"]].append(row["channel_id"])
    kept = await connection.fetch(
        _QUERIES["still_needed"],
        shared=by_shared[True],
        alone=by_shared[False],
        before_ms=before_ms,
    )
    return {row["channel_id"] for row in without_samples} - {row["channel_id"] for row in kept}
