"""Connections of the driver: by a URL in libpq's form, and with our settings for the session,
whatever the role, the database or a pooler sets.
"""

import getpass
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from devtelemetry.model.errors import ConfigurationError

CONNECT_SECONDS = 10.0
FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME"

# Sent when a session begins. PgBouncer as Debian ships it accepts only these names.
STARTUP = {"application_name": "devtelemetry", "timezone": "UTC"}

# By name: the version of PostgreSQL that has the setting first, and the value. Time limits are off,
# because we set them for each statement. A server that is lost keeps its locks until the database
# notices: with these keepalives after 90 s, not two hours. A generic plan guesses how many values
# an array has: deciding the sentAt of 500 messages took 2.2 s with one instead of 12 ms. Ingest
# always runs the same statements, so it allows generic plans for itself.
_SESSION = {
    "jit": (0, "off"),
    "plan_cache_mode": (12, "force_custom_plan"),
    "statement_timeout": (0, "0"),
    "lock_timeout": (0, "0"),
    "idle_in_transaction_session_timeout": (0, "0"),
    "idle_session_timeout": (14, "0"),
    "transaction_timeout": (17, "0"),
    "tcp_keepalives_idle": (0, "60"),
    "tcp_keepalives_interval": (0, "10"),
    "tcp_keepalives_count": (0, "3"),
    "tcp_user_timeout": (0, "90000"),
}

_OF_THE_DRIVER = {
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    *("target_session_attrs", "options", "application_name"),
}
_FILES = {"sslcert", "sslkey", "sslrootcert", "sslcrl"}
# Parameters that only libpq knows, and the values that change nothing here.
_OF_LIBPQ = {
    "channel_binding": "disable|prefer",
    "client_encoding": "auto|utf-?8",
    "connect_timeout": r"\d{1,6}",
    "fallback_application_name": ".*",
    "gssencmode": "disable|prefer",
    "keepalives": "0|1",
    "keepalives_count": r"\d{1,9}",
    "keepalives_idle": r"\d{1,9}",
    "keepalives_interval": r"\d{1,9}",
    "load_balance_hosts": "disable",
    "sslcompression": "0|1",
    "sslsni": "1",
    "tcp_user_timeout": r"\d{1,9}",
}


@dataclass(frozen=True, slots=True)
class Address:
    """url              as the driver takes it
    connect_seconds  the time limit for connecting
    """

    url: str
    connect_seconds: float


def address(url: str) -> Address:
    """Reads a URL in libpq's form. Raises ConfigurationError, which quotes no part that may be a
    password."""
    try:
        parts = urlsplit(url)
        _ = parts.port if "," not in parts.netloc else None  # raises if it is not a number
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _unreadable() from None
    _check_user(parts.username, pairs)
    if parts.fragment or "@" in parts.path or parts.netloc.count("@") > 1:
        raise _unreadable()
    kept = []
    connect_seconds = CONNECT_SECONDS
    for name, value in pairs:
        if name in _FILES and not Path(value).is_file():
            raise ConfigurationError(f"database_url: the file that {name} names does not exist")
        if name in _OF_THE_DRIVER:
            kept.append((name, value))
        elif name not in _OF_LIBPQ:
            raise ConfigurationError(
                "database_url: a parameter after the ? is not known; allowed: "
                f"{', '.join(sorted(_OF_THE_DRIVER | _OF_LIBPQ.keys()))}; write settings of "
                "PostgreSQL as options=-c%20NAME=VALUE"
            )
        elif not re.fullmatch(_OF_LIBPQ[name], value, re.IGNORECASE):
            raise ConfigurationError(
                f"database_url: {name} has a value that the driver does not support; allowed: "
                f"{_OF_LIBPQ[name].replace('|', ' or ')}, or leave it out"
            )
        elif name == "connect_timeout" and int(value):
            connect_seconds = float(max(2, int(value)))  # as libpq does
    return Address(urlunsplit(parts._replace(query=urlencode(kept))), connect_seconds)


def _check_user(user: str | None, pairs: list[tuple[str, str]]) -> None:
    """Raises ConfigurationError if nothing says which user to log in as."""
    if user or os.environ.get("PGUSER") or {"user", "service"} & {name for name, _ in pairs}:
        return
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise ConfigurationError(
            "database_url: names no user, and the user of this process has no name; allowed: "
            f"{FORM}"
        ) from None


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        f"database_url: cannot be read; allowed: {FORM}, where @ : / ? # % [ and ] of a user or "
        "password are written as %40 %3A %2F %3F %23 %25 %5B %5D"
    )


class Session(asyncpg.Connection):
    """A connection with our settings. They are set again when it goes back to a pool."""

    def get_reset_query(self) -> str:
        """The driver's query, which resets all settings, and then ours."""
        query: str = super().get_reset_query()
        return f"{query}\n{_settings(self)}"


async def prepare(driver: "asyncpg.Connection[Any] | PoolConnectionProxy[Any]") -> None:
    """Gives a new connection its settings."""
    await driver.execute(_settings(driver))


async def connect(url: str) -> "asyncpg.Connection[Any]":
    """A connection outside any pool. Raises ConfigurationError and the driver's errors."""
    at = address(url)
    try:
        driver = await asyncpg.connect(
            at.url, timeout=at.connect_seconds, server_settings=STARTUP, connection_class=Session
        )
    except ValueError as error:
        raise ConfigurationError(f"database_url, or a PG… variable beside it: {error}") from error
    await prepare(driver)
    return driver


def _settings(driver: Any) -> str:
    major = driver.get_server_version().major
    return "\n".join(
        f"set {name} = '{value}';" for name, (since, value) in _SESSION.items() if major >= since
    )
