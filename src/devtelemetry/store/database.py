"""Connections to one PostgreSQL: the bundled one or any other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg

from devtelemetry.model.errors import (
    ConfigurationError,
    DatabaseAway,
    DatabaseReadOnly,
    DevTelemetryError,
    Unavailable,
)
from devtelemetry.store.connection import DRIVER_ERRORS, Connection, Row
from devtelemetry.store.driver import (
    CONNECT_SECONDS,
    STARTUP,
    Session,
    address,
    connect,
    prepare,
)
from devtelemetry.store.fitness import check_database, check_sessions
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.migrate import migrate

__all__ = ["Connection", "Database", "Row"]

CONNECTIONS = 8  # ingest uses one, each running job one or two, readers the rest
READERS = 4  # the most connections that read figures at a time
READ_SECONDS = 60.0  # then a reader gives up; waiting for its turn is included
STATEMENT_SECONDS = 600.0  # the longest statement computes a week of a large deployment


class Database:
    """A pool of connections to a migrated database.

    revive  restarts the bundled database; called in a thread when it cannot be reached
    """

    def __init__(self, url: str, *, revive: Callable[[], object] | None = None) -> None:
        self.url = url
        self._revive = revive
        self._pool: asyncpg.Pool[Any] | None = None
        self._readers = asyncio.Semaphore(READERS)

    async def __aenter__(self) -> "Database":
        """Connects and migrates. Raises ConfigurationError or Unavailable with what to do."""
        try:
            async with _connected(self.url) as connection:
                await check_database(connection)
                async with _connected(self.url) as other:
                    await check_sessions(connection, other)
                await migrate(connection, self.url)
            at = address(self.url)
            self._pool = await asyncpg.create_pool(
                at.url,
                min_size=0,  # with a minimum, the driver logs a traceback if a connection is lost
                max_size=CONNECTIONS,
                timeout=at.connect_seconds,
                command_timeout=STATEMENT_SECONDS,
                server_settings=STARTUP,
                connection_class=Session,
                init=prepare,
            )
        except DRIVER_ERRORS as error:
            raise _cannot_connect(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            with contextlib.suppress(*DRIVER_ERRORS):
                await asyncio.wait_for(self._pool.close(), timeout=10)
            self._pool.terminate()
            self._pool = None

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection for the block. Afterwards it is reset: in UTC, outside any transaction.

        Raises DatabaseAway.
        """
        assert self._pool is not None, "the database is used inside its `async with`"
        try:
            driver = await self._take()
        except DatabaseAway:
            if self._revive is None:
                raise
            await asyncio.to_thread(self._revive)
            driver = await self._take()
        try:
            yield Connection(driver)
        except DatabaseReadOnly:
            # This server is no longer the primary. A new connection may find the new primary.
            await self._pool.expire_connections()
            raise
        finally:
            with contextlib.suppress(*DRIVER_ERRORS):
                await self._pool.release(driver)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A connection to read figures. Readers never take the connections of pushes and jobs.

        Raises DatabaseAway, and Unavailable after READ_SECONDS.
        """
        try:
            async with (
                asyncio.timeout(READ_SECONDS),
                self._readers,
                self.acquire() as connection,
            ):
                yield connection
        except TimeoutError as error:
            raise Unavailable("reading the figures takes too long; try again later") from error

    async def _take(self) -> Any:
        assert self._pool is not None
        try:
            return await self._pool.acquire(timeout=CONNECT_SECONDS)
        except DRIVER_ERRORS as error:
            # Connecting worked at the start, and no request is at fault. So any error is transient.
            raise DatabaseAway(str(error) or type(error).__name__) from error

    async def keyring(self, *, knows_pseudonyms: bool = False) -> Keyring:
        """The deployment's ids. knows_pseudonyms: exported pseudonyms mean their receivers."""
        async with self.acquire() as connection:
            key = await connection.fetchval("select id_key from deployment")
        return Keyring(key, knows_pseudonyms=knows_pseudonyms)


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    """A connection outside the pool, for the block."""
    driver = await connect(url)
    try:
        yield Connection(driver)
    finally:
        with contextlib.suppress(*DRIVER_ERRORS):
            await driver.close()


def _cannot_connect(error: BaseException) -> DevTelemetryError:
    if isinstance(
        error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InsufficientPrivilegeError
    ):
        return ConfigurationError(f"the database refuses this login: {error}")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return Unavailable(
            f"no host of the database is what target_session_attrs asks for: {error}"
        )
    if isinstance(error, asyncpg.ProtocolViolationError):
        return ConfigurationError(
            f"the database's host answers, but refuses the connection: {error}"
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return ConfigurationError(f"{error}; create it first (createdb)")
    return Unavailable(f"the database cannot be reached: {error or type(error).__name__}")
