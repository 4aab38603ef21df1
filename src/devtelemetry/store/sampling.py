"""The rules of sampling: read by whoever takes samples or computes windows, made ahead of time."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from devtelemetry.model import AUDIT_CHANNELS
from devtelemetry.model.errors import Unavailable
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import arrays, queries

REFRESH_SECONDS = 30.0  # less than the shortest notice that a rule is made with
OF_ALL = 0
"""Stands for a channel's id in rules of every channel that has none of its own"""

_QUERIES = queries(__package__, "sampling.sql")


async def read_sampling(connection: Connection) -> Sampling:
    """All rules that are stored. Of an audit all messages are wanted: its losses are known."""
    by_channel = defaultdict[int, list[Change]](list)
    for row in await connection.fetch(_QUERIES["rules"]):
        by_channel[row["channel_id"]].append(Change(row["from_at"], row["one_in"]))
    of_all = by_channel.pop(OF_ALL, [])
    if of_all:
        audits = await connection.fetch(_QUERIES["audits"], begins=AUDIT_CHANNELS)
        by_channel |= {row["channel_id"]: [Change(0, 1)] for row in audits}
    return Sampling(await connection.fetchval(_QUERIES["salt"]), of_all, by_channel)


async def add_rules(connection: Connection, rules: Mapping[int, int], from_ms: int) -> None:
    """Makes rules that hold from then on: of how many messages of a channel one is wanted.

    rules  by channel_id, or OF_ALL
    """
    await connection.execute(
        _QUERIES["add"],
        **arrays(sorted(rules.items()), "channel_ids", "one_in"),
        from_at=from_ms,
    )


async def adopt_rule(connection: Connection, salt: bytes, channel_id: int, change: Change) -> bool:
    """Takes over a rule of another database; False: its salt is not that of the rules here."""
    async with connection.transaction():
        if not await connection.fetchval(_QUERIES["take_salt"], salt=salt):
            return False
        await add_rules(connection, {channel_id: change.one_in}, change.from_ms)
    return True


class SamplingBook:
    """The rules in memory. One per event loop; read anew now and then while it is asked."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._sampling = Sampling()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def current(self) -> Sampling:
        """Raises Unavailable if the database could not be asked yet. Rules hold ahead of time, so
        while it cannot be asked those that are known hold on."""
        if self._monotonic() - self._read_at >= REFRESH_SECONDS:
            # One at a time: who waited here finds what the one before it read.
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
