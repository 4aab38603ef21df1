"""Whether one delivery ratio is better than another. Pure."""

from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.estimate.interval import Interval, interval_of, wilson
from devtelemetry.estimate.verdict import Word, compare
from devtelemetry.model import Counts, Spread

INTERVALS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(
    lambda values: Interval(*sorted(values))
)


# Newcombe's method 10 (Statistics in Medicine 17 (1998), 873–890, table II).
@pytest.mark.parametrize(
    ("hits_a", "of_a", "hits_b", "of_b", "lower", "upper"),
    [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090)],
)
def test_published_intervals_of_a_difference(
    hits_a: int, of_a: int, hits_b: int, of_b: int, lower: float, upper: float
) -> None:
    z = NormalDist().inv_cdf(0.975)
    verdict = compare(wilson(hits_a / of_a, of_a, z), wilson(hits_b / of_b, of_b, z))
    assert verdict is not None
    found = verdict.difference
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=5e-5)
    assert found.estimate == hits_a / of_a - hits_b / of_b
    assert verdict.word is Word.BETTER


def test_too_few_clusters_on_either_side_are_no_verdict() -> None:
    few, many = Spread(9, 9 * 25, 9 * 500, 9 * 10_000), Spread(20, 500, 10_000, 200_000)
    of_few = interval_of(Counts(100, 9, 900, 45, 900), few)
    of_many = interval_of(Counts(100, 20, 2000, 100, 2000), many)
    assert of_many is not None
    assert compare(of_few, of_many) is None
    assert compare(of_many, of_few) is None
    assert compare(of_many, of_many) is not None


@pytest.mark.parametrize(
    ("b", "word"),
    [
        (Interval(0.80, 0.85, 0.90), Word.BETTER),
        (Interval(0.88, 0.93, 0.97), Word.CANNOT_TELL),
        (Interval(0.995, 0.999, 1.0), Word.WORSE),
    ],
)
def test_the_word_says_where_zero_lies(b: Interval, word: Word) -> None:
    verdict = compare(Interval(0.93, 0.95, 0.965), b)
    assert verdict is not None
    assert verdict.word is word


def test_two_groups_without_a_loss_cannot_be_told_apart() -> None:
    """Both variances read 0, so an interval made from their sum would be far too sure."""
    verdict = compare(Interval(0.7, 1.0, 1.0), Interval(0.9, 1.0, 1.0))
    assert verdict is not None
    assert verdict.word is Word.CANNOT_TELL
    found = verdict.difference
    assert (found.lower, found.estimate, found.upper) == pytest.approx((-0.3, 0.0, 0.1))


@given(a=INTERVALS, b=INTERVALS)
def test_it_holds_the_difference_and_turns_with_the_groups(a: Interval, b: Interval) -> None:
    there, back = compare(a, b), compare(b, a)
    assert there is not None
    assert back is not None
    found = there.difference
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert found.estimate == a.estimate - b.estimate
    assert back.difference == Interval(-found.upper, -found.estimate, -found.lower)
    turned = {
        Word.BETTER: Word.WORSE,
        Word.WORSE: Word.BETTER,
        Word.CANNOT_TELL: Word.CANNOT_TELL,
    }
    assert back.word is turned[there.word]


@given(a=INTERVALS, b=INTERVALS)
def test_intervals_that_are_apart_decide_and_those_that_hold_both_do_not(
    a: Interval, b: Interval
) -> None:
    verdict = compare(a, b)
    assert verdict is not None
    if a.lower > b.upper:
        assert verdict.word is Word.BETTER
    if a.lower <= b.estimate <= a.upper:
        assert verdict.word is Word.CANNOT_TELL
