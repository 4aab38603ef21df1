"""The worked cases hold exactly: by command line and library, on both PostgreSQLs."""

import json
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path

import asyncpg
import pytest

from aggregate.test_reliability import VECTORS, assert_vector_holds
from conftest import database_of
from devtelemetry.model import from_unix_ms
from devtelemetry.store.database import Database
from oracle.recording import Vector
from support.postgres import system_postgres
from support.server import run
from support.store import store_vector


@pytest.fixture(scope="module", params=["bundled", "system"])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bundled PostgreSQL, then the system's own."""
    if request.param == "bundled":
        yield request.getfixturevalue("postgres_url")
        return
    with system_postgres() as url:
        yield url


@pytest.fixture
async def url(server_url: str) -> AsyncIterator[str]:
    """A fresh database there."""
    admin = await asyncpg.connect(server_url)
    await admin.execute("create database vectors")
    yield database_of(server_url, "vectors")
    await admin.execute("drop database vectors with (force)")
    await admin.close()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
async def test_vector_holds_through_the_library(vector: Vector, url: str) -> None:
    async with Database(url) as database:
        await store_vector(database, vector)
        await assert_vector_holds(vector, database)


async def test_vectors_hold_through_the_command_line(url: str, tmp_path: Path) -> None:
    for vector in VECTORS:
        admin = await asyncpg.connect(url)
        await admin.execute("drop schema public cascade; create schema public")
        await admin.close()
        assert_vector_holds_by_command(vector, f"--database={url}", tmp_path)


def assert_vector_holds_by_command(vector: Vector, where: str, directory: Path) -> None:
    """import → aggregate → report --json, each a process of its own."""
    path = directory / f"{vector.name}.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in vector.lines))
    done = run("import", where, str(path))
    imported, duplicates, rejected = (
        int(part.split()[1]) for part in done.stdout.splitlines()[-1].split(", ")
    )
    assert (imported + duplicates, rejected) == (len(vector.samples), 0)
    start = from_unix_ms(vector.window_start).isoformat()
    run(
        "aggregate",
        where,
        f"--timeframe={vector.timeframe}",
        f"--window-start={start}",
        f"--membership={vector.membership}",
    )
    report = json.loads(run("report", where, "--json", f"--timeframe={vector.timeframe}").stdout)
    (window,) = report["windows"]
    assert window["membership"] == vector.membership
    for ratio in ("reliability", "delivery_ratio"):
        assert same(window[ratio], vector.expect[ratio]), (vector.name, ratio)
    channels = {channel.pop("channel_id"): channel for channel in window["channels"]}
    assert channels.keys() == vector.expect["channels"].keys()
    for channel_id, expected in vector.expect["channels"].items():
        for name, value in expected.items():
            found = channels[channel_id][name]
            if name in ("reliability", "delivery_ratio"):
                assert same(found, value), (vector.name, channel_id, name)
            else:
                assert found == value, (vector.name, channel_id, name)


def same(value: float | None, expected: str | None) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    return abs(value - float(Fraction(expected))) < 1e-12
