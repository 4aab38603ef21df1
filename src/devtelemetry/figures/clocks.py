"""How far the clocks of receivers are off, as their pushes tell.

The offset of a push includes the time that the push took: some tens of milliseconds, or more if a
connection had to be made first. So a clock that is off by less than a second counts as right.
"""

from dataclasses import dataclass

from devtelemetry.model import DAY_MS, HOUR_MS, MINUTE_MS
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries

RECENT_MS = 7 * DAY_MS  # who has not reported since is not looked at
OFF_BY_MS = {"1s": 1_000, "10s": 10_000, "1m": MINUTE_MS, "1h": HOUR_MS}

_QUERIES = queries(__package__, "clocks.sql")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Counts of receivers that reported in the last seven days.

    told           of `receivers`, those that told their clock; all that follows is of them
    off_by_more    by name of OFF_BY_MS, those whose clock is off by more than that
    ahead, behind  of the server's clock by more than a second
    median_ms      of how far each is off, in either direction; None: nobody told
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
    """The clocks of those that reported in the seven days before `now_ms` (Unix ms).

    Each as its latest push told it, up to a minute later. One pass over `receiver`.
    """
    async with database.read() as connection:
        row = await connection.fetchrow(
            _QUERIES["clocks"], since=now_ms - RECENT_MS, limits=list(OFF_BY_MS.values())
        )
    assert row is not None, "an aggregate has one row"
    off_by_more = dict(zip(OFF_BY_MS, row["off_by_more"], strict=True))
    return Clocks(**(dict(row) | {"off_by_more": off_by_more}))
