"""By whose clock a message's time is, how that affects delays, and which times are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracle.cases import END, IN, MINUTE, START, counts, everywhere, sample
from oracle.intake import DAY_MS, HOUR_MS, rejection, taken
from oracle.model import OracleSample, canonical, compute
from oracle.samples import Clock

Claim = tuple[str, Clock, int]
"""Receiver, as "key/installation"; clock; the time that it says, in ms after IN"""


def claimed(*claims: Claim) -> list[OracleSample]:
    """One sample of m for each claim; their createdAt ascend."""
    found = []
    for number, (who, clock, after) in enumerate(claims):
        key, _, installation = who.partition("/")
        found.append(
            sample(
                "m",
                key,
                IN + after,
                IN + 10_000 + number,
                installation_id=installation,
                sent_at_clock=clock,
            )
        )
    return found


@pytest.mark.parametrize(
    ("claims", "sent_after", "clock", "contradicting"),
    [
        ([("a", "author", 1)], 1, "author", ""),
        # The best clock alone decides, however few have it.
        ([("a", "author", 1), ("b", "author", 1), ("c", "server", 2)], 2, "server", ""),
        ([("a", "receiver", 1), ("b", "receiver", 1), ("c", "author", 2)], 2, "author", ""),
        # Two outvote the one that came first.
        ([("a", "author", 1), ("b", "author", 2), ("c", "author", 2)], 2, "author", "a"),
        ([("a", "server", 1), ("b", "server", 2), ("c", "server", 2)], 2, "server", "a"),
        ([("a", "receiver", 1), ("b", "receiver", 2), ("c", "receiver", 2)], 2, "receiver", ""),
        # With equally many votes the first counts.
        ([("a", "author", 2), ("b", "author", 1)], 2, "author", "b"),
        (
            [("a", "author", 3), ("b", "author", 1), ("c", "author", 2), ("d", "author", 1)],
            1,
            "author",
            "ac",
        ),
        (
            [("a", "author", 2), ("b", "author", 1), ("c", "author", 1), ("d", "author", 2)],
            2,
            "author",
            "bc",
        ),
        # Two keys of an installation have one vote, which the first sample gives.
        (
            [("a/p", "author", 1), ("b/p", "author", 1), ("c", "author", 2), ("d", "author", 2)],
            2,
            "author",
            "ab",
        ),
        ([("a/p", "author", 1), ("b/p", "author", 2), ("c/q", "author", 2)], 1, "author", "bc"),
        ([("a/p", "author", 1), ("a/q", "author", 2), ("a/r", "author", 2)], 2, "author", "a"),
        ([("a", "author", 1), ("a", "author", 2), ("a", "author", 2)], 1, "author", "a"),
        # A time by a worse clock is not a vote.
        ([("a", "author", 1), ("a", "server", 2), ("b", "server", 3)], 2, "server", "b"),
    ],
)
def test_the_best_clock_and_most_installations_date_a_message(
    claims: list[Claim], sent_after: int, clock: Clock, contradicting: str
) -> None:
    message = canonical(claimed(*claims))["c", "m"]

    assert message.sent_at == IN + sent_after
    assert message.clock == clock
    assert {key for key, _ in message.contradicted_by} == set(contradicting)


def test_any_outcome_has_a_vote_and_a_mark_has_none() -> None:
    first, second, third = claimed(("a", "author", 1), ("b", "author", 2), ("d", "author", 2))
    others = [replace(second, outcome="unreadable"), replace(third, outcome="dropped")]

    assert canonical([first, *others])["c", "m"].sent_at == IN + 2
    marks = [replace(one, created_at=None) for one in others]
    assert canonical([first, *marks])["c", "m"].sent_at == IN + 1


def test_a_message_lies_in_the_window_of_its_decided_time() -> None:
    samples = [
        *everywhere("a", "b", "d"),
        sample("m", "a", START - HOUR_MS, START - HOUR_MS + 1),
        *(sample("m", key, IN, sent_at_clock="server") for key in "bd"),
    ]
    assert counts(compute(samples, START, END, "present")) == (1, 3, 3, 0, 3)


# Delays


@pytest.mark.parametrize(
    ("clock", "delivery", "report"),
    [
        # The author's clock is two minutes ahead: held 3 s after it was sent, reported after 30 s.
        ("author", 4, None),
        # The server stamped it, so it is right.
        ("server", 1, None),
        ("receiver", None, 1),
    ],
)
def test_only_an_authors_time_is_put_right_by_its_clock(
    clock: Clock, delivery: int | None, report: int | None
) -> None:
    ahead = IN + 2 * MINUTE
    author = sample("m", "a", ahead, IN + 1, wrote=True, received_at=IN, sent_at_clock=clock)
    receiver = sample("m", "b", ahead, IN + 30_000, received_at=IN + 3_000, sent_at_clock=clock)
    window = compute([*everywhere("a", "b"), author, receiver], START, END, "present")

    delays = window.channels["c"].delays
    assert [number for number, pairs in enumerate(delays.delivery) if pairs] == (
        [] if delivery is None else [delivery]
    )
    assert [number for number, pairs in enumerate(delays.report) if pairs] == (
        [] if report is None else [report]
    )


def test_delays_are_those_of_what_is_held() -> None:
    window = compute(
        [
            *everywhere("a", "b"),
            sample("m", "a", IN, wrote=True),
            sample("m", "b", IN, IN + 500, outcome="unreadable", received_at=IN + 400),
            sample("m", "b", IN, IN + 61_000, received_at=IN + 59_000),
            sample("n", "a", IN, wrote=True),
            sample("n", "b", IN, IN + 500, outcome="dropped"),
            sample("n", "b", IN, IN + 61_000),
        ],
        START,
        END,
        "present",
    )

    delays = window.channels["c"].delays
    assert (delays.delivery[7], sum(delays.delivery)) == (1, 1)
    assert (delays.report[8], sum(delays.report)) == (1, 1)


@pytest.mark.parametrize("outcome", ["held", "send_failed"])
def test_an_author_tells_its_clock_with_any_sample_of_its_own(outcome: str) -> None:
    # Ten minutes ahead.
    author = sample(
        "m", "a", IN, IN - 9 * MINUTE, wrote=True, received_at=IN - 10 * MINUTE, outcome=outcome
    )
    echo = sample("m", "a", IN, IN, wrote=True, received_at=IN - 11 * MINUTE, outcome="dropped")

    assert canonical([author])["c", "m"].corrected_sent_at == IN - 10 * MINUTE
    assert canonical([author, echo])["c", "m"].corrected_sent_at == IN - 10 * MINUTE


# Taken and refused

NOW = IN
AHEAD = NOW + HOUR_MS + 1


def pushed(sent_at: int, received_at: int | None, clock: Clock = "author") -> OracleSample:
    return sample("m", "b", sent_at, NOW, received_at=received_at, sent_at_clock=clock)


@pytest.mark.parametrize(
    ("sample_", "client_time", "found"),
    [
        # No further ahead than is allowed: it is used.
        (pushed(AHEAD - 1, NOW - 5), None, (AHEAD - 1, "author", NOW - 5)),
        (pushed(AHEAD, None), None, "in_the_future"),
        (pushed(AHEAD, NOW - 5), None, (NOW - 5, "receiver", NOW - 5)),
        # The receiver's clock is 3 s behind, or two hours ahead.
        (pushed(AHEAD, NOW - 5_000), NOW - 3_000, (NOW - 2_000, "receiver", NOW - 2_000)),
        (pushed(AHEAD, NOW + 2 * HOUR_MS - 9), NOW + 2 * HOUR_MS, (NOW - 9, "receiver", NOW - 9)),
        (pushed(AHEAD, AHEAD), None, "in_the_future"),
        # A corrected time is at most the time of the push.
        (pushed(AHEAD, NOW), NOW - 1, (NOW, "receiver", NOW)),
        (pushed(AHEAD, NOW - 9 * DAY_MS), None, "too_old"),
        # Times by other clocks are not replaced.
        (pushed(AHEAD, NOW, "server"), None, "in_the_future"),
        (pushed(AHEAD, NOW, "receiver"), None, "in_the_future"),
        (pushed(NOW - 9 * DAY_MS, NOW), None, "too_old"),
    ],
)
def test_an_authors_time_that_is_too_far_ahead_is_no_time(
    sample_: OracleSample, client_time: int | None, found: tuple[int, Clock, int] | str
) -> None:
    result = taken(sample_, client_time)
    if isinstance(result, str):
        assert result == found
    else:
        assert (result.sent_at, result.sent_at_clock, result.received_at) == found


def test_an_authors_own_sample_says_when_it_was_sent() -> None:
    author = replace(pushed(IN - 7_000, IN - 1), sent_by_receiver=True)

    told = taken(author, NOW - 2_000)
    assert isinstance(told, OracleSample)
    assert (told.sent_at, told.received_at) == (IN - 7_000, IN - 5_000)
    untold = taken(author, None)
    assert isinstance(untold, OracleSample)
    assert untold.received_at is None


def test_what_is_unreadable_needs_no_id_if_it_has_an_envelopes() -> None:
    nameless = sample("", "a", IN, outcome="unreadable", envelope_id="e")

    assert rejection(nameless) is None
    assert rejection(replace(nameless, envelope_id="0x")) == "missing_field"
    assert rejection(replace(nameless, channel_id="")) == "missing_field"
    assert rejection(replace(nameless, outcome="dropped")) == "missing_field"
