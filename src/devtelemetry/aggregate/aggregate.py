"""Computes windows: which are due, the algorithm over their receipts, the stored result.

A result is a function of the stored samples alone. Jobs may crash, repeat and overlap: one server
computes at a time, each window in one transaction over one snapshot of repaired rows.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from devtelemetry.aggregate.due import Arrived, has_news, must_compute, state_at
from devtelemetry.aggregate.stored import (
    CHANNEL_COLUMNS,
    GROUP_COLUMNS,
    OF_WINDOW,
    Computed,
    Row,
    computed,
    counts_of,
    figures_of_channel,
    group_of,
    window_row,
)
from devtelemetry.estimate.unseen import window_sample_coverage, window_unseen
from devtelemetry.model import (
    AUDIT_CHANNELS,
    DAY,
    DAY_MS,
    ChannelReliability,
    Counts,
    Figures,
    Group,
    MembershipPolicy,
    Source,
    Timeframe,
    Window,
    WindowReliability,
    WindowState,
    from_unix_ms,
    parse_timeframe,
    window_at,
    window_starting,
    windows_between,
)
from devtelemetry.model.errors import ConfigurationError, DatabaseAway, Unavailable
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Database, try_lock
from devtelemetry.store.locks import Lock
from devtelemetry.store.repair import repair, repaired_snapshot
from devtelemetry.store.sql import load, queries

COMPUTE_WAIT_SECONDS = 60
COMPUTE_ATTEMPTS = 10

_MEASURED = load(__package__, "measured.sql")
_HELD = load(__package__, "held.sql")
_RELIABILITY = load(__package__, "reliability.sql")
_QUERIES = queries(__package__)

# A plan must fit the window: a generic one reads a day through an index, row by row. Messages come
# in the order of the key, so that none waits in a table of hashes; rows of workers cost little. Two
# workers have a slice of time each, and do not share both (no scan is great enough for that); a
# leader who took one would leave one of them without.
_FOR_MEASURED = """
set local plan_cache_mode = force_custom_plan;
set local work_mem = '128MB';
set local enable_hashagg = off;
set local min_parallel_index_scan_size = '1TB';
set local min_parallel_table_scan_size = '1TB';
set local parallel_leader_participation = off;
set local parallel_tuple_cost = 0;
set local parallel_setup_cost = 0
"""
_FOR_HELD = """
set local enable_hashagg = on;
set local min_parallel_index_scan_size to default;
set local min_parallel_table_scan_size to default;
set local hash_mem_multiplier = 2;
set local work_mem = '{kb}kB'
"""
# How many rows a step has, the planner must guess: a nested loop over a wrong guess takes hours, a
# hash join over it a little longer; a merge join sorts rows that carry whole timelines.
_FOR_THE_REST = """
set local hash_mem_multiplier to default;
set local work_mem = '128MB';
set local enable_nestloop = off;
set local enable_mergejoin = off
"""
# What a membership is granted, doubled for hashes: a dozen combinations of kind and delay. If there
# are more, the rare ones wait on disk. PostgreSQL makes the table for half of what fits.
_HELD_KB_A_MEMBERSHIP = 1
_LEAST_HELD_KB, _MOST_HELD_KB = 4_096, 131_072

_NO_NEWS = Arrived(None, None)


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """What of an interface forms no channel in any window; its samples are stored all the same.

    channels  patterns over the whole channel id: `*` is any text, `?` any character
    types     message types, exactly
    """

    channels: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AggregateRules:
    """How windows are computed.

    settle_time         from a window's end to its last computation
    recompute_interval  between two computations of a provisional window
    lookback            how far back windows without any sample are computed too, so that a silence
                        is on record as one
    quorum              how many receivers must hold or have sent a message for it to exist
    weight_cap          the greatest share of a channel's messages that may exist by the word of one
                        receiver alone, if it is to be believed alone; 1: any. Only with a quorum
                        of 1
    smallest_group      how many receivers a platform, version or type must have to be shown
    """

    timeframes: tuple[Timeframe, ...]
    membership: MembershipPolicy = MembershipPolicy.PRESENT
    settle_time: timedelta = DAY
    recompute_interval: timedelta = timedelta(minutes=10)
    unmeasured: Mapping[Source, Unmeasured] = field(default_factory=dict)
    lookback: timedelta = 7 * DAY
    quorum: int = 1
    weight_cap: float = 1.0
    smallest_group: int = 3

    def timeframe(self, name: str) -> Timeframe:
        """The timeframe of that name, configured or not. Raises ValueError with what is allowed."""
        configured = {timeframe.name: timeframe for timeframe in self.timeframes}
        return configured.get(name) or parse_timeframe(name)


async def compute_due(
    database: Database,
    rules: AggregateRules,
    *,
    now: Callable[[], datetime],
    on_window: Callable[[WindowReliability], None] | None = None,
) -> int:
    """Computes every window that is due, oldest first; returns how many.

    0 as well if another server is at it, or an import must first be whole.
    """
    computed = 0
    async with (
        database.acquire() as session,
        try_lock(session, Lock.AGGREGATE) as is_ours,
    ):
        if not is_ours:
            return 0
        # Whether a window is due or not: little at a time, ingest waits the less for it.
        await repair(database)
        for timeframe, window in await _due(session, rules, now()):
            started = time.monotonic()
            result = await _compute(database, rules, timeframe, window, now())
            metrics.WINDOW_SECONDS.labels(timeframe.name).observe(time.monotonic() - started)
            metrics.WINDOWS_COMPUTED.labels(timeframe.name, result.state.value).inc()
            computed += 1
            if on_window is not None:
                on_window(result)
        for timeframe in rules.timeframes:
            metrics.WINDOW_LAG_SECONDS.labels(timeframe.name).set(0)
    return computed


async def compute_one(
    database: Database,
    rules: AggregateRules,
    timeframe: Timeframe,
    window_start: datetime,
    *,
    now: Callable[[], datetime],
) -> WindowReliability:
    """Computes the window of `timeframe` that starts at `window_start`, due or not.

    Raises ConfigurationError if no window starts there, it has not ended, or samples of it were
    cleaned; Unavailable if a
    running import or another computation does not end within a minute.
    """
    try:
        window = window_starting(timeframe, window_start)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if now() < window.end:
        raise ConfigurationError(
            f"the window ends at {window.end.isoformat()}, which is still to come; until then "
            "nobody can have reported after it"
        )
    async with database.acquire() as connection:
        if is_cleaned(window, await cleaned_days_of(connection)):
            raise ConfigurationError(
                f"samples of the {timeframe.name} window of {window.start.isoformat()} were "
                "cleaned: it cannot be computed anew, and what was computed stays"
            )
    for _ in range(COMPUTE_WAIT_SECONDS):
        async with (
            database.acquire() as session,
            try_lock(session, Lock.AGGREGATE) as is_ours,
        ):
            if is_ours:
                return await _compute(database, rules, timeframe, window, now())
        await asyncio.sleep(1)
    raise Unavailable(
        "windows are being computed, or samples imported, by another process; try again later"
    )


async def unsettled(
    connection: Connection, rules: AggregateRules, first: datetime, end: datetime
) -> list[tuple[Timeframe, Window]]:
    """The windows with samples that overlap [first, end), and still are to be computed.

    That is: not stored as settled, or settled before samples came that were recorded in time.
    """
    arrivals = await connection.fetch(_QUERIES["arrivals"])
    cleaned_days = await cleaned_days_of(connection)
    open_windows = []
    for timeframe in rules.timeframes:
        stored = await _stored_states(connection, rules, timeframe, window_at(timeframe, first))
        for window, arrived in sorted(_news(timeframe, arrivals).items()):
            if window.end <= first or window.start >= end:
                continue
            if is_cleaned(window, cleaned_days):
                continue
            state, computed_at = stored.get(window.start, (None, None))
            if state is not WindowState.SETTLED or has_news(state, computed_at, arrived):
                open_windows.append((timeframe, window))
    return open_windows


async def _due(
    connection: Connection, rules: AggregateRules, now: datetime
) -> list[tuple[Timeframe, Window]]:
    """The windows to compute now: by their end, the shorter of two with one end first."""
    arrivals = await connection.fetch(_QUERIES["arrivals"])
    if not arrivals:
        return []
    cleaned_days = await cleaned_days_of(connection)
    first = from_unix_ms(arrivals[0]["sent_minute"])
    due: list[tuple[Timeframe, Window]] = []
    for timeframe in rules.timeframes:
        news = dict.fromkeys(
            windows_between(timeframe, max(first, now - rules.lookback), now), _NO_NEWS
        )
        news.update(_news(timeframe, arrivals))
        stored = await _stored_states(connection, rules, timeframe, min(news))
        waiting_since = now
        for window, arrived in news.items():
            if is_cleaned(window, cleaned_days):
                continue
            state, computed_at = stored.get(window.start, (None, None))
            if must_compute(
                timeframe,
                window,
                state=state,
                computed_at=computed_at,
                arrived=arrived,
                settle_time=rules.settle_time,
                recompute_interval=rules.recompute_interval,
                now=now,
            ):
                due.append((timeframe, window))
                if computed_at is None:
                    waiting_since = min(waiting_since, window.end + timeframe.allowed_lateness)
        lag = (now - waiting_since).total_seconds()
        metrics.WINDOW_LAG_SECONDS.labels(timeframe.name).set(lag)
    return sorted(due, key=lambda item: (item[1].end, item[0].length))


async def cleaned_days_of(connection: Connection) -> Set[int]:
    """The days of which samples were cleaned: Unix ms of their midnights."""
    return {row["day_start"] for row in await connection.fetch(_QUERIES["cleaned_days"])}


def is_cleaned(window: Window, cleaned_days: Set[int]) -> bool:
    """Whether samples of the window are gone for good."""
    days = range(window.start_ms // DAY_MS * DAY_MS, window.end_ms, DAY_MS)
    return not cleaned_days.isdisjoint(days)


def _news(timeframe: Timeframe, arrivals: Sequence[Any]) -> dict[Window, Arrived]:
    """When samples last came, by window."""
    news: dict[Window, Arrived] = {}
    for row in arrivals:
        window = window_at(timeframe, from_unix_ms(row["sent_minute"]))
        known = news.get(window, _NO_NEWS)
        news[window] = Arrived(
            max(known.at_ms or 0, row["arrived_at"]),
            max(known.on_time_at_ms or 0, row["arrived_on_time_at"] or 0) or None,
        )
    return news


async def _stored_states(
    connection: Connection, rules: AggregateRules, timeframe: Timeframe, first: Window
) -> dict[datetime, tuple[WindowState, datetime]]:
    rows = await connection.fetch(
        _QUERIES["computed"], timeframe.name, rules.membership.value, first.start
    )
    return {row["window_start"]: (WindowState(row["state"]), row["computed_at"]) for row in rows}


async def _compute(
    database: Database,
    rules: AggregateRules,
    timeframe: Timeframe,
    window: Window,
    now: datetime,
) -> WindowReliability:
    for attempts_left in reversed(range(COMPUTE_ATTEMPTS)):
        try:
            async with repaired_snapshot(database, readonly=False, delays_of=window) as connection:
                found = await _algorithm(connection, rules, window)
                return await _store(connection, rules, timeframe, window, found, now)
        except DatabaseAway:
            # Another command computes the same window at the same time, say.
            if not attempts_left:
                raise
    raise AssertionError("the last attempt returns or raises")


async def not_measured(
    connection: Connection, rules: AggregateRules
) -> tuple[list[int], list[int], list[str], list[bool]]:
    """What is not measured, as the SQL takes it.

    Kinds of the message types that are not; kinds that came by status-go's interface; patterns for
    LIKE of the channels that are not, and whether each is for status-go's messages.
    """
    kinds = await connection.fetch(_QUERIES["kinds"])
    none = Unmeasured()
    unmeasured = {source: rules.unmeasured.get(source, none) for source in Source}
    patterns = [
        (_like(glob), source is Source.STATUS_GO)
        for source, rule in unmeasured.items()
        for glob in rule.channels
    ]
    return (
        [
            row["kind"]
            for row in kinds
            if row["message_type"] in unmeasured[Source(row["source"])].types
        ],
        [row["kind"] for row in kinds if row["source"] == Source.STATUS_GO],
        [pattern for pattern, _ in patterns],
        [is_status_go for _, is_status_go in patterns],
    )


async def holes_of(
    connection: Connection, window: Window
) -> tuple[list[int], list[int], list[int]]:
    """The holes that touch the window: receivers, and after and before which sentAt each lies."""
    rows = await connection.fetch(_QUERIES["holes"], window.start_ms, window.end_ms)
    receivers, after, before = (
        [row[column] for row in rows] for column in ("receiver_id", "after", "before")
    )
    return receivers, after, before


async def _algorithm(connection: Connection, rules: AggregateRules, window: Window) -> Computed:
    unmeasured = await not_measured(connection, rules)
    span = window.start_ms, window.end_ms
    holes = await holes_of(connection, window)
    memberships = await connection.fetchval(_QUERIES["memberships"], *span)
    held_kb = min(max(_HELD_KB_A_MEMBERSHIP * memberships, _LEAST_HELD_KB), _MOST_HELD_KB)
    await connection.execute(_FOR_MEASURED)
    await connection.execute(_MEASURED, *span, *unmeasured, rules.quorum, rules.weight_cap)
    await connection.execute(_FOR_HELD.format(kb=held_kb))
    await connection.execute(_HELD, *span)
    await connection.execute(_FOR_THE_REST)
    rows = await connection.fetch(
        _RELIABILITY,
        *span,
        rules.membership.value,
        *unmeasured,
        *holes,
        rules.quorum,
        rules.weight_cap,
        rules.smallest_group,
        _like(AUDIT_CHANNELS + "*"),
        max(min(holes[1], default=window.end_ms), window.start_ms - 1),
        min(max(holes[2], default=window.start_ms), window.end_ms),
    )
    # A transaction may compute once more.
    await connection.execute("drop table measured, held")
    return computed(rows)


async def _store(
    connection: Connection,
    rules: AggregateRules,
    timeframe: Timeframe,
    window: Window,
    found: Computed,
    now: datetime,
) -> WindowReliability:
    names = {
        row["channel_id"]: row["external_id"]
        for row in await connection.fetch(
            _QUERIES["channel_names"], [row[0] for row in found.channels]
        )
    }
    channels = []
    for row in found.channels:
        columns = dict(zip(CHANNEL_COLUMNS, row, strict=True))
        channels.append(
            ChannelReliability(
                names[columns["channel_id"]], counts_of(columns), figures_of_channel(columns)
            )
        )
    result = summarize(
        timeframe,
        window,
        rules.membership,
        state_at(window, rules.settle_time, now),
        channels,
        found.figures,
        [
            group_of(dict(zip(GROUP_COLUMNS, row, strict=True)))
            for row in found.groups
            if row[0] == OF_WINDOW
        ],
        now,
    )
    key = (timeframe.name, window.start, rules.membership.value)
    totals = (
        result.reliability,
        *astuple(result.counts),
        *window_row(result.figures),
        result.unseen,
        result.sample_coverage,
    )
    stored = await connection.fetchrow(_QUERIES["stored_window"], *key)
    channels_before = await _rows(connection, "stored_channels", key)
    groups_before = await _rows(connection, "stored_groups", key)
    revision = 1
    if stored is not None:
        is_same = (
            tuple(stored)[1:] == totals
            and channels_before == found.channels
            and groups_before == found.groups
        )
        revision = stored["revision"] + (not is_same)
    await connection.execute(
        _QUERIES["store_window"],
        timeframe.name,
        window.start,
        window.end,
        rules.membership.value,
        result.state.value,
        revision,
        now,
        *totals,
    )
    if channels_before != found.channels:
        await _rewrite(connection, "reliability_channel", CHANNEL_COLUMNS, key, found.channels)
    if groups_before != found.groups:
        await _rewrite(connection, "reliability_group", GROUP_COLUMNS, key, found.groups)
    return replace(result, revision=revision)


async def _rows(connection: Connection, query: str, key: tuple[Any, ...]) -> list[Row]:
    return sorted(tuple(row) for row in await connection.fetch(_QUERIES[query], *key))


async def _rewrite(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    key: tuple[Any, ...],
    rows: Sequence[Row],
) -> None:
    await connection.execute(_QUERIES[f"delete_{table}"], *key)
    await connection.copy_rows(
        table,
        ("timeframe", "window_start", "membership", *columns),
        [(*key, *row) for row in rows],
    )


def summarize(
    timeframe: Timeframe,
    window: Window,
    membership: MembershipPolicy,
    state: WindowState,
    channels: Sequence[ChannelReliability],
    figures: Figures,
    groups: Sequence[Group],
    now: datetime,
) -> WindowReliability:
    """A window from its channels: sums over the comparable ones, and R, the mean of their Rch.

    Channels of audits take part in none of it.
    """
    taking_part = [c.counts for c in channels if c.comparable and not c.is_audit]
    ratios = [counts.reliability for counts in taking_part if counts.reliability is not None]
    return WindowReliability(
        timeframe=timeframe.name,
        window=window,
        membership=membership,
        state=state,
        reliability=sum(ratios) / len(ratios) if ratios else None,
        counts=Counts(
            messages=sum(counts.messages for counts in taking_part),
            receivers=sum(counts.receivers for counts in taking_part),
            expected=sum(counts.expected for counts in taking_part),
            missing=sum(counts.missing for counts in taking_part),
            corroborated=sum(counts.corroborated for counts in taking_part),
            unknown=sum(counts.unknown for counts in taking_part),
        ),
        revision=1,
        computed_at=now,
        channels=tuple(channels),
        figures=figures,
        groups=tuple(groups),
        unseen=window_unseen(channels),
        sample_coverage=window_sample_coverage(channels),
    )


def _like(glob: str) -> str:
    """A pattern of `Unmeasured.channels` as SQL's LIKE has it."""
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
