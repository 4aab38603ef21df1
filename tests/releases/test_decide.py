"""Ship, hold, or how many more receivers; and the difference of matched strata. Pure."""

from dataclasses import replace

import numpy as np
import pytest
from bench.releases import LAYOUTS, LOSSES, Layout, world

from devtelemetry.estimate.interval import Interval
from devtelemetry.estimate.matched import Compared, Matched, Pairs
from devtelemetry.releases.decide import Decided, Decision, decide

MARGIN = 0.005


def compared(lower: float, estimate: float, upper: float) -> Compared:
    return Compared(10, 1_000, 1_000, 300, 100, 0.97, 0.97, Interval(lower, estimate, upper))


@pytest.mark.parametrize(
    ("between", "decision"),
    [
        ((-0.004, 0.0, 0.004), Decision.SHIP),
        ((-0.0049, -0.004, -0.003), Decision.SHIP),  # surely worse, but within the margin
        ((-0.009, -0.007, -0.0051), Decision.HOLD),
        ((-0.006, 0.0, 0.006), Decision.NEEDS_MORE),
        ((-0.009, -0.007, -0.005), Decision.NEEDS_MORE),
    ],
)
def test_the_margin_decides(between: tuple[float, float, float], decision: Decision) -> None:
    assert decide(compared(*between), MARGIN).decision is decision


def test_twice_too_wide_an_interval_needs_four_times_the_receivers() -> None:
    assert decide(compared(-0.010, 0.0, 0.010), MARGIN) == Decided(Decision.NEEDS_MORE, 1_200)
    # The same between needing more and a hold.
    assert decide(compared(-0.020, -0.010, 0.0), MARGIN) == Decided(Decision.NEEDS_MORE, 1_200)


def test_at_the_margin_itself_no_number_is_named() -> None:
    assert decide(compared(-0.010, -0.005, 0.0), MARGIN) == Decided(Decision.NEEDS_MORE)
    assert decide(compared(-0.010, -0.00501, 0.0), MARGIN) == Decided(Decision.NEEDS_MORE)


def test_without_an_interval_there_are_ten_of_each_to_come() -> None:
    few = replace(compared(0, 0, 0), receivers_a=12, receivers_b=4, difference=None)
    assert decide(few, MARGIN) == Decided(Decision.NEEDS_MORE, 6)
    unequal = replace(few, receivers_b=12)  # one receiver has nearly all pairs
    assert decide(unequal, MARGIN) == Decided(Decision.NEEDS_MORE)


def test_what_a_stratum_does_to_both_cancels_out() -> None:
    matched = Matched()
    for stratum, (loss, old, new) in enumerate([(1, 30, 10), (5, 10, 30), (2, 20, 20)]):
        for by in range(2):  # one day, and another
            matched.add(
                {100 * stratum + at: Pairs(loss, 20) for at in range(old)},
                {1_000 + 100 * stratum + at: Pairs(loss + 1, 20 + 20 * by) for at in range(new)},
            )
    found = matched.compared()
    assert found.strata == 6
    assert (found.receivers_a, found.receivers_b) == (60, 60)
    assert (found.pairs_a, found.pairs_b) == (2_400, 3_600)
    one = Matched()
    one.add({at: Pairs(1, 20) for at in range(30)}, {50 + at: Pairs(2, 20) for at in range(10)})
    of_one = one.compared()
    assert of_one.ratio_a == pytest.approx(0.95)
    assert of_one.ratio_b == pytest.approx(0.90)
    assert of_one.difference is not None
    assert of_one.difference.estimate == pytest.approx(-0.05)


def test_nothing_matched_tells_nothing() -> None:
    assert Matched().compared() == Compared(0, 0, 0, 0, 0, None, None, None)


def test_where_nothing_is_lost_it_is_not_sure_that_nothing_ever_is() -> None:
    matched = Matched()
    matched.add({at: Pairs(0, 50) for at in range(30)}, {50 + at: Pairs(0, 50) for at in range(30)})
    found = matched.compared().difference
    assert found is not None
    assert found.lower == pytest.approx(-0.1)  # three of thirty
    assert found.upper == pytest.approx(0.1)


def test_one_receiver_that_loses_all_is_no_sure_sign() -> None:
    matched = Matched()
    new = {50 + at: Pairs(0, 50) for at in range(20)} | {99: Pairs(50, 50)}
    matched.add({at: Pairs(1, 50) for at in range(30)}, new)
    found = matched.compared()
    assert found.difference is not None
    assert found.difference.lower < -0.1 < 0 < found.difference.upper
    assert decide(found).decision is Decision.NEEDS_MORE


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_in_worlds_of_known_truth_the_decision_is_hardly_ever_wrong(layout: Layout) -> None:
    """A one-sided bound may be wrong once in forty; the test allows three standard errors more."""
    worlds = 20
    alike, at_the_margin, much_worse = (
        [decide(world(generator, layout, 60, more).found).decision for _ in range(worlds)]
        for more in LOSSES
        for generator in [np.random.default_rng([1, round(1e4 * more)])]
    )
    most = worlds / 40 + 3 * (worlds / 40) ** 0.5
    assert alike.count(Decision.HOLD) <= most
    assert at_the_margin.count(Decision.SHIP) <= most
    assert much_worse.count(Decision.SHIP) == 0
