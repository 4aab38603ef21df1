"""Databases as people run them, with various URLs, roles, encodings, poolers and failovers."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from conftest import database_of
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.model import Sample
from devtelemetry.model.errors import (
    ConfigurationError,
    DatabaseAway,
    DatabaseError,
    DatabaseReadOnly,
    DevTelemetryError,
)
from devtelemetry.store.connection import Connection
from devtelemetry.store.database import Database
from devtelemetry.store.driver import CONNECT_SECONDS, address
from devtelemetry.store.embedded import EmbeddedServer
from support.pooler import pgbouncer
from support.postgres import system_postgres
from support.store import START


@pytest_asyncio.fixture
async def admin(postgres_url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


async def refusal(url: str) -> str:
    """The error with which a URL is refused."""
    with pytest.raises(DevTelemetryError) as caught:
        async with Database(url):
            pass
    return str(caught.value)


# --------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    "password", ["s3/cret", "s3@cret", "s3#cret", "s3?cret", "s3[cret", "s3:c/ret", "7/s3cret"]
)
def test_a_password_that_is_not_escaped_is_told_and_never_shown(password: str) -> None:
    with pytest.raises(ConfigurationError, match="%40 %3A %2F") as caught:
        address(f"postgresql://someone:{password}@host/name")
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)
    escaped = f"postgresql://someone:{quote(password, safe='')}@host/name"
    assert address(escaped).url == escaped


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("channel_binding=prefer", CONNECT_SECONDS),
        ("connect_timeout=30", 30),
        ("connect_timeout=0", CONNECT_SECONDS),
        ("connect_timeout=1", 2),
        (
            "keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3",
            CONNECT_SECONDS,
        ),
        ("tcp_user_timeout=5000&client_encoding=UTF8&gssencmode=disable", CONNECT_SECONDS),
        ("target_session_attrs=read-write&application_name=mine", CONNECT_SECONDS),
    ],
)
async def test_what_libpq_knows_is_known(database_url: str, said: str, seconds: float) -> None:
    url = f"{database_url}&{said}"
    assert address(url).connect_seconds == seconds
    async with Database(url) as database, database.acquire() as connection:
        assert await connection.fetchval("select 1") == 1


@pytest.mark.parametrize(
    "said",
    [
        *("channel_binding=require", "connect_timeout=soon", "client_encoding=LATIN1"),
        "sslrootcert=/nowhere/root.crt&sslmode=verify-full",
    ],
)
async def test_what_the_driver_cannot_do_is_said_by_name(database_url: str, said: str) -> None:
    assert said.partition("=")[0] in await refusal(f"{database_url}&{said}")


async def test_a_parameter_that_nobody_knows_is_refused(database_url: str) -> None:
    assert "allowed: " in await refusal(f"{database_url}&conect_timeout=5")


async def test_a_variable_that_cannot_be_read_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPORT", "tcp://10.0.0.1:5432")  # Kubernetes sets such variables
    assert "PG… variable" in await refusal("postgresql://someone@127.0.0.1/name")


async def test_no_variable_misleads_who_uses_the_bundled_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "pgpass"
    passwords.write_text("not a line of it\n")
    with EmbeddedServer(tmp_path / "data") as server:
        for name, value in (
            ("PGHOST", "elsewhere.example"),
            ("PGPORT", "1"),
            ("PGUSER", "nobody"),
            ("PGDATABASE", "none"),
            ("PGPASSWORD", "s3cret"),
            ("PGPASSFILE", str(passwords)),
            ("PGSSLMODE", "verify-full"),
            ("PGSERVICE", "none"),
            ("PGTARGETSESSIONATTRS", "standby"),
            ("PGOPTIONS", "-c default_transaction_read_only=on"),
        ):
            monkeypatch.setenv(name, value)
        async with Database(server.url) as database, database.acquire() as connection:
            assert await connection.fetchval("select current_user") == "devtelemetry"


# ------------------------------------------------------------------------------------ databases


async def test_an_encoding_other_than_utf8_is_refused(
    postgres_url: str, admin: "asyncpg.Connection[Any]"
) -> None:
    await admin.execute(
        "create database latin encoding 'LATIN1' locale 'C' locale_provider libc template template0"
    )
    try:
        told = await refusal(database_of(postgres_url, "latin"))
        assert "LATIN1" in told
        assert "createdb --encoding=UTF8" in told
    finally:
        await admin.execute("drop database latin")


async def test_a_role_that_owns_nothing_is_told_whose_the_tables_are(
    postgres_url: str, database_url: str, admin: "asyncpg.Connection[Any]"
) -> None:
    await admin.execute("create role guest login")
    await admin.execute("create database of_others")
    try:
        told = await refusal(as_role(database_url, "guest"))
        assert "not to guest" in told
        told = await refusal(as_role(database_of(postgres_url, "of_others"), "guest"))
        assert "createdb --owner=guest" in told
        await admin.execute("revoke connect on database of_others from public")
        told = await refusal(as_role(database_of(postgres_url, "of_others"), "guest"))
        assert "refuses this login" in told
    finally:
        await admin.execute("drop database of_others")
        await admin.execute("drop role guest")


async def test_a_database_of_another_program_or_a_newer_version_is_refused(
    database_url: str,
) -> None:
    for revision, told in (("9999", "install the version"), ("1975ea83b712", "another program")):
        async with connected(database_url) as connection:
            await connection.execute("update alembic_version set version_num = $1", revision)
        assert told in await refusal(database_url)


async def test_a_database_that_is_read_only_is_refused_at_the_start(
    postgres_url: str, database_url: str, admin: "asyncpg.Connection[Any]"
) -> None:
    name = urlsplit(database_url).path.lstrip("/")
    await admin.execute(f"alter database {name} set default_transaction_read_only = on")
    assert "read-only" in await refusal(database_url)


async def test_the_limits_of_a_role_are_not_ours(
    database_url: str, admin: "asyncpg.Connection[Any]"
) -> None:
    await admin.execute("create role hurried login superuser")
    for setting in (
        *("statement_timeout = '500ms'", "lock_timeout = '500ms'", "timezone = 'Asia/Kolkata'"),
        *("idle_in_transaction_session_timeout = '500ms'", "idle_session_timeout = '500ms'"),
    ):
        await admin.execute(f"alter role hurried set {setting}")
    try:
        async with Database(as_role(database_url, "hurried")) as database:
            for _ in range(2):  # a new connection, and one that comes from the pool again
                async with database.acquire() as connection, connection.transaction():
                    await connection.execute("select pg_sleep(0.8)")
                    assert await connection.fetchval("show timezone") == "UTC"
    finally:
        await admin.execute(f"reassign owned by hurried to {await admin.fetchval('select user')}")
        await admin.execute("drop role hurried")


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("raise exception using errcode = '25006'", DatabaseAway),
        ("raise exception using errcode = '57014'", DatabaseAway),
        ("raise exception using errcode = '53100'", DatabaseAway),
        ("raise exception using errcode = '25P03'", DatabaseAway),
        ("raise exception using errcode = '42501'", DatabaseAway),
        ("raise exception using errcode = '22012'", DatabaseError),
    ],
)
async def test_what_may_work_later_is_told_from_a_fault(
    database: Database, statement: str, error: type[Exception]
) -> None:
    async with database.acquire() as connection:
        with pytest.raises(error):
            await connection.execute(f"do $$ begin {statement}; end $$")


async def test_who_may_no_longer_connect_is_told_to_come_again(
    database_url: str, admin: "asyncpg.Connection[Any]"
) -> None:
    await admin.execute("create role dismissed login superuser")
    try:
        async with Database(as_role(database_url, "dismissed")) as database:
            async with database.acquire() as connection:
                assert await connection.fetchval("select 1") == 1
            await admin.execute("alter role dismissed nologin")
            await admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where usename = 'dismissed'"
            )
            with pytest.raises(DatabaseAway):
                async with database.acquire():
                    pass
            await admin.execute("alter role dismissed login")
            async with database.acquire() as connection:
                assert await connection.fetchval("select 1") == 1
    finally:
        await admin.execute(f"reassign owned by dismissed to {await admin.fetchval('select user')}")
        await admin.execute("drop role dismissed")


async def test_a_search_path_that_leads_nowhere_is_named(
    database_url: str, admin: "asyncpg.Connection[Any]"
) -> None:
    name = urlsplit(database_url).path.lstrip("/")
    await admin.execute(f"alter database {name} set search_path = nowhere")
    assert "search_path" in await refusal(database_url)


async def test_connections_to_what_was_the_primary_are_not_kept(database: Database) -> None:
    async with database.acquire() as connection:
        before = await connection.fetchval("select pg_backend_pid()")
    with pytest.raises(DatabaseReadOnly):
        async with database.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("create table t ()")
    async with database.acquire() as connection:
        assert await connection.fetchval("select pg_backend_pid()") != before


@pytest.mark.slow
async def test_the_database_notices_a_server_that_is_lost(tmp_path: Path) -> None:
    with system_postgres(listens=True) as url:
        async with Database(url) as database:
            for _ in range(2):
                async with database.acquire() as connection:
                    idle = await connection.fetchval("show tcp_keepalives_idle")
                    interval = await connection.fetchval("show tcp_keepalives_interval")
                    count = await connection.fetchval("show tcp_keepalives_count")
                    assert int(idle) + int(interval) * int(count) <= 90


async def test_a_plan_is_made_for_the_values_of_each_statement_but_in_ingest(
    database: Database,
) -> None:
    seen: list[str] = []

    class Writer(RowWriter):
        async def _enter(self, connection: Connection) -> bool:
            entered = await super()._enter(connection)
            seen.append(await connection.fetchval("show plan_cache_mode"))
            return entered

    batch = Batch()
    writer = Writer(await database.keyring(), SettleRule())
    batch.add_samples(writer.keyring, [Sample("m", "c", "a", START, START)])
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=START)
        seen.append(await connection.fetchval("show plan_cache_mode"))
    assert set(seen[:-1]) == {"auto"}
    assert seen[-1] == "force_custom_plan"


# ------------------------------------------------------------------------------------- poolers


@pytest.mark.slow
async def test_behind_a_pooler_in_session_mode_all_works() -> None:
    with system_postgres() as url, pgbouncer(url) as pooled:
        async with Database(pooled) as database:
            for _ in range(2):
                async with database.acquire() as one, database.acquire() as other:
                    pids = [await c.fetchval("select pg_backend_pid()") for c in (one, other)]
                    assert pids[0] != pids[1]
                    assert await one.fetchval("show jit") == "off"


@pytest.mark.slow
async def test_a_pooler_in_transaction_mode_is_refused() -> None:
    with system_postgres() as url, pgbouncer(url, "transaction") as pooled:
        assert "pool_mode = session" in await refusal(pooled)


@contextlib.asynccontextmanager
async def connected(url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
