"""The SQL on real PostgreSQL, compared with the worked cases and with the oracle."""

import asyncio
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.aggregate.rules import Unmeasured
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    MembershipPolicy,
    Source,
)
from devtelemetry.store.database import Database
from oracle.model import OracleSample, compute
from oracle.samples import CLOCKS, VIAS, Outcome
from oracle.samples import OUTCOMES as OUTCOMES_SAID
from oracle.vectors import VECTORS_2, Vector, read_vectors
from support.compared import OUTCOMES, figures, oracle_figures
from support.store import START, as_samples, compute_window, empty, store, store_vector
from support.worlds import Pushed, World, several

MONDAY = 1_772_409_600_000  # 2026-03-02T00:00Z
END = START + HOUR_MS
VECTORS = [*read_vectors(), *read_vectors(VECTORS_2)]


def close_to(value: float | None, expected: Fraction | str | None) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    return abs(value - float(Fraction(expected))) < 1e-12


async def assert_vector_holds(vector: Vector, database: Database) -> None:
    window = await compute_window(
        database,
        vector.window_start,
        timeframe=vector.timeframe,
        membership=vector.membership,
        smallest_group=1,
    )
    expect = vector.expect
    assert window.window.end_ms == vector.window_end
    assert close_to(window.reliability, expect["reliability"])
    assert close_to(window.counts.delivery_ratio, expect["delivery_ratio"])
    assert {channel.channel_id for channel in window.channels} == expect["channels"].keys()
    for channel in window.channels:
        expected = expect["channels"][channel.channel_id]
        counts = channel.counts
        for name in ("messages", "receivers", "expected", "missing", "corroborated"):
            assert getattr(counts, name) == expected[name], (channel.channel_id, name)
        assert counts.unknown == expected.get("unknown", 0), channel.channel_id
        for name in OUTCOMES:
            assert getattr(counts, name) == expected.get(name, getattr(counts, name)), name
        if "reasons" in expected:
            found = [
                {"class": one.of, "reason": one.reason, "pairs": one.pairs}
                for one in channel.figures.reasons
            ]
            assert found == expected["reasons"]
        assert channel.comparable == expected["comparable"]
        if channel.comparable:
            assert close_to(counts.reliability, expected["reliability"])
            assert close_to(counts.delivery_ratio, expected["delivery_ratio"])


# Times at, beside and far from the bounds of the window and of a day.
INSTANTS = st.one_of(
    st.sampled_from([START, START - 1, END, END - 1, END + 1, MONDAY, MONDAY - 1]),
    st.integers(START, END),
    st.integers(START - 3 * MINUTE_MS, START + 3 * MINUTE_MS),
    st.integers(END - 3 * MINUTE_MS, END + 3 * MINUTE_MS),
    st.integers(MONDAY - DAY_MS, MONDAY + 2 * DAY_MS),
)
RECEIVERS = st.sampled_from(["a", "b", "c", "d", "e"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Samples of a few messages that contradict each other in every possible way."""
    samples = []
    for number in range(draw(st.integers(1, 10))):
        channel_id = draw(st.sampled_from(["c1", "c1", "c2", "c3-negotiated"]))
        sent_at = draw(INSTANTS)
        for _ in range(draw(st.integers(1, 8))):
            claimed = draw(INSTANTS) if draw(st.integers(0, 9)) == 0 else sent_at
            created_at = draw(
                st.one_of(
                    st.just(sent_at + 2_000),
                    INSTANTS.map(lambda at: max(at, MONDAY - DAY_MS)),
                    st.none(),
                )
            )
            outcome: Outcome = "held"
            if created_at is not None:
                outcome = draw(st.sampled_from(("held", "held", *OUTCOMES_SAID)))
            envelope_id = draw(st.sampled_from(["", "", "e1", "e2"]))
            is_nameless = outcome == "unreadable" and envelope_id != "" and draw(st.booleans())
            samples.append(
                OracleSample(
                    message_id="" if is_nameless else f"m{number % 7}",
                    channel_id=channel_id,
                    receiver_public_key=draw(RECEIVERS),
                    installation_id=draw(st.sampled_from(["", "", "phone"])),
                    sent_at=claimed,
                    created_at=created_at,
                    sent_by_receiver=created_at is None
                    or (not is_nameless and draw(st.integers(0, 4)) == 0),
                    message_type=""
                    if is_nameless
                    else draw(st.sampled_from(["CHAT", "CHAT", "CHAT", "NOISE", ""])),
                    envelope_id=envelope_id,
                    outcome=outcome,
                    reason="" if outcome == "held" else draw(st.sampled_from(["", "no_key"])),
                    via=draw(st.sampled_from(VIAS)) if outcome == "held" and created_at else "",
                    sent_at_clock="author"
                    if is_nameless or created_at is None
                    else draw(st.sampled_from(["author", "author", *CLOCKS])),
                )
            )
    # No interface accepts a mark of a message that no sample reports.
    reported = {sample.message for sample in samples if sample.created_at is not None}
    samples = [one for one in samples if one.is_nameless or one.message in reported]
    heartbeats = draw(st.dictionaries(st.tuples(RECEIVERS, st.just("")), INSTANTS, max_size=3))
    return World(
        [Pushed((sample,)) for sample in samples],
        cuts=[],
        numbers={},
        memberships={},
        heartbeats=[Heartbeat(*receiver, "", "", at) for receiver, at in heartbeats.items()],
    )


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 5])
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_any_order_batching_and_repetition_gives_the_oracles_figures(
    together: int, data: st.DataObject, database: Database
) -> None:
    world = data.draw(several(worlds(), together))
    samples = world.samples
    repeated = data.draw(st.lists(st.sampled_from(samples), max_size=5)) if samples else []
    shuffled = as_samples(data.draw(st.permutations(samples + repeated)))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(shuffled) - 1)), max_size=4)))
    batches = [
        shuffled[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)
    ]
    is_computed_between = data.draw(st.booleans())
    unmeasured = {Source.GRPC: Unmeasured(channels=("*-negotiated",), types=("NOISE",))}

    await empty(database)
    await store(database, batches[0])
    if is_computed_between:
        # This repairs rows, and empties the memory of ingest. No figure may depend on it.
        await compute_window(database, unmeasured=unmeasured)
    await store(
        database,
        *batches[1:],
        heartbeats=world.heartbeats,
    )

    computed_again = data.draw(st.sampled_from(MembershipPolicy))
    for membership in MembershipPolicy:
        window = await compute_window(database, membership=membership, unmeasured=unmeasured)
        expected = compute(
            samples,
            START,
            END,
            membership.value,
            heartbeats=world.last_heartbeats,
            unmeasured_channels=["*-negotiated"],
            unmeasured_types=["NOISE"],
        )
        assert figures(window) == oracle_figures(expected), membership
        assert close_to(window.reliability, expected.reliability)
        assert close_to(window.counts.delivery_ratio, expected.delivery_ratio)
        if membership is computed_again:
            again = await compute_window(database, membership=membership, unmeasured=unmeasured)
            assert (again.revision, figures(again)) == (window.revision, figures(window))


async def test_two_writers_at_once_agree_with_the_oracle(database: Database) -> None:
    samples = [
        OracleSample(f"m{m}", "c1", f"r{r}", START + m * 1000 + (r % 2), START + m * 1000 + r)
        for m in range(60)
        for r in range(9)
        if (m * 7 + r) % 10
    ] + [OracleSample(f"alive{r}", "c2", f"r{r}", END, END + r) for r in range(9)]
    reports = as_samples(samples)
    halves = reports[::2], reports[1::2]

    await asyncio.gather(
        *(store(database, *(half[i : i + 40] for i in range(0, len(half), 40))) for half in halves)
    )

    window = await compute_window(database)
    assert figures(window) == oracle_figures(compute(samples, START, END, "present"))


async def test_a_failed_computation_leaves_the_stored_row_alone(database: Database) -> None:
    vector = next(v for v in VECTORS if v.name == "one-missing")
    await store_vector(database, vector)
    before = await compute_window(database)

    with pytest.raises(Exception, match="no 1h window starts at"):
        await compute_window(database, START + MINUTE_MS)

    after = await compute_window(database)
    assert (after.revision, after.counts) == (before.revision, before.counts)
    assert after.computed_at - before.computed_at == timedelta(0)


async def test_what_could_not_be_read_and_is_said_again_is_no_news_of_its_receiver(
    database: Database,
) -> None:
    """Otherwise a receiver that last reported in the window would count as still reporting."""

    def unread(created_at: int) -> OracleSample:
        return OracleSample(
            "", "other", "b", START, created_at, envelope_id="e", outcome="unreadable"
        )

    batches = [
        [unread(START + 1), OracleSample("m1", "c", "b", START, START + 1)],
        [unread(END + 1), OracleSample("m2", "c", "a", START, END + 1)],
    ]
    await store(database, *map(as_samples, batches))
    window = await compute_window(database)
    expected = compute([*batches[0], *batches[1]], START, END, "present")
    assert figures(window) == oracle_figures(expected)
    assert window.channels[0].counts.receivers == 1  # only a, because b may be gone
