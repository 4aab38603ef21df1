"""On a cluster, copies what a statement reads of sharded tables to the coordinator first.

The passes over receipts run on the shards, and their results are small. The later statements join
these results with a few rows of sharded tables. Once those rows are in temporary tables of the same
names, the statements run on the coordinator as on one PostgreSQL.
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
    """Within the block, each table of `parts` has only what its queries select. Runs in a
    transaction.

    parts  table → queries of pulled.sql → their parameters

    On one PostgreSQL nothing is done. There the statements read the full tables by their keys.
    """
    if not is_distributed:
        yield
        return
    made = []
    for table, selections in parts.items():
        if await connection.fetchval(_QUERIES["is_here"], name=table):
            continue  # sampled.py has copied all receipts of the sample here
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
