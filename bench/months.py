"""A deployment's figures of months, written directly into the tables of results, without samples.

The figures are made up, but consistent as computed ones are. Counts and delays of channels add up
to those of their window, and groups to the whole. The same seed makes the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from devtelemetry.model import DAY, HOUR, parse_timeframe, window_at
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "months.sql")
_WEEK = 7 * DAY
_SECONDS = 3600.0  # a year of a thousand channels takes minutes


@dataclass(frozen=True, slots=True)
class Made:
    """What to make.

    end       no window ends later; windows that end in the day before it are provisional
    bad_day   in the last 24 hours one channel and one platform lose more than before
    """

    channels: Sequence[str]
    end: datetime
    span: timedelta
    bad_day: bool = True
    seed: int = 1


async def make_months(database: Database, made: Made) -> None:
    """Makes windows of 1h, 1d and 1w, policy `present`, with channels and groups.

    A year of 1,000 channels takes some minutes and 5 GB.
    """
    keyring = await database.keyring()
    hours_end = window_at(parse_timeframe("1h"), made.end).start
    start = window_at(parse_timeframe("1w"), hours_end - made.span).start
    async with database.acquire() as connection:
        for name in ("chance", "delays", "spread", "made_channel", "defaults"):
            await connection.execute(_QUERIES[name])
        await connection.copy_rows(
            "channel",
            ("channel_id", "external_id"),
            [(keyring.channel(name), name) for name in made.channels],
        )
        await connection.execute(
            _QUERIES["fill_channels"], [keyring.channel(name) for name in made.channels], made.seed
        )
        spike = hours_end - DAY if made.bad_day else hours_end + DAY
        day = start
        while day < hours_end:  # in pieces, because no memory has room for a year in one statement
            until = min(day + DAY, hours_end)
            if start + _WEEK <= day and until <= hours_end - 3 * DAY:
                # All weeks are alike: copying one is ten times as fast as making one.
                await connection.execute(_QUERIES["repeated"], day, until, seconds=_SECONDS)
            else:
                await connection.execute(
                    _QUERIES["hours"], day, until, spike, made.seed, seconds=_SECONDS
                )
            day = until
        for name in ("1d", "1w"):
            length = parse_timeframe(name).length
            await connection.execute(_QUERIES["longer"], name, length, hours_end, seconds=_SECONDS)
        for name, length in (("1h", HOUR), ("1d", DAY), ("1w", 7 * DAY)):
            await connection.execute(_QUERIES["windows"], name, length, hours_end, seconds=_SECONDS)
            await connection.execute(_GROUPS_OF_WINDOW, name, spike, seconds=_SECONDS)
            await connection.execute(
                _GROUPS_OF_CHANNEL, name, spike, keyring.channel(made.channels[0]), seconds=_SECONDS
            )
        await connection.execute(_QUERIES["outcomes"], seconds=_SECONDS)
        await connection.execute("analyze")


def _groups_of(channel_id: str, table: str, clusters: str, over_channels: str, where: str) -> str:
    sql = _QUERIES["groups"].text
    for name, value in (
        ("channel_id", channel_id),
        ("table", table),
        ("clusters", clusters),
        ("over_channels", over_channels),
        ("where", where),
    ):
        sql = sql.replace(f"{{{name}}}", value)
    return sql


_GROUPS_OF_WINDOW = _groups_of(
    "0",
    "reliability_window",
    "receivers / 3",
    "pg_temp.spread(40, missing, corroborated)",
    "w.membership = 'present'",
)
_GROUPS_OF_CHANNEL = _groups_of(
    "$3::bigint",
    "reliability_channel",
    "receivers",
    "array[0, 0, 0, 0]::numeric[]",
    "w.channel_id = $3::bigint and w.receivers > 9",
)
