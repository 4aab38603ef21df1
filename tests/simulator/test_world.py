"""Laws of the simulated network and of its truth."""

from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devtelemetry.model import (
    HOUR_MS,
    MINUTE_MS,
    LossClass,
    Outcome,
    Via,
    parse_timeframe,
)
from devtelemetry.simulator.loss import (
    LOSS_MODELS,
    NO_LOSS,
)
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import SMALL_OUTBOX, WIND_DOWN_MS, Action, Message, Spec, World
from devtelemetry.simulator.truth import Group, true_windows, truth_document
from devtelemetry.simulator.world import make_world
from support.simulated import HOUR, measured, spec, whole
from support.store import START

pytestmark = pytest.mark.slow


specs = st.builds(
    spec,
    seed=st.integers(0, 10**6),
    loss=st.builds(
        lambda name, loss: LOSS_MODELS[name](loss),
        st.sampled_from(sorted(LOSS_MODELS)),
        st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    ),
    lead_ms=st.sampled_from([0, 10 * MINUTE_MS]),
    nodes=st.integers(2, 12),
    second_devices=st.sampled_from([0.0, 0.5, 1.0]),
    channels=st.integers(1, 4),
    messages_per_hour=st.sampled_from([1.0, 20.0]),
    joining=st.sampled_from([0.0, 0.5]),
    leaving=st.sampled_from([0.0, 0.5]),
    returning=st.sampled_from([0.0, 0.5]),
    server_stamped=st.sampled_from([0.0, 0.4]),
    receiver_stamped=st.sampled_from([0.0, 0.4]),
    outsiders=st.sampled_from([0.0, 0.3]),
    restarts=st.sampled_from([0.0, 0.3]),
    crashes=st.integers(0, 2),
    cut_off=st.sampled_from([0.0, 0.5]),
    wiped=st.sampled_from([0.0, 0.5]),
    duplicates=st.sampled_from([0.0, 0.5]),
    label=st.sampled_from([None, "", "x"]),
)
worlds = specs.map(make_world)
few = settings(max_examples=60, deadline=None)


@few
@given(specs)
def test_equal_specs_have_equal_worlds(asked: Spec) -> None:
    assert make_world(asked) == make_world(replace(asked))


def test_another_seed_is_another_world() -> None:
    assert make_world(spec(seed=1)).deliveries != make_world(spec(seed=2)).deliveries


def test_without_a_label_no_two_specs_share_a_channel_or_a_message() -> None:
    one, other = make_world(spec()), make_world(spec(loss=LOSS_MODELS["independent"](0.1)))
    for ids in (
        [{channel.channel_id for channel in world.channels} for world in (one, other)],
        [{message.message_id for message in world.messages} for world in (one, other)],
        [{node.public_key for node in world.nodes} for world in (one, other)],
    ):
        assert ids[0].isdisjoint(ids[1])


@few
@given(specs, st.integers(1, 10**12))
def test_at_another_time_the_same_happens(asked: Spec, later_ms: int) -> None:
    moved = replace(asked, start_ms=asked.start_ms + later_ms, end_ms=asked.end_ms + later_ms)
    here, there = make_world(asked), make_world(moved)
    assert [(o.at_ms + later_ms, o.node, o.action) for o in here.operations] == [
        (o.at_ms, o.node, o.action) for o in there.operations
    ]
    fates = [
        [(d.node, d.message.author, d.missing, d.reason, d.via) for d in world.deliveries]
        for world in (here, there)
    ]
    assert fates[0] == fates[1]
    assert len(report(here).untold) == len(report(there).untold)


@pytest.mark.parametrize("model", sorted(set(LOSS_MODELS) - {"bursts", "stages", "mixed"}))
def test_another_loss_model_meets_the_same_people_who_say_the_same(model: str) -> None:
    def of(world: World) -> object:
        return (
            [(n.platform, n.app_version, n.skew_ms) for n in world.nodes],
            [(m.node, m.joined_ms, m.left_ms) for m in world.memberships],
            [(m.at_ms, m.author, m.size_bytes) for m in world.messages],
        )

    assert of(make_world(spec(loss=LOSS_MODELS[model](0.2)))) == of(make_world(spec()))


def there(world: World, message: Message) -> list[int]:
    """The nodes that are in a message's channel when it is sent."""
    return [
        stay.node
        for stay in world.memberships
        if stay.channel_id == message.channel_id and stay.joined_ms <= message.at_ms < stay.left_ms
    ]


@few
@given(worlds)
def test_nobody_is_expected_to_hold_a_message_of_its_own_or_of_a_time_it_was_not_there(
    world: World,
) -> None:
    for pair in world.deliveries:
        assert pair.node != pair.message.author
        assert pair.node in there(world, pair.message)
    expected = Counter(delivery.message.message_id for delivery in world.deliveries)
    for message in world.messages:
        members = there(world, message)
        assert len(set(members)) == len(members), "in one stay at a time"
        assert expected[message.message_id] == len(members) - (message.author in members)


@few
@given(worlds)
def test_what_is_delivered_is_held_and_what_is_lost_never_is(world: World) -> None:
    held = Counter(
        (operation.node, operation.message.message_id)
        for operation in world.operations
        if operation.action is Action.HOLD and operation.message is not None
    )
    arrived = {
        (delivery.node, delivery.message.message_id)
        for delivery in world.deliveries
        if delivery.arrives_ms is not None
    }
    assert held.keys() == arrived
    assert set(held.values()) <= {1, 2}, "a copy comes once or twice"


@few
@given(worlds)
def test_each_app_is_told_of_every_stage_that_it_can_know_of(world: World) -> None:
    told = Counter(
        (operation.node, operation.message.message_id, operation.action, operation.reason)
        for operation in world.operations
        if operation.message is not None and operation.action not in (Action.HOLD, Action.WRITE)
    )
    known = Counter(
        (
            pair.node,
            pair.message.message_id,
            Action.DROP if pair.missing is LossClass.DROPPED else Action.FAIL_TO_READ,
            pair.reason,
        )
        for pair in world.deliveries
        if pair.failed_ms is not None
    )
    known.update(
        (message.author, message.message_id, Action.FAIL, message.failure)
        for message in world.messages
        if message.author is not None and message.failure is not None
    )
    assert told == known
    for pair in world.deliveries:
        assert (pair.missing is None) is (pair.arrives_ms is not None)
        assert (pair.missing is LossClass.NOT_SENT) is not pair.message.is_sent
        is_told = pair.missing in (LossClass.UNREADABLE, LossClass.DROPPED)
        assert is_told is (pair.failed_ms is not None and pair.arrives_ms is None)
        assert pair.failed_ms is None or pair.message.at_ms < pair.failed_ms


@few
@given(worlds)
def test_who_connects_again_says_again_where_it_is_and_that_is_no_news(world: World) -> None:
    stays = Counter((stay.node, stay.channel_id) for stay in world.memberships)
    again = {o.node: o.at_ms for o in world.operations if o.action in (Action.START, Action.MEND)}
    said: Counter[tuple[int, str]] = Counter()
    for operation in world.operations:
        if operation.action is Action.JOIN:
            said[operation.node, operation.channel_id] += 1
            is_again = again.get(operation.node) == operation.at_ms > world.spec.begin_ms
            said[operation.node, operation.channel_id] -= is_again
    wiped = {o.node for o in world.operations if o.action is Action.WIPE}
    assert {key: n for key, n in said.items() if key[0] not in wiped} == {
        key: n for key, n in stays.items() if key[0] not in wiped
    }
    parts = Counter((part.node, part.channel_id) for part in report(world).parts)
    assert {key: n for key, n in parts.items() if key[0] not in wiped} == {
        key: n for key, n in stays.items() if key[0] not in wiped
    }


@pytest.mark.parametrize(("duplicates", "copies"), [(0.0, 1), (1.0, 2)])
def test_the_app_is_told_twice_of_as_many_deliveries_as_was_asked(
    duplicates: float, copies: int
) -> None:
    held = Counter(
        (operation.node, operation.message)
        for operation in make_world(spec(nodes=10, duplicates=duplicates)).operations
        if operation.action is Action.HOLD
    )
    assert set(held.values()) == {copies}


@few
@given(worlds)
def test_nothing_happens_on_a_node_while_its_app_does_not_run(world: World) -> None:
    runs = dict.fromkeys(range(world.spec.nodes), False)
    cut_off = dict(runs)
    for at_ms, node, action, *_ in world.operations:
        assert world.spec.opt_in_ms <= at_ms <= world.spec.until_ms + WIND_DOWN_MS
        assert runs[node] is (action is not Action.START), action
        assert cut_off[node] is (action in (Action.MEND, Action.WIPE)) or action not in (
            Action.START,
            Action.STOP,
            Action.CRASH,
            Action.CUT,
        )
        runs[node] = action not in (Action.STOP, Action.CRASH)
        cut_off[node] = action is Action.CUT or (
            cut_off[node] and action not in (Action.MEND, Action.WIPE)
        )
    assert not any(runs.values()), "all are closed in the end"


def test_nothing_happens_on_a_node_in_the_moments_before_it_is_killed() -> None:
    """It would be chance which reports a crash loses, and the truth would not be known."""
    world = make_world(spec(nodes=40, crashes=40, restarts=0.0, messages_per_hour=600.0))
    before: dict[int, int] = {}
    crashes = 0
    for operation in world.operations:
        if operation.action is Action.CRASH:
            crashes += 1
            assert operation.at_ms - before[operation.node] >= 2_000
        before[operation.node] = operation.at_ms
    assert crashes == 40


GROUPS = (
    "channels",
    "platforms",
    "versions",
    "types",
    "author_platforms",
    "author_versions",
    "paths",
    "receivers",
)
SUMS = (
    "expected",
    "delivered",
    "untold",
    "invisible",
    "unsaid",
    "recovered",
    "by_live",
    "by_history",
    "by_resend",
    *(of.value for of in LossClass),
)


@few
@given(worlds)
def test_pairs_add_up_over_whatever_they_are_broken_down_by(world: World) -> None:
    document = truth_document(world, parse_timeframe("15m"))
    sums: Counter[str] = Counter()
    for window in document["windows"]:
        for groups in GROUPS:
            for name in SUMS:
                assert sum(group[name] for group in window[groups]) == window[name], groups
        classes = [window[of.value] for of in LossClass]
        assert sum(classes) == window["expected"] - window["delivered"]
        assert sum(reason["pairs"] for reason in window["reasons"]) == sum(classes)
        assert window["by_live"] + window["by_history"] + window["by_resend"] == window["delivered"]
        assert window["unsaid"] <= window["not_sent"]
        assert window["recovered"] <= window["delivered"]
        ratios = [c["delivery_ratio"] for c in window["channels"] if c["receivers"] >= 2]
        assert window["reliability"] == (
            pytest.approx(sum(ratios) / len(ratios)) if ratios else None
        )
        sums.update({name: window[name] for name in ("expected", "delivered")})
    every = [
        delivery
        for delivery in world.deliveries
        if START <= delivery.message.sent_at < START + HOUR_MS
    ]
    assert sums["expected"] == len(every)
    assert sums["delivered"] == sum(delivery.arrives_ms is not None for delivery in every)


@few
@given(specs)
def test_without_loss_all_arrives_and_with_all_lost_nothing_does(asked: Spec) -> None:
    for window in true_windows(make_world(replace(asked, loss=NO_LOSS)), HOUR):
        assert window.total.delivery_ratio == 1
        assert window.reliability in (1, None)
    lost = LOSS_MODELS["independent"](1.0)
    for window in true_windows(make_world(replace(asked, loss=lost)), HOUR):
        assert window.total.delivery_ratio == 0


def told_reasons(group: Group) -> Counter[tuple[str, str]]:
    """The reasons of missing pairs that reports can show."""
    told = Counter({(of.value, reason): n for (of, reason), n in group.missing.items()})
    silent = group.unsaid
    told["not_sent", ""] -= silent
    told["not_arrived", ""] += silent - group.invisible
    return told


@few
@given(specs)
def test_the_figures_of_the_reports_are_the_truth_less_what_is_invisible(asked: Spec) -> None:
    """The figures are the oracle's. So `invisible` is all that separates them from the truth.

    Clocks are right, and no device is wiped. No author loses the report of its own message, because
    it would seem to lack that message.
    """
    if asked.cut_off:
        asked = replace(asked, outsiders=1.0)
    world = make_world(replace(asked, skew_ms=0, wiped=0.0))
    # Only the author reports a message that could not be sent, so there must be no cap.
    figures = measured(world, weight_cap=Fraction(1))
    for channel_id, group in whole(world).channels.items():
        visible = group.expected - group.invisible
        if channel_id not in figures.channels:
            assert visible == 0
            continue
        channel = figures.channels[channel_id]
        assert channel.expected + channel.unknown == visible
        not_told = visible - group.delivered + group.untold
        assert channel.missing <= not_told <= channel.missing + channel.unknown
        if asked.cut_off:
            continue
        assert channel.unknown == 0
        counts = channel.counts
        assert counts.unreadable == group.lost(LossClass.UNREADABLE)
        assert counts.dropped == group.lost(LossClass.DROPPED)
        # A message that was not sent, and no app reports that, is measured as not arrived.
        assert counts.not_sent == group.lost(LossClass.NOT_SENT) - group.unsaid
        not_arrived = group.lost(LossClass.NOT_ARRIVED) - group.invisible
        assert counts.not_arrived == not_arrived + group.unsaid
        assert counts.recovered == group.recovered
        assert counts.by_live == group.ways[Via.LIVE]
        assert counts.by_history == group.ways[Via.HISTORY]
        assert counts.by_resend == group.ways[Via.RESENT]
        # Reasons that concern few receivers are put together, without a name.
        said = {(of, reason): n for of, reason, n in channel.reasons if of is not None}
        assert said.items() <= told_reasons(group).items()


@few
@given(worlds)
def test_reports_are_lost_only_where_a_device_was_cut_off(world: World) -> None:
    cut = {o.node for o in world.operations if o.action is Action.CUT}
    reports = report(world)
    assert {node for node, _ in reports.untold} <= cut
    assert reports.overflowed.keys() <= cut
    told = {
        (one.node, one.message.message_id) for one in reports.arrived if one.outcome is Outcome.HELD
    }
    recorded = {
        (o.node, o.message.message_id)
        for o in world.operations
        if o.message is not None and o.action in (Action.WRITE, Action.HOLD)
    }
    assert told.isdisjoint(reports.untold)
    assert told | reports.untold == recorded


@few
@given(worlds)
def test_a_number_is_given_once_and_what_is_lost_leaves_a_hole(world: World) -> None:
    reports = report(world)
    numbers: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for one in reports.arrived:
        numbers[one.node, one.installation].append(one.number)
    missing: Counter[int] = Counter()
    wiped = {o.node for o in world.operations if o.action is Action.WIPE}
    for (node, _), found in numbers.items():
        assert found == sorted(set(found)), "in the order in which they were recorded"
        missing[node] += found[-1] - len(found)
    for node in reports.overflowed.keys() - wiped:
        assert missing[node] == reports.overflowed[node]
    assert {node for node, holes in missing.items() if holes} <= reports.overflowed.keys()


@few
@given(specs)
def test_a_node_says_when_it_joins_and_leaves_by_its_own_clock(asked: Spec) -> None:
    world = make_world(replace(asked, cut_off=0.0))
    skew = {node.number: node.skew_ms for node in world.nodes}
    said = {(part.channel_id, part.node, part.joined_at): part for part in report(world).parts}
    assert len(said) == len(world.memberships)
    for channel_id, node, joined_ms, left_ms in world.memberships:
        part = said[channel_id, node, joined_ms + skew[node]]
        is_in = left_ms == world.spec.until_ms
        assert part.left_at == (None if is_in else left_ms - 1 + skew[node])
        assert part.joined_said_ms >= joined_ms
        assert part.left_said_ms is None or part.left_said_ms >= left_ms


def test_a_device_that_is_cut_off_keeps_the_latest_reports_and_a_wiped_one_none() -> None:
    world = make_world(
        spec(nodes=30, cut_off=1.0, wiped=0.5, crashes=0, restarts=0.0, duplicates=0.0)
    )
    reports = report(world)
    during: dict[int, list[str]] = {}
    for _, node, action, _, message, *_ in world.operations:
        if action is Action.CUT:
            during[node] = []
        elif message is not None and node in during:
            during[node].append(message.message_id)
        elif action in (Action.MEND, Action.WIPE):
            recorded = during.pop(node)
            kept = [one for one in recorded if (node, one) not in reports.untold]
            assert kept == ([] if action is Action.WIPE else recorded[-SMALL_OUTBOX:])
            assert reports.overflowed.get(node, 0) == max(0, len(recorded) - SMALL_OUTBOX)
    ends = Counter(o.action for o in world.operations)
    assert ends[Action.MEND] > 0 < ends[Action.WIPE]
