"""Whether a database is fit for use: checked once, before anything is written. If it is not, an
error says what to do.
"""

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.store.connection import Connection
from devtelemetry.store.sql import queries

LEAST_VERSION = 15  # the oldest version that the tests run on

_QUERIES = queries(__package__, "fitness.sql")


async def check_database(connection: Connection) -> None:
    """Raises ConfigurationError if it is too old, read-only, not in UTF-8, or not ours."""
    if connection.major_version < LEAST_VERSION:
        raise ConfigurationError(
            f"the database is PostgreSQL {connection.major_version}; "
            f"allowed: {LEAST_VERSION} or later"
        )
    row = await connection.fetchrow(_QUERIES["fitness"])
    assert row is not None, "it has one row"
    name, role = row["database"], row["role"]
    if row["encoding"] != "UTF8":
        raise ConfigurationError(
            f"the database {name} has the encoding {row['encoding']}; allowed: UTF8, as "
            f"`createdb --encoding=UTF8 --template=template0 --owner={role} NAME` makes one"
        )
    if row["is_standby"] or row["is_read_only"]:
        why = "a standby" if row["is_standby"] else "set to it by default_transaction_read_only"
        raise ConfigurationError(
            f"the database {name} is read-only: it is {why}; allowed: the primary. If the URL has "
            "several hosts, target_session_attrs=read-write finds it"
        )
    if row["foreign_owner"] is not None:
        raise ConfigurationError(
            f"the tables of {name} belong to {row['foreign_owner']}, not to {role}: connect as "
            f"{row['foreign_owner']}, or as a role that is a member of it"
        )
    if row["schema"] is None:
        raise ConfigurationError(
            f"the search_path of {role} in the database {name} names no schema that exists: run "
            f"`alter role {role} reset search_path`, or make the schema"
        )
    if not row["may_create"]:
        raise ConfigurationError(
            f"{role} may not make tables in the database {name}: run `createdb --owner={role} "
            f"NAME` to make a database of its own, or here `alter schema public owner to {role}`"
        )


async def check_sessions(one: Connection, other: Connection) -> None:
    """Raises ConfigurationError if two open connections share a session, as behind a pooler."""
    pids = [await session.fetchval("select pg_backend_pid()") for session in (one, other)]
    if pids[0] == pids[1]:
        raise ConfigurationError(
            "a pooler in transaction mode is in front of the database, so locks and statements do "
            "not last; allowed: session mode (pool_mode = session), or the database itself"
        )
