"""A plan expects what simulated networks have."""

from collections import Counter
from dataclasses import replace
from statistics import mean

import pytest

from devtelemetry.estimate.interval import window_interval
from devtelemetry.estimate.plan import Plan, expected_of
from devtelemetry.model import Counts, Spread, Spreads
from devtelemetry.simulator.loss import LOSS_MODELS, PLATFORMS, TIMES_WORSE, WORSE_PLATFORM
from devtelemetry.simulator.spec import World
from devtelemetry.simulator.world import make_world
from support.program import in_process
from support.simulated import spec

SHARE = 0.02
SEEDS = range(1, 9)
STEADY = {
    "second_devices": 0.0, "joining": 0.0, "leaving": 0.0, "returning": 0.0, "restarts": 0.0,
    "crashes": 0, "lead_ms": 0,
}  # fmt: skip


def of_platform(loss: float) -> tuple[float, float]:
    """Mean loss, and the correlation within a receiver, if one platform is worse."""
    rates = [
        (one.weight, TIMES_WORSE * loss if one.name == WORSE_PLATFORM else loss)
        for one in PLATFORMS
    ]
    whole = sum(share for share, _ in rates)
    rate = sum(share * of_it for share, of_it in rates) / whole
    variance = sum(share * (of_it - rate) ** 2 for share, of_it in rates) / whole
    return rate, variance / (rate * (1 - rate))


def measured(world: World) -> tuple[int, float]:
    """How many channels are comparable, and how wide the interval over all of them is."""
    members = Counter(one.channel_id for one in world.memberships)
    pairs, missing = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for one in world.deliveries:
        if members[one.message.channel_id] >= 2:
            cell = (one.node, one.message.channel_id)
            pairs[cell] += 1
            missing[cell] += one.arrives_ms is None

    def spread(*axes: int) -> Spread:
        n, x = Counter[object](), Counter[object]()
        for cell, number in pairs.items():
            key = tuple(cell[axis] for axis in axes)
            n[key] += number
            x[key] += missing[cell]
        squares = ((x[key] ** 2, x[key] * number, number**2) for key, number in n.items())
        return Spread(len(n), *map(sum, zip(*squares, strict=True)))

    n, x = sum(pairs.values()), sum(missing.values())
    found = window_interval(
        Counts(0, len(pairs), n, x, n),
        Spreads(spread(1), spread(0), spread(0, 1)),
    )
    assert found is not None
    return sum(number >= 2 for number in members.values()), found.upper - found.lower


@pytest.mark.slow
@pytest.mark.parametrize("model", ["independent", "platform"])
@pytest.mark.parametrize(("nodes", "channels"), [(150, 30), (60, 90), (400, 40)])
def test_it_is_what_simulated_networks_have(model: str, nodes: int, channels: int) -> None:
    loss, correlation = (0.05, 0.0) if model == "independent" else of_platform(0.05)
    of_user, messages = 3, 40.0
    users = round(nodes / SHARE)
    plan = Plan(users, SHARE, channels, users * of_user / channels, messages, loss, correlation)
    expected = expected_of(plan)
    worlds = [
        make_world(
            replace(
                spec(nodes=nodes, channels=channels, messages_per_hour=messages, **STEADY),
                seed=seed,
                loss=LOSS_MODELS[model](0.05),
                outsiders=1 - SHARE,
            )
        )
        for seed in SEEDS
    ]
    comparable, widths = zip(*map(measured, worlds), strict=True)
    assert expected.interval is not None
    width = expected.interval.upper - expected.interval.lower
    print(
        f"{model} {nodes} {channels}: {expected.comparable:.1f} {mean(comparable):.1f}, "
        f"{100 * width:.2f} {100 * mean(widths):.2f}"
    )
    assert expected.comparable == pytest.approx(mean(comparable), rel=0.05)
    assert width == pytest.approx(mean(widths), rel=0.2)


def test_a_chat_of_two_is_comparable_if_both_opt_in() -> None:
    found = expected_of(Plan(200_000, 0.02, 1_000_000, 2, 20, 0.03, 0.05))
    assert found.comparable == pytest.approx(1_000_000 * 0.02**2)
    assert found.pairs == pytest.approx(found.comparable * 20)


def test_the_more_opt_in_the_narrower() -> None:
    widths = []
    for share in (0.005, 0.02, 0.1):
        interval = expected_of(Plan(200_000, share, 4_000, 200, 100, 0.03, 0.05)).interval
        assert interval is not None
        assert interval.lower < 0.97 < interval.upper
        widths.append(interval.upper - interval.lower)
    assert widths == sorted(widths, reverse=True)


def test_too_few_for_an_interval_and_nobody_at_all() -> None:
    assert expected_of(Plan(1_000, 0.002, 50, 20, 100, 0.03, 0.05)).interval is None
    assert expected_of(Plan(1_000, 0.0, 50, 20, 100, 0.03, 0.05)).pairs == 0


def test_the_command_says_it_for_each_share() -> None:
    asked = ("plan", "--users=200000", "--channels=4000", "--members=200")
    table = in_process(*asked, "--share=0.02").out
    assert "2.00 %" in table
    (one,) = in_process(*asked, "--share=0.02", "--json").document["plans"]
    assert one["comparable"] == pytest.approx(3_641, abs=10)
    assert len(in_process(*asked, "--json").document["plans"]) > 5
