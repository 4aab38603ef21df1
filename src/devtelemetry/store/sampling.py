"""The rules of sampling: made ahead of time, read to take samples and to compute windows."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from devtelemetry.model import AUDIT_CHANNELS
from devtelemetry.model.errors import Unavailable
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import arrays, queries

REFRESH_SECONDS = 30.0  # less than the shortest notice of a rule
OF_ALL = 0
"""In place of a channel's id: the rule is for every channel that has no rule of its own"""

_QUERIES = queries(__package__, "sampling.sql")


async def read_sampling(connection: Connection) -> Sampling:
    """All stored rules. Channels of audits report all messages, because their losses are known."""
    by_channel = defaultdict[int, list[Change]](list)
    for row in await connection.fetch(_QUERIES["rules"]):
        by_channel[row["channel_id"]].append(Change(row["from_at"], row["one_in"]))
    of_all = by_channel.pop(OF_ALL, [])
    if of_all:
        audits = await connection.fetch(_QUERIES["audits"], begins=AUDIT_CHANNELS)
        by_channel |= {row["channel_id"]: [Change(0, 1)] for row in audits}
    return Sampling(await connection.fetchval(_QUERIES["salt"]), of_all, by_channel)


async def add_rules(connection: Connection, rules: Mapping[int, int], from_ms: int) -> None:
    """Makes rules that hold from `from_ms` on.

    rules  one_in by channel_id or OF_ALL
    """
    await connection.execute(
        _QUERIES["add"],
        **arrays(sorted(rules.items()), "channel_ids", "one_in"),
        from_at=from_ms,
    )


async def adopt_rule(connection: Connection, salt: bytes, channel_id: int, change: Change) -> bool:
    """Takes over a rule of another database; False if the rules here have another salt."""
    async with connection.transaction():
        if not await connection.fetchval(_QUERIES["take_salt"], salt=salt):
            return False
        await add_rules(connection, {channel_id: change.one_in}, change.from_ms)
    return True


class SamplingBook:
    """The rules in memory. One per event loop; reads them again every REFRESH_SECONDS in use."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._sampling = Sampling()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def current(self) -> Sampling:
        """The rules. While the database cannot be reached, the rules read before are used, because
        rules are made ahead of time. Raises Unavailable if none were read yet."""
        if self._monotonic() - self._read_at >= REFRESH_SECONDS:
            # One caller at a time: the next caller then finds what this one read.
            async with self._reading:
                now = self._monotonic()
                if now - self._read_at >= REFRESH_SECONDS:
                    await self._read(now)
        return self._sampling

    async def _read(self, now: float) -> None:
        try:
            async with self._database.acquire() as connection:
                self._sampling = await read_sampling(connection)
        except Unavailable:
            if self._read_at == float("-inf"):
                raise
        else:
            self._read_at = now
