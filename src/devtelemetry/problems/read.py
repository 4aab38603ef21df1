"""The stored windows of the last weeks as lines of counts, and what is wrong in them.

It reads no samples, but a few thousand rows of results, and for channels their sums of a week.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from devtelemetry.figures.read import newest_computation
from devtelemetry.model import (
    AUDIT_CHANNELS,
    DAY,
    HOUR,
    NO_SPREADS,
    Counts,
    Dimension,
    MembershipPolicy,
    Spread,
    Spreads,
    Timeframe,
    longest_up_to,
)
from devtelemetry.problems.explain import CLASSES, EVERYTHING, REPORTS, Kind, Unit, find_causes
from devtelemetry.problems.judge import MIN_BASE_DAYS, lengths
from devtelemetry.problems.line import BASE_DAYS, NOTHING, Line, Part
from devtelemetry.problems.problem import Problems, problem_of
from devtelemetry.results.columns import SQL
from devtelemetry.results.rows import Row, counts_of
from devtelemetry.runtime.shared import Shared
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import queries

MOST_CHANNELS = 20  # how many become lines, for each split
MOST_GROUPS = 30  # likewise, for each dimension: clients may make up any number of versions
MOST_WINDOWS = 3_000  # so for windows of less than about 17 minutes, fewer days are read
_SPLITS = (4, 24)  # windows before the end
_SLICE = 2_000  # rows of groups in memory at the same time

_QUERIES = queries(__package__, "read.sql", **SQL)


def looked_at(timeframes: Sequence[Timeframe]) -> Timeframe | None:
    """Of the timeframes that tile a day: the longest of up to an hour, or else the shortest. None
    if no timeframe tiles a day."""
    tiling = [one for one in timeframes if DAY % one.length == timedelta(0)]
    return longest_up_to(tiling, HOUR)


async def read_problems(
    database: Database,
    timeframes: Sequence[Timeframe],
    membership: MembershipPolicy,
    *,
    until: datetime | None = None,
) -> Problems:
    """What is wrong at the end of the latest window, or of the latest window that ended by `until`.

    timeframes  the configured ones, the shortest first
    """
    timeframe = looked_at(timeframes)
    if timeframe is None:
        return Problems(None, membership, None)
    key = {"timeframe": timeframe.name, "membership": membership.value}
    async with (
        database.read() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        end = await connection.fetchval(_QUERIES["end"], **key, until=until)
        if end is None:
            return Problems(timeframe, membership, None)
        per_day = DAY // timeframe.length
        days = BASE_DAYS + lengths(per_day)[-1] // per_day
        days = max(2 * MIN_BASE_DAYS, min(days, MOST_WINDOWS // per_day))
        span = {"start": end - days * DAY, "end": end}
        reading = _Reading(timeframe, span["start"], days * per_day)
        reading.windows(await connection.fetch(_QUERIES["windows"], **key, **span))
        recent = end - lengths(per_day)[-1] * timeframe.length
        groups = connection.slices(
            _QUERIES["groups"], _SLICE, **key, **span, recent=recent, most=MOST_GROUPS
        )
        async for rows in groups:
            reading.groups(rows)
        channels = await _channels(connection, reading, key, end, timeframe)
    # Off the event loop, which serves other requests and takes samples.
    return await asyncio.to_thread(_problems, reading, channels, end, timeframe, membership)


def _problems(
    reading: "_Reading",
    channels: int,
    end: datetime,
    timeframe: Timeframe,
    membership: MembershipPolicy,
) -> Problems:
    per_day = DAY // timeframe.length
    lines = reading.lines(per_day)
    earlier = lines[EVERYTHING].base_windows(reading.count - 1) / per_day
    causes = find_causes(lines, reading.count, len(lines) + channels)
    until = end.astimezone(UTC)
    return Problems(
        timeframe,
        membership,
        until,
        earlier,
        [problem_of(cause, reading.start, until, timeframe, membership) for cause in causes],
    )


async def _channels(
    connection: Connection,
    reading: "_Reading",
    key: Mapping[str, str],
    end: datetime,
    timeframe: Timeframe,
) -> int:
    """Reads the channels that may have a problem. Returns how many other channels were compared."""
    rows = await connection.fetch(
        _QUERIES["rising_channels"],
        **key,
        start=end - 8 * DAY,
        end=end,
        splits=[end - windows * timeframe.length for windows in _SPLITS],
        audits=AUDIT_CHANNELS,
        most=MOST_CHANNELS,
    )
    if not rows:
        return 0
    names = {row["channel_id"]: row["external_id"] for row in rows}
    found = await connection.fetch(
        _QUERIES["channels"], **key, start=reading.start, end=end, channel_ids=list(names)
    )
    reading.channels(found, names)
    compared: int = max(row["channels"] for row in rows)
    return compared - len(names)


class LatestProblems:
    """What is wrong at the end of the latest window. Read once for all callers, until another
    window is computed."""

    def __init__(self, database: Database, timeframes: Sequence[Timeframe]) -> None:
        self._database = database
        self._timeframes = timeframes
        self._shared = Shared()
        self._kept: dict[MembershipPolicy, tuple[datetime | None, Problems]] = {}

    async def read(self, membership: MembershipPolicy) -> Problems:
        newest = await newest_computation(self._database)
        kept = self._kept.get(membership)
        if kept is not None and kept[0] == newest:
            return kept[1]

        async def renew() -> Problems:
            found = await read_problems(self._database, self._timeframes, membership)
            self._kept[membership] = newest, found
            return found

        return await self._shared.get((membership, newest), renew)

    async def within(self, membership: MembershipPolicy, seconds: float) -> Problems | None:
        """The same. If it takes longer than `seconds`, reading goes on and this returns what was
        read last. None: nothing was read yet."""
        try:
            async with asyncio.timeout(seconds):
                return await self.read(membership)
        except TimeoutError:
            kept = self._kept.get(membership)
            return None if kept is None else kept[1]


class _Reading:
    """Sorts rows by unit and window; `count` windows from `start` on."""

    def __init__(self, timeframe: Timeframe, start: datetime, count: int) -> None:
        self.start = start
        self.count = count
        self._length = timeframe.length
        self._parts: dict[Unit, list[Part]] = defaultdict(lambda: [NOTHING] * count)

    def windows(self, rows: Iterable[Row]) -> None:
        self._parts[EVERYTHING], self._parts[REPORTS]
        for row in rows:
            at, counts, part = self._at(row), counts_of(row), _part(row)
            self._parts[EVERYTHING][at] = part
            pairs = counts.expected + counts.unknown
            self._parts[REPORTS][at] = part_of_reports(
                counts.unknown, pairs, counts.messages, part.spreads
            )
            for of, number in zip(CLASSES, part.by_class, strict=True):
                self._parts[Unit(Kind.LOSS_CLASS, of.value)][at] = part._replace(
                    missing=number, by_class=()
                )

    def groups(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row["value"]:  # receivers that never reported a value are not a group
                unit = Unit(Kind(Dimension(row["dimension"]).value), row["value"])
                self._parts[unit][self._at(row)] = _part(row)

    def channels(self, rows: Iterable[Row], names: Mapping[int, str]) -> None:
        for row in rows:
            unit = Unit(Kind.CHANNEL, names[row["channel_id"]])
            self._parts[unit][self._at(row)] = _part(row)

    def lines(self, per_day: int) -> dict[Unit, Line]:
        return {unit: Line(parts, per_day) for unit, parts in self._parts.items()}

    def _at(self, row: Row) -> int:
        at: int = (row["window_start"] - self.start) // self._length
        return at


_losses = attrgetter(*(of.value for of in CLASSES))


def _part(row: Row) -> Part:
    counts = counts_of(row)
    spreads = Spreads(
        *(_spread(row[name]) for name in ("over_channels", "over_receivers", "over_memberships"))
    )
    return Part(
        counts.missing,
        counts.corroborated,
        counts.messages or _messages(counts),
        _losses(counts),
        spreads.over_receivers.clusters,
        spreads,
    )


def _messages(counts: Counts) -> int:
    """Messages are not counted by path. This takes each message to go to all receivers there."""
    return counts.corroborated // max(1, counts.receivers)


def _spread(sums: Sequence[float] | None) -> Spread:
    return Spread() if sums is None else Spread(*map(int, sums))


def part_of_reports(unknown: int, pairs: int, messages: int, spreads: Spreads) -> Part:
    """The unknown pairs as losses of reports. They are taken to be all pairs of some receivers,
    because the results say no more.

    pairs    all pairs, known and unknown
    spreads  of the known pairs
    """
    of = spreads.over_receivers
    known = pairs - unknown
    if not known or not of.corroborated_squared:
        return Part(unknown, pairs, messages)
    each = max(1, round(of.corroborated_squared / known))
    spread = Spread(of.clusters, unknown * each, unknown * each, pairs * each)
    return Part(
        unknown, pairs, messages, (), of.clusters, NO_SPREADS._replace(over_receivers=spread)
    )
