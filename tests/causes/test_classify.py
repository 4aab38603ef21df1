"""Classes and runs, compared with docs/causes.md computed in the plainest way."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.causes.classify import (
    BURST_MESSAGES,
    LossPattern,
    LossPeriods,
    Run,
    classify,
    loss_periods,
    pairs_of,
    pattern_counts,
    runs_of,
    sequence,
)


def classes(*known: str, captures: Sequence[int] | None = None, burst: int = 3) -> list[str]:
    """The sequences of receivers as text, after their missing pairs were classified."""
    sequences = [one.encode() for one in known]
    if captures is None:
        captures = [sum(letter == "+" for letter in of) for of in zip(*known, strict=True)]
    return [one.decode() for one in classify(sequences, captures, burst).sequences]


def test_what_nobody_holds_is_lost_by_everyone() -> None:
    assert classes("+-+", "+-+", "+-+") == ["+e+", "+e+", "+e+"]


def test_what_the_only_receiver_that_was_to_hold_it_lacks_is_lost_by_everyone() -> None:
    assert classes("-", ".") == ["e", "."]


def test_what_one_lacks_of_what_others_hold_is_lost_by_one() -> None:
    assert classes("+-+", "+++", "+++")[0] == "+o+"


def test_what_several_lack_and_some_hold_is_scattered() -> None:
    assert classes("+-+", "+-+", "+++") == ["+s+", "+s+", "+++"]


def test_a_run_of_what_others_hold_is_a_burst_whoever_else_lacks_it() -> None:
    assert classes("+---+", "++-++", "+++++") == ["+bbb+", "++s++", "+++++"]
    assert classes("+--+", "++++") == ["+oo+", "++++"]


def test_what_everyone_lost_neither_makes_nor_ends_a_burst() -> None:
    # Two messages that others hold, around one that nobody holds, are not a burst. Three are.
    assert classes("+---+", "++-++") == ["+oeo+", "++e++"]
    assert classes("----", "++-+") == ["bbeb", "++e+"]


def test_what_is_unknown_or_its_own_neither_ends_nor_lengthens_a_run() -> None:
    found = classes("+-?-.-+", "+++++++")[0]
    assert found == "+b?b.b+"
    assert runs_of(found.encode()) == [Run(1, 5, 3, 3)]
    assert classes("+-?.-+", "++++++")[0] == "+o?.o+"


def test_how_long_a_burst_is_can_be_chosen() -> None:
    assert classes("+--+", "++++", burst=2) == ["+bb+", "++++"]
    assert classes("+----+", "++++++", burst=5) == ["+oooo+", "++++++"]


def test_what_is_held_by_who_does_not_count_was_not_lost_by_everyone() -> None:
    assert classes("-", "-", captures=[1]) == ["s", "s"]
    assert classes("-", "?", captures=[1]) == ["o", "?"]


def test_loss_periods_of_a_worked_sequence() -> None:
    # Without the signs that say nothing: + o + b b b ++ o. So losses at 1, 3, 4, 5 and 8.
    pattern = loss_periods(b"+o?+b.b?b++o")
    assert pattern == LossPeriods(
        periods=3,
        mean_length=5 / 3,
        max_length=3,
        mean_distance=7 / 4,
        mean_between=(2 + 3) / 2,
        min_between=2,
    )


def test_a_pattern_has_no_distance_where_there_is_one_loss() -> None:
    assert loss_periods(b"++o+") == LossPeriods(1, 1.0, 1, None, None, None)
    assert loss_periods(b"++.?") == LossPeriods(0, None, 0, None, None, None)


# ---------------------------------------------------------------------------- the plainest way

LETTERS = st.sampled_from("++---.?")
CHANNELS = st.integers(0, 14).flatmap(
    lambda width: st.lists(
        st.lists(LETTERS, min_size=width, max_size=width).map("".join), min_size=1, max_size=6
    ).flatmap(
        lambda known: st.tuples(
            st.just(known),
            # Captures by receivers that do not count.
            st.lists(st.integers(0, 1), min_size=width, max_size=width),
        )
    )
)


def plain_class(known: Sequence[str], also: Sequence[int], of: int, at: int, burst: int) -> str:
    """The pattern of the missing pair of receiver `of` and message `at`."""

    def holders(message: int) -> int:
        return sum(one[message] == "+" for one in known) + also[message]

    if holders(at) == 0:
        return "e"
    run = [at]
    for step in (-1, 1):
        message = at + step
        while 0 <= message < len(known[of]) and known[of][message] != "+":
            if known[of][message] == "-":
                run.append(message)
            message += step
    if sum(holders(message) > 0 for message in run) >= burst:
        return "b"
    return "o" if sum(one[at] == "-" for one in known) == 1 else "s"


@given(channel=CHANNELS, burst=st.sampled_from([2, BURST_MESSAGES, 4]))
def test_classes_are_those_of_the_definitions_and_sum_up_to_what_is_missing(
    channel: tuple[list[str], list[int]], burst: int
) -> None:
    known, also = channel
    captures = [sum(one[at] == "+" for one in known) + others for at, others in enumerate(also)]
    found = classify([one.encode() for one in known], captures, burst)
    for of, one in enumerate(known):
        plain = "".join(
            plain_class(known, also, of, at, burst) if letter == "-" else letter
            for at, letter in enumerate(one)
        )
        assert found.sequences[of].decode() == plain
        assert pairs_of(found.sequences[of]) == (
            one.count("+") + one.count("-"),
            one.count("-"),
            one.count("?"),
        )
    assert sum(pattern_counts(found.sequences).values()) == sum(one.count("-") for one in known)
    for at, pairs in enumerate(found.of_messages):
        letters = [one[at] for one in known]
        assert pairs.missing == letters.count("-")
        assert pairs.held == letters.count("+")
        assert pairs.unknown == letters.count("?")


@given(one=st.text("+eos.?b", max_size=30))
def test_a_pattern_is_that_of_the_losses_one_by_one(one: str) -> None:
    said = [letter for letter in one if letter not in ".?"]
    lost = [at for at, letter in enumerate(said) if letter != "+"]
    distances = [later - earlier for earlier, later in pairwise(lost)]
    pattern = loss_periods(one.encode())
    begins = [at for at in lost if at == 0 or said[at - 1] == "+"]
    between = [distance for distance in distances if distance > 1]
    assert pattern.periods == len(begins) == len(runs_of(one.encode()))
    assert sum(run.length for run in runs_of(one.encode())) == len(lost)
    assert (pattern.min_between, pattern.max_length > 0) == (
        min(between, default=None),
        bool(lost),
    )
    for mean, values in ((pattern.mean_distance, distances), (pattern.mean_between, between)):
        assert (
            mean == pytest.approx(float(Fraction(sum(values), len(values))))
            if values
            else (mean is None)
        )


def test_more_receivers_than_a_byte_can_count_add_up() -> None:
    found = classify([b"+-"] * 600 + [b"++"], [601, 1])
    assert [tuple(pairs) for pairs in found.of_messages] == [(601, 0, 0), (601, 600, 0)]


# ------------------------------------------------------------------------------ from the samples

TIMES = (10, 20, 20, 30, 40)


@pytest.mark.parametrize(
    ("expected", "letters"),
    [
        ((None, None), "-----"),
        ((20, 30), ".---."),
        ((21, None), "...--"),
        ((None, 19), "-...."),
        ((40, 10), "....."),
    ],
)
def test_a_part_of_the_window_is_inclusive(
    expected: tuple[int | None, int | None], letters: str
) -> None:
    found = sequence(TIMES, [expected], holes=(), held=(), own=(), left_out=())
    assert found.decode() == letters


def test_a_hole_hides_what_is_held_in_it_and_nothing_outside_of_the_part() -> None:
    found = sequence(
        TIMES, [(20, None)], holes=[(5, 21), (30, 31)], held=[0, 2, 4], own=[3], left_out=[1]
    )
    assert found.decode() == "..?.+"


def test_a_class_has_a_letter_of_its_own() -> None:
    assert pattern_counts([b"eebos+"]) == {
        LossPattern.EVERYONE: 2,
        LossPattern.BURST: 1,
        LossPattern.ONE: 1,
        LossPattern.SCATTERED: 1,
    }
