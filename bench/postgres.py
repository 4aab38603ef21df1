"""A bundled PostgreSQL in a temporary directory, and databases in it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer


@contextlib.contextmanager
def temporary_server() -> Iterator[str]:
    """Runs a server; yields the URL of its maintenance database."""
    with (
        TemporaryDirectory(prefix="devtelemetry-bench-") as directory,
        EmbeddedServer(Path(directory) / "data") as server,
    ):
        yield server.url


@contextlib.asynccontextmanager
async def fresh_database(url: str, name: str) -> AsyncIterator[Database]:
    """A new migrated database of that server; dropped when the block is left."""
    parts = urlsplit(url)
    # urlunsplit() would drop the // of an empty host, which a socket's URL has.
    own_url = urlunsplit((parts.scheme, parts.netloc or "@", f"/{name}", parts.query, ""))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"create database {name}")
        try:
            async with Database(own_url) as database:
                yield database
        finally:
            await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


async def server_version(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        version: str = await connection.fetchval("show server_version")
    finally:
        await connection.close()
    return version
