"""Days of receipts as partitions: made before they are needed, dropped whole.

A day is a whole number of days since 1970-01-01 UTC. `receipt` has one partition a day, named after
it: receipt_20260302.
"""

import asyncio
import random
import re
from collections.abc import Iterable
from datetime import date, timedelta

from devtelemetry.model import DAY_MS
from devtelemetry.model.errors import DatabaseAway, DatabaseError
from devtelemetry.store.database import Connection, Row
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.sql import queries

# Rows are usually only added, so vacuum has little to clean. But only pages that it has seen can be
# read from the index alone. So it runs after every 5 % more rows instead of every 20 %.
_STORAGE = "autovacuum_vacuum_insert_scale_factor = 0.05"

_LOCK_TIMEOUT = "2s"  # for one attempt to add days
_ATTEMPTS = 5

_QUERIES = queries(__package__, "partitions.sql")
_EPOCH = date(1970, 1, 1)
_KEY = "_pkey"


def day_of(unix_ms: int) -> int:
    return unix_ms // DAY_MS


def day_name(day: int) -> str:
    """The ISO date of a day."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def day_start_ms(day: int) -> int:
    return day * DAY_MS


async def existing_days(connection: Connection) -> set[int]:
    """The days that have a partition."""
    return _days_named(await connection.fetch(_QUERIES["partitions_of_receipt"]))


async def make_days(connection: Connection, days: Iterable[int]) -> None:
    """Adds the partitions that are missing. Must not run inside a transaction.

    A partition is made as a table and then attached, which takes no lock that waits for open
    inserts. On a cluster it does wait for them, and new inserts wait behind it. So an attempt ends
    after _LOCK_TIMEOUT, and another follows. Raises DatabaseAway if all attempts fail.
    """
    missing = sorted(set(days) - await existing_days(connection))
    if not missing:
        return
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            await _make_days(connection, missing)
        except DatabaseAway:
            if not attempts_left:
                raise
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - no secret
        else:
            return


async def _make_days(connection: Connection, missing: Iterable[int]) -> None:
    async with connection.transaction():
        await connection.execute(_QUERIES["lock"], namespace=NAMESPACE, lock=Lock.PARTITIONS)
        await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
        for day in sorted(set(missing) - await existing_days(connection)):
            name = _partition(day)
            bounds = f"from ({day * DAY_MS}) to ({(day + 1) * DAY_MS})"
            # Not an injection: the name is made here, from a date.
            await connection.execute(
                f"create table {name} (like receipt including all) with ({_STORAGE})"
            )
            await connection.execute(
                f"alter table receipt attach partition {name} for values {bounds}"
            )


async def drop_day(connection: Connection, day: int) -> None:
    """Drops one day's partition, in the caller's transaction. No error if there is none."""
    await connection.execute(f"drop table if exists {_partition(day)}")


async def packed_days(connection: Connection) -> set[int]:
    """The days that `pack_day` has packed."""
    return _days_named(await connection.fetch(_QUERIES["packed_keys"]), _KEY)


async def pack_day(connection: Connection, day: int, *, lock_timeout: str) -> None:
    """Builds the index of a day's key again with full pages, beside the old one.

    Inserts in random order leave the pages of an index two thirds full. Use it for a day for which
    few samples still come. Ingest and readers go on meanwhile. Must not run inside a transaction.
    Raises DatabaseAway if a transaction that began earlier runs longer than `lock_timeout`.
    """
    key = _key(day)
    # An attempt that was broken off may have left these.
    await connection.execute(f"drop index if exists {key}_ccnew, {key}_ccold")
    await connection.execute(f"alter index {key} set (fillfactor = 100)")
    await connection.execute(f"set lock_timeout = '{lock_timeout}'")
    try:
        await connection.execute(f"reindex index concurrently {key}")
    except (DatabaseAway, DatabaseError):
        await connection.execute(f"alter index {key} reset (fillfactor)")
        raise
    finally:
        await connection.execute("reset lock_timeout")


def _key(day: int) -> str:
    """The name that PostgreSQL gives to the index of a day's key."""
    return f"{_partition(day)}{_KEY}"


def _partition(day: int) -> str:
    return f"receipt_{_EPOCH + timedelta(days=day):%Y%m%d}"


def _days_named(rows: Iterable[Row], ending: str = "") -> set[int]:
    """The days in names of partitions; or of their indexes, whose names have this ending."""
    name = re.compile(rf"receipt_(\d{{4}})(\d\d)(\d\d){ending}")
    matches = filter(None, (name.fullmatch(row["name"]) for row in rows))
    return {(date(*map(int, match.groups())) - _EPOCH).days for match in matches}
