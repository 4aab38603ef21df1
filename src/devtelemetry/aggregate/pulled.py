"""On a cluster: what a statement reads of sharded tables is copied to the coordinator first.

The passes over receipts run on the shards and leave little; what goes on from there joins that with
a few rows of sharded tables. Once these are in temporary tables of the same names, all of it runs
on the coordinator, as on one PostgreSQL.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from devtelemetry.store.database import Connection
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "pulled.sql")
_PATH = queries(__package__, "sampled.sql")

_Parts = Mapping[str, Mapping[str, Mapping[str, Any]]]


@contextlib.asynccontextmanager
async def pulled(
    connection: Connection, parts: _Parts, *, is_distributed: bool
) -> AsyncIterator[None]:
    """Within the block, in a transaction, each table of `parts` has what its queries select.

    parts  by table the queries of pulled.sql, each with its parameters

    On one PostgreSQL nothing is done: the tables have more, and are read by their keys.
    """
    if not is_distributed:
        yield
        return
    made = []
    for table, selections in parts.items():
        if await connection.fetchval(_QUERIES["is_here"], name=table):
            continue  # the whole of a sample is: sampled.py
        await connection.execute(f"create temp table pulled_{table} (like {table}) on commit drop")
        if table == "receipt":
            await connection.execute(
                "create unique index on pulled_receipt "
                "(sent_at, channel_id, message_id, receiver_id)"
            )
        for name, parameters in selections.items():
            await connection.execute(_QUERIES[name], **parameters)
        await connection.execute(f"analyze pulled_{table}")
        made.append(table)
    for table in made:
        await connection.execute(f"alter table pulled_{table} rename to {table}")
    before = await connection.fetchval(_PATH["put_first"])
    yield
    await connection.execute(_PATH["put_back"], search_path=before)
    for table in made:
        await connection.execute(f"drop table pg_temp.{table}")
