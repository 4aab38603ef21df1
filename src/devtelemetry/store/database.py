"""Connections to one PostgreSQL, whichever it is: the bundled one or any other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from devtelemetry.model.errors import ConfigurationError, DevTelemetryError, Unavailable
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.migrate import migrate

CONNECTIONS = 8  # ingest uses one, each running job one or two, the rest answers readers
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 600.0  # the longest there is: a window of a week on a large deployment
LEAST_VERSION = 15  # for `nulls not distinct`-age SQL; the oldest the tests run on

Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

# Classes and codes of SQLSTATE after which the same statement may succeed. 08 connection,
# 40 rollback, 53 resources, 55P03 a lock not to be had in time, 57P0 shutdown, 58 system; XX000
# is how a cluster reports a lost node.
_TRANSIENT = ("08", "40", "53", "55P03", "57P0", "58", "XX000")


class Database:
    """A pool of connections to a migrated database.

    revive  called in a thread when the database cannot be reached; restarts the bundled one
    """

    def __init__(self, url: str, *, revive: Callable[[], object] | None = None) -> None:
        self.url = url
        self._revive = revive
        self._pool: asyncpg.Pool[Any] | None = None

    async def __aenter__(self) -> "Database":
        """Connects and migrates. Raises ConfigurationError or Unavailable with what to do."""
        try:
            connection = await asyncpg.connect(self.url, timeout=CONNECT_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise _cannot_connect(error) from error
        except ValueError as error:
            raise ConfigurationError(
                f"the database URL cannot be used: {error}; allowed: postgresql://USER@HOST/NAME"
            ) from error
        try:
            await _check_version(connection)
            await migrate(connection, self.url)
        finally:
            await connection.close()
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings={"application_name": "devtelemetry", "timezone": "UTC", "jit": "off"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.wait_for(self._pool.close(), timeout=10)
            self._pool.terminate()
            self._pool = None

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection, back in UTC and outside any transaction when the block is left.

        Raises what asyncpg raises; `is_transient` tells whether trying again makes sense.
        """
        assert self._pool is not None, "the database is used inside its `async with`"
        try:
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        except (asyncpg.PostgresError, OSError) as error:
            if self._revive is None or not is_transient(error):
                raise
            await asyncio.to_thread(self._revive)
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._pool.release(connection)

    async def keyring(self, *, knows_pseudonyms: bool = False) -> Keyring:
        """The deployment's ids. `knows_pseudonyms`: exported receivers come back as themselves."""
        async with self.acquire() as connection:
            key = await connection.fetchval("select id_key from deployment")
        return Keyring(key, knows_pseudonyms=knows_pseudonyms)


@contextlib.asynccontextmanager
async def try_lock(
    connection: Connection, lock: Lock, *, shared: bool = False
) -> AsyncIterator[bool]:
    """Tries a session's advisory lock for the block; yields whether it was to be had."""
    suffix = "_shared" if shared else ""
    held = await connection.fetchval(
        f"select pg_try_advisory_lock{suffix}($1, $2)", NAMESPACE, int(lock)
    )
    try:
        yield held
    finally:
        if held:
            # A lost connection has released it already.
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.execute(
                    f"select pg_advisory_unlock{suffix}($1, $2)", NAMESPACE, int(lock)
                )


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: the connection, load or a rollback, not the data."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_TRANSIENT)
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # ValueError: a parameter cannot be encoded
    return isinstance(error, OSError | TimeoutError)


def _cannot_connect(error: BaseException) -> DevTelemetryError:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return ConfigurationError(f"the database refuses this login: {error}")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return ConfigurationError(f"{error}; create it first (createdb)")
    return Unavailable(f"the database cannot be reached: {error or type(error).__name__}")


async def _check_version(connection: Connection) -> None:
    version = connection.get_server_version()
    if version.major < LEAST_VERSION:
        raise ConfigurationError(
            f"the database is PostgreSQL {version.major}; allowed: {LEAST_VERSION} or later"
        )
