"""Lost message or lost report: numbers, holes and unknown pairs, compared with the oracle."""

import itertools
from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregate.test_reliability import close_to
from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.ingest.batch import NewRun, union
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    LostReports,
    MembershipPolicy,
    ReportRun,
    Source,
    WindowReliability,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.retention.clean import clean
from devtelemetry.retention.forget import forget_installation, forget_key
from devtelemetry.store.database import Database
from oracle.model import Joining, Numbers, OracleSample, OracleWindow, compute
from support.compared import figures, oracle_figures
from support.store import START, as_memberships, compute_window, empty
from support.worlds import (
    CHANNELS,
    END,
    INSTALLATIONS,
    MEMBERSHIPS_SAID,
    Pushed,
    World,
    arrivals,
    numbered,
    pushed_in_pieces,
    several,
    store_pushes,
)


@st.composite
def reports(draw: st.DrawFn, receiver: str, installation: str) -> list[OracleSample]:
    """The samples of one receiver that holds some of twenty messages, in any order."""
    held = draw(st.lists(st.integers(0, 19), max_size=14, unique=True))
    return [
        OracleSample(
            message_id=f"m{number}",
            channel_id=CHANNELS[number % 5],
            receiver_public_key=receiver,
            installation_id=installation,
            sent_at=SENT_AT[number],
            created_at=max(SENT_AT[number], START) + draw(st.sampled_from([0, 2 * HOUR_MS])),
            sent_by_receiver=draw(st.integers(0, 5)) == 0,
        )
        for number in held
    ]


# Messages around and in the window. Some have the same sentAt, and senders' clocks differ.
SENT_AT = [
    START + minute * MINUTE_MS + (minute % 3)
    for minute in (*range(-6, 60, 6), 3, 3, 3, 30, 31, 32, 59, 60, 66)
]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Receivers number their samples, lose some, have some rejected, and push them in pieces, in
    any order and some twice. Some report what they lost, rightly or not, and joining and leaving
    in any way."""
    pushes: list[Pushed] = []
    numbers: dict[str, Numbers] = {}
    for installation in INSTALLATIONS:
        # Two keys on one installation share its numbers and its holes.
        kept = [s for key in "ab" for s in draw(reports(key, installation))]
        in_pieces, numbers[installation] = draw(pushed_in_pieces(installation, kept))
        pushes += in_pieces
        pushes += [
            Pushed((), lost=(LostReports(installation, first, first + more, at, at + lasting),))
            for first, more, at, lasting in draw(LOST)
        ]
    for key in "cd":
        pushes += [Pushed((sample,)) for sample in draw(reports(key, ""))]
    memberships = draw(MEMBERSHIPS_SAID)
    pushes += [Pushed((), memberships=(said,)) for said in as_memberships(memberships)]
    pushes, cuts = draw(arrivals(pushes))
    still_there = draw(st.sets(st.sampled_from([*"ab"])))
    beats = [
        Heartbeat(key, installation, "", "", END)
        for key in still_there
        for installation in INSTALLATIONS
    ] + [Heartbeat(key, "", "", "", END) for key in "cde"]
    return World(pushes, cuts, numbers, memberships, beats)


# First number, how many further numbers, first sentAt, how many ms until the last.
LOST = st.lists(
    st.tuples(
        st.integers(1, 14),
        st.integers(0, 3),
        st.sampled_from(SENT_AT),
        st.sampled_from([0, 1, 3 * MINUTE_MS, HOUR_MS]),
    ),
    max_size=3,
)
UNMEASURED = {Source.GRPC: Unmeasured(channels=("*-negotiated",))}


def expected_of(
    world: World, membership: MembershipPolicy, *, all_arrived: bool = False
) -> OracleWindow:
    numbers = world.numbers
    if all_arrived:
        numbers = {
            installation: dict.fromkeys(range(1, max(said, default=0))) | dict(said)
            for installation, said in numbers.items()
        }
    return compute(
        world.samples,
        START,
        END,
        membership.value,
        heartbeats=world.last_heartbeats,
        numbers=numbers,
        lost=world.lost,
        memberships=world.memberships,
        unmeasured_channels=["*-negotiated"],
    )


async def measured(database: Database, membership: MembershipPolicy) -> WindowReliability:
    return await compute_window(database, membership=membership, unmeasured=UNMEASURED)


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 5])
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_pushes_in_any_pieces_and_order_give_the_oracles_figures(
    together: int, data: st.DataObject, database: Database
) -> None:
    world = data.draw(several(worlds(), together))
    await empty(database)
    await store_pushes(database, *world.transactions, heartbeats=world.heartbeats)
    with_holes = {}
    for membership in MembershipPolicy:
        window = await measured(database, membership)
        expected = expected_of(world, membership)
        assert figures(window) == oracle_figures(expected), membership
        assert close_to(window.reliability, expected.reliability)
        assert close_to(window.counts.delivery_ratio, expected.delivery_ratio)
        assert window.counts.unknown == expected.unknown
        with_holes[membership] = window

    # The missing numbers arrive after all, with rejected samples.
    await store_pushes(database, world.late[::2], world.late[1::2])
    membership = data.draw(st.sampled_from(MembershipPolicy))
    window = await measured(database, membership)
    assert figures(window) == oracle_figures(expected_of(world, membership, all_arrived=True)), (
        membership
    )
    before = {c.channel_id: c.counts for c in with_holes[membership].channels}
    for channel in window.channels:
        part = before[channel.channel_id]
        counts = channel.counts
        assert part.expected + part.unknown == counts.expected + counts.unknown
        assert part.receivers == channel.counts.receivers


def sample(message: str, sent_at: int, created_at: int | None = None) -> OracleSample:
    return OracleSample(message, "c1", "ann", sent_at, created_at or sent_at, "phone")


async def test_a_hole_that_is_filled_is_known_by_the_next_computation_and_at_the_latest_the_last(
    database: Database,
) -> None:
    # Messages of two hours, 10:10 to 11:50. Ann's reports of 10:20 to 11:40 are missing at first.
    times = [START + minute * MINUTE_MS for minute in range(10, 120, 10)]
    ben = [
        Pushed((OracleSample(f"m{at}", "c1", "ben", at, at),)) for at in [*times, END + 2 * HOUR_MS]
    ]
    begin = numbered("phone", 1, [sample(f"m{times[0]}", times[0])])
    end = numbered("phone", 9, [sample(f"m{times[-1]}", times[-1]), sample("z", END + 2 * HOUR_MS)])
    await store_pushes(database, [*ben, begin, end])
    rules = AggregateRules((parse_timeframe("1h"),), recompute_interval=timedelta(0))

    async def unknown_at(hours: float) -> dict[int, int]:
        found: dict[int, int] = {}

        def look(window: WindowReliability) -> None:
            found[(window.window.start_ms - START) // HOUR_MS] = window.counts.unknown

        now = from_unix_ms(START) + timedelta(hours=hours)
        await compute_due(database, rules, now=lambda: now, on_window=look)
        return found

    first = await unknown_at(4)
    assert (first[0], first[1]) == (4, 5)
    # The sample that fills the hole lies in the first hour.
    late = numbered(
        "phone", 2, [sample(f"m{times[1]}", times[1], START + 5 * HOUR_MS), *[None] * 6]
    )
    await store_pushes(database, [late], now_ms=START + 5 * HOUR_MS)
    again = await unknown_at(5.1)
    assert again[0] == 0
    assert 1 not in again
    settled = await unknown_at(30)
    assert (settled[0], settled[1]) == (0, 0)


# ------------------------------------------------------------------------------------- the rows


def run(first: int, last: int, first_sent_at: int | None, last_sent_at: int | None) -> ReportRun:
    return ReportRun("phone", first, last, first_sent_at, last_sent_at)


async def rows(database: Database, table: str = "report_run") -> list[tuple[int, ...]]:
    async with database.acquire() as connection:
        found = await connection.fetch(f"select * from {table} order by 1, 2")
    return [tuple(row)[1:] for row in found]


async def test_an_installation_that_loses_nothing_has_one_row(database: Database) -> None:
    await store_pushes(
        database,
        [Pushed((), run(1, 3, 10, 30)), Pushed((), run(4, 4, 40, 40))],
        [Pushed((), run(5, 9, 50, 90))],
        [Pushed((), run(10, 12, None, None))],
    )
    assert await rows(database) == [(1, 12, 10, 90)]


async def test_a_push_that_comes_again_leaves_the_rows_as_they_are(database: Database) -> None:
    pushes = [Pushed((), run(1, 3, 10, 30)), Pushed((), run(4, 6, 40, 60))]
    await store_pushes(database, pushes, [Pushed((), run(9, 9, 90, 90))])
    before = await rows(database)
    await store_pushes(database, pushes[:1], pushes, pushes[1:])
    assert await rows(database) == before == [(1, 6, 10, 60), (9, 9, 90, 90)]


async def test_a_sample_that_is_too_old_when_it_comes_again_does_not_undate_its_number(
    database: Database,
) -> None:
    await store_pushes(database, [Pushed((), run(1, 3, 10, 30))], [Pushed((), run(1, 3, 30, 30))])
    await store_pushes(database, [Pushed((), run(1, 3, None, None))])
    assert await rows(database) == [(1, 3, 10, 30)]


async def test_two_new_runs_within_one_stored_run_are_no_fault(database: Database) -> None:
    await store_pushes(
        database,
        [Pushed((), run(1, 10, 10, 100))],
        [Pushed((), run(1, 2, 10, 20)), Pushed((), run(5, 12, 50, 120))],
    )
    assert await rows(database, "report_island") == [(1, 12, 10, 120)]


NUMBERS = st.integers(1, 12)
RUNS = st.lists(
    st.tuples(NUMBERS, st.integers(0, 4)).map(
        lambda run: NewRun(run[0], run[0] + run[1], run[0] * 10, (run[0] + run[1]) * 10)
    ),
    max_size=8,
)


@given(RUNS)
def test_a_union_has_the_same_numbers_and_no_two_that_touch(runs: list[NewRun]) -> None:
    def numbers(of: list[NewRun]) -> set[int]:
        return {n for one in of for n in range(one.first_sequence, one.last_sequence + 1)}

    merged = union(runs)
    assert numbers(merged) == numbers(runs)
    for earlier, later in itertools.pairwise(merged):
        assert earlier.last_sequence + 1 < later.first_sequence
    for one in merged:
        assert one[2:] == (one.first_sequence * 10, one.last_sequence * 10)


@pytest.mark.slow
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), runs=RUNS)
async def test_islands_are_the_union_of_what_came_in_whatever_order(
    data: st.DataObject, runs: list[NewRun], database: Database
) -> None:
    await empty(database)
    cut = data.draw(st.integers(0, len(runs)))
    shuffled = [Pushed((), run(*one)) for one in data.draw(st.permutations(runs))]
    await store_pushes(database, shuffled[:cut], *([one] for one in shuffled[cut:]))
    assert await rows(database, "report_island") == [tuple(one) for one in union(runs)]


# ----------------------------------------------------------------------------------- memberships


async def ann_and_ben(
    database: Database, membership: MembershipPolicy, ann: Iterable[Pushed], *said: Joining
) -> tuple[WindowReliability, OracleWindow]:
    """The measured window and the oracle's, with ann's pushes and her reports of stays."""
    times = [START + minute * MINUTE_MS for minute in (10, 20, 30, 40)]
    ben = [OracleSample(f"m{at}", "c1", "ben", at, END) for at in times]
    of_ann = {(("ann", "phone"), "c1"): list(said)}
    numbers: dict[int, int | None] = {}
    for push in ann:
        for number, one in enumerate(
            push.samples, start=push.run.first_sequence if push.run else 0
        ):
            numbers[number] = one.sent_at
    says = Pushed((), memberships=tuple(as_memberships(of_ann)))
    await store_pushes(database, [Pushed(tuple(ben)), *ann, says])
    expected = compute(
        [*ben, *(one for push in ann for one in push.samples)],
        START,
        END,
        membership.value,
        numbers={"phone": numbers},
        memberships=of_ann,
    )
    return await compute_window(database, membership=membership), expected


@pytest.mark.parametrize("membership", MembershipPolicy)
async def test_what_is_held_in_a_hole_after_leaving_is_taken_out_once(
    database: Database, membership: MembershipPolicy
) -> None:
    times = [START + minute * MINUTE_MS for minute in (10, 30, 20, 40)]
    samples = [sample(f"m{at}", at, END) for at in times]
    # She holds the message of minute 30 and reports it before her hole from 20 to 40, in which it
    # lies. She left at 25.
    ann = [numbered("phone", 1, samples[:3]), numbered("phone", 9, samples[3:])]
    left = (END, None, START + 25 * MINUTE_MS)
    window, expected = await ann_and_ben(database, membership, ann, left)
    assert figures(window) == oracle_figures(expected)
    if membership is not MembershipPolicy.BRACKETED:
        assert figures(window)["c1"][:6] == (4, 2, 6, 0, 6, 0)


@pytest.mark.parametrize("membership", MembershipPolicy)
@pytest.mark.parametrize("said", [(END, None, START - 1), (END, END, None)])
async def test_who_says_that_it_was_not_there_does_not_count_for_what_it_got(
    database: Database, membership: MembershipPolicy, said: Joining
) -> None:
    at = START + 10 * MINUTE_MS
    ann = [numbered("phone", 1, [sample(f"m{at}", at, END)])]
    window, expected = await ann_and_ben(database, membership, ann, said)
    assert figures(window) == oracle_figures(expected)
    assert all(channel.counts.receivers == 1 for channel in window.channels)


# ----------------------------------------------------------------------- what is forgotten, cleaned


async def test_forgetting_takes_the_numbers_along_and_what_is_queued_of_them(
    database: Database,
) -> None:
    keyring = await database.keyring()
    ann = OracleSample("m1", "c1", "ann", START, START, "phone")
    ben = OracleSample("m1", "c1", "ben", START, START, "tablet")
    pushes = [numbered("phone", 1, [ann]), numbered("tablet", 1, [ben])]
    late = [numbered("phone", 7, [None])]  # a push without a receiver
    await store_pushes(database, pushes)
    await forget_installation(database, "phone", now_ms=START)
    await store_pushes(database, late)
    async with database.acquire() as connection:
        left = await connection.fetch("select installation_id from report_run")
    assert [row[0] for row in left] == [keyring.installation("tablet")]

    await forget_key(database, "ben")
    assert await rows(database) == []


async def test_cleaning_leaves_the_runs_that_a_hole_of_a_day_that_is_kept_begins_with(
    database: Database,
) -> None:
    day = START // DAY_MS * DAY_MS
    old, older, new = day - HOUR_MS, day - 2 * HOUR_MS, day + HOUR_MS
    runs: dict[str, list[tuple[int, int, int | None, int | None]]] = {
        "ended-long-ago": [(1, 2, older, older), (5, 6, old, old), (9, 9, old, old)],
        "hole-into-the-day": [(1, 2, older, older), (5, 6, old, old), (9, 9, new, new)],
        "times-out-of-order": [(1, 2, older, new), (5, 6, old, old), (9, 9, old, new)],
        "rejected": [(1, 2, None, None), (5, 6, old, old), (9, 9, old, new)],
        "new": [(1, 2, new, new), (5, 5, new, new)],
    }
    await store_pushes(
        database,
        [
            Pushed((), ReportRun(installation, *one))
            for installation, several in runs.items()
            for one in several
        ],
        [Pushed((OracleSample("m", "c", "a", old - DAY_MS, old - DAY_MS),))],
    )
    now = from_unix_ms(START) + timedelta(days=7)
    rules = AggregateRules((parse_timeframe("1d"),), settle_time=timedelta(0))
    await compute_due(database, rules, now=lambda: now)
    assert (await clean(database, rules, timedelta(days=7), now=lambda: now)).dropped

    keyring = await database.keyring()
    kept = {}
    async with database.acquire() as connection:
        for installation in runs:
            found = await connection.fetch(
                "select first_sequence from report_run where installation_id = $1 order by 1",
                keyring.installation(installation),
            )
            kept[installation] = [row[0] for row in found]
    assert kept == {
        "ended-long-ago": [9],
        "hole-into-the-day": [5, 9],
        "times-out-of-order": [1, 5, 9],
        "rejected": [9],
        "new": [1, 5],
    }
