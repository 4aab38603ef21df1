"""A connection to PostgreSQL. Only `store` knows the driver, asyncpg.

Errors of the driver become our own here: DatabaseAway if the same call may work later,
DatabaseError if it will not.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from devtelemetry.model.errors import DatabaseAway, DatabaseError, DatabaseReadOnly
from devtelemetry.store.sql import Query

Row: TypeAlias = Any
"""A row, whose values are found by position or by name (asyncpg.Record)"""

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # for example: none of several hosts is the primary
    OSError,
    TimeoutError,
)

# Classes and codes of SQLSTATE after which the same statement may succeed: 08 connection,
# 25006 read-only, 25P03 time limit of an idle transaction, 40 rollback, 42501 privilege revoked,
# 53 resources, 55P03 lock not available in time, 57014 time limit of a statement, 57P0 shutdown,
# 58 system, XX000 a cluster has lost a node.
_TRANSIENT = ("08", "25006", "25P03", "40", "42501", "53", "55P03", "57014", "57P0", "58", "XX000")


class Connection:
    """Runs queries. Values are given by the names of the query's parameters.

        rows = await connection.fetch(_QUERIES["holes"], window_start=start, window_end=end)

    A query given as text has parameters `$1`, `$2` …, and takes its values in their order.
    Every method raises DatabaseAway or DatabaseError.
    """

    def __init__(self, driver: "asyncpg.Connection[Any] | PoolConnectionProxy[Any]") -> None:
        self._driver = driver

    async def fetch(self, query: Query | str, /, *values: object, **named: object) -> list[Row]:
        """All rows."""
        text, arguments = _bound(query, values, named)
        with translated_errors():
            return await self._driver.fetch(text, *arguments)

    async def fetchrow(self, query: Query | str, /, *values: object, **named: object) -> Row | None:
        """The first row; None if there is none."""
        text, arguments = _bound(query, values, named)
        with translated_errors():
            return await self._driver.fetchrow(text, *arguments)

    async def fetchval(self, query: Query | str, /, *values: object, **named: object) -> Any:
        """The first value of the first row; None if there is no row."""
        text, arguments = _bound(query, values, named)
        with translated_errors():
            return await self._driver.fetchval(text, *arguments)

    async def execute(
        self, query: Query | str, /, *values: object, seconds: float | None = None, **named: object
    ) -> str:
        """Its status, such as `INSERT 0 3`. seconds: its time limit; None: the usual one."""
        text, arguments = _bound(query, values, named)
        with translated_errors():
            return await self._driver.execute(text, *arguments, timeout=seconds)

    async def copy_rows(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Adds `rows` to `table`, which must not have any of them yet."""
        with translated_errors():
            await self._driver.copy_records_to_table(table, records=rows, columns=columns)

    async def slices(
        self, query: Query, rows: int, /, *values: object, **named: object
    ) -> AsyncIterator[list[Row]]:
        """The result in slices of `rows`. Only inside a transaction."""
        text, arguments = _bound(query, values, named)
        with translated_errors():
            cursor = await self._driver.cursor(text, *arguments)
        while True:
            with translated_errors():
                found = await cursor.fetch(rows)
            if not found:
                return
            yield found

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        *,
        isolation: Literal["read_committed", "repeatable_read"] | None = None,
        readonly: bool = False,
    ) -> AsyncIterator[None]:
        """Commits after the block, rolls back if it raises. Inside a transaction: a savepoint."""
        transaction = self._driver.transaction(isolation=isolation, readonly=readonly)
        with translated_errors():
            await transaction.start()
        try:
            yield
        except BaseException:
            # A connection that is lost has rolled back already.
            with contextlib.suppress(*DRIVER_ERRORS):
                await transaction.rollback()
            raise
        with translated_errors():
            await transaction.commit()

    @property
    def major_version(self) -> int:
        """Of the server."""
        return self._driver.get_server_version().major


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Raises DatabaseAway or DatabaseError in the place of what the driver raises."""
    try:
        yield
    except DRIVER_ERRORS as error:
        text = str(error) or type(error).__name__
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            raise DatabaseReadOnly(text) from error
        raise (DatabaseAway(text) if _is_transient(error) else DatabaseError(text)) from error


def _is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: the cause is not the statement or its data."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_TRANSIENT)
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # ValueError: a parameter cannot be encoded
    return True


def _bound(
    query: Query | str, values: tuple[object, ...], named: dict[str, object]
) -> tuple[str, Sequence[object]]:
    if isinstance(query, str):
        assert not named, "a query that is text has no names"
        return query, values
    return query.text, query.arguments(values, named)
