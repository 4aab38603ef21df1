"""The worked cases hold exactly, by command line and library, on every PostgreSQL."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from aggregate.test_reliability import VECTORS, assert_vector_holds
from conftest import database_of
from devtelemetry.model import from_unix_ms
from devtelemetry.store.database import Database
from oracle.vectors import Vector
from support.citus import VARIABLE, citus_database, citus_url, drop_citus_databases
from support.postgres import system_postgres
from support.program import Run, run
from support.store import empty, store_vector

pytestmark = pytest.mark.slow

# A large case, and one with numbers and memberships.
THROUGH_PROCESSES = ("mixed-2-bracketed", "coverage-left-ends-the-part")
Command = Callable[..., str]
"""Runs a command line, given as its words; returns what it printed."""


@pytest.fixture(scope="module", params=["bundled", "system", "citus"])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bundled PostgreSQL, then the system's own, then a cluster."""
    if request.param == "citus":
        yield citus_url()
        return
    if request.param == "bundled":
        yield request.getfixturevalue("postgres_url")
        return
    with system_postgres() as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def new_url(server_url: str) -> AsyncIterator[str]:
    """A new database there without a schema; on a cluster it is distributed."""
    if server_url == os.environ.get(VARIABLE):
        async with citus_database(server_url) as url:
            yield url
        await drop_citus_databases(server_url)
        return
    name = f"vectors_{os.getpid()}"
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"create database {name}")
    yield database_of(server_url, name)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest_asyncio.fixture
async def url(new_url: str) -> str:
    """The same database, emptied."""
    async with Database(new_url) as database:
        await empty(database)
    return new_url


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
async def test_vector_holds_through_the_library(vector: Vector, url: str) -> None:
    async with Database(url) as database:
        await store_vector(database, vector)
        await assert_vector_holds(vector, database)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_vector_holds_through_the_command_line(
    vector: Vector, url: str, plain_run: Run, tmp_path: Path
) -> None:
    def command(*arguments: str) -> str:
        done = plain_run(*arguments)
        assert done.status == 0, (arguments, done)
        return done.out

    assert_vector_holds_by_command(vector, command, url, tmp_path)


@pytest.mark.parametrize("name", THROUGH_PROCESSES)
async def test_vector_holds_through_processes_that_make_the_schema(
    name: str, new_url: str, tmp_path: Path
) -> None:
    if new_url.startswith(os.environ.get(VARIABLE, "none").rpartition("/")[0]):
        pytest.skip("on a cluster `distribute` comes after the schema")
    admin = await asyncpg.connect(new_url)
    await admin.execute("drop schema public cascade; create schema public")
    await admin.close()
    (vector,) = (vector for vector in VECTORS if vector.name == name)
    assert_vector_holds_by_command(
        vector, lambda *arguments: run(*arguments).stdout, new_url, tmp_path
    )


def assert_vector_holds_by_command(
    vector: Vector, command: Command, url: str, directory: Path
) -> None:
    """import → aggregate → report --json"""
    where = f"--database={url}"
    path = directory / "vector.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in vector.lines))
    imported, duplicates, rejected = (
        int(part.split()[1]) for part in command("import", where, str(path)).split(", ")
    )
    assert (imported + duplicates, rejected) == (len(vector.samples), 0)
    start = from_unix_ms(vector.window_start).isoformat()
    command(
        "aggregate",
        where,
        f"--timeframe={vector.timeframe}",
        f"--window-start={start}",
        f"--membership={vector.membership}",
        "--smallest-group=1",
    )
    report = json.loads(command("report", where, "--json", f"--timeframe={vector.timeframe}"))
    assert report["timeframe"] == vector.timeframe
    (window,) = report["windows"]
    assert window["membership"] == vector.membership
    for ratio in ("reliability", "delivery_ratio"):
        assert same(window[ratio], vector.expect[ratio]), ratio
    channels = {channel.pop("channel_id"): channel for channel in window["channels"]}
    assert channels.keys() == vector.expect["channels"].keys()
    for channel_id, expected in vector.expect["channels"].items():
        for name, value in ({"unknown": 0} | expected).items():
            found = channels[channel_id][name]
            if name in ("reliability", "delivery_ratio"):
                assert same(found, value), (channel_id, name)
            else:
                assert found == value, (channel_id, name)


def same(value: float | None, expected: str | None) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    return abs(value - float(Fraction(expected))) < 1e-12
