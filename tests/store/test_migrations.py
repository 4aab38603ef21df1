"""The migrations add up to schema.sql, and several servers may start at once."""

import asyncio
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from conftest import database_of
from devtelemetry.model import DAY_MS, HOUR_MS
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.migrate import HEAD
from devtelemetry.store.partitions import day_name, day_of, day_start_ms, drop_day, make_days
from devtelemetry.store.repair import repair

MIGRATIONS = Path(str(resources.files("devtelemetry.store"))) / "migrations"
SCRIPTS = sorted(MIGRATIONS.glob("versions/*.sql"))
DAY = day_of(1_772_409_600_000)  # 2026-03-02

# Everything that makes up a schema, as text; the order of columns too.
_DESCRIBE = """
select 'column', attrelid::regclass::text,
       row_number() over (partition by attrelid order by attnum) || ' ' || attname,
       format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
       || case attgenerated when 's' then ' stored' else '' end
       || coalesce(' default ' || pg_get_expr(adbin, adrelid), '') as definition
from pg_attribute
left join pg_attrdef on adrelid = attrelid and adnum = attnum
where attnum > 0 and not attisdropped
  and attrelid in (
      select oid from pg_class
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
  )
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace
union all
select 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
from pg_index
where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
union all
select 'table', relname, relkind::text,
       coalesce(pg_get_partkeydef(oid), '') || coalesce(array_to_string(reloptions, ','), '')
from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
union all
select 'view', viewname, '', definition from pg_views where schemaname = 'public'
union all
select 'function', proname, '', pg_get_functiondef(oid)
from pg_proc where pronamespace = 'public'::regnamespace
order by 1, 2, 3, 4
"""


async def described(url: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_DESCRIBE)
        return [tuple(row) for row in rows if "alembic_version" not in str(tuple(row))]
    finally:
        await connection.close()


@pytest.fixture
async def empty_url(postgres_url: str) -> Any:
    admin = await asyncpg.connect(postgres_url)
    await admin.execute("create database devtelemetry_empty")
    yield database_of(postgres_url, "devtelemetry_empty")
    await admin.execute("drop database devtelemetry_empty with (force)")
    await admin.close()


async def test_the_migrations_add_up_to_the_schema(empty_url: str, database_url: str) -> None:
    schema = resources.files("devtelemetry.store").joinpath("schema.sql").read_text("utf-8")
    connection = await asyncpg.connect(empty_url)
    await connection.execute(schema)
    await connection.close()

    assert await described(database_url) == await described(empty_url)


@pytest.mark.parametrize("versions", range(1, len(SCRIPTS)))
async def test_a_database_of_an_earlier_version_becomes_the_same_and_keeps_what_it_holds(
    empty_url: str, database_url: str, versions: int
) -> None:
    connection = await asyncpg.connect(empty_url)
    await _migrate_by_hand(connection, versions)
    await connection.execute("insert into channel values (1, 'kept')")
    async with Database(empty_url):
        pass
    assert await described(empty_url) == await described(database_url)
    assert await connection.fetchval("select external_id from channel") == "kept"
    await connection.close()


async def _migrate_by_hand(connection: Any, versions: int) -> None:
    """With the first `versions` scripts."""
    for script in SCRIPTS[:versions]:
        await connection.execute(script.read_text("utf-8"))
    await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    await connection.execute(
        "insert into alembic_version values ($1)", SCRIPTS[versions - 1].name[: len(HEAD)]
    )


async def test_a_migration_waits_for_what_is_being_written(empty_url: str) -> None:
    """An old server may still be at work. What it begins later it finds out of date."""
    writer, watcher = await asyncpg.connect(empty_url), await asyncpg.connect(empty_url)
    await _migrate_by_hand(writer, len(SCRIPTS) - 1)
    before = await watcher.fetchval("select version_num from alembic_version")

    async def start() -> None:
        async with Database(empty_url):
            pass

    async with writer.transaction():
        await writer.execute("select pg_advisory_xact_lock_shared($1, $2)", NAMESPACE, Lock.INGEST)
        starting = asyncio.create_task(start())
        while not await watcher.fetchval("select count(*) from pg_locks where not granted"):
            assert not starting.done()
            await asyncio.sleep(0.01)
        assert await watcher.fetchval("select version_num from alembic_version") == before
    await starting
    assert await watcher.fetchval("select version_num from alembic_version") == HEAD
    assert not await watcher.fetchval("select count(*) from pg_locks where locktype = 'advisory'")
    await writer.close()
    await watcher.close()


async def test_receipts_of_an_earlier_version_get_their_delay(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    for script in SCRIPTS[:4]:
        await connection.execute(script.read_text("utf-8"))
    await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    await connection.execute("insert into alembic_version values ('0004')")
    await make_days(Connection(connection), [DAY, DAY + 1])
    sent_at = day_start_ms(DAY)
    await connection.executemany(
        "insert into receipt values ($1, 2, 3, $2, $3, $4, 7, $5)",
        [
            (1, sent_at, sent_at + 1_000, sent_at + 800, False),
            (1, sent_at + DAY_MS, sent_at + DAY_MS + 2 * HOUR_MS, None, False),
            (2, sent_at, None, None, True),
            (3, sent_at, sent_at + 5_001, sent_at - HOUR_MS, True),
        ],
    )
    # The clock of the author in channel 3 is an hour ahead.
    await connection.execute("insert into message values (3, 2, $1, 0, 7, 0, '', '', '')", sent_at)
    await connection.execute(
        "insert into receipt values (3, 2, 4, $1, $2, null, 7, false)", sent_at, sent_at + 9_000
    )
    async with Database(empty_url) as database:
        await repair(database)
    rows = await connection.fetch(
        "select channel_id, received_at, state from receipt "
        "order by sent_at, channel_id, receiver_id"
    )
    assert [tuple(row) for row in rows] == [
        (1, sent_at + 800, 2),
        (2, None, 6144),
        (3, sent_at - HOUR_MS, 1),
        (3, None, 16 + 12),
        (1, None, 16 + 12),
    ]
    # Days from before and after are alike, and go alike.
    await make_days(Connection(connection), [DAY + 2])
    definitions = [
        {
            row["definition"].replace(row["table"], "receipt_day")
            for row in await connection.fetch(
                "select tablename as table, indexdef as definition from pg_indexes "
                "where tablename = $1",
                f"receipt_{day_name(day).replace('-', '')}",
            )
        }
        for day in (DAY, DAY + 1, DAY + 2)
    ]
    assert definitions[0] == definitions[1] == definitions[2]
    assert len(definitions[0]) == 3
    for day in (DAY, DAY + 1, DAY + 2):
        await drop_day(Connection(connection), day)
    assert await connection.fetchval("select count(*) from receipt") == 0
    await connection.close()


async def test_what_was_said_of_joining_and_leaving_becomes_reports(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    earlier = [script for script in SCRIPTS if script.name < "0013"]
    for script in earlier:
        await connection.execute(script.read_text("utf-8"))
    await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    await connection.execute("insert into alembic_version values ('0012')")
    minute = day_start_ms(DAY)
    await connection.executemany(
        "insert into membership (channel_id, receiver_id, first_sent_minute, last_sent_minute, "
        "joined_at, joined_said_at, left_at, left_said_at) values (1, $1, $2, $2, $3, $4, $5, $6)",
        [
            (1, minute, None, None, None, None),
            (2, minute, 100, 5, None, 5),
            (3, None, 100, 5, 200, 5),
            (4, None, 100, 5, 200, 7),
            (5, None, 100, 5, None, None),
            (6, None, None, None, 200, 7),
            (7, None, None, None, None, 7),
        ],
    )
    await make_days(Connection(connection), [DAY])
    await connection.executemany(
        "insert into receipt (sent_at, channel_id, message_id, receiver_id, created_at, kind, "
        "sent_by_receiver, delay) values ($1, 1, $2, $3, $4, 7, false, 2)",
        [
            (minute + 900, 2, 1, minute),
            (minute + 901, 3, 1, minute),
            (minute + 1, 4, 1, None),
            # The first receipt of this one was cleaned.
            (minute + 60_000, 2, 2, minute),
        ],
    )
    async with Database(empty_url):
        pass
    rows = await connection.fetch(
        "select receiver_id, created_at, joined_at, left_at from membership_report order by 1, 2"
    )
    assert [tuple(row) for row in rows] == [
        (2, 5, 100, 0),
        (3, 5, 100, 200),
        (4, 5, 100, 0),
        (4, 7, 0, 200),
        (5, 5, 100, 0),
        (6, 7, 0, 200),
        (7, 7, 0, 0),
    ]
    rows = await connection.fetch(
        "select first_sent_at, has_said, had_stays from membership order by receiver_id"
    )
    assert [tuple(row) for row in rows] == [
        (minute + 900, False, False),
        (minute, True, False),
        *[(None, True, False)] * 5,
    ]
    await connection.close()


def test_head_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_servers_that_start_at_once_migrate_once(empty_url: str) -> None:
    async def start() -> bytes:
        async with Database(empty_url) as database, database.acquire() as connection:
            key: bytes = await connection.fetchval("select id_key from deployment")
            return key

    keys = await asyncio.gather(*(start() for _ in range(4)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32


async def test_every_deployment_has_its_own_key(empty_url: str, database_url: str) -> None:
    keys = set()
    for url in (empty_url, database_url):
        async with Database(url) as database, database.acquire() as connection:
            keys.add(await connection.fetchval("select id_key from deployment"))
    assert len(keys) == 2


async def test_a_database_of_a_later_version_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("update alembic_version set version_num = '9999'")
    await connection.close()
    with pytest.raises(
        ConfigurationError, match=f"has schema 9999, this version knows up to {HEAD}"
    ):
        async with Database(database_url):
            pass
