"""The migrations add up to schema/, and several servers may start at once."""

import asyncio
import re
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from conftest import database_of
from devtelemetry.model import DAY_MS, HOUR_MS
from devtelemetry.model.errors import ConfigurationError, Unavailable
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.migrate import HEAD
from devtelemetry.store.partitions import (
    day_name,
    day_of,
    day_start_ms,
    drop_day,
    make_days,
    pack_day,
    packed_days,
)
from devtelemetry.store.repair import repair
from support.waiting import LOCKS_HERE, until_waiting

_STORE = Path(str(resources.files("devtelemetry.store")))
SCHEMA = _STORE / "schema"
MIGRATIONS = _STORE / "migrations"
SCRIPTS = sorted(MIGRATIONS.glob("versions/*.sql"))
DAY = day_of(1_772_409_600_000)  # 2026-03-02

# Everything in a schema as text, with the order of columns.
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
    connection = await asyncpg.connect(empty_url)
    for part in sorted(SCHEMA.glob("*.sql")):
        await connection.execute(part.read_text("utf-8"))
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
    """Runs the first `versions` scripts."""
    for script in SCRIPTS[:versions]:
        await connection.execute(script.read_text("utf-8"))
    await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    await connection.execute(
        "insert into alembic_version values ($1)", SCRIPTS[versions - 1].name[: len(HEAD)]
    )


async def test_a_migration_waits_for_what_is_being_written(empty_url: str) -> None:
    """An old server may still write. When it begins to write later, it finds itself out of date."""
    writer, watcher = await asyncpg.connect(empty_url), await asyncpg.connect(empty_url)
    await _migrate_by_hand(writer, len(SCRIPTS) - 1)
    before = await watcher.fetchval("select version_num from alembic_version")

    async def start() -> None:
        async with Database(empty_url):
            held = f"select count(*) from {LOCKS_HERE} and locktype = 'advisory'"
            assert not await watcher.fetchval(held)

    async with writer.transaction():
        await writer.execute("select pg_advisory_xact_lock_shared($1, $2)", NAMESPACE, Lock.INGEST)
        starting = asyncio.create_task(start())
        await until_waiting(watcher)
        assert await watcher.fetchval("select version_num from alembic_version") == before
    await starting
    assert await watcher.fetchval("select version_num from alembic_version") == HEAD
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
        "select channel_id, received_at, state from whole_receipt "
        "order by sent_at, channel_id, receiver_id"
    )
    assert [tuple(row) for row in rows] == [
        (1, sent_at + 800, 2),
        (2, None, 6144),
        (3, sent_at - HOUR_MS, 1),
        (3, None, 16 + 12),
        (1, None, 16 + 12),
    ]
    # Days made before and after the migration are alike, and are dropped alike.
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
            # The first receipt of this membership was cleaned.
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


async def test_rows_that_become_narrow_say_what_they_said(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    for script in SCRIPTS:
        if script.name < "0028":
            await connection.execute(script.read_text("utf-8"))
    await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    await connection.execute("insert into alembic_version values ('0027')")
    await make_days(Connection(connection), [DAY, DAY + 1])
    await pack_day(Connection(connection), DAY, lock_timeout="60s")
    at = day_start_ms(DAY)
    never, far = 2**63 - 1, at + 40 * DAY_MS
    receipts = [
        # receiver, sent_at, created_at, received_at, is author, state, authored_at, vote, envelope
        (1, at, at + 900, at + 800, False, 2, None, None, None),
        (2, at, None, None, True, 6144, None, None, None),
        (3, at, at + 900, at - 5_000, True, 1, at + 900, None, None),
        (4, at, at + 900, None, True, 18, at + 5, [1, at + 2, at - 3], -7),
        (5, at, at + 900, None, True, 18, never, None, 7),
        (6, at, None, at + 1, True, 2560, at + 5, [1, at + 5, at], None),
        (7, at, far, far - 1, False, 15, None, [2, far, far], never),
        (8, at + DAY_MS, far, at - 30 * DAY_MS, False, 1, None, None, None),
    ]
    await connection.executemany(
        "insert into receipt values (11, 12, $1, $2, $3, $4, 7, $5, $6, $7, $8, $9)", receipts
    )
    messages = [
        # message, created_at, size, id, envelope, typed_at, typed_sent_at
        (1, at + 900, 5, "0xab", "0xcd", at + 900, at),
        (2, at + 900, None, "text", "", None, None),
        (3, far, 2**40, "", "e", far + 1, at - 7),
        (4, never, 0, "0xabc", "0xAB", None, None),
    ]
    await connection.executemany(
        "insert into message values "
        f"(11, $1, {at}, $2, 7, $3, $4, $5, '\\x0102', 1, $6, $7, $1::bigint = 1)",
        messages,
    )
    envelopes = [(11, 1, 21, at), (11, 1, 22, at), (11, 3, 21, at)]
    await connection.executemany("insert into message_envelope values ($1, $2, $3, $4)", envelopes)
    async with Database(empty_url) as database, database.acquire() as migrated:
        assert await packed_days(migrated) == {DAY}
    rows = await connection.fetch(
        "select receiver_id, sent_at, created_at, received_at, sent_by_receiver, state, "
        "authored_at, vote, envelope_id from whole_receipt order by receiver_id"
    )
    assert [tuple(row) for row in rows] == receipts
    rows = await connection.fetch(
        "select message_id, created_at, message_size, external_id, envelope_id, typed_at, "
        "typed_sent_at, topics, clock, kind, went_out from whole_message order by message_id"
    )
    assert [tuple(row) for row in rows] == [
        (*message, b"\x01\x02", 1, 7, message[0] == 1) for message in messages
    ]
    rows = await connection.fetch("select first_envelope from message order by message_id")
    assert [row["first_envelope"] for row in rows] == [21, 0, 21, 0]
    rows = await connection.fetch("select * from message_envelope")
    assert [tuple(row) for row in rows] == [envelopes[1]]
    await connection.close()


async def test_a_migration_that_fails_leaves_all_as_it_was(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    for script in SCRIPTS[:-1]:
        await connection.execute(script.read_text("utf-8"))
    revision = SCRIPTS[-2].name[: len(HEAD)]
    await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    await connection.execute("insert into alembic_version values ($1)", revision)
    # The last table or view that it makes exists already.
    last = re.findall(r"create (?:table|view) (\w+)", SCRIPTS[-1].read_text("utf-8"))[-1]
    await connection.execute(f"create table {last} (something integer)")
    before = await described(empty_url)
    with pytest.raises(Unavailable, match="already exists"):
        async with Database(empty_url):
            pass
    assert await described(empty_url) == before
    assert await connection.fetchval("select version_num from alembic_version") == revision
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
        ConfigurationError,
        match=f"has schema 9999, but this version only knows schemas up to {HEAD}",
    ):
        async with Database(database_url):
            pass
