"""Laws of the simulated network and of its truth."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devtelemetry.model import HOUR_MS, MINUTE_MS, from_unix_ms, parse_timeframe, window_at
from devtelemetry.simulator.loss import (
    LOSS_MODELS,
    NEWEST_VERSION,
    NO_LOSS,
    WORSE_PLATFORM,
    LossModel,
    Trait,
)
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import SMALL_OUTBOX, WIND_DOWN_MS, Action, Spec, World
from devtelemetry.simulator.truth import TrueWindow, true_windows, truth_document
from devtelemetry.simulator.world import make_world
from support.simulated import measured

pytestmark = pytest.mark.slow

HOUR = parse_timeframe("1h")
START_MS = 1_772_445_600_000  # 2026-03-02T10:00Z


def spec(**fields: object) -> Spec:
    return replace(Spec(seed=1, start_ms=START_MS, end_ms=START_MS + HOUR_MS), **fields)  # type: ignore[arg-type]


def whole(world: World) -> TrueWindow:
    """The window that is measured; empty if nothing was expected in it."""
    window = window_at(HOUR, from_unix_ms(START_MS))
    found = {one.window: one for one in true_windows(world, HOUR)}
    return found.get(window, TrueWindow(HOUR.name, window))


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
        [(d.node, d.message.author, d.arrives_ms is None) for d in world.deliveries]
        for world in (here, there)
    ]
    assert fates[0] == fates[1]
    assert len(report(here).untold) == len(report(there).untold)


@pytest.mark.parametrize("model", sorted(set(LOSS_MODELS) - {"bursts", "mixed"}))
def test_another_loss_model_meets_the_same_people_who_say_the_same(model: str) -> None:
    def of(world: World) -> object:
        return (
            [(n.platform, n.app_version, n.skew_ms) for n in world.nodes],
            [(m.node, m.joined_ms, m.left_ms) for m in world.memberships],
            [(m.at_ms, m.author, m.size_bytes) for m in world.messages],
        )

    assert of(make_world(spec(loss=LOSS_MODELS[model](0.2)))) == of(make_world(spec()))


@few
@given(worlds)
def test_nobody_is_expected_to_hold_a_message_of_its_own_or_of_a_time_it_was_not_there(
    world: World,
) -> None:
    spans = {(m.channel_id, m.node): (m.joined_ms, m.left_ms) for m in world.memberships}
    for message, node, _ in world.deliveries:
        assert node != message.author
        joined_ms, left_ms = spans[message.channel_id, node]
        assert joined_ms <= message.at_ms < left_ms
    expected = Counter(delivery.message.message_id for delivery in world.deliveries)
    for message in world.messages:
        there = [
            node
            for (channel_id, node), (joined_ms, left_ms) in spans.items()
            if channel_id == message.channel_id and joined_ms <= message.at_ms < left_ms
        ]
        assert expected[message.message_id] == len(there) - (message.author in there)


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
        assert cut_off[node] is (action in (Action.MEND, Action.WIPE)) or action in (
            Action.WRITE,
            Action.HOLD,
            Action.JOIN,
            Action.LEAVE,
        )
        runs[node] = action not in (Action.STOP, Action.CRASH)
        cut_off[node] = action is Action.CUT or (
            cut_off[node] and action not in (Action.MEND, Action.WIPE)
        )
    assert not any(runs.values()), "all are closed in the end"


def test_nothing_happens_on_a_node_in_the_moments_before_it_is_killed() -> None:
    """What a crash costs of them is chance: the truth would not be known."""
    world = make_world(spec(nodes=40, crashes=40, restarts=0.0, messages_per_hour=600.0))
    before: dict[int, int] = {}
    crashes = 0
    for operation in world.operations:
        if operation.action is Action.CRASH:
            crashes += 1
            assert operation.at_ms - before[operation.node] >= 2_000
        before[operation.node] = operation.at_ms
    assert crashes == 40


@few
@given(worlds)
def test_pairs_add_up_over_channels_platforms_versions_and_receivers(world: World) -> None:
    document = truth_document(world, parse_timeframe("15m"))
    sums: Counter[str] = Counter()
    for window in document["windows"]:
        for groups in ("channels", "platforms", "versions", "types", "receivers"):
            for name in ("expected", "delivered", "untold", "invisible"):
                assert sum(group[name] for group in window[groups]) == window[name]
        ratios = [c["delivery_ratio"] for c in window["channels"] if c["receivers"] >= 2]
        assert window["reliability"] == (
            pytest.approx(sum(ratios) / len(ratios)) if ratios else None
        )
        sums.update({name: window[name] for name in ("expected", "delivered")})
    every = [
        delivery
        for delivery in world.deliveries
        if START_MS <= delivery.message.sent_at < START_MS + HOUR_MS
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


@few
@given(specs)
def test_the_figures_of_the_reports_are_the_truth_less_what_is_invisible(asked: Spec) -> None:
    """By the brute-force model of the algorithm: so `invisible` says all that divides the two.

    Where clocks are right, no device is wiped, and no author loses the report of its own message:
    it would seem to miss it.
    """
    if asked.cut_off:
        asked = replace(asked, outsiders=1.0)
    world = make_world(replace(asked, skew_ms=0, wiped=0.0))
    figures = measured(world)
    for channel_id, group in whole(world).channels.items():
        visible = group.expected - group.invisible
        if channel_id not in figures.channels:
            assert visible == 0
            continue
        channel = figures.channels[channel_id]
        assert channel.expected + channel.unknown == visible
        not_told = visible - group.delivered + group.untold
        assert channel.missing <= not_told <= channel.missing + channel.unknown
        assert asked.cut_off or channel.unknown == 0


@few
@given(worlds)
def test_reports_are_lost_only_where_a_device_was_cut_off(world: World) -> None:
    cut = {o.node for o in world.operations if o.action is Action.CUT}
    reports = report(world)
    assert {node for node, _ in reports.untold} <= cut
    assert reports.overflowed.keys() <= cut
    told = {(one.node, one.message.message_id) for one in reports.arrived}
    recorded = {(o.node, o.message.message_id) for o in world.operations if o.message is not None}
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
    said = {(part.channel_id, part.node): part for part in report(world).parts}
    assert len(said) == len(world.memberships)
    for channel_id, node, joined_ms, left_ms in world.memberships:
        part = said[channel_id, node]
        assert part.joined_at == joined_ms + skew[node]
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
    for _, node, action, _, message, _ in world.operations:
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


# ------------------------------------------------------------------------------------- the loss


BIG = spec(nodes=120, messages_per_hour=60.0)


def ratio(of: World, name: str) -> float:
    """The delivery ratio of a platform or a version."""
    window = whole(of)
    found = (window.platforms | window.versions)[name].delivery_ratio
    assert found is not None
    return found


def test_independent_losses_are_as_many_as_was_asked() -> None:
    total = whole(make_world(replace(BIG, loss=LOSS_MODELS["independent"](0.1)))).total
    assert total.delivery_ratio == pytest.approx(0.9, abs=0.01)


def test_one_platform_is_worse_than_the_others() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["platform"](0.05)))
    assert ratio(world, WORSE_PLATFORM) == pytest.approx(0.8, abs=0.02)
    assert ratio(world, "desktop") == pytest.approx(0.95, abs=0.01)
    assert ratio(world, "android") == pytest.approx(0.95, abs=0.01)


def test_the_newest_release_is_worse_than_the_last() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["release"](0.05)))
    assert ratio(world, NEWEST_VERSION) == pytest.approx(0.8, abs=0.02)
    assert ratio(world, "2.35.1") == pytest.approx(0.95, abs=0.01)


def test_a_message_that_is_lost_to_everyone_reaches_nobody_and_another_one_all() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["everyone"](0.1)))
    arrived: defaultdict[str, list[bool]] = defaultdict(list)
    for delivery in world.deliveries:
        arrived[delivery.message.message_id].append(delivery.arrives_ms is not None)
    assert all(len(set(found)) == 1 for found in arrived.values())
    lost = sum(not any(found) for found in arrived.values())
    assert 0.05 < lost / len(arrived) < 0.15


def test_bursts_lose_all_in_a_span_and_nothing_outside() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["bursts"](0.1)))
    by_node: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    for message, node, arrives_ms in world.deliveries:
        by_node[node].append((message.at_ms, arrives_ms is None))
    fates = [[is_lost for _, is_lost in sorted(found)] for found in by_node.values()]
    lost = sum(map(sum, fates))
    runs = sum(
        is_lost and not before
        for found in fates
        for before, is_lost in zip([False, *found], found, strict=False)
    )
    assert 0.05 < lost / len(world.deliveries) < 0.15
    assert lost / runs > 5, "independent losses of one in ten would come in runs of 1.1"


def test_mixed_losses_have_all_causes() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["mixed"](0.1)))
    assert whole(world).total.delivery_ratio == pytest.approx(0.9, abs=0.03)
    assert ratio(world, WORSE_PLATFORM) < ratio(world, "desktop")
    assert ratio(world, NEWEST_VERSION) < ratio(world, "2.35.1")


def test_one_message_type_is_worse_than_another_and_all_are_as_common_as_was_asked() -> None:
    types = (Trait("TEXT", 3), Trait("IMAGE", 1))
    loss = LossModel(independent=0.02, by_type={"IMAGE": 0.2})
    window = whole(make_world(replace(BIG, loss=loss, message_types=types)))
    assert window.types["TEXT"].delivery_ratio == pytest.approx(0.98, abs=0.01)
    assert window.types["IMAGE"].delivery_ratio == pytest.approx(0.98 * 0.8, abs=0.02)
    share = len(window.types["IMAGE"].messages) / len(window.total.messages)
    assert share == pytest.approx(0.25, abs=0.05)


def test_pairs_are_delivered_with_the_probability_that_the_model_says() -> None:
    loss = LossModel(
        independent=0.02,
        by_platform={"ios": 0.1},
        by_version={NEWEST_VERSION: 0.05},
        by_type={"CHAT_MESSAGE": 0.03},
        everyone=0.04,
    )
    world = make_world(replace(BIG, loss=loss))
    for platform, version in (("ios", NEWEST_VERSION), ("ios", "2.35.1"), ("desktop", "2.35.1")):
        fates = [
            delivery.arrives_ms is not None
            for delivery in world.deliveries
            if world.nodes[delivery.node].platform == platform
            and world.nodes[delivery.node].app_version == version
        ]
        assert len(fates) > 1_000
        true = loss.delivers(platform, version, "CHAT_MESSAGE")
        assert sum(fates) / len(fates) == pytest.approx(true, abs=0.03)
    assert loss.delivers("ios", NEWEST_VERSION, "CHAT_MESSAGE") == pytest.approx(
        0.98 * 0.9 * 0.95 * 0.97 * 0.96
    )


def test_so_many_deliveries_are_slow_and_none_is_slower_than_was_asked() -> None:
    world = make_world(
        replace(BIG, slow=0.2, slowest_ms=3 * HOUR_MS, restarts=0.0, crashes=0, cut_off=0.0)
    )
    delays = [d.arrives_ms - d.message.at_ms for d in world.deliveries if d.arrives_ms is not None]
    slow = [delay for delay in delays if delay > 3_000]
    assert len(slow) / len(delays) == pytest.approx(0.2, abs=0.01)
    assert 2 * HOUR_MS < max(slow) <= 3 * HOUR_MS
    # From 3 s to 3 h is a factor of 3,600: half of them within the first 60 of it.
    assert sum(delay <= 180_000 for delay in slow) / len(slow) == pytest.approx(0.5, abs=0.03)


def test_what_is_slow_or_of_a_wrong_clock_changes_nothing_else() -> None:
    plain = make_world(BIG)
    slow = make_world(replace(BIG, slow=0.2))
    wrong = make_world(replace(BIG, wrong_clocks=0.1, wrong_by_ms=10 * MINUTE_MS))
    for other in (slow, wrong):
        assert [(d.node, d.message.at_ms, d.arrives_ms is None) for d in plain.deliveries] == [
            (d.node, d.message.at_ms, d.arrives_ms is None) for d in other.deliveries
        ]
    off = {n.number: n.skew_ms for n in wrong.nodes if abs(n.skew_ms) == 10 * MINUTE_MS}
    assert len(off) == round(BIG.nodes * 0.1)
    assert len(set(off.values())) == 2, "some are ahead and some behind"
    assert all(
        n.skew_ms == plain.nodes[n.number].skew_ms for n in wrong.nodes if n.number not in off
    )
