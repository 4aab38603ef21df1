"""One set of rules for each database. A process with other rules computes nothing, and reports
which rules differ.

Otherwise two servers with different rules would compute the same windows in turn, each its own way,
and clean days that the other still needs. All processes that compute share a lock. A process that
gets the lock alone sets the rules. If a process dies, its lock is released.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import timedelta

import orjson

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import Timeframe, write_duration
from devtelemetry.model.errors import ConfigurationError, DatabaseAway, Unavailable
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.sql import queries

_ATTEMPTS = 50  # a tenth of a second each; setting the rules takes some milliseconds

# Stored figures do not depend on these settings: each membership policy has rows of its own.
_OF_NO_FIGURE = frozenset({"membership", "recompute_interval", "lookback"})
_LOCK = {"namespace": NAMESPACE, "lock": Lock.RULES}
_QUERIES = queries(__package__, "in_force.sql")


def fingerprint(rules: AggregateRules) -> dict[str, str]:
    """The settings that figures depend on: name → value, as text."""
    said = {}
    for field in fields(rules):
        value = getattr(rules, field.name)
        if field.name in _OF_NO_FIGURE:
            continue
        if field.name == "timeframes":
            said["timeframes"] = _written([timeframe.name for timeframe in value])
            said["allowed_lateness"] = _written(value)
        elif isinstance(value, Mapping):
            for key, part in sorted(value.items()):
                said |= {f"{field.name} of {key}": _written(part)}
        else:
            said[field.name] = _written(value)
    return said


class RulesInForce:
    """Holds a server's rules in force while the block lasts."""

    def __init__(self, database: Database, rules: AggregateRules) -> None:
        self._database = database
        self._said = fingerprint(rules)
        self._stack = contextlib.AsyncExitStack()
        self._session: Connection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> "RulesInForce":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._let_go()

    async def ensure(self) -> None:
        """Returns if these rules are in force. Raises ConfigurationError if other rules are, and
        DatabaseAway."""
        async with self._one_at_a_time:
            try:
                if self._session is not None:
                    await self._session.fetchval("select 1")  # the lock goes with the session
                    return
                session = await self._stack.enter_async_context(self._database.acquire())
                await _hold(session, self._said, ())
                self._session = session
            except BaseException:
                await self._let_go()
                raise

    async def _let_go(self) -> None:
        self._session = None
        with contextlib.suppress(DatabaseAway):
            await self._stack.aclose()
        self._stack = contextlib.AsyncExitStack()


@contextlib.asynccontextmanager
async def rules_in_force(
    database: Database, rules: AggregateRules, *, but: Sequence[str] = ()
) -> AsyncIterator[None]:
    """Holds the rules for a command while the block lasts. Raises ConfigurationError if others are
    in force. but: settings that may differ."""
    async with database.acquire() as session:
        await _hold(session, fingerprint(rules), but)
        yield


async def _hold(session: Connection, said: dict[str, str], but: Sequence[str]) -> None:
    """Takes the lock. It is held until the session goes back to its pool."""
    for _ in range(_ATTEMPTS):
        if await session.fetchval(_QUERIES["try_alone"], **_LOCK):
            await session.execute(_QUERIES["set"], rules=orjson.dumps(said).decode())
            await session.execute(_QUERIES["join"], **_LOCK)
            await session.execute(_QUERIES["no_longer_alone"], **_LOCK)
            return
        if await session.fetchval(_QUERIES["try_join"], **_LOCK):
            stored = await session.fetchval(_QUERIES["stored"])
            differ = _differences(orjson.loads(stored), said, but)
            if differ:
                await session.execute(_QUERIES["leave"], **_LOCK)
                raise ConfigurationError(
                    f"another server on this database computes with other settings: {differ}. This "
                    "one computes and cleans nothing; give both the same settings"
                )
            return
        await asyncio.sleep(0.1)
    raise Unavailable("another process is setting the rules; try again later")


def _differences(there: Mapping[str, str], here: Mapping[str, str], but: Sequence[str]) -> str:
    """The differences in words, with the names of the settings; empty if there are none."""
    return "; ".join(
        f"{name} is {there.get(name, 'not known')} there and {here.get(name, 'not known')} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name) and name not in but
    )


def _written(value: object) -> str:
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, Timeframe):
        return f"{value.name}={write_duration(value.allowed_lateness)}"
    if isinstance(value, list | tuple):
        return ",".join(map(_written, value)) or "none"
    if is_dataclass(value) and not isinstance(value, type):
        return ", ".join(
            f"{one.name} {_written(getattr(value, one.name))}" for one in fields(value)
        )
    return str(value)
