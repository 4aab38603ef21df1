"""The database that the settings name, opened for a command."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from devtelemetry.config import Settings


@contextlib.asynccontextmanager
async def open_database(
    settings: "Settings", *, exclusive: bool = False
) -> AsyncIterator[Database]:
    """The database by its URL, or the bundled one in its directory, for the block.

    The bundled one is joined where a `serve` runs already; the last one to leave stops it.

    exclusive  for `serve`: AlreadyServing where another process serves from the data directory

    Raises ConfigurationError, Unavailable or EmbeddedError with what to do.
    """
    if settings.database_url is not None:
        async with Database(settings.database_url) as database:
            yield database
        return
    server = EmbeddedServer(settings.data_dir, exclusive=exclusive)
    try:
        # Inside the try: a start that is interrupted goes on in its thread, and must be undone.
        await asyncio.to_thread(server.start)
        async with Database(server.url, revive=server.ensure_running) as database:
            yield database
    finally:
        await asyncio.to_thread(server.stop)
