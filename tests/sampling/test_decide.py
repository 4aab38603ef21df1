"""Rules of sampling are made ahead of time, for all channels, or by each one's interval."""

from datetime import timedelta

import pytest

from devtelemetry.figures.derive import Totals, totals_of
from devtelemetry.model import (
    HOUR_MS,
    Counts,
    MembershipPolicy,
    Sample,
    Spread,
    Spreads,
    from_unix_ms,
)
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.sampling.decide import Wish, coarsest_within, decide
from devtelemetry.store.database import Database
from devtelemetry.store.sampling import OF_ALL, read_sampling
from support.store import LATER, START, compute_window, store

DAY_START = START - 10 * HOUR_MS
NOW = from_unix_ms(START + 1)
NOTICE = timedelta(hours=2)


async def rules(database: Database) -> Sampling:
    async with database.acquire() as connection:
        return await read_sampling(connection)


def wish(one_in: int | None, width: float = 0.01) -> Wish:
    return Wish(one_in, width, NOTICE, MembershipPolicy.PRESENT)


async def test_a_rule_for_all_holds_from_a_full_hour_after_the_notice(database: Database) -> None:
    assert await decide(database, wish(8), now=lambda: NOW) == 1
    assert (await rules(database)).of_all == [Change(START + 3 * HOUR_MS, 8)]


async def test_a_rule_that_is_there_is_not_made_again(database: Database) -> None:
    for _ in range(2):
        await decide(database, wish(8), now=lambda: NOW)
    assert await decide(database, wish(1), now=lambda: from_unix_ms(START + 5 * HOUR_MS)) == 1
    assert (await rules(database)).of_all == [
        Change(START + 3 * HOUR_MS, 8),
        Change(START + 7 * HOUR_MS, 1),
    ]


async def test_without_a_wish_there_is_no_rule(database: Database) -> None:
    assert await decide(database, wish(1), now=lambda: NOW) == 0
    assert not (await rules(database)).is_on


async def big_and_small(database: Database) -> None:
    """A day with a busy channel of twelve receivers that lose little, and a quiet one of two."""
    day = 24 * HOUR_MS
    samples = [
        Sample(f"{channel}-{number}", channel, f"{channel}-{receiver}", sent_at, sent_at + 5_000)
        for channel, receivers, step in (("big", 12, 60_000), ("small", 2, HOUR_MS))
        for number, sent_at in enumerate(range(DAY_START, DAY_START + day + HOUR_MS, step))
        for receiver in range(receivers)
        if (number * 7 + receiver) % 90
    ]
    for at in range(0, len(samples), 20_000):
        await store(database, samples[at : at + 20_000])
    await compute_window(database, DAY_START, timeframe="1d")


async def test_by_intervals_only_what_is_sure_enough_is_sampled(database: Database) -> None:
    await big_and_small(database)
    width = 0.05
    assert await decide(database, wish(None, width), now=lambda: LATER) == 1

    sampling = await rules(database)
    keyring = await database.keyring()
    assert sampling.of_all == []
    assert list(sampling.of_channels) == [keyring.channel("big")]
    (change,) = sampling.of_channels[keyring.channel("big")]
    window = await compute_window(database, DAY_START, timeframe="1d")
    (big,) = (one for one in window.channels if one.channel_id == "big")
    now = totals_of(big).interval
    assert now is not None
    assert change.one_in > 1
    assert (now.upper - now.lower) * change.one_in**0.5 <= width
    # Nothing changes again before a day was computed under this rule.
    assert await decide(database, wish(None, width / 100), now=lambda: LATER) == 0


async def test_what_was_made_by_intervals_ends_where_one_rate_is_wanted(database: Database) -> None:
    await big_and_small(database)
    await decide(database, wish(None, 0.05), now=lambda: LATER)
    await decide(database, wish(1), now=lambda: LATER + timedelta(days=1))
    sampling = await rules(database)
    assert {changes[-1].one_in for changes in sampling.of_channels.values()} == {1}


def totals(missing: int, clusters: int = 20) -> Totals:
    # Half of the receivers lose twice the mean, the others nothing.
    x, n = 2 * missing // clusters, 1_000
    half = clusters // 2
    spread = Spread(clusters, half * x * x, half * x * n, clusters * n * n)
    counts = Counts(1_000, clusters, clusters * n, missing, clusters * n, 0)
    return Totals(counts, Spreads(over_receivers=spread, over_memberships=spread))


@pytest.mark.parametrize("width", [0.001, 0.01, 0.1, 1.0])
def test_the_rate_is_the_coarsest_that_is_surely_narrow_enough(width: float) -> None:
    known = totals(400)
    interval = known.interval
    assert interval is not None
    wide = interval.upper - interval.lower
    one_in = coarsest_within(width, known, 1)
    assert one_in == 1 or wide * one_in**0.5 <= width
    assert wide * (2 * one_in) ** 0.5 > width
    # If a sample's interval is within the width, the sample may become coarser in the same way.
    assert coarsest_within(width, known, 4) == max(1, 4 * one_in if wide <= width else one_in) or (
        wide > width
    )


def test_where_there_is_no_interval_all_is_wanted() -> None:
    assert coarsest_within(1.0, totals(4, clusters=4), 1) == 1
    assert OF_ALL == 0
