"""Tokens, which clients show to be let in. Made here, shown once, stored as a hash."""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries

PREFIX = "dt_"  # people and scanners recognise a token by it, wherever it turns up
REFRESH_SECONDS = 1.0  # how long a revoked token still works, and how often the database is asked

_QUERIES = queries(__package__, "tokens.sql")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


class TokenError(DevTelemetryError):
    """A token cannot be made or revoked under that name."""


class Scope(StrEnum):
    """What a token is good for."""

    INGEST = "ingest"  # pushing samples
    READ = "read"  # reading figures by HTTP


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known about a token; the token itself is not known."""

    name: str
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None  # None: valid


async def create_token(database: Database, name: str, scope: Scope, *, now: datetime) -> str:
    """A new token: `dt_` and 43 characters of 256 random bits. It cannot be shown again later.

    Raises TokenError if the name is not allowed, or is taken, even by a revoked token.
    """
    if _NAME.fullmatch(name) is None:
        raise TokenError(
            f"{name!r} is not a name for a token; allowed: 1 to 64 of A-Z a-z 0-9 . _ -"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    async with database.acquire() as connection:
        created = await connection.fetchval(
            _QUERIES["create"],
            name=name,
            scope=scope.value,
            hash=token_digest(token),
            created_at=now,
        )
    if created is None:
        raise TokenError(f"a token {name} exists already, perhaps revoked: choose another name")
    return token


async def list_tokens(database: Database) -> list[TokenInfo]:
    """All tokens by name, revoked ones too."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_QUERIES["list"])
    return [
        TokenInfo(row["name"], Scope(row["scope"]), row["created_at"], row["revoked_at"])
        for row in rows
    ]


async def revoke_token(database: Database, name: str, *, now: datetime) -> datetime:
    """Makes a token invalid for good; returns since when it is invalid. Harmless if repeated.

    Raises TokenError if there is no token of that name.
    """
    async with database.acquire() as connection:
        revoked_at: datetime | None = await connection.fetchval(
            _QUERIES["revoke"], name=name, now=now
        )
    if revoked_at is None:
        raise TokenError(f"there is no token {name}; `devtelemetry token list` shows all tokens")
    return revoked_at


def bearer_token(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header or metadata; None if it holds none."""
    match = _BEARER.fullmatch(authorization or "")
    return match[1] if match else None


class TokenBook:
    """The valid tokens of a scope, in memory. One per event loop.

    It is read again once a second while in use, and at most once a second more if an unknown token
    comes, which may be a new one. So a new token works at once, a revoked token for a second at
    most, and guessing costs the database next to nothing.
    """

    def __init__(
        self,
        database: Database,
        scope: Scope,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._scope = scope
        self._monotonic = monotonic
        self._names: dict[bytes, str] = {}
        self._read_at = self._read_for_unknown_at = float("-inf")
        self._reading = asyncio.Lock()

    async def check(self, token: str | None) -> str | None:
        """The name of `token` if it is valid, else None.

        Raises Unavailable if the database cannot be reached: an old list lets nobody in.
        """
        if token is None or not token.startswith(PREFIX):
            return None
        return await self.check_digest(token_digest(token))

    async def check_digest(self, digest: bytes) -> str | None:
        """The same for a caller that has the digest of a token, not the token."""
        if digest in self._names and self._monotonic() - self._read_at < REFRESH_SECONDS:
            return self._names[digest]
        # One caller at a time: the next caller then finds what this one read.
        async with self._reading:
            now = self._monotonic()
            if now - self._read_at >= REFRESH_SECONDS:
                await self._read(now)
            elif digest not in self._names and now - self._read_for_unknown_at >= REFRESH_SECONDS:
                self._read_for_unknown_at = now
                await self._read(now)
        return self._names.get(digest)

    async def _read(self, now: float) -> None:
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_QUERIES["valid"], scope=self._scope.value)
        self._names = {row["hash"]: row["name"] for row in rows}
        self._read_at = now


def token_digest(token: str) -> bytes:
    """What is stored instead of a token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()
