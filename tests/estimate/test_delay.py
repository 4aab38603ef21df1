"""On-time ratios and quantiles of delays. Pure."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devtelemetry.estimate.delay import NOT_REACHED, delay_quantile, negative_share, on_time_ratio
from devtelemetry.model import DELAY_CLASSES, DELAY_EDGES_MS, NO_DELAYS, Counts, DelayCounts

SECOND = 1000
MINUTE = 60 * SECOND

DELAYS = st.lists(st.integers(0, 1000), min_size=DELAY_CLASSES, max_size=DELAY_CLASSES).map(tuple)


def counts(expected: int, missing: int, corroborated: int | None = None) -> Counts:
    return Counts(
        messages=expected,
        receivers=2,
        expected=expected,
        missing=missing,
        corroborated=expected if corroborated is None else corroborated,
    )


def delays(*, unknown: int = 0, negative: int = 0, later: int = 0, **within: int) -> DelayCounts:
    """Counts by class; `within` by edge: _1000=5 means five pairs of at most a second."""
    by_edge = {int(edge[1:]): pairs for edge, pairs in within.items()}
    assert by_edge.keys() <= set(DELAY_EDGES_MS)
    return (unknown, negative, *(by_edge.get(edge, 0) for edge in DELAY_EDGES_MS), later)


# 100 pairs, 20 missing, delivery ratio 0.8. Of the 80 delivered pairs, 4 have an unknown and 1 a
# negative delay. Of the other 75, 60 are within 1 s, 9 more within a minute, 6 later than a day.
COUNTS = counts(100, 20)
WORKED = delays(unknown=4, negative=1, later=6, _1000=60, _60000=9)


def test_the_on_time_ratio_counts_what_was_lost_and_not_what_nobody_knows() -> None:
    assert on_time_ratio(COUNTS, WORKED, SECOND) == 0.8 * 60 / 75
    assert on_time_ratio(COUNTS, WORKED, 30 * SECOND) == 0.8 * 60 / 75
    assert on_time_ratio(COUNTS, WORKED, MINUTE) == pytest.approx(0.8 * 69 / 75, abs=1e-15)
    assert on_time_ratio(COUNTS, WORKED, DELAY_EDGES_MS[-1]) == pytest.approx(0.736, abs=1e-15)


def test_it_is_of_corroborated_pairs_as_the_delivery_ratio_is() -> None:
    assert on_time_ratio(counts(100, 20, 40), delays(_1000=80), SECOND) == 0.5


@pytest.mark.parametrize(
    ("share", "edge_ms"),
    [(0.5, SECOND), (0.64, SECOND), (0.65, MINUTE), (0.736, MINUTE), (0.74, None), (0.81, None)],
)
def test_a_quantile_is_of_all_that_should_have_been_delivered(
    share: float, edge_ms: int | None
) -> None:
    """A share of 0.736 came within a minute, 0.064 after a day, and 0.2 never."""
    found = delay_quantile(COUNTS, WORKED, share)
    assert found == (NOT_REACHED if edge_ms is None else edge_ms)


def test_nineteen_of_twenty_are_95_percent() -> None:
    of_twenty = delays(_1000=19, _5000=1)
    assert delay_quantile(counts(20, 0), of_twenty, 0.95) == SECOND
    assert delay_quantile(counts(20, 0), of_twenty, 0.96) == 5 * SECOND


def test_without_a_known_delay_or_a_delivery_ratio_there_is_none() -> None:
    nobody_knows = delays(unknown=70, negative=10)
    assert on_time_ratio(COUNTS, nobody_knows, MINUTE) is None
    assert delay_quantile(COUNTS, nobody_knows, 0.5) is None
    assert on_time_ratio(counts(80, 0, 0), delays(_1000=80), MINUTE) is None
    assert negative_share(NO_DELAYS.delivery) is None


def test_all_lost_is_not_reached_rather_than_unknown() -> None:
    """It is known that nothing was delivered, and other pairs show that delays are known."""
    assert delay_quantile(counts(100, 99, 100), delays(_1000=1), 0.02) is NOT_REACHED


def test_negative_delays_are_a_share_of_those_known() -> None:
    assert negative_share(WORKED) == 1 / 76
    assert negative_share(delays(unknown=10, _1000=5)) == 0


@pytest.mark.parametrize("edge_ms", [0, 999, 7 * MINUTE])
def test_only_an_edge_of_the_classes_can_be_asked_for(edge_ms: int) -> None:
    with pytest.raises(ValueError, match="must be one of 1000, 2000"):
        on_time_ratio(COUNTS, WORKED, edge_ms)


def test_what_makes_no_sense_is_refused() -> None:
    for share in (0.0, 1.01, -0.5):
        with pytest.raises(ValueError, match="share"):
            delay_quantile(COUNTS, WORKED, share)
    with pytest.raises(ValueError, match="there are 15"):
        on_time_ratio(COUNTS, WORKED[:-1], MINUTE)
    with pytest.raises(ValueError, match="there are 15"):
        negative_share((*WORKED, 0))


@given(classes=DELAYS, missing=st.integers(0, 1000))
def test_later_edges_hold_more_and_never_more_than_was_delivered(
    classes: DelayCounts, missing: int
) -> None:
    of = counts(sum(classes) + missing, missing)
    ratios = [on_time_ratio(of, classes, edge) for edge in DELAY_EDGES_MS]
    assume(None not in ratios)
    known = [ratio for ratio in ratios if ratio is not None]
    assert known == sorted(known)
    assert of.delivery_ratio is not None
    assert 0 <= known[0] <= known[-1] <= of.delivery_ratio
    if classes[-1] == 0:
        assert known[-1] == of.delivery_ratio


@given(classes=DELAYS, missing=st.integers(0, 1000), share=st.floats(0.001, 1))
def test_the_quantile_is_the_least_edge_whose_ratio_reaches_it(
    classes: DelayCounts, missing: int, share: float
) -> None:
    of = counts(sum(classes) + missing, missing)
    edge = delay_quantile(of, classes, share)
    ratios = {edge: on_time_ratio(of, classes, edge) for edge in DELAY_EDGES_MS}
    if edge is None:
        assert set(ratios.values()) == {None}
        return
    reached = [edge for edge, ratio in ratios.items() if ratio is not None and ratio >= share]
    assert edge == (min(reached) if reached else NOT_REACHED)
