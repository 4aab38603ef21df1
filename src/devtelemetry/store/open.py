"""The database, opened: by its URL, or the bundled one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer


@contextlib.asynccontextmanager
async def open_database(
    url: str | None, data_dir: Path, *, exclusive: bool = False
) -> AsyncIterator[Database]:
    """The database at `url`, or the bundled one in `data_dir` if `url` is None, for the block.

    If the bundled PostgreSQL runs already, this process joins it. The last process to leave stops
    it.

    exclusive  for `serve`: raises AlreadyServing if another process serves this data directory

    Raises ConfigurationError, Unavailable or EmbeddedError with what to do.
    """
    if url is not None:
        async with Database(url) as database:
            yield database
        return
    server = EmbeddedServer(data_dir, exclusive=exclusive)
    try:
        # Inside the try: an interrupted start goes on in its thread, so stop() must undo it.
        await asyncio.to_thread(server.start)
        async with Database(server.url, revive=server.ensure_running) as database:
            yield database
    finally:
        await asyncio.to_thread(server.stop)
