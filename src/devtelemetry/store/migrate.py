"""Brings a database to the schema of this version. Alembic keeps count; the SQL is plain files."""

import asyncio
import re
from pathlib import Path
from typing import Any

import structlog

from devtelemetry.model.errors import ConfigurationError, Overtaken
from devtelemetry.store.connection import Connection
from devtelemetry.store.distribution import check_coordinator, is_distributed, spread
from devtelemetry.store.locks import NAMESPACE, Lock

HEAD = "0028"  # the last of migrations/versions; a test compares it with the files

_log = structlog.get_logger(__name__)
_MIGRATIONS = Path(__file__).parent / "migrations"
# Inside a statement, lines are indented, except its first and last line, `begin` and `end`.
_NEXT_STATEMENT = re.compile(r"(?<=;)\n+(?=[a-z-])(?!(?:begin|end)\b)")


async def migrate(connection: Connection, url: str) -> None:
    """Migrates a database that is not at HEAD. If several servers start at once, one migrates.

    Raises ConfigurationError if a newer version of this program or another program migrated it.
    """
    if await _revision(connection) == HEAD:
        return
    if not await connection.fetchval(
        "select pg_try_advisory_lock($1, $2)", NAMESPACE, Lock.MIGRATE
    ):
        _log.warning("another server is migrating the database; waiting for it")
        await connection.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.MIGRATE)
    try:
        revision = await _revision(connection)
        if revision != HEAD:
            if revision is not None and not re.fullmatch(r"\d{4}", revision):
                raise ConfigurationError(
                    f"another program uses this database (Alembic's revision is {revision}): name "
                    "a database that only Dev-Telemetry uses"
                )
            if revision is not None and revision > HEAD:
                raise ConfigurationError(
                    f"the database has schema {revision}, but this version only knows schemas up "
                    f"to {HEAD}: install the version that made it, or a later one"
                )
            await check_coordinator(connection)
            # Servers of the old version may still write. This lock waits for their transactions.
            # Later ones find that the schema changed (`check_revision`).
            await connection.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.INGEST)
            try:
                await asyncio.to_thread(_upgrade, url)
                if await is_distributed(connection):
                    async for line in spread(connection):
                        _log.info("distributed", table=line)
            finally:
                await connection.execute(
                    "select pg_advisory_unlock($1, $2)", NAMESPACE, Lock.INGEST
                )
    finally:
        await connection.execute("select pg_advisory_unlock($1, $2)", NAMESPACE, Lock.MIGRATE)


def execute_beside(migration: str) -> None:
    """Executes the .sql file beside a migration. migration: its `__file__`."""
    from alembic import op  # noqa: PLC0415 - as below
    from sqlalchemy.util import await_only  # noqa: PLC0415

    # On a cluster, one transaction may change tables of several kinds only if it changes one shard
    # after the other. Alembic executes this, because its first statement begins the transaction.
    op.execute("set local citus.multi_shard_modify_mode = 'sequential'")
    driver: Any = op.get_bind().connection.driver_connection
    # One by one: the nodes of a cluster accept only one statement at a time.
    text = Path(migration).with_suffix(".sql").read_text(encoding="utf-8")
    for statement in _NEXT_STATEMENT.split(text):
        await_only(driver.execute(statement))


async def check_schema(connection: Connection) -> None:
    """Raises Overtaken if another version has migrated the database since this one started."""
    check_revision(await connection.fetchval("select version_num from alembic_version"))


def check_revision(revision: str | None) -> None:
    """Raises Overtaken if the database's schema is not HEAD."""
    if revision != HEAD:
        raise Overtaken(revision, HEAD)


async def _revision(connection: Connection) -> str | None:
    if await connection.fetchval("select to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("select version_num from alembic_version")
    return revision


def _upgrade(url: str) -> None:
    # Imported here, because it takes half a second and only the first start of a version needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, HEAD)
