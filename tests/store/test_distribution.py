"""`devtelemetry distribute`: what it refuses, and what it does on a cluster."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from aggregate.test_reliability import VECTORS, assert_vector_holds
from devtelemetry.model import Sample
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.store.database import Database
from devtelemetry.store.distribution import LOCAL, REFERENCE, SHARDED, distribute
from support.citus import bare_citus_database, citus_url, nodes_of
from support.program import Done, Run
from support.store import START, store, store_vector

VECTOR = next(vector for vector in VECTORS if vector.name == "mixed-2-present")


@pytest_asyncio.fixture
async def bare_url() -> AsyncIterator[str]:
    """The URL of a cluster's database without a schema."""
    async with bare_citus_database(citus_url()) as url:
        yield url


async def steps(database: Database, **options: Any) -> list[str]:
    async with database.acquire() as connection:
        return [line async for line in distribute(connection, **options)]


async def test_one_postgresql_is_told_what_it_lacks(postgres_url: str) -> None:
    async with Database(postgres_url) as database:
        with pytest.raises(ConfigurationError, match="no extension citus"):
            await steps(database)


def test_so_is_who_runs_the_command(plain_run: Run, postgres_url: str) -> None:
    done = plain_run("distribute", f"--database={postgres_url}")
    assert (done.status, done.out) == (1, "")
    assert "one PostgreSQL needs no `distribute`" in done.err


def test_the_number_of_shards_is_checked(plain_run: Run) -> None:
    for shards in ("0", "1025"):
        done = plain_run("distribute", "--shards", shards)
        assert done == Done(2, "", f"devtelemetry: --shards: {shards}; allowed: 1 to 1024\n")


async def test_what_is_there_is_spread_and_gives_the_same_figures(bare_url: str) -> None:
    async with Database(bare_url) as database:
        await store_vector(database, VECTOR)
        lines = await steps(database, shards=2)
        assert len(lines) == len(SHARDED) + len(REFERENCE) + len(LOCAL)
        assert lines[3] == f"4 of {len(lines)}: channel, by channel"
    async with Database(bare_url) as database, database.acquire() as connection:
        spread = await connection.fetch("select logicalrelid::text as name from pg_dist_partition")
        assert {*SHARDED, *REFERENCE, *LOCAL} <= {row["name"] for row in spread}
        assert await connection.fetchval("select count(*) from only channel") > 0
    async with Database(bare_url) as database:
        await assert_vector_holds(VECTOR, database)


async def test_it_goes_on_where_it_broke_off_and_then_does_nothing(bare_url: str) -> None:
    async with Database(bare_url) as database:
        async with database.acquire() as connection:
            generator = distribute(connection, shards=2)
            async with contextlib.aclosing(generator):
                async for line in generator:
                    if line.startswith("6 of"):  # five steps are done
                        break
        assert (await steps(database))[0] == "1 of 19: receipt, by channel"
        assert await steps(database) == []
        async with database.acquire() as connection:
            shards = await connection.fetchval(
                "select count(*) from pg_dist_shard where logicalrelid = 'failure'::regclass"
            )
    assert shards == 2


async def test_servers_must_be_stopped_first(bare_url: str) -> None:
    async with Database(bare_url) as server, server.acquire(), Database(bare_url) as database:
        with pytest.raises(ConfigurationError, match="1 sessions of Dev-Telemetry are open"):
            await steps(database)


async def test_a_worker_is_told_where_to_go(bare_url: str) -> None:
    worker = (await nodes_of(bare_url))[1]
    with pytest.raises(ConfigurationError, match="a worker of a cluster: connect to its coord"):
        async with Database(worker):
            pass


async def test_a_later_sample_that_says_a_type_is_taken(bare_url: str) -> None:
    """Types are on every node, messages on one. One transaction writes both."""
    async with Database(bare_url) as database:
        await steps(database, shards=4)
        for receiver, message_type in (("a", ""), ("b", "TEXT")):
            await store(
                database,
                [
                    Sample(
                        f"m{number}",
                        f"c{number}",
                        receiver,
                        START,
                        START + 5_000,
                        message_type=message_type,
                    )
                    for number in range(20)
                ],
            )
        async with database.acquire() as connection:
            typed = await connection.fetchval(
                "select count(*) from message join sample_kind using (kind) "
                "where message_type = 'TEXT'"
            )
    assert typed == 20
