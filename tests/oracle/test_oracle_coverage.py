"""Holes, from missing numbers and from what clients report as lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import END, IN, MINUTE, START, everywhere, held
from oracle.coverage import Hole, holes
from oracle.model import Numbers, compute
from oracle.samples import Lost


@pytest.mark.parametrize(
    ("numbers", "lost", "found"),
    [
        # Only the reported times, both ends included; a hole is an open interval.
        ({1: 10, 4: 40}, [Lost(2, 3, 20, 30)], [(19, 31)]),
        ({1: 10, 4: 40}, [], [(10, 40)]),
        # Also before the first number and after the last one.
        ({3: 30}, [Lost(1, 2, 10, 20)], [(9, 21)]),
        ({3: 30}, [Lost(4, 5, 40, 50)], [(39, 51)]),
        ({}, [Lost(4, 5, 40, 50)], [(39, 51)]),
        # More numbers are missing than are reported as lost.
        ({1: 10, 5: 50}, [Lost(2, 3, 20, 30)], [(19, 31), (10, 50)]),
        ({1: 10, 3: 30, 5: 50}, [Lost(2, 2, 11, 12)], [(10, 13), (30, 50)]),
        # The lost numbers arrived after all: all of them, one of them.
        ({1: 10, 2: None, 3: 25, 4: 40}, [Lost(2, 3, 20, 30)], []),
        ({1: 10, 3: 25, 4: 40}, [Lost(2, 3, 20, 30)], [(19, 31)]),
        # Two reports of one number both count.
        ({1: 10, 3: 30}, [Lost(2, 2, 15, 15), Lost(2, 2, 20, 22)], [(14, 16), (19, 23)]),
        # An island without a time is skipped.
        ({1: 10, 3: None, 5: 50}, [Lost(2, 2, 15, 15)], [(14, 16), (10, 50)]),
        ({1: 10, 3: None, 5: 50}, [Lost(2, 2, 15, 15), Lost(4, 4, 20, 20)], [(14, 16), (19, 21)]),
    ],
)
def test_holes(numbers: Numbers, lost: list[Lost], found: list[Hole]) -> None:
    assert holes(numbers, lost) == found


def test_what_was_sent_within_the_said_times_is_unknown() -> None:
    # b holds m1 and m5. Its reports 2 to 4 are lost. It says that they were of m2 and m3.
    samples = [
        *everywhere("a", "b"),
        *held({"m1": "ab", "m2": "a", "m3": "a", "m4": "a", "m5": "ab"}),
    ]
    samples = [
        replace(one, installation_id="p") if one.receiver_public_key == "b" else one
        for one in samples
    ]
    lost = {"p": [Lost(2, 4, IN + MINUTE, IN + 2 * MINUTE)]}
    numbers = {"p": {1: IN, 5: IN + 4 * MINUTE}}

    def found(*, said: bool) -> tuple[int, int, int]:
        c = compute(
            samples, START, END, "present", numbers=numbers, lost=lost if said else {}
        ).channels["c"]
        return (c.expected, c.missing, c.unknown)

    assert found(said=False) == (7, 0, 3)
    assert found(said=True) == (8, 1, 2)


sent = st.none() | st.integers(0, 20)
all_numbers = st.dictionaries(st.integers(1, 12), sent)
spans = st.tuples(st.integers(1, 12), st.integers(0, 3), st.integers(0, 20), st.integers(0, 9)).map(
    lambda one: Lost(one[0], one[0] + one[1], one[2], one[2] + one[3])
)


@given(numbers=all_numbers, lost=st.lists(spans, max_size=4))
def test_once_all_came_nothing_is_unknown(numbers: dict[int, int | None], lost: list[Lost]) -> None:
    assert holes(dict.fromkeys(range(1, 20), 0) | numbers, lost) == []


@given(numbers=all_numbers, lost=st.lists(spans, max_size=4))
def test_what_is_said_to_be_lost_alone_opens_no_hole_elsewhere(
    numbers: dict[int, int | None], lost: list[Lost]
) -> None:
    others = set(holes(numbers, lost)) - set(holes({}, lost))

    assert others <= set(holes(numbers))
