"""Spreads the database over a cluster."""

from devtelemetry.cli.output import say, tell
from devtelemetry.server.wiring import opened_database
from devtelemetry.settings.settings import Settings
from devtelemetry.store.distribution import distribute, shards_of


async def spread_tables(settings: Settings, shards: int | None) -> None:
    async with opened_database(settings) as database, database.acquire() as connection:
        async for line in distribute(connection, shards=shards):
            tell(line)
        say(f"distributed over {await shards_of(connection)} shards")
