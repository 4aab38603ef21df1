"""How far the clocks of receivers are off, according to their pushes.

The offset of a push includes the time that the push took: some tens of milliseconds, or more if a
connection had to be made first. So a clock that is off by less than a second counts as right.
"""

from dataclasses import dataclass

from devtelemetry.model import DAY_MS, HOUR_MS, MINUTE_MS
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries

RECENT_MS = 7 * DAY_MS  # receivers that have not reported since are left out
OFF_BY_MS = {"1s": 1_000, "10s": 10_000, "1m": MINUTE_MS, "1h": HOUR_MS}

_QUERIES = queries(__package__, "clocks.sql")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Counts of receivers that reported in the last seven days.

    told           receivers that reported their clock; the other figures are about them
    off_by_more    by name of OFF_BY_MS, receivers whose clock is off by more than that
    ahead, behind  receivers whose clock is ahead or behind by more than a second
    median_ms      how far clocks are off, in either direction; None if `told` is 0
    greatest_ms    likewise
    """

    receivers: int
    told: int
    off_by_more: dict[str, int]
    ahead: int
    behind: int
    median_ms: int | None
    greatest_ms: int | None


async def read_clocks(database: Database, *, now_ms: int) -> Clocks:
    """The clocks of receivers that reported in the seven days before `now_ms` (Unix ms).

    The latest push of each decides. One pass over `receiver`.
    """
    async with database.read() as connection:
        row = await connection.fetchrow(
            _QUERIES["clocks"], since=now_ms - RECENT_MS, limits=list(OFF_BY_MS.values())
        )
    assert row is not None, "an aggregate has one row"
    off_by_more = dict(zip(OFF_BY_MS, row["off_by_more"], strict=True))
    return Clocks(**(dict(row) | {"off_by_more": off_by_more}))
