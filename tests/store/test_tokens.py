"""Tokens: shown once, stored as hashes, accepted and refused."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from devtelemetry.model.errors import DatabaseAway, Unavailable
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.tokens import (
    REFRESH_SECONDS,
    Scope,
    TokenBook,
    TokenError,
    TokenInfo,
    bearer_token,
    create_token,
    list_tokens,
    revoke_token,
)

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


class CountingDatabase(Database):
    """Counts how often a connection is asked for; can be made unreachable."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.is_away = False

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        self.asked += 1
        if self.is_away:
            raise DatabaseAway("away")
        async with super().acquire() as connection:
            yield connection


def counting(opened: Database) -> CountingDatabase:
    assert isinstance(opened, CountingDatabase)
    return opened


class Clock:
    """A monotonic clock in seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


async def create(database: Database, name: str, scope: Scope = Scope.INGEST) -> str:
    return await create_token(database, name, scope, now=NOW)


async def test_a_token_is_dt_and_43_characters_and_never_the_same(database: Database) -> None:
    tokens = {await create(database, f"token-{n}") for n in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        assert re.fullmatch(r"dt_[A-Za-z0-9_-]{43}", token)


async def test_only_the_hash_of_a_token_is_stored(database: Database) -> None:
    token = await create(database, "desktop")
    async with database.acquire() as connection:
        row = await connection.fetchrow("select * from token")
    assert row is not None
    assert row["hash"] == hashlib.sha256(token.encode()).digest()
    assert token not in str(dict(row))


async def test_a_name_is_given_once_even_after_it_was_revoked(database: Database) -> None:
    await create(database, "desktop")
    with pytest.raises(TokenError, match="a token desktop exists already"):
        await create(database, "desktop", Scope.READ)
    await revoke_token(database, "desktop", now=LATER)
    with pytest.raises(TokenError, match="a token desktop exists already"):
        await create(database, "desktop")


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 65, "a/b", "ä"])
async def test_what_is_no_name_is_refused(database: Database, name: str) -> None:
    with pytest.raises(TokenError, match="is not a name for a token; allowed: 1 to 64 of"):
        await create(database, name)


async def test_tokens_are_listed_by_name_with_those_revoked(database: Database) -> None:
    await create(database, "b", Scope.READ)
    await create(database, "a")
    await revoke_token(database, "b", now=LATER)
    assert await list_tokens(database) == [
        TokenInfo("a", Scope.INGEST, NOW, None),
        TokenInfo("b", Scope.READ, NOW, LATER),
    ]


async def test_revoking_twice_keeps_the_first_time(database: Database) -> None:
    await create(database, "a")
    assert await revoke_token(database, "a", now=LATER) == LATER
    assert await revoke_token(database, "a", now=LATER + timedelta(hours=1)) == LATER


async def test_a_token_that_is_not_there_cannot_be_revoked(database: Database) -> None:
    with pytest.raises(TokenError, match="there is no token a; "):
        await revoke_token(database, "a", now=NOW)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer dt_abc", "dt_abc"),
        ("bearer  dt_abc ", "dt_abc"),
        ("Basic dt_abc", None),
        ("Bearer", None),
        ("Bearer a b", None),
        ("dt_abc", None),
        ("", None),
        (None, None),
    ],
)
def test_a_bearer_header_holds_one_token(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


async def test_a_valid_token_is_known_by_its_name_and_in_its_scope_alone(
    database: Database,
) -> None:
    ingest, read = await create(database, "phone"), await create(database, "wall", Scope.READ)
    assert await TokenBook(database, Scope.INGEST).check(ingest) == "phone"
    assert await TokenBook(database, Scope.INGEST).check(read) is None
    assert await TokenBook(database, Scope.READ).check(read) == "wall"
    assert await TokenBook(database, Scope.READ).check(ingest) is None


@pytest.mark.parametrize("token", [None, "", "dt_", "dt_" + "A" * 43, "x" * 46])
async def test_what_is_no_token_is_nobody(database: Database, token: str | None) -> None:
    await create(database, "phone")
    assert await TokenBook(database, Scope.INGEST).check(token) is None


async def test_a_revoked_token_is_shut_out_within_a_second(database: Database) -> None:
    clock = Clock()
    book = TokenBook(database, Scope.INGEST, monotonic=clock)
    token = await create(database, "phone")
    assert await book.check(token) == "phone"
    await revoke_token(database, "phone", now=LATER)
    clock.pass_by(REFRESH_SECONDS)
    assert await book.check(token) is None


async def test_a_new_token_is_let_in_at_once(database: Database) -> None:
    book = TokenBook(database, Scope.INGEST, monotonic=Clock())
    old = await create(database, "old")
    assert await book.check(old) == "old"
    new = await create(database, "new")
    assert await book.check(new) == "new"


async def test_guessing_asks_the_database_no_more_than_twice_a_second(database_url: str) -> None:
    async with CountingDatabase(database_url) as opened:
        database = counting(opened)
        clock = Clock()
        book = TokenBook(database, Scope.INGEST, monotonic=clock)
        token = await create(database, "phone")
        database.asked = 0
        for n in range(500):
            assert await book.check(f"dt_guess{n}") is None
            assert await book.check(token) == "phone"
            clock.pass_by(0.01)
        assert 5 <= database.asked <= 2 * 5 + 1


async def test_many_at_once_ask_the_database_once(database_url: str) -> None:
    async with CountingDatabase(database_url) as opened:
        database = counting(opened)
        token = await create(database, "phone")
        database.asked = 0
        book = TokenBook(database, Scope.INGEST, monotonic=Clock())
        assert await asyncio.gather(*(book.check(token) for _ in range(50))) == ["phone"] * 50
        assert database.asked == 1


async def test_nobody_is_let_in_by_an_old_list(database_url: str) -> None:
    async with CountingDatabase(database_url) as opened:
        database = counting(opened)
        clock = Clock()
        book = TokenBook(database, Scope.INGEST, monotonic=clock)
        token = await create(database, "phone")
        assert await book.check(token) == "phone"
        database.is_away = True
        assert await book.check(token) == "phone"
        clock.pass_by(REFRESH_SECONDS)
        with pytest.raises(Unavailable):
            await book.check(token)
        database.is_away = False
        assert await book.check(token) == "phone"
