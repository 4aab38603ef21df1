"""Laws of the loss models: how much is lost, at which stage and by whom."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from devtelemetry.model import (
    HOUR_MS,
    MINUTE_MS,
    Dimension,
    LossClass,
    SentAtClock,
    Via,
)
from devtelemetry.simulator.loss import (
    BAD_LINK,
    LOSS_MODELS,
    NEWEST_VERSION,
    WORSE_PLATFORM,
    LossModel,
    Trait,
)
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import World
from devtelemetry.simulator.truth import TrueWindow, values_of
from devtelemetry.simulator.world import make_world
from support.simulated import spec, whole

pytestmark = pytest.mark.slow


BIG = spec(nodes=120, messages_per_hour=60.0)


def ratio(of: World, name: str) -> float:
    """The delivery ratio of a platform or a version."""
    window = whole(of)
    found = (window.by[Dimension.PLATFORM] | window.by[Dimension.APP_VERSION])[name].delivery_ratio
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
    for pair in world.deliveries:
        by_node[pair.node].append((pair.message.at_ms, pair.missing is not None))
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
    window = whole(world)
    total = window.total.delivery_ratio or 0.0
    assert total == pytest.approx(0.9, abs=0.03)
    assert ratio(world, WORSE_PLATFORM) < ratio(world, "desktop")
    assert ratio(world, NEWEST_VERSION) < ratio(world, "2.35.1")
    authors = window.by[Dimension.AUTHOR_APP_VERSION]
    by_author = {name: group.delivery_ratio for name, group in authors.items()}
    assert min(by_author, key=lambda name: by_author[name] or 0.0) == NEWEST_VERSION
    assert bad_link(window) < total
    assert all(window.total.lost(of) for of in LossClass)
    assert all(window.total.ways[via] for via in Via if via is not Via.NOT_SAID)
    assert window.total.recovered > 0 < window.total.unsaid


def bad_link(window: TrueWindow) -> float:
    """The delivery ratio of the bad link, in both directions."""
    groups = [window.by[Dimension.PATH][path] for path in BAD_LINK]
    return sum(group.delivered for group in groups) / sum(group.expected for group in groups)


def test_a_bug_in_sending_loses_messages_of_one_version_for_everyone() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["sending"](0.05)))
    window = whole(world)
    lost, expected = window.total.lost(LossClass.NOT_SENT), window.total.expected
    assert lost == expected - window.total.delivered
    authors = window.by[Dimension.AUTHOR_APP_VERSION]
    assert authors[NEWEST_VERSION].delivery_ratio == pytest.approx(0.8, abs=0.05)
    assert authors["2.35.1"].delivery_ratio == pytest.approx(0.95, abs=0.03)
    assert ratio(world, NEWEST_VERSION) == pytest.approx(ratio(world, "2.35.1"), abs=0.02)
    failed = [message for message in world.messages if not message.is_sent]
    told = sum(message.failure is not None for message in failed)
    assert told / len(failed) == pytest.approx(0.75, abs=0.15)
    assert {message.failure for message in failed} == {"timeout", "no_peers", None}


def test_a_bad_link_loses_what_goes_from_one_server_to_the_other() -> None:
    window = whole(make_world(replace(BIG, loss=LOSS_MODELS["path"](0.05))))
    paths = window.by[Dimension.PATH]
    assert len(paths) == 9
    for path, group in paths.items():
        true = 0.95 * 0.85 if path in BAD_LINK else 0.95
        assert group.delivery_ratio == pytest.approx(true, abs=0.03), path


def test_losses_at_every_stage_are_a_quarter_of_all_each() -> None:
    world = make_world(replace(BIG, loss=LOSS_MODELS["stages"](0.2)))
    total = whole(world).total
    for of in LossClass:
        assert total.lost(of) / total.expected == pytest.approx(0.05, abs=0.02), of
    # Deliveries are live, except those that came later from a history or were sent again.
    assert total.ways[Via.HISTORY] / total.expected == pytest.approx(0.15, abs=0.04)
    assert total.ways[Via.RESENT] / total.expected == pytest.approx(0.04, abs=0.01)
    assert total.recovered / total.expected == pytest.approx(0.05, abs=0.01)
    assert {reason for _, reason in total.missing} >= {"no_session_key", "too_large", "timeout"}


def test_what_is_missed_offline_comes_from_a_history_once_the_node_is_back() -> None:
    loss = LossModel(offline=0.2, history=1.0)
    quiet = replace(BIG, restarts=0.0, crashes=0, loss=loss)
    late = [pair for pair in make_world(quiet).deliveries if pair.via is Via.HISTORY]
    never = [
        (pair.node, pair.message.at_ms)
        for pair in make_world(replace(quiet, loss=LossModel(offline=0.2))).deliveries
        if pair.missing is not None
    ]
    assert {(pair.node, pair.message.at_ms) for pair in late} <= set(never)
    assert len(late) > 0.8 * len(never), "but for who is not back in the end"
    waited = [pair.arrives_ms - pair.message.at_ms for pair in late if pair.arrives_ms is not None]
    assert max(waited) > 5 * MINUTE_MS


def test_messages_are_stamped_by_whom_was_asked() -> None:
    world = make_world(replace(BIG, server_stamped=0.3, receiver_stamped=0.2, outsiders=0.5))
    clocks = Counter(message.sent_at_clock for message in world.messages)
    assert clocks[SentAtClock.SERVER] / clocks.total() == pytest.approx(0.3, abs=0.05)
    skew = {node.number: node.skew_ms for node in world.nodes}
    for message in world.messages:
        if message.sent_at_clock is SentAtClock.SERVER:
            assert message.sent_at == message.at_ms
        if message.sent_at_clock is SentAtClock.RECEIVER:
            assert message.author is not None, "else nobody knows when it was sent"
    own = [one for one in report(world).arrived if one.sent_at_clock is SentAtClock.RECEIVER]
    assert own
    assert all(one.sent_at == one.at_ms + skew[one.node] for one in own)
    assert not any(one.is_author for one in own)


def test_one_message_type_is_worse_than_another_and_all_are_as_common_as_was_asked() -> None:
    types = (Trait("TEXT", 3), Trait("IMAGE", 1))
    loss = LossModel(independent=0.02, by_type={"IMAGE": 0.2})
    window = whole(make_world(replace(BIG, loss=loss, message_types=types)))
    found = window.by[Dimension.MESSAGE_TYPE]
    assert found["TEXT"].delivery_ratio == pytest.approx(0.98, abs=0.01)
    assert found["IMAGE"].delivery_ratio == pytest.approx(0.98 * 0.8, abs=0.02)
    share = len(found["IMAGE"].messages) / len(window.total.messages)
    assert share == pytest.approx(0.25, abs=0.05)


def test_pairs_are_delivered_with_the_probability_that_the_model_says() -> None:
    loss = LossModel(
        independent=0.02,
        by_platform={"ios": 0.1},
        by_version={NEWEST_VERSION: 0.05},
        by_type={"CHAT_MESSAGE": 0.03},
        by_author_version={"2.35.1": 0.06},
        by_path={BAD_LINK[0]: 0.07},
        everyone=0.04,
    )
    world = make_world(replace(BIG, loss=loss))
    for platform, version in (("ios", NEWEST_VERSION), ("ios", "2.35.1"), ("desktop", "2.35.1")):
        fates = [
            delivery.arrives_ms is not None
            for delivery in world.deliveries
            if (of := values_of(delivery, world.nodes))[Dimension.PLATFORM] == platform
            and of[Dimension.APP_VERSION] == version
            and of[Dimension.AUTHOR_APP_VERSION] == NEWEST_VERSION
            and of[Dimension.PATH] not in BAD_LINK
        ]
        assert len(fates) > 500
        true = loss.delivers(platform, version, "CHAT_MESSAGE", NEWEST_VERSION)
        assert sum(fates) / len(fates) == pytest.approx(true, abs=0.03)
    assert loss.delivers(
        "ios", NEWEST_VERSION, "CHAT_MESSAGE", "2.35.1", BAD_LINK[0]
    ) == pytest.approx(0.98 * 0.9 * 0.95 * 0.97 * 0.94 * 0.93 * 0.96)


def test_so_many_deliveries_are_slow_and_none_is_slower_than_was_asked() -> None:
    world = make_world(
        replace(BIG, slow=0.2, slowest_ms=3 * HOUR_MS, restarts=0.0, crashes=0, cut_off=0.0)
    )
    delays = [d.arrives_ms - d.message.at_ms for d in world.deliveries if d.arrives_ms is not None]
    slow = [delay for delay in delays if delay > 3_000]
    assert len(slow) / len(delays) == pytest.approx(0.2, abs=0.01)
    assert 2 * HOUR_MS < max(slow) <= 3 * HOUR_MS
    # From 3 s to 3 h is a factor of 3,600, so half of them are within the first factor of 60.
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
