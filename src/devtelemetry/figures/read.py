"""The stored figures, read back."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from devtelemetry.estimate.unseen import sample_coverage, unseen_messages
from devtelemetry.figures.derive import Totals, worst_first
from devtelemetry.model import (
    AUDIT_CHANNELS,
    NO_COUNTS,
    NO_FIGURES,
    ChannelReliability,
    Dimension,
    Group,
    MembershipPolicy,
    Window,
    WindowReliability,
    WindowState,
    parse_timeframe,
)
from devtelemetry.model.errors import unknown_channel, unknown_group
from devtelemetry.results.columns import SQL
from devtelemetry.results.rows import (
    OF_WINDOW,
    Row,
    counts_of,
    figures_of_channel,
    figures_of_window,
    group_of,
    spreads_within_channel,
)
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import queries

SLICE_WINDOWS = 50  # read at a time: with 10,000 channels each, half a million rows of 100 bytes
WORST_OF = 200  # channels whose intervals are computed to find the worst ones
SLICE_ALONE = 1000  # windows read at a time without their channels

_QUERIES = queries(__package__, "read.sql", **SQL)
_BEFORE_ALL = (datetime(1, 1, 1, tzinfo=UTC), "")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which windows to read.

    timeframe   by name: 1h, 1d, 1w
    start, end  selects windows that overlap [start, end): a window from 10:00 to 11:00 is selected
                by any start before 11:00 and any end after 10:00. Aware; None means no bound
    channel     the id of one channel, whose figures then are the windows' figures. A window in
                which the channel has none stays, without a ratio
    membership  None: every policy that was computed
    by          dimensions to break the windows, or the one channel, down by; each by itself
    channels    whether each window comes with its channels
    """

    timeframe: str
    start: datetime | None = None
    end: datetime | None = None
    channel: str | None = None
    membership: MembershipPolicy | None = None
    by: tuple[Dimension, ...] = ()
    channels: bool = True


async def read_windows(
    database: Database, selection: Selection
) -> AsyncIterator[WindowReliability]:
    """The selected windows, oldest first, then by membership policy; their channels by id.

    Each window is one state of the database: one that is computed again meanwhile is either the old
    or the new one, never a mixture.
    """
    channel_id = None
    if selection.channel is not None:
        channel_id = (await database.keyring()).channel(selection.channel)
    after: tuple[datetime, str] | None = _BEFORE_ALL
    while after is not None:
        async with (
            database.read() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            windows = await _read_slice(connection, selection, channel_id, after)
        after = None
        if len(windows) == _slice(selection):
            after = (windows[-1].window.start, windows[-1].membership.value)
        for window in windows:
            yield window


async def latest_windows(
    database: Database, membership: MembershipPolicy
) -> list[WindowReliability]:
    """The latest window of each timeframe and state, with groups by platform, without channels."""
    windows = []
    async with (
        database.read() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(_QUERIES["latest_windows"], membership=membership.value)
        for row in rows:
            groups = await _read_groups(
                connection, row["timeframe"], [_key(row)], OF_WINDOW, [Dimension.PLATFORM]
            )
            windows.append(_window(row, row["timeframe"], (), groups[_key(row)]))
    return windows


async def start_of_latest(
    database: Database, selection: Selection, windows: int
) -> tuple[datetime | None, int]:
    """Where the latest `windows` of a selection start (None if it has no window), and how many
    windows it has in all."""
    async with database.read() as connection:
        row = await connection.fetchrow(
            _QUERIES["start_of_latest"], **_bounds(selection), latest=windows
        )
    assert row is not None, "an aggregate has one row"
    return row["start"], row["windows"]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a selection.

    selection  selects the windows of the page
    earlier    how many windows of the whole selection lie before the page
    next_from  `start` of the next page; None on the last page
    """

    selection: Selection
    earlier: int
    next_from: datetime | None


async def page_of(database: Database, selection: Selection, windows: int) -> Page:
    """The first `windows` from the selection's start on; without a start, the latest ones. The same
    window under several policies counts once."""
    if selection.start is None:
        start, stored = await start_of_latest(database, selection, windows)
        return Page(replace(selection, start=start), max(0, stored - windows), None)
    async with database.read() as connection:
        row = await connection.fetchrow(
            _QUERIES["end_of_first"], **_bounds(selection), first=windows
        )
    assert row is not None, "an aggregate has one row"
    if row["windows"] <= windows:
        return Page(selection, 0, None)
    return Page(replace(selection, end=row["end"]), 0, row["end"].astimezone(UTC))


async def stored_timeframes(database: Database) -> list[str]:
    """The names of the timeframes that have stored windows, the shortest first."""
    async with database.read() as connection:
        rows = await connection.fetch(_QUERIES["timeframes"])
    return sorted((row["timeframe"] for row in rows), key=lambda name: parse_timeframe(name).length)


async def check_names(database: Database, selection: Selection, versus: str | None = None) -> None:
    """Raises UnknownName if the channel is not known, or if the windows have groups by the
    dimension, but not the group `versus`."""
    channel_id = OF_WINDOW
    if selection.channel is not None:
        channel_id = (await database.keyring()).channel(selection.channel)
    async with database.read() as connection:
        if selection.channel is not None and not await connection.fetchval(
            _QUERIES["has_channel"], channel_id=channel_id
        ):
            raise unknown_channel(selection.channel)
        if versus is None:
            return
        (dimension,) = selection.by
        rows = await connection.fetch(
            _QUERIES["group_values"],
            **_bounds(selection),
            channel_id=channel_id,
            dimension=dimension.value,
        )
    values = [row["value"] for row in rows]
    if values and versus not in values:
        raise unknown_group(dimension.value, versus, values)


async def has_samples(database: Database) -> bool:
    async with database.read() as connection:
        found: bool = await connection.fetchval(_QUERIES["has_samples"])
    return found


async def newest_computation(database: Database) -> datetime | None:
    """When the last window was computed. While this time is the same, no figure has changed."""
    async with database.read() as connection:
        newest: datetime | None = await connection.fetchval(_QUERIES["newest_computation"])
    return newest


async def latest_end(
    database: Database, timeframe: str, membership: MembershipPolicy
) -> datetime | None:
    """Where the latest window of a timeframe ends; None if it has none."""
    async with database.read() as connection:
        end: datetime | None = await connection.fetchval(
            _QUERIES["latest_end"], timeframe=timeframe, membership=membership.value
        )
    return end


async def channels_of_latest(database: Database, timeframe: str) -> int:
    """How many channels the latest window of a timeframe has, summed over the policies."""
    async with database.read() as connection:
        channels: int = await connection.fetchval(
            _QUERIES["channels_of_latest"], timeframe=timeframe
        )
    return channels


async def worst_channels(
    database: Database,
    timeframe: str,
    start: datetime,
    end: datetime,
    membership: MembershipPolicy,
    most: int,
) -> list[tuple[str, Totals]]:
    """The `most` channels with the most surely missing pairs, the worst first, and their sums over
    the windows that start in [start, end). Only the WORST_OF channels with the most losses are
    looked at; channels without a loss are left out. Delays are not in the sums."""
    found = await channel_sums(database, timeframe, start, end, membership, WORST_OF)
    return sorted(found, key=worst_first)[:most]


async def channel_sums(
    database: Database,
    timeframe: str,
    start: datetime,
    end: datetime,
    membership: MembershipPolicy,
    most: int | None = None,
) -> list[tuple[str, Totals]]:
    """The channels that are comparable in windows that start in [start, end), with their sums over
    these windows, in no order. Delays are not in the sums.

    most  this many channels with the most losses, and none without a loss; None: all channels
    """
    of = {"timeframe": timeframe, "start": start, "end": end, "most": most}
    rows = await _of_channels(database, "channel_sums", membership, **of)
    return [(row["external_id"], _summed_totals(row)) for row in rows]


async def channel_cells(
    database: Database,
    timeframe: str,
    start: datetime,
    end: datetime,
    membership: MembershipPolicy,
    channels: Sequence[str],
) -> dict[tuple[str, datetime], tuple[int, int]]:
    """What these channels lost in each window that starts in [start, end): (missing, corroborated)
    by channel and start. Windows in which the channel is not comparable are left out."""
    keyring = await database.keyring()
    async with database.read() as connection:
        rows = await connection.fetch(
            _QUERIES["channel_cells"],
            timeframe=timeframe,
            start=start,
            end=end,
            membership=membership.value,
            channel_ids=[keyring.channel(name) for name in channels],
        )
    return {
        (row["external_id"], row["window_start"].astimezone(UTC)): (
            row["missing"],
            row["corroborated"],
        )
        for row in rows
    }


async def lossy_channels(
    database: Database,
    timeframe: str,
    start: datetime,
    end: datetime,
    membership: MembershipPolicy,
    most: int,
) -> Mapping[int, str]:
    """The channels with the most missing pairs in the windows that start in [start, end), as number
    → id, the one with the most first."""
    of = {"timeframe": timeframe, "start": start, "end": end, "most": most}
    rows = await _of_channels(database, "lossy_channels", membership, **of)
    return {row["channel_id"]: row["external_id"] for row in rows}


async def _of_channels(
    database: Database, query: str, membership: MembershipPolicy, **of: object
) -> Sequence[Row]:
    """Rows of a query over all channels except audits. of: the query's other parameters"""
    async with database.read() as connection:
        rows: Sequence[Row] = await connection.fetch(
            _QUERIES[query], membership=membership.value, audits=AUDIT_CHANNELS, **of
        )
    return rows


async def sums_of_channels(
    database: Database,
    timeframe: str,
    window_starts: Sequence[datetime],
    membership: MembershipPolicy,
    channels: Mapping[int, str],
    group: tuple[Dimension, str] | None = None,
) -> list[tuple[str, Totals]]:
    """The sums of these channels over these windows, in the order of `channels`, without delays.

    group  sum only its pairs in each channel; channels that do not show the group are left out
    """
    of: dict[str, Any] = {
        "timeframe": timeframe,
        "membership": membership.value,
        "window_starts": window_starts,
        "channel_ids": list(channels),
    }
    name = "sums_of_channels"
    if group is not None:
        name = "groups_of_channels"
        of |= {"dimension": group[0].value, "value": group[1]}
    async with database.read() as connection:
        rows = await connection.fetch(_QUERIES[name], **of)
    totals = {row["channel_id"]: _summed_totals(row) for row in rows}
    return [(channels[number], totals[number]) for number in channels if number in totals]


async def moved_channels(
    database: Database,
    timeframe: str,
    start: datetime,
    split: datetime,
    end: datetime,
    membership: MembershipPolicy,
    most: int,
) -> list[tuple[str, Totals, Totals]]:
    """Up to `most` channels that lost more from `split` on than their loss rate before it predicts,
    and as many that lost less. Each comes with its sums over the windows that start in
    [start, split) and in [split, end), without delays. Those that moved most come first."""
    of = {"timeframe": timeframe, "start": start, "split": split, "end": end, "most": most}
    rows = await _of_channels(database, "moved_channels", membership, **of)
    # The query selects only channels that have both rows, before and after.
    return [
        (before["external_id"], _summed_totals(before), _summed_totals(after))
        for before, after in zip(rows[::2], rows[1::2], strict=True)
    ]


def _summed_totals(row: Row) -> Totals:
    return Totals(counts_of(row), spreads_within_channel(row), windows=max(1, row["windows"]))


def _slice(selection: Selection) -> int:
    return SLICE_WINDOWS if selection.channels and selection.channel is None else SLICE_ALONE


_Key = tuple[datetime, str]
"""Identifies a window of a timeframe: its start and its membership policy"""


def _key(row: Row) -> _Key:
    return row["window_start"], row["membership"]


async def _read_slice(
    connection: Connection,
    selection: Selection,
    channel_id: int | None,
    after: _Key,
) -> list[WindowReliability]:
    rows = await connection.fetch(
        _QUERIES["windows"],
        **_bounds(selection),
        after_start=after[0],
        after_membership=after[1],
        slice=_slice(selection),
    )
    keys = [_key(row) for row in rows]
    channels: dict[_Key, list[ChannelReliability]] = defaultdict(list)
    if selection.channels or channel_id is not None:
        found = await connection.fetch(
            _QUERIES["channels"],
            **_of_windows(selection.timeframe, keys),
            channel_id=channel_id,
        )
        for row in found:
            channels[_key(row)].append(
                ChannelReliability(row["external_id"], counts_of(row), figures_of_channel(row))
            )
    groups = await _read_groups(
        connection,
        selection.timeframe,
        keys,
        OF_WINDOW if channel_id is None else channel_id,
        selection.by,
    )
    windows = []
    for key, row in zip(keys, rows, strict=True):
        named = sorted(channels[key], key=lambda channel: channel.channel_id)
        window = _window(row, selection.timeframe, named, groups[key])
        if channel_id is not None:
            window = _of_its_channel(window)
        windows.append(window if selection.channels else replace(window, channels=()))
    return windows


def _bounds(selection: Selection) -> dict[str, Any]:
    return {
        "timeframe": selection.timeframe,
        "start": selection.start,
        "end": selection.end,
        "membership": selection.membership and selection.membership.value,
    }


def _of_windows(timeframe: str, keys: Sequence[_Key]) -> dict[str, Any]:
    return {
        "timeframe": timeframe,
        "window_starts": [start for start, _ in keys],
        "memberships": [membership for _, membership in keys],
    }


async def _read_groups(
    connection: Connection,
    timeframe: str,
    keys: Sequence[_Key],
    channel_id: int,
    by: Collection[Dimension],
) -> Mapping[_Key, list[Group]]:
    groups: dict[_Key, list[Group]] = defaultdict(list)
    if by:
        found = await connection.fetch(
            _QUERIES["groups"],
            **_of_windows(timeframe, keys),
            channel_id=channel_id,
            dimensions=[dimension.value for dimension in by],
        )
        for row in found:
            groups[_key(row)].append(group_of(row))
    return groups


def _window(
    row: Row,
    timeframe: str,
    channels: Sequence[ChannelReliability],
    groups: Sequence[Group],
) -> WindowReliability:
    return WindowReliability(
        timeframe=timeframe,
        window=Window(row["window_start"].astimezone(UTC), row["window_end"].astimezone(UTC)),
        membership=MembershipPolicy(row["membership"]),
        state=WindowState(row["state"]),
        reliability=row["reliability"],
        counts=counts_of(row),
        revision=row["revision"],
        computed_at=row["computed_at"].astimezone(UTC),
        channels=tuple(channels),
        figures=figures_of_window(row),
        groups=tuple(groups),
        unseen=row["unseen"],
        sample_coverage=row["sample_coverage"],
    )


def _of_its_channel(window: WindowReliability) -> WindowReliability:
    """The window as if it had only the channel that it was read with, if that is comparable."""
    channel = next((one for one in window.channels if one.comparable), None)
    if channel is None:
        return replace(
            window,
            reliability=None,
            counts=NO_COUNTS,
            figures=NO_FIGURES,
            groups=(),
            unseen=None,
            sample_coverage=None,
        )
    return replace(
        window,
        reliability=channel.counts.reliability,
        counts=channel.counts,
        figures=channel.figures,
        unseen=unseen_messages(channel.counts, channel.figures.captures),
        sample_coverage=sample_coverage(channel.counts, channel.figures.captures),
    )
