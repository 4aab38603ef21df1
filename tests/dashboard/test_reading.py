"""Sums in SQL are the sums of the windows, and figures are read only once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from bench.months import Made, make_months

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard.reading import REMEMBERED, Reader
from devtelemetry.dashboard.state import PageState
from devtelemetry.figures.derive import Totals, sum_of
from devtelemetry.figures.read import (
    Selection,
    latest_end,
    moved_channels,
    newest_computation,
    read_windows,
    worst_channels,
)
from devtelemetry.model import (
    AUDIT_CHANNELS,
    DAY,
    HOUR,
    ChannelReliability,
    MembershipPolicy,
    parse_timeframe,
)
from devtelemetry.store.database import Database

PRESENT = MembershipPolicy.PRESENT
END = datetime(2026, 3, 9, 5, tzinfo=UTC)
FRAMES = [parse_timeframe(name) for name in ("1h", "1d", "1w")]
CHANNELS = [*(f"c{number}" for number in range(40)), f"{AUDIT_CHANNELS}x"]


@pytest_asyncio.fixture
async def months(database: Database) -> AsyncIterator[Database]:
    await make_months(database, Made(CHANNELS, END, timedelta(days=3)))
    yield database


async def sums(
    database: Database, start: datetime, end: datetime
) -> dict[str, list[ChannelReliability]]:
    """Channel → its comparable rows of the hours that begin at these times."""
    found: dict[str, list[ChannelReliability]] = {}
    async for window in read_windows(database, Selection("1h", start, end)):
        for channel in window.channels:
            if channel.comparable and start <= window.window.start < end:
                found.setdefault(channel.channel_id, []).append(channel)
    return found


def same(a: Totals, b: Totals) -> bool:
    return (a.counts, a.spreads, a.windows) == (b.counts, b.spreads, b.windows)


async def test_the_worst_channels_are_those_of_the_summed_windows(months: Database) -> None:
    start = END - 30 * HOUR
    expected = {
        name: sum_of(rows)
        for name, rows in (await sums(months, start, END)).items()
        if not name.startswith(AUDIT_CHANNELS) and sum_of(rows).counts.missing
    }
    worst = await worst_channels(months, "1h", start, END, PRESENT, 7)
    surely = {name: share.surely_missing for name, share in expected.items()}
    assert any(surely.values())
    order = sorted(expected, key=lambda name: (-surely[name], -expected[name].counts.missing, name))
    assert [name for name, _ in worst] == order[:7]
    assert all(same(share, expected[name]) for name, share in worst)
    assert all(share.interval == expected[name].interval for name, share in worst)


async def test_the_channels_that_moved_have_the_sums_of_both_days(months: Database) -> None:
    start, split = END - 2 * DAY, END - DAY
    before, after = await sums(months, start, split), await sums(months, split, END)
    moved = await moved_channels(months, "1h", start, split, END, PRESENT, 3)
    assert len(moved) == 6
    for name, old, new in moved:
        assert same(old, sum_of(before[name]))
        assert same(new, sum_of(after[name]))
        assert not name.startswith(AUDIT_CHANNELS)
    excess = [
        new.counts.missing - old.counts.missing * new.counts.corroborated / old.counts.corroborated
        for _, old, new in moved
    ]
    assert [abs(one) for one in excess] == sorted(map(abs, excess), reverse=True)
    assert sum(one > 0 for one in excess) == 3


async def test_where_nothing_is_stored_there_is_nothing(database: Database) -> None:
    assert await newest_computation(database) is None
    assert await latest_end(database, "1h", PRESENT) is None
    assert await worst_channels(database, "1h", END - DAY, END, PRESENT, 5) == []
    assert await moved_channels(database, "1h", END - DAY, END - HOUR, END, PRESENT, 5) == []


async def test_many_viewers_of_one_state_cost_one_reading(
    months: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(months, FRAMES, AggregateRules(tuple(FRAMES)), lambda: END)
    asked = PageState(FRAMES[0], "24h", PRESENT)
    readings = await asyncio.gather(*(reader.overview(asked) for _ in range(20)))
    assert all(reading is readings[0] for reading in readings)


async def test_what_was_made_is_kept_until_figures_are_new(months: Database) -> None:
    reader = Reader(months, FRAMES, AggregateRules(tuple(FRAMES)), lambda: END)

    async def make() -> object:
        return object()

    made = await reader.kept("key", make)
    assert await reader.kept("key", make) is made
    assert await reader.kept("other", make) is not made
    async with months.acquire() as connection:
        await connection.execute("update reliability_window set computed_at = now()")
    assert await reader.kept("key", make) is not made
    for number in range(REMEMBERED):
        await reader.kept(number, make)
    assert len(reader._kept) == REMEMBERED


async def test_what_failed_is_read_again(months: Database) -> None:
    reader = Reader(months, FRAMES, AggregateRules(tuple(FRAMES)), lambda: END)
    calls = []

    async def fails_once() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("the database is away")
        return "read"

    with pytest.raises(OSError, match="away"):
        await reader.kept("key", fails_once)
    assert await reader.kept("key", fails_once) == "read"
    assert await reader.kept("key", fails_once) == "read"
    assert len(calls) == 2


async def test_an_overview_reads_no_sample(months: Database) -> None:
    """It works without the tables of samples."""
    async with months.acquire() as connection:
        await connection.execute("drop table message, receipt, membership cascade")
    reader = Reader(months, FRAMES, AggregateRules(tuple(FRAMES)), lambda: END)
    reading = await reader.overview(PageState(FRAMES[0], "7d", PRESENT))
    assert reading.worst is not None
    assert reading.worst.channels
    assert reading.days is not None
