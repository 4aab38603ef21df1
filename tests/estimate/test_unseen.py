"""Estimates of how many messages nobody received. Pure."""

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.estimate.unseen import (
    sample_coverage,
    unseen_messages,
    window_sample_coverage,
    window_unseen,
)
from devtelemetry.model import (
    AUDIT_CHANNELS,
    NO_CAPTURES,
    Captures,
    ChannelReliability,
    Counts,
    Figures,
)


def captures_of(holders: Sequence[frozenset[int]]) -> Captures:
    """The captures of messages, each given by the receivers that captured it."""
    alone = [next(iter(who)) for who in holders if len(who) == 1]
    return Captures(
        total=sum(map(len, holders)),
        once=len(alone),
        twice=sum(len(who) == 2 for who in holders),
        once_squared=sum(alone.count(receiver) ** 2 for receiver in set(alone)),
    )


def counts_of(messages: int, receivers: int, occasions: float | None = None) -> Counts:
    """occasions  how many receivers could capture a message, on average; None: all"""
    expected = round(messages * (receivers if occasions is None else occasions))
    return Counts(messages, receivers, expected, missing=0, corroborated=expected)


def test_two_receivers_are_chapmans_lake() -> None:
    """Ten turtles are marked, and of fifteen caught later five have a mark: N = 11 · 16/6 − 1.

    So 5 were caught only the first time, 10 only the second time, and 20 in all.
    """
    first, second = frozenset({1}), frozenset({2})
    holders = [first] * 5 + [second] * 10 + [first | second] * 5
    unseen = unseen_messages(counts_of(20, 2), captures_of(holders))
    assert unseen == pytest.approx(11 * 16 / 6 - 1 - 20, abs=1e-12)


@given(alone=st.tuples(st.integers(0, 500), st.integers(0, 500)), both=st.integers(1, 500))
def test_the_product_of_two_is_found_from_what_is_stored(alone: tuple[int, int], both: int) -> None:
    a, b = alone
    captures = Captures(a + b + 2 * both, a + b, both, a * a + b * b)
    found = unseen_messages(counts_of(a + b + both, 2), captures)
    chapman = (a + both + 1) * (b + both + 1) / (both + 1) - 1
    assert found == pytest.approx(chapman - (a + b + both), rel=1e-9, abs=1e-6)


# Five receivers are the only ones to capture 3, 3, 2, 2 and 2 messages. Q1 = 12, Σ q² = 30, Q2 = 5.
ALIKE = Captures(total=100, once=12, twice=5, once_squared=30)


def test_receivers_that_are_alike_are_chao2() -> None:
    """Chao2 is 4/5 · 12 · 11/(2 · 6) = 8.8; the estimate for those that differ is 9.5."""
    assert unseen_messages(counts_of(40, 5), ALIKE) == pytest.approx(8.8, abs=1e-12)


def test_one_receiver_that_holds_much_more_than_others_is_no_sign_of_many_unseen() -> None:
    """With 10, 1 and 1 it is (144 − 102)/(2 · 6) = 3.5; Chao2 would be 2/3 · 12 · 11/12 = 7.3."""
    captures = Captures(total=60, once=12, twice=5, once_squared=102)
    assert unseen_messages(counts_of(40, 3), captures) == pytest.approx(3.5, abs=1e-12)


def test_coverage_is_chao_and_josts() -> None:
    """t Q0 = 5 · 8.8 = 44, U = 100: 1 − 12/100 · 44/(44 + 12)."""
    expected = 1 - 0.12 * 44 / 56
    assert sample_coverage(counts_of(40, 5), ALIKE) == pytest.approx(expected, abs=1e-12)


def test_coverage_without_a_message_captured_twice_is_that_of_the_authors() -> None:
    """Chao and Jost for Q2 = 0: A = 2/((t − 1)(Q1 − 1) + 2), C = 1 − Q1/U (1 − A)."""
    captures = Captures(total=200, once=3, twice=0, once_squared=3)
    rest = 2 / (9 * 2 + 2)
    expected = 1 - 3 / 200 * (1 - rest)
    assert sample_coverage(counts_of(40, 10), captures) == pytest.approx(expected, abs=1e-12)


def test_chao2_of_two_equal_receivers_is_about_chapman() -> None:
    """Authors report too. Of three receivers two can capture a message, so t is 2, not 3."""
    captures = Captures(total=20 + 40, once=20, twice=20, once_squared=200)
    chao2 = unseen_messages(counts_of(40, 3, occasions=2), captures)
    chapman = unseen_messages(counts_of(40, 2), captures)
    assert chapman == pytest.approx(100 / 21)
    assert chao2 == pytest.approx(95 / 21)


def test_where_two_write_to_each_other_nothing_can_be_said() -> None:
    """Only ben can capture what ann wrote. So each message has one capture, which shows nothing."""
    captures = captures_of([frozenset({1})] * 50 + [frozenset({2})] * 50)
    assert captures.once_squared == 5000
    assert unseen_messages(counts_of(100, 2, occasions=1), captures) is None
    assert sample_coverage(counts_of(100, 2, occasions=1), captures) is None
    assert unseen_messages(counts_of(100, 2, occasions=1.9), captures) is None


def test_nothing_captured_and_one_receiver() -> None:
    assert unseen_messages(Counts(0, 0, 0, 0, 0), NO_CAPTURES) is None
    assert unseen_messages(counts_of(10, 1), Captures(10, 10, 0, 100)) is None
    assert unseen_messages(counts_of(10, 3), NO_CAPTURES) == 0
    assert sample_coverage(counts_of(10, 3), NO_CAPTURES) is None
    assert sample_coverage(counts_of(10, 3), Captures(30, 0, 0, 0)) == 1


@pytest.mark.parametrize("receivers", [2, 3, 4])
def test_messages_that_reach_everyone_by_an_even_coin_are_estimated_without_bias(
    receivers: int,
) -> None:
    """Each set of holders occurs equally often, 400 times, so 400 messages have no holder."""
    times = 400
    ways = [
        frozenset(who)
        for size in range(1, receivers + 1)
        for who in combinations(range(receivers), size)
    ]
    holders = ways * times
    unseen = unseen_messages(counts_of(len(holders), receivers), captures_of(holders))
    assert unseen == pytest.approx(times, rel=0.01)


@given(
    receivers=st.integers(2, 30),
    once=st.integers(0, 300),
    twice=st.integers(0, 300),
    more=st.integers(0, 300),
)
def test_bounds_and_direction(receivers: int, once: int, twice: int, more: int) -> None:
    messages = once + twice + more
    squared = once * once // 2
    captures = Captures(once + 2 * twice + 3 * more, once, twice, squared)
    counts = counts_of(messages, receivers)
    unseen, coverage = unseen_messages(counts, captures), sample_coverage(counts, captures)
    if messages == 0:
        assert unseen is coverage is None
        return
    assert unseen is not None
    assert unseen >= 0
    assert coverage is not None
    assert 0 <= coverage <= 1
    if once:
        better = captures._replace(total=captures.total + 2, twice=twice + 1)
        fewer, more_covered = unseen_messages(counts, better), sample_coverage(counts, better)
        assert fewer is not None
        assert more_covered is not None
        assert fewer <= unseen
        assert more_covered >= coverage
    if once == 0:
        assert (unseen, coverage) == (0, 1)


def channel(channel_id: str, counts: Counts, captures: Captures) -> ChannelReliability:
    return ChannelReliability(channel_id, counts, Figures(captures=captures))


def test_a_window_adds_its_comparable_channels_and_weighs_their_coverage_by_captures() -> None:
    lake = Captures(total=25, once=15, twice=5, once_squared=125)
    channels = [
        channel("a", counts_of(40, 5), ALIKE),
        channel("b", counts_of(20, 2), lake),
        channel("c", counts_of(20, 1), Captures(20, 20, 0, 400)),
        channel(AUDIT_CHANNELS + "x", counts_of(40, 5), ALIKE),
        channel("two friends", counts_of(100, 2, occasions=1), Captures(100, 100, 0, 5000)),
    ]
    assert window_unseen(channels) == pytest.approx(8.8 + 50 / 6)
    of_a, of_b = (sample_coverage(one.counts, one.figures.captures) for one in channels[:2])
    assert of_a is not None
    assert of_b is not None
    assert window_sample_coverage(channels) == pytest.approx((100 * of_a + 25 * of_b) / 125)
    assert window_unseen(channels[2:]) is None
    assert window_sample_coverage(channels[2:]) is None
