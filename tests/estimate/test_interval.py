"""Intervals of delivery ratios. Pure."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devtelemetry.estimate.interval import (
    MIN_CLUSTERS,
    Interval,
    design_effect,
    effective_clusters,
    interval_of,
    wilson,
    window_interval,
)
from devtelemetry.estimate.student import t_quantile
from devtelemetry.model import Counts, Spread, Spreads

pytestmark = pytest.mark.slow

Cluster = tuple[int, int]  # missing, corroborated

CLUSTER = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
ENOUGH = st.lists(CLUSTER, min_size=MIN_CLUSTERS, max_size=60)
# A receiver's pairs in a channel; 0 of 0 is not a cluster.
CELL = st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
GRID = st.lists(
    st.lists(CELL, min_size=12, max_size=12), min_size=MIN_CLUSTERS, max_size=MIN_CLUSTERS + 4
)


def counts_of(clusters: Sequence[Cluster]) -> Counts:
    missing, pairs = (sum(values) for values in zip(*clusters, strict=True))
    return Counts(messages=1, receivers=2, expected=pairs, missing=missing, corroborated=pairs)


def spread_of(clusters: Sequence[Cluster]) -> Spread:
    spread = Spread()
    for x, n in clusters:
        if n:
            spread = spread.plus(Spread(1, x * x, x * n, n * n))
    return spread


def grid(cells: Sequence[Sequence[Cluster]]) -> tuple[Counts, Spreads]:
    """Counts and spreads of cells; rows are receivers, columns are channels."""
    parts = [cell for row in cells for cell in row]

    def sums(lines: Sequence[Sequence[Cluster]]) -> Spread:
        return spread_of([(sum(x for x, _ in line), sum(n for _, n in line)) for line in lines])

    columns = list(zip(*cells, strict=True))
    return counts_of(parts), Spreads(sums(columns), sums(cells), spread_of(parts))


def found(clusters: Sequence[Cluster]) -> Interval:
    interval = interval_of(counts_of(clusters), spread_of(clusters))
    assert interval is not None
    return interval


def width(interval: Interval) -> float:
    return interval.upper - interval.lower


def test_a_hand_worked_interval() -> None:
    """Ten receivers, 100 pairs each: five lost 10, five lost 20. L = 150/1000 = 0.15.

    Σ(x − L n)² = 10 · 5² = 250, so v = 10/9 · 250/1000² = 0.00027778. For independent pairs it
    would be 0.1275/1000 = 0.0001275, so deff = 2.178649 and 1000/deff = 459. The losses are on
    150²/2500 = 9 clusters, so t has 9 degrees of freedom: 2.262157, and w = t²/459 = 0.01114892.
    centre = (0.85 + w/2)/(1 + w), half = √(w (0.1275 + w/4))/(1 + w).
    """
    interval = found([(10, 100)] * 5 + [(20, 100)] * 5)
    assert interval.estimate == 0.85
    assert interval.lower == pytest.approx(0.808448637, abs=1e-8)
    assert interval.upper == pytest.approx(0.883833167, abs=1e-8)


# Wilson's interval without clusters, from Newcombe's table (Statistics in Medicine 17 (1998),
# 857–872, table I, method 3).
@pytest.mark.parametrize(
    ("hits", "of", "lower", "upper"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals_of_independent_pairs(
    hits: int, of: int, lower: float, upper: float
) -> None:
    interval = wilson(hits / of, of, NormalDist().inv_cdf(0.975))
    assert (interval.lower, interval.upper) == pytest.approx((lower, upper), abs=5e-5)


# Weil's litters (Williams, Biometrics 31 (1975), 949–952): how many pups died, of how many.
CONTROL = list(
    zip(
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 1, 2, 3, 3],
        [13, 12, 9, 9, 8, 8, 13, 12, 10, 10, 9, 13, 5, 7, 10, 10],
        strict=True,
    )
)
TREATED = list(
    zip(
        [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 5, 3, 7, 7],
        [12, 11, 10, 9, 11, 10, 10, 9, 9, 5, 9, 7, 10, 6, 10, 7],
        strict=True,
    )
)


@pytest.mark.parametrize("litters", [CONTROL, TREATED])
def test_the_design_effect_is_that_of_rao_and_scott(litters: list[Cluster]) -> None:
    """v/(p(1 − p)/n), where v is the variance of a ratio over clusters, in exact fractions."""
    missing, pairs = sum(x for x, _ in litters), sum(n for _, n in litters)
    loss = Fraction(missing, pairs)
    residuals = sum((x - loss * n) ** 2 for x, n in litters)
    variance = Fraction(len(litters), len(litters) - 1) * residuals / pairs**2
    effect = variance / (loss * (1 - loss) / pairs)
    assert effect > 1
    losing = min(
        Fraction(missing**2, sum(x * x for x, _ in litters)),
        Fraction((pairs - missing) ** 2, sum((n - x) ** 2 for x, n in litters)),
    )
    t = t_quantile(0.975, math.floor(losing))
    expected = wilson(float(1 - loss), float(pairs / effect), t)
    interval = found(litters)
    assert (interval.lower, interval.upper) == pytest.approx((expected.lower, expected.upper))


def test_a_variance_below_that_of_independent_pairs_is_not_believed() -> None:
    """That every cluster loses exactly the same is chance, because losses have no memory."""
    interval = found([(5, 100)] * 20)
    expected = wilson(0.95, 2000, t_quantile(0.975, 19))
    assert interval == expected


def test_t_has_the_clusters_less_one_where_they_are_alike() -> None:
    wider = found([(5, 100)] * 10)
    assert wider == wilson(0.95, 1000, t_quantile(0.975, 9))


def test_losses_on_few_clusters_are_less_sure_than_as_many_on_all() -> None:
    on_all = found([(5, 100)] * 20)
    on_two = found([(50, 100)] * 2 + [(0, 100)] * 18)
    assert on_two.estimate == on_all.estimate
    assert on_two.lower < on_all.lower < on_all.upper < on_two.upper


def test_without_a_loss_three_clusters_may_be_lost() -> None:
    assert found([(0, 100)] * 20) == Interval(1 - 3 / 20, 1.0, 1.0)
    assert found([(100, 100)] * 20) == Interval(0.0, 0.0, 3 / 20)


def test_unequal_clusters_without_a_loss_count_for_fewer() -> None:
    """One has half of the pairs: like (190 + 190)² / (190² + 19 · 10²) = 3.8 equal clusters."""
    clusters = [(0, 190)] + [(0, 10)] * 19
    assert effective_clusters(counts_of(clusters), spread_of(clusters)) == 3.8
    assert found(clusters) == Interval(1 - 3 / 3.8, 1.0, 1.0)


@pytest.mark.parametrize("lost", [0, 5, 100])
def test_below_ten_clusters_nothing_is_said(lost: int) -> None:
    clusters = [(lost, 100)] * 9
    assert interval_of(counts_of(clusters), spread_of(clusters)) is None
    assert found([*clusters, (lost, 100)])


def test_nothing_is_said_where_one_cluster_has_nearly_all() -> None:
    clusters = [(50, 1000)] + [(1, 10)] * 19
    assert effective_clusters(counts_of(clusters), spread_of(clusters)) < 3
    assert interval_of(counts_of(clusters), spread_of(clusters)) is None


def test_no_delivery_ratio_has_no_interval() -> None:
    nothing = Counts(messages=0, receivers=0, expected=0, missing=0, corroborated=0)
    assert interval_of(nothing, Spread()) is None
    clusters = [(5, 100)] * 20
    counts = replace(counts_of(clusters), corroborated=99)
    assert interval_of(counts, spread_of(clusters)) is None
    assert interval_of(counts_of(clusters), Spread()) is None, "a window from before there were any"


@given(clusters=ENOUGH)
def test_it_holds_its_estimate_and_lies_within_0_and_1(clusters: list[Cluster]) -> None:
    counts = counts_of(clusters)
    interval = interval_of(counts, spread_of(clusters))
    if interval is None:
        assert effective_clusters(counts, spread_of(clusters)) < 3
        return
    assert interval.estimate == counts.delivery_ratio
    assert 0 <= interval.lower <= interval.estimate <= interval.upper <= 1
    assert interval.lower < interval.upper


@given(clusters=ENOUGH)
def test_it_is_never_narrower_than_that_of_independent_pairs(clusters: list[Cluster]) -> None:
    counts = counts_of(clusters)
    interval = interval_of(counts, spread_of(clusters))
    assume(interval is not None)
    assert interval is not None
    assume(0 < interval.estimate < 1)
    plain = wilson(interval.estimate, counts.corroborated, t_quantile(0.975, len(clusters) - 1))
    assert width(interval) >= width(plain) * (1 - 1e-12)


@given(clusters=ENOUGH)
def test_what_is_lost_and_what_is_held_mirror_each_other(clusters: list[Cluster]) -> None:
    interval = interval_of(counts_of(clusters), spread_of(clusters))
    mirrored = [(n - x, n) for x, n in clusters]
    other = interval_of(counts_of(mirrored), spread_of(mirrored))
    assert (interval is None) == (other is None)
    if interval and other:
        assert interval.lower == pytest.approx(1 - other.upper, abs=1e-12)
        assert interval.upper == pytest.approx(1 - other.lower, abs=1e-12)


@given(clusters=ENOUGH, times=st.integers(2, 5))
def test_the_same_clusters_several_times_over_are_surer(
    clusters: list[Cluster], times: int
) -> None:
    once = interval_of(counts_of(clusters), spread_of(clusters))
    assume(once is not None)
    more = interval_of(counts_of(clusters * times), spread_of(clusters * times))
    assert once is not None
    assert more is not None
    assert width(more) < width(once)


@given(clusters=ENOUGH, times=st.integers(2, 1000))
def test_larger_clusters_with_the_same_ratios_are_hardly_surer(
    clusters: list[Cluster], times: int
) -> None:
    """More messages do not make up for few receivers. That is the purpose of clusters."""
    once = interval_of(counts_of(clusters), spread_of(clusters))
    larger = [(x * times, n * times) for x, n in clusters]
    more = interval_of(counts_of(larger), spread_of(larger))
    assert (once is None) == (more is None)
    if once is None or more is None:
        return
    assert width(more) <= width(once) * (1 + 1e-9)
    loss = Fraction(sum(x for x, _ in clusters), sum(n for _, n in clusters))
    squares = sum((x - loss * n) ** 2 for x, n in clusters)
    if len(clusters) * squares >= (len(clusters) - 1) * loss * (1 - loss) * sum(
        n for _, n in clusters
    ):
        assert width(more) == pytest.approx(width(once), rel=1e-9)


@given(left=ENOUGH, right=ENOUGH)
def test_added_spreads_are_the_spread_of_both(left: list[Cluster], right: list[Cluster]) -> None:
    assert spread_of(left).plus(spread_of(right)) == spread_of(left + right)


@given(cells=GRID)
def test_a_window_is_never_surer_than_its_receivers_or_its_channels(
    cells: list[list[Cluster]],
) -> None:
    assume(any(n for row in cells for _, n in row))
    counts, spreads = grid(cells)
    both = window_interval(counts, spreads)
    by_receiver = interval_of(counts, spreads.over_receivers)
    by_channel = interval_of(counts, spreads.over_channels)
    assert (both is None) == (by_receiver is None or by_channel is None)
    if both is None or by_receiver is None or by_channel is None:
        return
    assert both.lower <= min(by_receiver.lower, by_channel.lower) + 1e-12
    assert both.upper >= max(by_receiver.upper, by_channel.upper) - 1e-12
    assert 0 <= both.lower <= both.estimate == counts.delivery_ratio
    assert both.estimate <= both.upper <= 1


def test_a_window_adds_both_ways_and_takes_off_what_is_counted_twice() -> None:
    """12 receivers in 12 channels, 10 pairs in each; two receivers and three channels lose much.

    Each cut has K = 12 equal clusters, so with X = 180 of N = 1440, L = 1/8:
    deff = K/(K−1) Σ(x − L n)² / (N L (1 − L)).
    """
    lost = [
        [5 * (r < 2) + (15 if c < 3 else 0) // 3 * (r >= 2) for c in range(12)] for r in range(12)
    ]
    cells = [[(x, 10) for x in row] for row in lost]
    counts, spreads = grid(cells)
    loss = Fraction(counts.missing, counts.corroborated)

    def effect(clusters: list[Cluster]) -> Fraction:
        residuals = sum((x - loss * n) ** 2 for x, n in clusters)
        shape = Fraction(len(clusters), len(clusters) - 1)
        return shape * residuals / (counts.corroborated * loss * (1 - loss))

    by_receiver = effect([(sum(row), 120) for row in lost])
    by_channel = effect([(sum(column), 120) for column in zip(*lost, strict=True)])
    by_part = effect([(x, 10) for row in lost for x in row])
    assert by_receiver + by_channel - by_part > max(by_receiver, by_channel) > 1
    deff = float(by_receiver + by_channel - by_part)
    losing = min(
        Fraction(counts.missing**2, sum(sum(line) ** 2 for line in lines))
        for lines in (lost, list(zip(*lost, strict=True)))
    )
    expected = wilson(
        float(1 - loss), counts.corroborated / deff, t_quantile(0.975, math.floor(losing))
    )
    interval = window_interval(counts, spreads)
    assert interval is not None
    assert (interval.lower, interval.upper) == pytest.approx((expected.lower, expected.upper))


def test_receivers_that_lose_window_after_window_are_no_new_ones() -> None:
    """24 hours of the same receivers show little more than one hour, not 24 times as much.

    Their losses beyond chance are the same in all hours, so deff is 1 + 24 (deff of an hour − 1).
    As one window the day has 24 times the deff of an hour, because no hour has losses by chance.
    """
    hour = [(20, 100)] * 3 + [(1, 100)] * 17
    day = [(24 * x, 24 * n) for x, n in hour]
    counts, spread = counts_of(hour * 24), spread_of(hour * 24)
    of_hour = design_effect(counts_of(hour), spread_of(hour))
    assert design_effect(counts_of(day), spread_of(day)) == pytest.approx(24 * of_hour)
    assert design_effect(counts, spread, windows=24) == pytest.approx(1 + 24 * (of_hour - 1))
    added = interval_of(counts, spread, windows=24)
    assert added is not None
    assert width(found(day)) == pytest.approx(width(added), rel=0.1)
    assert width(found(hour * 24)) < width(added) / 3


def test_windows_without_a_loss_beyond_chance_add_up_to_one_large_window() -> None:
    hour = [(5, 100)] * 20
    added = interval_of(counts_of(hour * 24), spread_of(hour * 24), windows=24)
    assert added == wilson(0.95, 48_000, t_quantile(0.975, 19))


def test_the_clusters_of_several_windows_are_counted_once() -> None:
    hour = [(0, 100)] * 12
    counts, spread = counts_of(hour * 6), spread_of(hour * 6)
    assert interval_of(counts, spread, windows=6) == Interval(1 - 3 / 12, 1.0, 1.0)
    assert interval_of(counts_of(hour[:9] * 6), spread_of(hour[:9] * 6), windows=6) is None
    assert interval_of(counts_of(hour[:9] * 6), spread_of(hour[:9] * 6)) is not None


@given(cells=GRID, windows=st.integers(2, 6))
def test_a_span_is_never_surer_than_its_sums_taken_for_one_window(
    cells: list[list[Cluster]], windows: int
) -> None:
    assume(any(n for row in cells for _, n in row))
    counts, spreads = grid(cells)
    once = window_interval(counts, spreads)
    several = window_interval(counts, spreads, windows)
    if once is None:
        assert several is None
    if once is None or several is None:
        return
    assert several.lower <= once.lower
    assert several.upper >= once.upper
