"""Spreads the tables of a database over a Citus cluster, in place: docs/scaling.md.

Tables that grow with the messages are sharded by channel. Tables without a channel that are joined
with those are on every node. The rest stays on the coordinator.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.store.connection import Connection
from devtelemetry.store.locks import Lock, try_lock
from devtelemetry.store.sql import queries

SHARDED = (
    *("channel", "message", "receipt", "failure", "membership", "membership_report"),
    *("coarse_receiver", "message_envelope", "doubted_message", "doubted_delay"),
    *("reliability_channel", "reliability_group"),
)
"""Sharded by channel_id. All have as many shards as the first"""

REFERENCE = ("receiver", "forgotten_receiver", "sample_kind")
"""On every node"""

LOCAL = (
    *("report_run", "lost_report", "opt_out", "corroborated_installation", "installation_bytes"),
    *("doubted_receiver", "receiver_kind", "envelope_event", "unreadable_envelope"),
)
"""On the coordinator, and known to the cluster: statements join them with tables on every node"""

SHARDS_A_NODE = 2
"""Few, because each transaction of ingest touches all shards"""

_WHERE = ((SHARDED, "by channel"), (REFERENCE, "on every node"), (LOCAL, "on the coordinator"))

# Functions that statements call on shards.
_FUNCTIONS = (
    "delay_class(bigint)",
    "receipt_state(bigint,bigint,bigint,integer)",
    "moment_after(bigint,bigint)",
    "rare_value(bytea,integer)",
    "rare_values(bigint[])",
    "moment_at(bigint,integer,bytea,integer)",
    "receipt_rare(bigint,boolean,bigint,bigint,bigint,bigint[],bigint)",
    "message_rare(bigint,bigint,bigint,bigint,bigint)",
    "id_bytes(text)",
    "id_text(bytea)",
)

_ATTEMPTS = 15

_QUERIES = queries(__package__, "distribution.sql")


async def is_distributed(connection: Connection) -> bool:
    """Whether `distribute` has spread any table of the database."""
    if not await connection.fetchval(_QUERIES["has_citus"]):
        return False
    return bool(await _kinds(connection))


async def distribute(
    connection: Connection, *, shards: int | None = None
) -> AsyncGenerator[str, None]:
    """Spreads the tables that are not spread yet, one by one; yields a line before each.

    shards  of each table; None: SHARDS_A_NODE for each node that holds shards

    Harmless if repeated; goes on where an earlier call broke off. Raises ConfigurationError with
    what to do if the tables cannot be spread.
    """
    nodes = await _check_place(connection)
    async with _alone(connection):
        async for line in spread(connection, SHARDS_A_NODE * nodes if shards is None else shards):
            yield line
        await connection.execute(await connection.fetchval(_QUERIES["settings"]))


async def spread(connection: Connection, shards: int | None = None) -> AsyncGenerator[str, None]:
    """`distribute` without its checks. shards: needed if the first table is not spread yet."""
    there = await _kinds(connection)
    missing = [name for name in (*REFERENCE, *SHARDED, *LOCAL) if name not in there]
    if missing:
        for function in _FUNCTIONS:
            await connection.execute(_QUERIES["distribute_function"], name=function)
    for number, name in enumerate(missing, 1):
        where = next(where for tables, where in _WHERE if name in tables)
        yield f"{number} of {len(missing)}: {name}, {where}"
        async with connection.transaction():
            if name in LOCAL:
                await connection.execute(_QUERIES["keep"], name=name)
            elif name in REFERENCE:
                await connection.execute(_QUERIES["replicate"], name=name)
            elif name == SHARDED[0]:
                await connection.execute(_QUERIES["set_shards"], shards=str(shards))
                await connection.execute(_QUERIES["begin_colocation"], name=name)
            else:
                await connection.execute(_QUERIES["distribute"], name=name)
        if name not in LOCAL:
            await connection.execute(_QUERIES["drop_local_rows"], name=name)


async def shards_of(connection: Connection) -> int:
    """How many shards each sharded table has."""
    number: int = await connection.fetchval(_QUERIES["shards"], name=SHARDED[0])
    return number


@contextlib.asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """Raises ConfigurationError if other servers or commands of ours use the database.

    Their ingest would wait for each table, and their prepared statements would fail afterwards.
    """
    async with try_lock(connection, Lock.MIGRATE) as is_ours:
        for _ in range(_ATTEMPTS):
            others = await connection.fetchval(_QUERIES["others"])
            if is_ours and not others:
                break
            await asyncio.sleep(0.2)  # this command's own closed sessions remain for a moment
        else:
            raise ConfigurationError(
                f"{others} sessions of Dev-Telemetry are open on this database: stop its servers "
                "and commands first"
            )
        yield


async def check_coordinator(connection: Connection) -> None:
    """Raises ConfigurationError on a worker of a cluster: only the coordinator has the tables."""
    if await connection.fetchval(_QUERIES["has_citus"]) and not await connection.fetchval(
        _QUERIES["is_coordinator"]
    ):
        raise ConfigurationError(
            "the database is a worker of a cluster: connect to its coordinator"
        )


async def _check_place(connection: Connection) -> int:
    """How many nodes hold shards. Raises ConfigurationError if tables cannot be spread here."""
    if not await connection.fetchval(_QUERIES["has_citus"]):
        raise ConfigurationError(
            "the database has no extension citus: run `create extension citus` in it on every "
            "node, and citus_add_node() for each worker; one PostgreSQL needs no `distribute`"
        )
    place = await connection.fetchrow(_QUERIES["place"])
    assert place is not None, "it has one row"
    name = place["database"]
    if not place["knows_itself"]:
        raise ConfigurationError(
            f"the cluster of {name} does not know its coordinator: run `select "
            "citus_set_coordinator_host('HOST', PORT)` here, with the address by which workers "
            "reach it"
        )
    if not place["nodes"]:
        raise ConfigurationError(
            f"no node of the cluster of {name} holds shards: run citus_add_node() for each worker"
        )
    if not place["owns_database"]:
        raise ConfigurationError(
            f"{place['role']} does not own the database {name}, so its settings cannot be changed: "
            f"run `alter database {name} owner to {place['role']}`"
        )
    nodes: int = place["nodes"]
    return nodes


async def _kinds(connection: Connection) -> set[str]:
    """The spread tables. Raises ConfigurationError if one is spread in another way than here."""
    there = set()
    for row in await connection.fetch(_QUERIES["kinds"]):
        name = row["name"]
        if row["is_sharded"] != (name in SHARDED):
            raise ConfigurationError(
                f"the table {name} is distributed in another way than this version does it: run "
                f"`select undistribute_table('{name}')`, and try again"
            )
        there.add(name)
    return there
