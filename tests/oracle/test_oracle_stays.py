"""When a receiver was in a channel: reports are replayed, and each policy uses the stays."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import END, IN, MINUTE, START, counts, everywhere, held, sample
from oracle.model import MEMBERSHIPS, Joining, Membership, OracleSample, compute
from oracle.stays import END_OF_TIME, FIRST_OF_ALL, Stay, stays


@pytest.mark.parametrize(
    ("said", "first_receipt", "found"),
    [
        # One report: with both times, only joining, only leaving, neither.
        ([(9, 3, 7)], None, [(3, 7)]),
        ([(9, 3, 0)], None, [(3, END_OF_TIME)]),
        ([(9, 0, 7)], 2, [(2, 7)]),
        ([(9, 0, 7)], None, [(7, 7)]),
        ([(9, 0, 7)], 8, []),
        ([(9, 0, 0)], 2, [(2, END_OF_TIME)]),
        ([(9, 0, 0)], None, [(FIRST_OF_ALL, END_OF_TIME)]),
        # None is the same as 0.
        ([(9, None, 7)], 2, [(2, 7)]),
        ([(9, None, None)], 2, [(2, END_OF_TIME)]),
        # The latest report of a stay counts, in either direction.
        ([(1, 3, 7), (2, 3, 0)], None, [(3, END_OF_TIME)]),
        ([(1, 3, 0), (2, 3, 7)], None, [(3, 7)]),
        ([(1, 3, 7), (2, 3, 5)], None, [(3, 5)]),
        # Within one createdAt the least (joined_at, left_at) comes first.
        ([(1, 3, 7), (1, 3, 0)], None, [(3, 7)]),
        # So two reports in one push, of joining and of leaving, are read as leaving first.
        ([(1, 3, 0), (1, 0, 7)], 2, [(2, END_OF_TIME)]),
        ([(1, 8, 0), (1, 0, 7)], 2, [(2, 7), (8, END_OF_TIME)]),
        # Leaving ends all open stays that began before it, and no others.
        ([(1, 3, 0), (2, 5, 0), (3, 0, 7)], None, [(3, 7)]),
        ([(1, 3, 0), (2, 9, 0), (3, 0, 7)], None, [(3, 7), (9, END_OF_TIME)]),
        ([(1, 3, 4), (3, 0, 7)], 2, [(3, 4)]),
        ([(1, 7, 0), (3, 0, 7)], 2, [(7, END_OF_TIME)]),
        # "Is in" changes nothing while a stay is open.
        ([(1, 3, 0), (8, 0, 0)], 2, [(3, END_OF_TIME)]),
        ([(1, 3, 5), (8, 0, 0)], 2, [(3, 5), (8, END_OF_TIME)]),
        ([(8, 0, 0), (9, 0, 7)], 2, [(2, 7)]),
        # Two stays apart, touching, overlapping; a stay that ends before it begins.
        ([(1, 3, 5), (2, 6, 7)], None, [(3, 5), (6, 7)]),
        ([(1, 3, 5), (2, 5, 7)], None, [(3, 7)]),
        ([(1, 3, 9), (2, 5, 7)], None, [(3, 9)]),
        ([(1, 5, 4)], 2, []),
        ([(1, 5, 4), (2, 0, 7)], 2, [(2, 7)]),
        ([(1, 5, 4), (2, 0, 0)], 2, [(2, END_OF_TIME)]),
        # Until all is replayed a stay is known by its own beginning, even inside another stay.
        ([(1, 3, 0), (2, 5, 0), (3, 3, 4)], None, [(3, 4), (5, END_OF_TIME)]),
    ],
)
def test_reports_are_replayed(
    said: list[Joining], first_receipt: int | None, found: list[Stay]
) -> None:
    assert stays(said, first_receipt) == found


moments = st.integers(0, 6)
reports = st.lists(st.tuples(st.integers(0, 4), moments, moments), max_size=8)
firsts = st.none() | st.integers(1, 6)


@given(data=st.data(), said=reports, first_receipt=firsts)
def test_order_and_repetition_of_reports_change_nothing(
    data: st.DataObject, said: list[Joining], first_receipt: int | None
) -> None:
    again = data.draw(st.lists(st.sampled_from(said), max_size=5)) if said else []
    other = data.draw(st.permutations(said + again))

    assert stays(other, first_receipt) == stays(said, first_receipt)


@given(data=st.data(), said=reports, first_receipt=firsts)
def test_a_report_that_is_sent_again_before_the_next_one_changes_nothing(
    data: st.DataObject, said: list[tuple[int, int, int]], first_receipt: int | None
) -> None:
    in_order = [
        (10 * number, joined, left) for number, (_, joined, left) in enumerate(sorted(said))
    ]
    again = [(at + 1, joined, left) for at, joined, left in in_order if data.draw(st.booleans())]

    assert stays(in_order + again, first_receipt) == stays(in_order, first_receipt)


@given(said=reports, first_receipt=firsts)
def test_stays_are_apart_and_in_order(said: list[Joining], first_receipt: int | None) -> None:
    found = stays(said, first_receipt)

    ends = [moment for stay in found for moment in stay]
    assert ends == sorted(ends)
    assert all(earlier < later for (_, earlier), (later, _) in pairwise(found))


# Policies

# a and b hold all of m1 to m6, sent from 10:01 to 10:06.
BY_ALL = [*everywhere("a", "b"), *held({f"m{n}": "ab" for n in range(1, 7)})]
C = ("c", "")


def at(minute: int) -> int:
    return START + minute * MINUTE


def with_c(
    membership: Membership, *said: Joining, holds: str = ""
) -> tuple[int, int, int, int, int]:
    """holds  numbers of the messages that c holds; c reports after the window in any case"""
    samples = [*BY_ALL, *(sample(f"m{n}", "c", at(int(n))) for n in holds)]
    return counts(
        compute(samples, START, END, membership, heartbeats={C: END}, memberships={(C, "c"): said})
    )


WITHOUT_C = (6, 2, 12, 0, 12)


def test_only_what_lies_within_a_stay_is_expected_both_ends_included() -> None:
    said = [(at(2), at(-9), at(2)), (at(5), at(5), 0)]

    # c should hold m1, m2, m5 and m6, and holds one.
    assert with_c("present", *said, holds="1") == (6, 3, 16, 3, 16)
    assert with_c("window", *said, holds="1") == (6, 3, 16, 3, 16)
    assert with_c("bracketed", *said, holds="1") == WITHOUT_C
    # A message that it holds outside its stays is not delivered.
    assert with_c("present", *said, holds="14") == (6, 3, 16, 3, 16)
    assert with_c("window", *said, holds="4") == (6, 3, 16, 4, 16)
    assert with_c("window", *said) == WITHOUT_C


@pytest.mark.parametrize(
    ("said", "present", "window", "bracketed"),
    [
        # A stay includes both of its ends, a window only its beginning.
        ([(0, at(-9), START - 1)], False, False, False),
        ([(0, at(-9), START)], True, True, False),
        ([(0, END - 1, 0)], True, True, False),
        ([(0, END, 0)], False, False, False),
        ([(0, START - 1, END)], True, True, True),
        ([(0, START, END)], True, True, False),
        ([(0, START - 1, END - 1)], True, True, False),
        ([(0, START - 1, 0)], True, True, True),
        # Two stays that touch are one.
        ([(0, at(-9), IN), (1, IN, END)], True, True, True),
        ([(0, at(-9), IN), (1, IN + 1, END)], True, True, False),
        # It reported a stay that does not count.
        ([(0, at(5), at(4))], False, False, False),
        # It left before it held anything.
        ([(0, 0, at(0))], False, False, False),
        ([(0, 0, 0)], True, True, False),
        ([(0, 0, END)], True, True, False),
    ],
)
def test_who_counts_by_its_stays(
    said: list[Joining], present: bool, window: bool, bracketed: bool
) -> None:
    counting = {"present": present, "window": window, "bracketed": bracketed}
    for membership in MEMBERSHIPS:
        _, receivers, *_ = with_c(membership, *said, holds="1")
        assert receivers == 2 + counting[membership], membership


def test_is_in_without_a_receipt_is_in_from_before_everything() -> None:
    assert with_c("present", (at(70), 0, 0)) == (6, 3, 18, 6, 18)
    assert with_c("bracketed", (at(70), 0, 0)) == (6, 3, 18, 6, 18)
    # It holds no message of the window, so it does not count.
    assert with_c("window", (at(70), 0, 0)) == WITHOUT_C


def test_what_was_said_of_one_channel_says_nothing_of_another() -> None:
    samples: list[OracleSample] = [*BY_ALL, sample("m1", "c", at(1))]
    said = {(C, "elsewhere"): [(0, at(-9), at(-8))]}
    for membership in MEMBERSHIPS:
        assert compute(
            samples, START, END, membership, heartbeats={C: END}, memberships=said
        ) == compute(samples, START, END, membership, heartbeats={C: END})
