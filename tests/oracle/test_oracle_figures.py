"""The oracle's figures beside the counts: cases by hand, and laws."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import figures
from oracle.cases import (
    END,
    IN,
    MINUTE,
    START,
    WORKED,
    counts,
    everywhere,
    held,
    mark,
    sample,
    worked,
)
from oracle.figures import DELAY_CLASSES, Captures, delay_class
from oracle.model import OracleSample, compute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle.model import OracleChannel, Receiver


# What is believed


@pytest.mark.parametrize(
    ("quorum", "found"),
    [
        (1, (4, 3, 12, 4, 11)),
        # Without m3, which only a holds: one held pair less, two missing pairs less.
        (2, (3, 3, 9, 2, 9)),
        (3, (1, 3, 3, 0, 3)),
    ],
)
def test_what_too_few_vouch_for_counts_nowhere(quorum: int, found: tuple[int, ...]) -> None:
    assert counts(compute(WORKED, START, END, "present", quorum=quorum)) == found


def test_a_channel_of_which_nothing_is_believed_has_no_row() -> None:
    assert compute(WORKED, START, END, "present", quorum=4).channels == {}


def test_an_authors_mark_vouches_toward_the_quorum() -> None:
    window = compute([*WORKED, mark("m3", "b")], START, END, "present", quorum=2)
    # m3 again: a holds it, c misses it, b wrote it.
    assert counts(window) == (4, 3, 11, 3, 11)


@pytest.mark.parametrize(
    ("weight_cap", "messages"),
    [
        (Fraction(1), 5),
        (Fraction(2, 5), 5),  # a: 2 of 5, b: 1 of 5
        (Fraction(39, 100), 3),  # what only a has is left out
        (Fraction(1, 5), 3),
        (Fraction(19, 100), 2),  # and what only b has
    ],
)
def test_who_alone_vouches_for_too_much_is_not_believed_alone(
    weight_cap: Fraction, messages: int
) -> None:
    # Messages that are not measured are not among the messages of which the cap is a share.
    samples = [
        *everywhere("a", "b", "c"),
        *held({"m1": "ab", "m2": "a", "m3": "a", "m4": "b", "m5": "bc"}),
        sample("noise", "a", IN, message_type="NOISE"),
    ]
    samples[-2] = replace(samples[-2], sent_by_receiver=True)

    window = compute(
        samples,
        START,
        END,
        "present",
        unmeasured_types=["NOISE"],
        weight_cap=weight_cap,
        fewest_installations=3,
    )

    assert window.channels["c"].messages == messages


def test_who_is_not_believed_is_there_all_the_same() -> None:
    # m3, which only c holds, makes c count under `window`. It is c's first and last message, too.
    samples = [*everywhere("a", "b"), *held({"m1": "ab", "m2": "ab", "m3": "c"})]
    beats = {("c", ""): END}

    by_window = compute(samples, START, END, "window", heartbeats=beats, quorum=2)
    assert counts(by_window) == (2, 3, 6, 2, 6)
    present = compute(samples, START, END, "present", heartbeats=beats, quorum=2)
    assert counts(present) == (2, 3, 4, 0, 4)


# Spread, middle values, influence


def test_spreads_of_a_channel_and_of_a_window() -> None:
    window = worked()

    # x, n: a 1, 3; b 1, 4; c 2, 4
    assert window.channels["c"].over_receivers == (3, 6, 15, 41)
    # 0, 1 and 1, 2
    assert window.channels["d"].over_receivers == (2, 1, 2, 5)
    # c: 4, 11; d: 1, 3
    assert window.over_channels == (2, 17, 47, 130)
    # a: 1, 4; b: 2, 6; c: 2, 4
    assert window.over_receivers == (3, 9, 24, 68)
    assert window.over_memberships == (5, 7, 17, 46)


def test_who_has_no_corroborated_pair_is_no_cluster() -> None:
    # c holds only m2, which nobody else holds. So no pair of c is corroborated.
    samples = [*everywhere("a", "b"), *held({"m1": "ab", "m2": "c"})]
    window = compute(samples, START, END, "present", heartbeats={("c", ""): END})

    assert counts(window) == (2, 3, 5, 2, 4)
    assert window.over_receivers == (2, 2, 4, 8)
    assert figures.receiver_ratios(window.pairs) == [Fraction(1, 2), Fraction(1, 2)]


def test_middle_values_of_the_receivers() -> None:
    window = worked()

    # a 2/3, b 3/4, c 1/2; in the window a 3/4, b 4/6, c 2/4
    assert window.channels["c"].median == window.median == Fraction(2, 3)
    assert window.channels["c"].trimmed == window.trimmed == Fraction(23, 36)
    # a 1, b 1/2
    assert window.channels["d"].median == window.channels["d"].trimmed == Fraction(3, 4)


@pytest.mark.parametrize(
    ("numbers", "middle", "mean"),
    [
        ([], None, None),
        ([5], 5, 5),
        ([0, *[4] * 7, 10], 4, Fraction(38, 9)),  # nine: none is left out
        ([0, *[4] * 7, 6, 10], 4, Fraction(34, 8)),  # ten: one at either end
        ([0] * 2 + [1] * 8 + [2] * 8 + [9] * 2, Fraction(3, 2), Fraction(3, 2)),
    ],
)
def test_a_tenth_is_cut_off_on_either_side(
    numbers: list[int], middle: Fraction | None, mean: Fraction | None
) -> None:
    ratios = [Fraction(number) for number in numbers]

    assert figures.median(ratios) == middle
    assert figures.trimmed(ratios) == mean


def test_influence_is_how_far_leaving_out_one_moves_the_mean() -> None:
    window = worked()

    # Rch is 2/3. Without a, m3 and its two missing pairs go too: 1 - (4-1-2)/(12-4-2) = 5/6.
    # Without b it is 1 - 3/8, without c 1 - 2/8.
    assert figures.moves(window.channels["c"]) == {
        ("a", ""): Fraction(1, 6),
        ("b", ""): Fraction(-1, 24),
        ("c", ""): Fraction(1, 12),
    }
    assert window.channels["c"].influence == Fraction(1, 6)
    # There are two receivers, and one alone is not comparable.
    assert window.channels["d"].influence is None
    assert window.influence == Fraction(1, 12)


def test_who_does_not_count_moves_the_figures_by_what_it_alone_vouches_for() -> None:
    # x reports nothing after the window, so it does not count.
    samples = [*everywhere("a", "b"), *held({"m1": "ab", "m2": "ax"}), *held({"m3": "x"}, "d")]
    assert figures.moves(compute(samples, START, END, "present").channels["c"]) == {}

    samples = [*everywhere("a", "b"), *held({"m1": "ab", "m2": "x"})]
    assert figures.moves(compute(samples, START, END, "present").channels["c"]) == {
        ("x", ""): Fraction(1, 2)
    }


def test_influence_adds_up_over_the_channels_by_sign() -> None:
    # In e only c lacks a message, m1. One of 6 pairs is missing, one of 4 without a or b, and none
    # without c.
    samples = [
        *WORKED,
        *everywhere("a", "b", "c", channel_id="e"),
        *held({"m1": "ab", "m2": "abc"}, "e"),
    ]
    window = compute(samples, START, END, "present")

    assert figures.moves(window.channels["e"])["a", ""] == Fraction(-1, 12)
    # a: 1/6 - 1/12; b: -1/24 - 1/12; c: 1/12 + 1/6, over c, d and e
    assert window.influence == Fraction(1, 4) / 3


STEADY = st.lists(st.sets(st.sampled_from("abcdx"), min_size=1), min_size=1, max_size=8)


@given(STEADY, st.sampled_from("abcdx"))
def test_influence_is_exact_where_all_are_there_throughout(
    holders: list[set[str]], leaves: str
) -> None:
    # x does not count: it reports nothing after the window.
    samples = [
        *everywhere("a", "b", "c", "d"),
        *held({f"m{number}": "".join(sorted(keys)) for number, keys in enumerate(holders)}),
    ]
    channel = compute(samples, START, END, "present").channels["c"]
    rest = [one for one in samples if one.receiver_public_key != leaves]
    without = compute(rest, START, END, "present").channels.get("c")

    move = figures.moves(channel).get((leaves, ""), Fraction(0))
    assert channel.reliability is not None
    if without is not None:
        assert without.reliability == channel.reliability + move
    else:  # no message is left without it
        assert (leaves, "") not in figures.moves(channel)


# Delays


@pytest.mark.parametrize(
    ("delay", "number"),
    [
        (None, 0),
        (-(10**9), 1),
        (-1_001, 1),
        (-1_000, 2),
        (0, 2),
        (1_000, 2),
        (1_001, 3),
        (2_000, 3),
        (2_001, 4),
        (5_001, 5),
        (10_001, 6),
        (30_001, 7),
        (60_000, 7),
        (60_001, 8),
        (300_001, 9),
        (600_001, 10),
        (1_800_001, 11),
        (3_600_000, 11),
        (3_600_001, 12),
        (21_600_001, 13),
        (86_400_000, 13),
        (86_400_001, 14),
        (10**12, 14),
    ],
)
def test_upper_edges_belong_to_their_class(delay: int | None, number: int) -> None:
    assert delay_class(delay) == number


def vector(**classes: int) -> tuple[int, ...]:
    """k3=1: one of class 3"""
    return tuple(classes.get(f"k{number}", 0) for number in range(DELAY_CLASSES))


def of_c(samples: Iterable[OracleSample]) -> OracleChannel:
    return compute([*everywhere("a", "b", "d"), *samples], START, END, "present").channels["c"]


def test_delivered_pairs_are_counted_by_class_of_the_delay_that_is_known() -> None:
    channel = of_c(
        [
            replace(sample("m", "a", IN, IN + 4_000), received_at=IN + 1_500),
            sample("m", "b", IN, IN + 61_000),  # says no received_at
            # a wrote n. b's sample of it came twice: the earliest received_at counts.
            replace(sample("n", "a", IN, IN + 1, wrote=True), received_at=None),
            replace(sample("n", "b", IN, IN + 9_000), received_at=IN + 8_000),
            replace(sample("n", "b", IN, IN + 9_500), received_at=IN - 1_001),
        ]
    )

    assert (channel.expected, channel.missing) == (5, 2)
    assert channel.delays.delivery == vector(k1=1, k3=1)
    assert channel.delays.report == vector(k8=1)


@pytest.mark.parametrize(
    ("told", "delivery", "report"),
    [
        # The receiver gets m 603 s, and reports it 604 s, after m's sentAt.
        ([], 10, 10),
        ([600_000], 4, 4),  # the author's clock is ten minutes slow: 3 s, 4 s
        ([-86_000_000], 14, 14),  # or a day fast
        ([604_001], 1, 2),  # or wrong altogether
        ([999], 10, 10),  # less than a second off: not corrected
        ([2_999], 10, 10),
        ([3_000], 9, 10),  # 600 s
        ([-999], 10, 10),
        ([-1_000], 10, 10),
        # Several authors must agree.
        ([600_999, 600_000], 4, 4),
        ([602_000, 600_000], 10, 10),
        ([602_000, 200], 10, 10),
        ([602_000, -5_000], 10, 10),
    ],
)
def test_delays_are_counted_from_when_the_author_sent_it_by_the_servers_clock(
    told: list[int], delivery: int, report: int
) -> None:
    # It does not matter when authors report it, nor whether they count.
    authors = [
        replace(sample("m", key, IN, IN + 7_000_000, wrote=True), received_at=IN + offset)
        for key, offset in zip(["a", "x"], told, strict=False)
    ]
    reported = sample("m", "b", IN, IN + 604_000)

    channel = of_c([*authors, replace(reported, received_at=IN + 603_000)])
    assert channel.delays == (vector(**{f"k{delivery}": 1}), vector())

    channel = of_c([*authors, reported])
    assert channel.delays == (vector(), vector(**{f"k{report}": 1}))


def test_what_is_unknown_or_missing_has_no_delay() -> None:
    samples = [
        *everywhere("a", "b"),
        *(replace(s, installation_id="phone") for s in everywhere("p")),
        *held({"m1": "a", "m2": "a"}),
        *(replace(s, installation_id="phone") for s in held({"m1": "p", "m2": "p"})),
    ]
    # p's numbers 2 and 3 are missing, between its messages of before and after the window.
    numbers = {"phone": {1: START - MINUTE, 4: END + MINUTE}}
    channel = compute(samples, START, END, "present", numbers=numbers).channels["c"]

    assert (channel.expected, channel.missing, channel.unknown) == (4, 2, 2)
    assert channel.delays == (vector(), vector(k3=2))


# What nobody received


def test_captures_of_a_channel() -> None:
    window = worked()

    # The messages of c have 3, 2, 1 and 2 holders, those of d 2 and 1.
    assert window.channels["c"].captures == Captures(8, 1, 2, 1)
    assert window.channels["d"].captures == Captures(3, 1, 1, 1)
    assert window.channels["c"].coverage == 1 - Fraction(1, 8) * Fraction(2, 2 + 4)
    assert window.channels["d"].coverage == 1 - Fraction(1, 3) * Fraction(1, 1 + 2)
    assert window.coverage == 1 - (Fraction(1, 24) * 8 + Fraction(1, 9) * 3) / 11


def test_a_capture_is_of_who_did_not_write_it_and_counts_whatever_is_believed() -> None:
    # x does not count. a wrote m2. b holds m3, and a mark says that b wrote it.
    samples = [
        *everywhere("a", "b"),
        *held({"m1": "abx", "m2": "b", "m3": "ab", "m4": "x"}),
        sample("m2", "a", IN + MINUTE, wrote=True),
        mark("m3", "b"),
    ]
    for quorum in (1, 2):
        channel = compute(samples, START, END, "present", quorum=quorum).channels["c"]
        # Captures: m1 by a, b, x; m2 by b; m3 by a; m4 by x
        assert channel.captures == Captures(6, 3, 0, 3)


def receivers(*keys: str) -> list[frozenset[Receiver]]:
    return [frozenset((key, "") for key in of_one) for of_one in keys]


@pytest.mark.parametrize(
    ("capturers", "counting", "found"),
    [
        # Chao2: 2/3 · 4·3 / (2·(1+1))
        (receivers("a", "a", "b", "c", "ab", "abc"), 3, 2),
        (receivers("a", "a", "b", "c", "ab", "abc"), 4, Fraction(9, 4)),
        (receivers("abc", "a"), 3, 0),
        # Chapman: 3·2 / (2+1)
        (receivers("a", "a", "a", "b", "b", "ab", "ab"), 2, 2),
        # x, which does not count, captured two: 3·1 + 3·2 + 1·2
        (receivers("a", "a", "a", "b", "x", "x"), 2, 11),
        (receivers("a", "a"), 2, 0),
        (receivers("a", "a"), 1, None),
        (receivers("", ""), 3, 0),
    ],
)
def test_unseen_messages_are_estimated(
    capturers: list[frozenset[Receiver]], counting: int, found: Fraction | None
) -> None:
    assert figures.unseen(capturers, counting) == found


@pytest.mark.parametrize(
    ("captures", "counting", "found"),
    [
        (Captures(total=10, once=0, twice=5, once_squared=0), 3, 1),
        (Captures(total=0, once=0, twice=0, once_squared=0), 3, None),
        (Captures(total=4, once=4, twice=0, once_squared=4), 3, 0),  # no message twice
        (Captures(total=10, once=4, twice=3, once_squared=4), 1, None),
        (
            Captures(total=10, once=4, twice=3, once_squared=4),
            4,
            1 - Fraction(4, 10) * Fraction(2, 3),
        ),
    ],
)
def test_coverage_is_the_share_of_what_is_known(
    captures: Captures, counting: int, found: Fraction | None
) -> None:
    assert figures.coverage(captures, counting) == found


# Audits


def test_an_audit_has_figures_and_is_part_of_none() -> None:
    audit = "devtelemetry-audit/1"
    members = [*everywhere("a", "b", "c", channel_id=audit), *held({"m": "a", "n": "abc"}, audit)]
    window = compute([*WORKED, *members], START, END, "present", smallest_group=1)
    without = compute(WORKED, START, END, "present", smallest_group=1)

    channel = window.channels[audit]
    assert counts(window, audit) == (2, 3, 6, 2, 5)
    assert channel.reliability == Fraction(2, 3)
    assert channel.influence == Fraction(1, 3)
    assert channel.groups("platform").keys() == {""}
    for name in (
        "messages",
        "missing",
        "reliability",
        "delivery_ratio",
        "over_receivers",
        "delays",
    ):
        assert getattr(window, name) == getattr(without, name)
    for name in ("median", "trimmed", "influence", "unseen", "coverage"):
        assert getattr(window, name) == getattr(without, name)
    assert window.groups("platform") == without.groups("platform")


def test_a_window_of_audits_alone_has_no_value() -> None:
    audit = "devtelemetry-audit/"
    samples = [*everywhere("a", "b", channel_id=audit), *held({"m": "ab"}, audit)]
    window = compute(samples, START, END, "present")

    assert window.channels[audit].comparable
    assert (window.reliability, window.messages, window.unseen) == (None, 0, None)
    assert window.groups("platform") == {}
