"""The pushes of a world's clients: complete, in order, by their own clocks. And those of liars."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bench.intake import take_in
from bench.liars import LIARS, invents, invents_a_tenth
from bench.pushes import MOST_SAMPLES, Push, pushes
from hypothesis import given, settings
from hypothesis import strategies as st

from devtelemetry.model import HOUR_MS, MINUTE_MS
from devtelemetry.simulator.loss import LOSS_MODELS
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import Action, Spec, World
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from support.simulated import measured
from support.store import START, compute_window

SPEC = Spec(
    seed=1,
    start_ms=START,
    end_ms=START + HOUR_MS,
    loss=LOSS_MODELS["mixed"](0.1),
    nodes=20,
    channels=4,
    restarts=0.2,
    cut_off=0.2,
    wiped=0.5,
    duplicates=0.1,
)
worlds = st.builds(
    lambda seed, crashes, slow: make_world(
        replace(SPEC, seed=seed, crashes=crashes, slow=slow, slowest_ms=HOUR_MS)
    ),
    st.integers(0, 10**6),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.2]),
)
few = settings(max_examples=10, deadline=None)


def node_of(push: Push, world: World) -> int:
    fingerprint, number, _ = push.request.reporter.installation_id.split("-")
    assert fingerprint == world.spec.fingerprint
    return int(number)


@few
@given(worlds, st.sampled_from([MINUTE_MS, 10 * MINUTE_MS]))
def test_all_that_arrives_is_pushed_once_under_its_number(world: World, push_ms: int) -> None:
    told = Counter(
        (
            push.request.reporter.installation_id,
            push.request.first_sequence + position,
            s.message_id,
        )
        for push in pushes(world, push_ms=push_ms)
        for position, s in enumerate(push.request.samples)
    )
    assert told == Counter(
        (f"{world.spec.fingerprint}-{r.node}-{r.installation}", r.number, r.message.message_id)
        for r in report(world).arrived
    )


@few
@given(worlds)
def test_nothing_is_pushed_before_it_happened_or_while_there_is_no_way(world: World) -> None:
    away: defaultdict[int, list[int]] = defaultdict(list)
    for operation in world.operations[: -len(world.nodes)]:  # without the final stops
        if operation.action in (Action.STOP, Action.CRASH, Action.CUT):
            away[operation.node] = [operation.at_ms]
        elif operation.action in (Action.START, Action.MEND, Action.WIPE):
            away[operation.node].append(operation.at_ms)
    found = pushes(world)
    assert [push.at_ms for push in found] == sorted(push.at_ms for push in found)
    for push in found:
        node = world.nodes[node_of(push, world)]
        sent_ms = push.request.client_time - node.skew_ms
        assert 20 <= push.at_ms - sent_ms <= 200
        for sample in push.request.samples:
            assert sample.received_at - node.skew_ms < sent_ms
        assert len(push.request.samples) <= MOST_SAMPLES
        if len(away[node.number]) == 2:
            begins, ends = away[node.number]
            assert not begins <= sent_ms < ends


@few
@given(worlds)
def test_each_node_is_heard_of_after_all_is_over(world: World) -> None:
    last = {node_of(push, world): push.at_ms for push in pushes(world)}
    assert last.keys() == set(range(len(world.nodes)))
    assert min(last.values()) > world.spec.until_ms


def test_who_does_not_tell_its_clock_says_all_else() -> None:
    world = make_world(SPEC)
    told, silent = pushes(world), pushes(world, tells_clock=lambda node: node.number != 3)
    assert len(told) == len(silent)
    for one, other in zip(told, silent, strict=True):
        assert (other.request.client_time == 0) is (node_of(one, world) == 3)
        other.request.client_time = one.request.client_time
        assert one == other


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_pushed_gives_the_figures_of_what_is_reported(
    database: Database, seed: int
) -> None:
    """By the server's own code of ingest, with wrong clocks, restarts and lost reports."""
    world = make_world(replace(SPEC, seed=seed, wiped=0.0))
    assert not await take_in(database, pushes(world))
    window = await compute_window(database)
    expected = measured(world)
    assert window.counts.unknown > 0
    assert {c.channel_id for c in window.channels} == expected.channels.keys()
    for channel in window.channels:
        for name in ("messages", "receivers", "expected", "missing", "corroborated", "unknown"):
            by_hand = getattr(expected.channels[channel.channel_id], name)
            assert getattr(channel.counts, name) == by_hand, name


async def test_a_message_from_the_future_is_taken_with_the_time_of_who_received_it(
    database: Database,
) -> None:
    # No message has a receiver's own time, which would be refused if it is ahead.
    spec = replace(SPEC, lead_ms=3 * HOUR_MS, cut_off=0.0, wrong_clocks=0.5, receiver_stamped=0.0)
    world = make_world(replace(spec, wrong_by_ms=2 * HOUR_MS))
    assert any(
        sample.sent_at > push.at_ms + HOUR_MS
        for push in pushes(world)
        for sample in push.request.samples
    )
    assert not await take_in(database, pushes(world))
    async with database.acquire() as connection:
        ahead = await connection.fetchval("select max(sent_at - created_at) from whole_receipt")
    assert ahead <= HOUR_MS


# ------------------------------------------------------------------------------------------- liars


def claimed(found: Sequence[Push]) -> set[str]:
    return {sample.message_id for push in found for sample in push.request.samples}


def test_a_liar_is_in_every_channel_reports_to_the_end_and_numbers_what_it_says() -> None:
    world = make_world(SPEC)
    every = {channel.channel_id for channel in world.channels}
    for lies in LIARS.values():
        by_liar: defaultdict[str, list[Push]] = defaultdict(list)
        for push in lies(world):
            by_liar[push.request.reporter.installation_id].append(push)
        for found in by_liar.values():
            said = {m.channel_id: m.joined_at for p in found for m in p.request.memberships}
            assert said == dict.fromkeys(every, world.spec.begin_ms)
            assert found[-1].at_ms > world.spec.until_ms
            number = 1
            for push in found:
                if push.request.samples:
                    assert push.request.first_sequence == number
                    number += len(push.request.samples)


def test_a_liar_makes_up_as_many_messages_as_it_is_said_to_and_holds_the_others_too() -> None:
    world = make_world(replace(SPEC, cut_off=0.0))
    true = {message.message_id for message in world.messages}
    in_window = [m for m in world.messages if START <= m.sent_at < START + HOUR_MS]
    by_channel = Counter(message.channel_id for message in in_window)
    for lies, count in (
        (LIARS["claims to hold nothing"], 0),
        (LIARS["claims to hold everything"], 0),
        (invents, len(in_window)),
        (LIARS["floods the quietest channel"], len(in_window)),
        (invents_a_tenth, sum(messages // 9 for messages in by_channel.values())),
    ):
        found = claimed(lies(world))
        assert len(found - true) == count
        assert (found & true) == (set() if lies is LIARS["claims to hold nothing"] else true)


def test_two_that_collude_say_the_same_as_two() -> None:
    found = LIARS["two invent the same, as many as there are"](make_world(SPEC))
    by_liar: defaultdict[str, set[str]] = defaultdict(set)
    for push in found:
        by_liar[push.request.reporter.receiver_public_key] |= claimed([push])
    assert len(by_liar) == 2
    assert len(set(map(frozenset, by_liar.values()))) == 1
