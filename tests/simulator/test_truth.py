"""Measured and true figures, from a push to a window: docs/evidence/truth.md on a small scale.

What bench/truth.py shows for large worlds must be exactly or nearly true for small ones.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from bench.intake import take_in
from bench.liars import LIARS
from bench.pushes import Push, pushes

from devtelemetry.estimate.delay import NOT_REACHED, negative_share
from devtelemetry.estimate.unseen import unseen_messages
from devtelemetry.estimate.verdict import Word
from devtelemetry.figures.derive import ON_TIME_MS, groups_of, sum_of, totals_of, verdicts
from devtelemetry.model import (
    DELAY_CLASSES,
    DELAY_EDGES_MS,
    HOUR_MS,
    MINUTE_MS,
    Dimension,
    WindowReliability,
)
from devtelemetry.simulator.loss import LossModel, Trait, path_of
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import Delivery, Spec, World
from devtelemetry.simulator.truth import Group, captured, values_of
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from support.store import START, compute_window

pytestmark = pytest.mark.slow

# All clocks are right, and nobody joins or leaves, so measured figures are exactly the true ones.
STILL = Spec(
    seed=1,
    start_ms=START,
    end_ms=START + HOUR_MS,
    lead_ms=5 * MINUTE_MS,
    nodes=24,
    channels=3,
    channels_of_user=2,
    messages_per_hour=40,
    joining=0.0,
    leaving=0.0,
    restarts=0.0,
    crashes=0,
    skew_ms=0,
    returning=0.0,
    server_stamped=0.0,
    receiver_stamped=0.0,
)


def pairs_of(world: World) -> list[Delivery]:
    start_ms, end_ms = world.spec.start_ms, world.spec.end_ms
    return [pair for pair in world.deliveries if start_ms <= pair.message.sent_at < end_ms]


def group(pairs: Sequence[Delivery]) -> Group:
    found = Group()
    for pair in pairs:
        found.add(pair)
        found.receivers.add(pair.node)
    return found


# -------------------------------------------------------------------------------------- breakdowns


async def test_each_pair_is_counted_in_the_group_of_its_receiver_its_message_and_its_author(
    database: Database,
) -> None:
    world = make_world(
        replace(
            STILL,
            loss=LossModel(
                by_platform={"ios": 0.3},
                by_type={"IMAGE": 0.3},
                independent=0.05,
                by_author_version={"2": 0.2},
                by_path={path_of("a", "b"): 0.3},
            ),
            servers=(Trait("a", 3), Trait("b", 2), Trait("", 1)),
            outsiders=0.1,
            platforms=(Trait("desktop", 12), Trait("ios", 9), Trait("", 2), Trait("web", 1)),
            versions=(Trait("1", 1), Trait("2", 1)),
            message_types=(Trait("TEXT", 4), Trait("IMAGE", 1)),
        )
    )
    pairs = pairs_of(world)
    users = Counter(world.nodes[node].platform for node in {pair.node for pair in pairs})
    assert users["web"] < 3, "too few to be shown"
    await take_in(database, pushes(world))
    # Only the author reports a message that could not be sent, so there must be no cap.
    window = await compute_window(database, weight_cap=1.0)
    reported = {one.message.message_id for one in report(world).arrived}
    pairs = [pair for pair in pairs if pair.message.message_id in reported]
    for dimension in Dimension:
        groups = groups_of([window], dimension)
        of_pair = {pair: values_of(pair, world.nodes)[dimension] for pair in pairs}
        for value, share in groups.items():
            true = group(
                [
                    pair
                    for pair in pairs
                    if of_pair[pair] == value or (value is None and of_pair[pair] not in groups)
                ]
            )
            assert share.counts.expected == true.expected, (dimension, value)
            assert share.counts.missing == true.expected - true.delivered, (dimension, value)
            assert value is None or dimension is not Dimension.PLATFORM or users[value] >= 3
        assert sum(share.counts.expected for share in groups.values()) == window.counts.expected
    assert "web" not in groups_of([window], Dimension.PLATFORM)
    assert {"1", "2"} == groups_of([window], Dimension.APP_VERSION).keys()
    assert {"TEXT", "IMAGE"} == groups_of([window], Dimension.MESSAGE_TYPE).keys()
    assert {"1", "2", ""} == groups_of([window], Dimension.AUTHOR_APP_VERSION).keys()
    assert {path_of("a", "b"), path_of("b", "a"), ""} <= groups_of([window], Dimension.PATH).keys()
    assert sum_of([window]).counts.missing == group(pairs).expected - group(pairs).delivered


@pytest.mark.parametrize(
    ("worse_by", "word"), [(0.0, Word.CANNOT_TELL), (0.1, Word.WORSE), (-0.05, Word.BETTER)]
)
async def test_a_platform_that_loses_more_is_said_to_be_worse(
    database: Database, worse_by: float, word: Word
) -> None:
    base = 0.06
    world = make_world(
        replace(
            STILL,
            nodes=60,
            channels=12,
            channels_of_user=4,
            messages_per_hour=25,
            platforms=(Trait("desktop", 1), Trait("ios", 1)),
            loss=LossModel(by_platform={"desktop": base, "ios": base + worse_by}),
        )
    )
    await take_in(database, pushes(world, push_ms=10 * MINUTE_MS))
    groups = groups_of([await compute_window(database)], Dimension.PLATFORM)
    verdict = verdicts(groups, versus="desktop")["ios"]
    assert verdict is not None
    assert verdict.word is word
    assert verdict.difference.lower <= -worse_by <= verdict.difference.upper


# ------------------------------------------------------------------------------------------ delays

LATE = replace(STILL, slow=0.3, slowest_ms=3 * HOUR_MS, loss=LossModel(independent=0.04))
OFF = replace(LATE, wrong_clocks=0.25, wrong_by_ms=5 * MINUTE_MS)


def true_delays(world: World) -> list[float]:
    """The delays of all expected pairs in ms, ascending; infinite for lost pairs."""
    return sorted(
        math.inf if pair.arrives_ms is None else pair.arrives_ms - pair.message.at_ms
        for pair in pairs_of(world)
    )


def true_on_time(world: World, edge_ms: int) -> float:
    delays = true_delays(world)
    return sum(delay <= edge_ms for delay in delays) / len(delays)


def measured_on_time(window: WindowReliability, edge_ms: int) -> float:
    found = totals_of(window).on_time(edge_ms)
    assert found is not None
    return found


async def test_where_clocks_are_right_delays_are_in_their_classes(database: Database) -> None:
    """Except delays that are below an edge by less than a request takes."""
    world = make_world(LATE)
    await take_in(database, pushes(world))
    window = await compute_window(database)
    delays = [delay for delay in true_delays(world) if delay < math.inf]

    def classes(late_ms: int) -> list[int]:
        found = [0] * DELAY_CLASSES
        for delay in delays:
            found[bisect_left(DELAY_EDGES_MS, delay + late_ms) + 2] += 1
        return found

    measured = window.figures.delays.delivery
    assert sum(measured) == len(delays) == sum(classes(0))
    assert measured[:2] == (0, 0)
    # A push takes up to 200 ms, so the number within each edge is between these two.
    for edge in range(2, DELAY_CLASSES):
        within = sum(measured[: edge + 1])
        assert sum(classes(200)[: edge + 1]) <= within <= sum(classes(0)[: edge + 1])
    share = totals_of(window)
    assert share.quantile(0.5) == DELAY_EDGES_MS[bisect_left(DELAY_EDGES_MS, exact(world, 0.5))]
    assert share.quantile(0.99) is NOT_REACHED, "4 % never come"


def exact(world: World, of: float) -> float:
    delays = true_delays(world)
    return delays[math.ceil(of * len(delays)) - 1]


async def test_a_clock_that_is_told_is_put_right_and_one_that_is_not_does_damage(
    database: Database,
) -> None:
    told = make_world(OFF)
    await take_in(database, pushes(told))
    window = await compute_window(database)
    for edge in ON_TIME_MS.values():
        assert measured_on_time(window, edge) == pytest.approx(true_on_time(told, edge), abs=0.003)
    assert negative_share(window.figures.delays.delivery) == 0

    later = replace(OFF, start_ms=START + 6 * HOUR_MS, end_ms=START + 7 * HOUR_MS)
    silent = make_world(later)
    await take_in(database, pushes(silent, tells_clock=lambda node: node.skew_ms == 0))
    window = await compute_window(database, later.start_ms)
    wrong = negative_share(window.figures.delays.delivery)
    assert wrong is not None
    assert wrong > 0.1
    damage = true_on_time(silent, MINUTE_MS) - measured_on_time(window, MINUTE_MS)
    assert damage > 0.1
    # The delivery ratio does not depend on delays.
    assert window.counts.delivery_ratio == group(pairs_of(silent)).delivery_ratio


# ------------------------------------------------------------------------- what nobody received


@pytest.mark.parametrize("outsiders", [0.0, 0.5, 1.0])
async def test_what_nobody_received_is_estimated_from_the_captures_that_there_were(
    database: Database, outsiders: float
) -> None:
    world = make_world(
        replace(
            STILL,
            nodes=16,
            channels=4,
            channels_of_user=1,
            second_devices=0.0,
            messages_per_hour=100,
            outsiders=outsiders,
            loss=LossModel(independent=0.4),
        )
    )
    await take_in(database, pushes(world))
    window = await compute_window(database)
    by_hand = []
    for channel in window.channels:
        pairs = [p for p in pairs_of(world) if p.message.channel_id == channel.channel_id]
        counts, captures = captured(pairs)
        assert captures == channel.figures.captures
        for name in ("messages", "receivers", "expected", "missing"):
            assert getattr(counts, name) == getattr(channel.counts, name), name
        by_hand.append(unseen_messages(counts, captures))
    known = [messages for messages in by_hand if messages is not None]
    assert window.unseen == pytest.approx(sum(known))
    assert window.unseen is not None
    assert window.unseen > 3


# ------------------------------------------------------------------------------------------- liars

TALK = replace(STILL, loss=LossModel(independent=0.05))


async def measured_with(
    database: Database, lies: Sequence[Push], rules: Mapping[str, Any]
) -> WindowReliability:
    honest = pushes(make_world(TALK))
    await take_in(database, sorted([*honest, *lies], key=lambda push: push.at_ms))
    return await compute_window(database, **rules)


async def test_without_a_liar_the_truth_is_measured(database: Database) -> None:
    window = await measured_with(database, [], {})
    assert window.counts.delivery_ratio == group(pairs_of(make_world(TALK))).delivery_ratio
    assert window.figures.influence is not None
    assert window.figures.influence < 0.01


@pytest.mark.parametrize(
    ("liar", "rules", "is_believed"),
    [
        ("invents as many messages as there are", {"weight_cap": 1.0}, True),
        ("invents as many messages as there are", {"weight_cap": 0.1}, False),
        ("invents as many messages as there are", {"quorum": 2}, False),
        ("invents a tenth", {"weight_cap": 1.0}, True),
        ("invents a tenth", {"weight_cap": 0.1}, True),
        ("invents a tenth", {"quorum": 2}, False),
        ("claims to hold everything", {}, True),
        ("claims to hold nothing", {"weight_cap": 1.0}, False),
        ("claims to hold nothing", {"weight_cap": 0.1}, False),
        ("claims to hold nothing", {"quorum": 2}, False),
        ("floods the quietest channel", {"weight_cap": 1.0}, True),
        ("floods the quietest channel", {"weight_cap": 0.1}, False),
        ("two invent the same, as many as there are", {"weight_cap": 0.1}, True),
        ("two invent the same, as many as there are", {"quorum": 2}, True),
    ],
)
async def test_how_far_a_liar_gets(
    database: Database, liar: str, rules: Mapping[str, Any], is_believed: bool
) -> None:
    """Exactly: all honest receivers lack what is made up, and liars hold what they claim."""
    world = make_world(TALK)
    lies = LIARS[liar](world)
    window = await measured_with(database, lies, rules)
    true = group(pairs_of(world))
    members = Counter(membership.channel_id for membership in world.memberships)
    sent = {message.message_id for message in world.messages}
    said = [
        (push.request.reporter.receiver_public_key, sample)
        for push in lies
        for sample in push.request.samples
        if START <= sample.sent_at < START + HOUR_MS
    ]
    made_up = {
        (sample.channel_id, sample.message_id)
        for _, sample in said
        if is_believed and sample.message_id not in sent
    }
    liars = {push.request.reporter.receiver_public_key for push in lies}
    # A made-up message that only one liar claims is not corroborated for that liar.
    held = sum(sample.message_id in sent or (is_believed and len(liars) > 1) for _, sample in said)
    asked = len({pair.message for pair in pairs_of(world)}) + len(made_up) * (len(liars) > 1)
    if liar == "claims to hold nothing":
        # It is a silent member, so nothing is expected of it.
        asked = 0
        assert window.figures.silent_members == sum(
            len({said.channel_id for said in push.request.memberships}) for push in lies[:1]
        )
    delivered = true.delivered + held
    pairs = true.expected + len(liars) * asked + sum(members[channel] for channel, _ in made_up)
    assert window.counts.corroborated == pairs
    assert window.counts.corroborated - window.counts.missing == delivered
    assert window.figures.influence is not None
    if liar == "invents a tenth" and is_believed:
        assert window.figures.influence > 0.01, "the report marks it"
