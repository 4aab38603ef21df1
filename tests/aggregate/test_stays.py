"""Stays: reports of joining and leaving are replayed as by the oracle; spent ones are deleted."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from time import process_time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.stays import (
    END_OF_TIME,
    FIRST_OF_ALL,
    MOST_REPORTS,
    Stay,
    outdated,
    stays,
)
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    MembershipPolicy,
    MembershipReport,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.retention.clean import clean
from devtelemetry.retention.forget import forget_installation
from devtelemetry.store.database import Database
from devtelemetry.store.repair import repair
from oracle import stays as oracle
from oracle.model import Joining, OracleSample, compute
from support.compared import figures, oracle_figures
from support.store import START, as_memberships, compute_window, empty
from support.worlds import END, Pushed, World, as_one, several, store_pushes

# ------------------------------------------------------------------------------------- the replay

MOMENTS = st.integers(0, 9)
REPORTS = st.lists(st.tuples(MOMENTS, MOMENTS, MOMENTS), max_size=10)
FIRSTS = st.none() | st.integers(1, 9)


def as_reports(said: Iterable[tuple[int, int, int]]) -> list[MembershipReport]:
    return sorted(MembershipReport(*one) for one in set(said))


def as_here(found: Iterable[oracle.Stay]) -> list[Stay]:
    return [(begin, min(end, END_OF_TIME)) for begin, end in found]


@given(said=REPORTS, first_receipt=FIRSTS)
@settings(max_examples=1000)
def test_the_stays_are_the_oracles(
    said: list[tuple[int, int, int]], first_receipt: int | None
) -> None:
    found = stays(as_reports(said), first_receipt, had_stays=False)
    assert found == as_here(oracle.stays(said, first_receipt))


def test_where_there_were_stays_before_nothing_begins_at_the_first_receipt() -> None:
    is_in, left = [MembershipReport(5, 0, 0)], [MembershipReport(5, 0, 4)]
    assert stays(is_in, 2, had_stays=False) == [(2, END_OF_TIME)]
    assert stays(is_in, None, had_stays=False) == [(FIRST_OF_ALL, END_OF_TIME)]
    assert stays(is_in, 2, had_stays=True) == [(5, END_OF_TIME)]
    assert stays(left, 2, had_stays=False) == [(2, 4)]
    assert stays(left, 2, had_stays=True) == []


def test_as_many_reports_as_count_are_replayed_in_no_time() -> None:
    half = MOST_REPORTS // 2
    joined = [MembershipReport(1, 10**12 + n, 0) for n in range(half)]
    left = [MembershipReport(2, 0, 10**11 + n) for n in range(half)]
    begun = process_time()
    assert len(stays(joined + left, None, had_stays=False)) == 1
    assert process_time() - begun < 1


# ------------------------------------------------------------------------------ what may be dropped


def from_then_on(found: Sequence[Stay], before: int) -> list[Stay]:
    return [(max(begin, before - 1), end) for begin, end in found if end >= before]


@given(said=REPORTS, first_receipt=FIRSTS, before=st.integers(0, 10), had_stays=st.booleans())
@settings(max_examples=1000)
def test_without_what_is_outdated_the_stays_are_the_same_from_then_on(
    said: list[tuple[int, int, int]], first_receipt: int | None, before: int, had_stays: bool
) -> None:
    reports = as_reports(said)
    dropped, had = outdated(reports, first_receipt, before, had_stays=had_stays)
    kept = [report for report in reports if report not in dropped]
    assert from_then_on(stays(kept, first_receipt, had_stays=had), before) == from_then_on(
        stays(reports, first_receipt, had_stays=had_stays), before
    )
    assert all(report.created_at < before for report in dropped)
    assert had >= had_stays


@given(
    said=REPORTS,
    later=st.lists(st.tuples(st.integers(10, 19), st.integers(0, 19), st.integers(0, 19))),
    first_receipt=FIRSTS,
    before=st.integers(0, 10),
)
@example(said=[(0, 0, 4), (0, 1, 0), (0, 2, 0)], later=[(10, 0, 1)], first_receipt=2, before=3).via(
    "a stay that began with the first receipt was opened again within another"
)
@settings(max_examples=1000)
def test_so_they_are_with_what_is_reported_later_of_later(
    said: list[tuple[int, int, int]],
    later: list[tuple[int, int, int]],
    first_receipt: int | None,
    before: int,
) -> None:
    # Later reports are of stays that begin or end from then on.
    later = [
        (created_at, joined and max(joined, before), left and max(left, before))
        for created_at, joined, left in later
    ]
    reports, coming = as_reports(said), as_reports(later)
    dropped, had = outdated(reports, first_receipt, before, had_stays=False)
    kept = [report for report in reports if report not in dropped]
    assert from_then_on(stays(kept + coming, first_receipt, had_stays=had), before) == from_then_on(
        stays(reports + coming, first_receipt, had_stays=False), before
    )


@pytest.mark.parametrize(
    ("said", "kept", "had_stays"),
    [
        # It joined and left.
        ([(1, 1, 0), (2, 0, 2), (3, 3, 0), (4, 0, 4)], [], True),
        ([(1, 1, 2)], [], True),
        ([(1, 0, 0), (2, 0, 2), (3, 0, 0), (4, 0, 4)], [], True),
        # It joined again, and is still in.
        ([(1, 1, 0), (2, 0, 2), (3, 3, 0)], [(3, 3, 0)], False),
        ([(1, 1, 0), (2, 0, 2), (3, 0, 0)], [(3, 0, 0)], False),
        # It reports at each connect that it joined, or that it is in.
        ([(1, 1, 0), (2, 2, 0), (3, 3, 0)], [(1, 1, 0)], False),
        ([(1, 1, 0), (2, 1, 0), (3, 1, 0)], [(3, 1, 0)], False),
        ([(1, 0, 0), (2, 0, 0), (3, 0, 0)], [(1, 0, 0)], False),
        # These stays concern windows that can still be computed.
        ([(1, 1, 7)], [(1, 1, 7)], False),
        ([(1, 1, 0), (5, 0, 4)], [(1, 1, 0), (5, 0, 4)], False),
        ([(1, 1, 0), (4, 0, 7)], [(1, 1, 0), (4, 0, 7)], False),
        # It was never in.
        ([(1, 2, 1)], [], False),
    ],
)
def test_what_is_outdated_at_five(
    said: list[tuple[int, int, int]], kept: list[tuple[int, int, int]], had_stays: bool
) -> None:
    dropped, had = outdated(as_reports(said), 1, 5, had_stays=False)
    assert (sorted(set(said) - dropped), had) == (kept, had_stays)


# ------------------------------------------------------------------------------- in the database

ANN = (("ann", "phone"), "c1")


def says(*said: Joining) -> Pushed:
    return Pushed((), memberships=tuple(as_memberships({ANN: list(said)})))


async def reported(database: Database) -> list[tuple[int, int, int]]:
    async with database.acquire() as connection:
        found = await connection.fetch(
            "select created_at, joined_at, left_at from membership_report order by 1, 2, 3"
        )
    return [tuple(row) for row in found]


async def membership(database: Database) -> tuple[int | None, int | None, bool, bool]:
    async with database.acquire() as connection:
        row = await connection.fetchrow(
            "select first_sent_at, last_sent_minute, has_said, had_stays from membership "
            "where receiver_id = $1",
            (await database.keyring()).receiver(*ANN[0]).receiver_id,
        )
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_all_that_is_said_is_kept_once_in_whatever_order(
    database: Database, order: tuple[int, ...]
) -> None:
    pushes = [says((1, 100, 0)), says((2, None, 200), (2, 300, 0)), says((3, None, None))]
    await store_pushes(database, *([pushes[i]] for i in order), pushes)
    assert await reported(database) == [(1, 100, 0), (2, 0, 200), (2, 300, 0), (3, 0, 0)]
    assert await membership(database) == (None, None, True, False)


async def test_the_first_receipt_is_known_to_the_millisecond_also_after_a_repair(
    database: Database,
) -> None:
    def of_ann(message: str, sent_at: int, created_at: int) -> Pushed:
        return Pushed((OracleSample(message, "c1", "ann", sent_at, created_at, "phone"),))

    await store_pushes(database, [of_ann("m1", START + 7, END)], [of_ann("m2", START + 5, END)])
    assert await membership(database) == (START + 5, START, False, False)
    # An earlier sample says that m2 was sent later.
    ben = OracleSample("m2", "c1", "ben", START + 90_001, END - 1)
    await store_pushes(database, [Pushed((ben,))])
    await repair(database)
    assert await membership(database) == (START + 7, START + MINUTE_MS, False, False)


def ann_beside_ben(said: Sequence[Joining], *held: int) -> World:
    """A world with four messages by ben.

    said  ann's reports, each in a transaction of its own
    held  the minutes of the messages that ann holds
    """
    ben = [
        OracleSample(f"m{minute}", "c1", "ben", START + minute * MINUTE_MS, END)
        for minute in (10, 20, 30, 40)
    ]
    ann = [
        OracleSample(f"m{minute}", "c1", "ann", START + minute * MINUTE_MS, END, "phone")
        for minute in held
    ]
    return World(
        pushes=[Pushed((*ben, *ann)), *(says(one) for one in said)],
        cuts=list(range(1, len(said) + 1)),
        numbers={},
        memberships={ANN: list(said)},
        heartbeats=[Heartbeat(*ANN[0], "", "", END)],
    )


async def found_and_expected(
    database: Database, policy: MembershipPolicy, world: World
) -> tuple[dict[str, object], dict[str, object]]:
    """The measured figures of a world and the oracle's."""
    await store_pushes(database, *world.transactions, heartbeats=world.heartbeats)
    expected = compute(
        world.samples,
        START,
        END,
        policy.value,
        heartbeats=world.last_heartbeats,
        memberships=world.memberships,
    )
    found = await compute_window(database, membership=policy)
    return figures(found), oracle_figures(expected)


def at(minute: int) -> int:
    return START + minute * MINUTE_MS


COMES_AND_GOES: Mapping[str, list[Joining]] = {
    "joins again": [(1, at(-9), 0), (2, at(35), 0)],
    "comes back": [(1, at(-9), at(15)), (2, at(35), 0)],
    "left and is in": [(1, at(-9), 0), (2, 0, at(15)), (3, 0, 0)],
    "only left": [(1, 0, at(25))],
    "is in": [(1, 0, 0)],
    "there before and after": [(1, at(-9), at(-5)), (2, at(70), 0)],
    "never there": [(1, at(5), at(4))],
    "next to each other": [(1, at(-9), at(15)), (2, at(15) + 1, 0)],
}


@pytest.mark.parametrize("policy", MembershipPolicy)
async def test_who_comes_and_goes(database: Database, policy: MembershipPolicy) -> None:
    worlds = {
        f"{name}, holds {held}: ": ann_beside_ben(said, *held)
        for name, said in COMES_AND_GOES.items()
        for held in ((), (20,), (10, 40))
    }
    found, expected = await found_and_expected(database, policy, as_one(worlds))
    assert found == expected


async def test_of_too_many_reports_the_latest_count_and_the_others_go(database: Database) -> None:
    # Each stay begins a minute later. The first two reports are too many.
    surplus = [(1, at(5), at(20)), (2, at(25), at(30))]
    later = [(3 + n, END + n, 0) for n in range(MOST_REPORTS)]
    world = ann_beside_ben(surplus[1:] + later[1:], 20)
    some = replace(world, cuts=[1, 2, MOST_REPORTS // 2])  # stored in a few transactions
    found, expected = await found_and_expected(database, MembershipPolicy.PRESENT, some)
    assert found == expected
    await store_pushes(database, [says(*surplus, *later)])
    without = figures(await compute_window(database))
    assert without["c1"][1] == 1
    rules = AggregateRules((parse_timeframe("1h"),))
    await clean(database, rules, timedelta(days=7), now=lambda: from_unix_ms(END))
    assert await reported(database) == later
    assert await membership(database) == (at(20), at(20), True, True)
    assert figures(await compute_window(database)) == without


@pytest.mark.slow
@pytest.mark.parametrize("policy", MembershipPolicy)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_cleaning_changes_no_window_that_can_still_be_computed(
    data: st.DataObject, policy: MembershipPolicy, database: Database
) -> None:
    day = START // DAY_MS * DAY_MS
    moments = st.sampled_from([day + hour * HOUR_MS + 7 for hour in range(-30, 20, 5)])
    said = st.lists(st.tuples(moments, st.just(0) | moments, st.just(0) | moments), max_size=6)
    world = data.draw(several(said.map(lambda one: ann_beside_ben(one, 20, 30)), 5))
    await empty(database)
    before, expected = await found_and_expected(database, policy, world)
    assert before == expected
    old = OracleSample("old", "c2", "ben", day - 10 * DAY_MS, day - 10 * DAY_MS)
    await store_pushes(database, [Pushed((old,))])
    # The day before `day` is the last one that is dropped.
    now = from_unix_ms(day + 7 * DAY_MS)
    rules = AggregateRules((), settle_time=timedelta(0))
    await clean(database, rules, timedelta(days=7), now=lambda: now)
    assert figures(await compute_window(database, membership=policy)) == before


async def test_what_was_said_is_forgotten_with_its_receiver(database: Database) -> None:
    await store_pushes(database, [says((1, 100, 0))])
    await forget_installation(database, "phone", now_ms=START)
    await store_pushes(database, [says((2, 100, 0))])
    assert await reported(database) == []
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from membership") == 0
