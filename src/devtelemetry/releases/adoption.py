"""When each version was first seen, and what share has it. Reads stored results, no samples."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devtelemetry.figures.document import iso
from devtelemetry.model import DAY, DAY_MS, MembershipPolicy, Timeframe, longest_up_to
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import queries

MOST_WINDOWS = 60  # in `adoption`: two months of days
REPORTED_DAYS = 7  # a receiver has a version now if it reported within so many days

_QUERIES = queries(__package__)
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Adopted:
    """A version in one window.

    receivers, deliveries  the version's, each with its share of all versions'
    """

    start: datetime
    receivers: int
    receivers_share: float
    deliveries: int
    deliveries_share: float


@dataclass(frozen=True, slots=True)
class Release:
    """first_seen  start of the first window that shows it; None: the first window of all shows it,
               so nobody knows when it came
    platforms   platform → number of receivers that have it now, most first
    adoption    window by window, the oldest first, without windows that do not show it
    """

    version: str
    first_seen: datetime | None
    platforms: Mapping[str, int]
    adoption: Sequence[Adopted]


@dataclass(frozen=True, slots=True)
class Releases:
    """timeframe  of the windows; None: no timeframe fits
    until      the end of the latest window
    found      the newest release first
    """

    timeframe: Timeframe | None
    membership: MembershipPolicy
    until: datetime | None = None
    found: Sequence[Release] = ()


def windows_of_releases(timeframes: Sequence[Timeframe]) -> Timeframe | None:
    """The longest timeframe of up to a day: enough receivers in a window, and each has a date."""
    return longest_up_to(timeframes, DAY)


async def read_releases(
    database: Database,
    timeframes: Sequence[Timeframe],
    membership: MembershipPolicy,
    *,
    smallest_group: int,
    now_ms: int,
) -> Releases:
    """The app versions of receivers that the stored windows tell apart.

    timeframes  the configured ones, the shortest first
    """
    timeframe = windows_of_releases(timeframes)
    if timeframe is None:
        return Releases(None, membership)
    key = {"timeframe": timeframe.name, "membership": membership.value}
    async with (
        database.read() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        windows = await connection.fetch(_QUERIES["windows"], **key, most=MOST_WINDOWS)
        if not windows:
            return Releases(timeframe, membership)
        first = await _first_windows(connection, key)
        groups = await connection.fetch(
            _QUERIES["versions_by_window"],
            **key,
            window_starts=[row["window_start"] for row in windows],
        )
        now = await connection.fetch(
            _QUERIES["platforms"],
            smallest_group=smallest_group,
            since=now_ms - REPORTED_DAYS * DAY_MS,
        )
    totals = {row["window_start"]: row for row in windows}
    adoption: dict[str, list[Adopted]] = defaultdict(list)
    for row in sorted(groups, key=lambda row: row["window_start"]):
        total = totals[row["window_start"]]
        adoption[row["value"]].append(
            Adopted(
                row["window_start"].astimezone(UTC),
                row["receivers"],
                _share(row["receivers"], total["receivers"]),
                row["corroborated"],
                _share(row["corroborated"], total["corroborated"]),
            )
        )
    platforms: dict[str, dict[str, int]] = defaultdict(dict)
    for row in now:
        platforms[row["app_version"]][row["platform"]] = row["receivers"]
    found = [
        Release(version, seen, platforms[version], adoption[version])
        for version, seen in first.items()
    ]
    found.sort(key=lambda one: (one.first_seen or _BEFORE_ALL, one.version), reverse=True)
    return Releases(timeframe, membership, windows[-1]["window_end"].astimezone(UTC), found)


async def read_first_seen(
    database: Database, timeframes: Sequence[Timeframe], membership: MembershipPolicy
) -> Mapping[str, datetime | None]:
    """Version → `first_seen`, as in Release."""
    timeframe = windows_of_releases(timeframes)
    if timeframe is None:
        return {}
    key = {"timeframe": timeframe.name, "membership": membership.value}
    async with (
        database.read() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await _first_windows(connection, key)


async def _first_windows(
    connection: Connection, key: Mapping[str, str]
) -> Mapping[str, datetime | None]:
    starts = [row["window_start"] for row in await connection.fetch(_QUERIES["starts"], **key)]
    rows = await connection.fetch(_QUERIES["first_windows"], **key, window_starts=starts)
    return {
        row["value"]: None
        if row["window_start"] == starts[0]
        else row["window_start"].astimezone(UTC)
        for row in rows
        if row["value"]
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def releases_as_json(releases: Releases) -> dict[str, Any]:
    """Source: docs/protocol.md, "Releases as JSON"."""
    return {
        "timeframe": releases.timeframe and releases.timeframe.name,
        "membership": releases.membership.value,
        "until": releases.until and iso(releases.until),
        "releases": [
            {
                "version": one.version,
                "first_seen": one.first_seen and iso(one.first_seen),
                "platforms": [
                    {"platform": platform, "receivers": receivers}
                    for platform, receivers in one.platforms.items()
                ],
                "adoption": [
                    {
                        "start": iso(adopted.start),
                        "receivers": adopted.receivers,
                        "receivers_share": adopted.receivers_share,
                        "deliveries": adopted.deliveries,
                        "deliveries_share": adopted.deliveries_share,
                    }
                    for adopted in one.adoption
                ],
            }
            for one in releases.found
        ],
    }
