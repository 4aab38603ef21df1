"""Databases on a Citus cluster. DEVTELEMETRY_TEST_CITUS_URL names a database on its coordinator
that knows the other nodes. The tests make databases of their own there, on every node.
"""

import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from devtelemetry.store.database import Database
from devtelemetry.store.distribution import distribute
from devtelemetry.store.migrate import HEAD

VARIABLE = "DEVTELEMETRY_TEST_CITUS_URL"
SHARDS = 4

_numbers = itertools.count(1)
_free: list[str] = []
_made: list[str] = []


def citus_url() -> str:
    """The URL of the cluster. Skips the test if there is none, also in CI, which has none."""
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"no Citus cluster: {VARIABLE} names none")
    return url


@contextlib.asynccontextmanager
async def citus_database(url: str) -> AsyncIterator[str]:
    """The URL of an empty, distributed database. It is reused, because making one takes seconds.

    `drop_citus_databases` drops it.
    """
    name = _free.pop() if _free else await _make(url)
    yield at(url, name)
    await _empty(at(url, name))
    _free.append(name)


async def drop_citus_databases(url: str) -> None:
    for name in _made:
        for node in await nodes_of(url):
            await _execute(node, f"drop database {name} with (force)")
    _made.clear()
    _free.clear()


def at(url: str, name: str, *, host: str | None = None, port: int | None = None) -> str:
    """The URL of another database, on the same node or on another."""
    parts = urlsplit(url)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    netloc = parts.netloc if host is None else f"{user}{host}:{port}"
    return urlunsplit((parts.scheme, netloc, f"/{name}", parts.query, ""))


@contextlib.asynccontextmanager
async def bare_citus_database(url: str) -> AsyncIterator[str]:
    """The URL of a database with the extension and all nodes, but without a schema."""
    name = f"devtelemetry_citus_{os.getpid()}_{next(_numbers)}"
    nodes = await nodes_of(url)
    for node in nodes:
        await _execute(node, f"create database {name}")
        await _execute(at(node, name), "create extension citus")
    parts = urlsplit(url)
    await _execute(
        at(url, name), f"select citus_set_coordinator_host('{parts.hostname}', {parts.port})"
    )
    for node in nodes[1:]:
        parts = urlsplit(node)
        await _execute(at(url, name), f"select citus_add_node('{parts.hostname}', {parts.port})")
    yield at(url, name)
    for node in nodes:
        await _execute(node, f"drop database {name} with (force)")


async def _make(url: str) -> str:
    stack = contextlib.AsyncExitStack()
    made = await stack.enter_async_context(bare_citus_database(url))
    stack.pop_all()  # drop_citus_databases drops it at the end, with the others
    name = urlsplit(made).path[1:]
    _made.append(name)
    async with Database(made) as database, database.acquire() as connection:
        async for _ in distribute(connection, shards=SHARDS):
            pass
    return name


async def nodes_of(url: str) -> list[str]:
    """The URLs of all nodes, the coordinator's first."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select nodename, nodeport from pg_dist_node where groupid > 0"
        )
    finally:
        await connection.close()
    name = urlsplit(url).path[1:]
    return [url, *(at(url, name, host=row["nodename"], port=row["nodeport"]) for row in rows)]


async def _empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select c.oid::regclass::text as name, relispartition as is_day from pg_class c "
            "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') "
            "and relname not in ('alembic_version', 'deployment')"
        )
        for table in tables:
            if table["is_day"]:
                await connection.execute(f"drop table {table['name']}")
        for table in tables:
            if not table["is_day"] and table["name"] != "receipt":
                await connection.execute(f"delete from {table['name']}")
        await connection.execute(
            "update deployment set ingest_epoch = ingest_epoch + 1, publishing_since = null"
        )
        await connection.execute("update alembic_version set version_num = $1", HEAD)
    finally:
        await connection.close()


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
