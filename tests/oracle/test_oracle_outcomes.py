"""What became of a message at a receiver, how it came, and why it is missing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from oracle.cases import END, IN, MINUTE, START, counts, everywhere, held, mark, sample
from oracle.groups import Reason
from oracle.model import MEMBERSHIPS, OracleSample, canonical, compute
from oracle.samples import EnvelopeEvent, Outcome, Via

if TYPE_CHECKING:
    from oracle.model import OracleChannel, OracleWindow, Receiver


def of_c(*samples: OracleSample, events: tuple[EnvelopeEvent, ...] = ()) -> OracleChannel:
    """Channel c. Receivers a, b and d are in it all the time."""
    window = compute(
        [*everywhere("a", "b", "d"), *samples],
        START,
        END,
        "present",
        events=events,
        smallest_group=1,
    )
    return window.channels["c"]


def classes(channel: OracleChannel) -> tuple[int, int, int, int]:
    """unreadable, dropped, not_sent, not_arrived"""
    c = channel.counts
    return (c.unreadable, c.dropped, c.not_sent, c.not_arrived)


def ways(channel: OracleChannel) -> tuple[int, int, int]:
    return (channel.counts.by_live, channel.counts.by_history, channel.counts.by_resend)


def says(
    outcome: Outcome, message_id: str, key: str, reason: str = "", after: int = 2_000
) -> OracleSample:
    return sample(message_id, key, IN, IN + after, outcome=outcome, reason=reason)


# The worked case


def worked_case() -> OracleWindow:
    def at(minute: int) -> int:
        return START + minute * MINUTE

    def has(key: str, number: int, via: Via = "", after: int = 2_000) -> OracleSample:
        return sample(f"m{number}", key, at(number), at(number) + after, via=via)

    def lacks(outcome: Outcome, key: str, number: int, reason: str) -> OracleSample:
        return replace(has(key, number), outcome=outcome, reason=reason)

    return compute(
        [
            *everywhere("ann", "ben", "cleo", "dan"),
            *(replace(has("ann", number), sent_by_receiver=True) for number in range(1, 6)),
            has("ben", 1, "live"),
            lacks("unreadable", "ben", 2, "no_session_key"),
            has("ben", 2, after=400_000),
            lacks("unreadable", "ben", 3, "no_session_key"),
            has("cleo", 1, "live"),
            has("cleo", 2, "live"),
            has("cleo", 3, "history"),
            lacks("dropped", "cleo", 4, "too_large"),
            *(has("dan", number) for number in (1, 2, 3)),
            lacks("send_failed", "ann", 5, "no_peers"),
        ],
        START,
        END,
        "present",
        smallest_group=1,
    )


def test_the_case_that_is_worked_on_the_page() -> None:
    window = worked_case()
    channel = window.channels["c"]

    assert counts(window) == (5, 4, 15, 7, 15)
    assert classes(channel) == (1, 1, 3, 2)
    assert channel.counts.recovered == 1
    assert ways(channel) == (3, 1, 0)
    assert channel.delivery_ratio == window.delivery_ratio == Fraction(8, 15)
    assert window.counts == channel.counts
    assert (
        window.reasons
        == channel.reasons
        == [
            Reason("not_sent", "no_peers", 3),
            Reason("not_arrived", "", 2),
            Reason("dropped", "too_large", 1),
            Reason("unreadable", "no_session_key", 1),
        ]
    )


# One pair


@pytest.mark.parametrize(
    ("said", "found", "recovered"),
    [
        ([], (0, 0, 0, 1), 0),
        (["held"], (0, 0, 0, 0), 0),
        (["unreadable"], (1, 0, 0, 0), 0),
        (["dropped"], (0, 1, 0, 0), 0),
        (["dropped", "unreadable"], (1, 0, 0, 0), 0),
        (["unreadable", "dropped", "held"], (0, 0, 0, 0), 1),
        (["dropped", "held"], (0, 0, 0, 0), 0),
        (["held", "unreadable"], (0, 0, 0, 0), 1),
    ],
)
def test_a_pair_is_what_is_best_of_what_was_said(
    said: list[Outcome], found: tuple[int, ...], recovered: int
) -> None:
    channel = of_c(
        *held({"m": "a"}),
        sample("m", "d", IN, wrote=True),
        *(says(outcome, "m", "b", after=n) for n, outcome in enumerate(said)),
    )

    assert classes(channel) == found
    assert channel.expected == 2
    assert channel.missing == sum(found)
    assert channel.counts.recovered == recovered


@pytest.mark.parametrize("outcome", ["unreadable", "dropped"])
def test_any_outcome_vouches_and_shows_that_its_receiver_is_there(outcome: Outcome) -> None:
    # x reports only this outcome, before the window, in it and after it.
    samples = [replace(one, outcome=outcome) for one in [*everywhere("x"), sample("m", "x", IN)]]
    window = compute([*everywhere("a"), *samples], START, END, "present")
    assert counts(window) == (1, 2, 2, 2, 1)

    for membership in MEMBERSHIPS:
        assert compute(samples, START, END, membership).channels["c"].receivers == 1


@pytest.mark.parametrize("outcome", ["unreadable", "dropped"])
def test_what_is_not_held_vouches_toward_the_quorum_and_is_no_capture(outcome: Outcome) -> None:
    samples = [*everywhere("a", "b"), *held({"m": "a", "n": "a"}), says(outcome, "m", "b")]
    window = compute(samples, START, END, "present", quorum=2)

    assert counts(window) == (1, 2, 2, 1, 2)
    assert window.channels["c"].captures == (2, 2, 0, 4)


def test_what_one_alone_knows_of_and_cannot_read_is_missing_and_not_corroborated() -> None:
    # So missing can exceed corroborated, and the delivery ratio can fall below 0.
    samples = [*everywhere("a", "b"), says("unreadable", "m", "b")]
    window = compute(samples, START, END, "present")

    assert counts(window) == (1, 2, 2, 2, 1)
    assert window.reliability == 0
    assert window.delivery_ratio == -1


def test_an_outcome_that_comes_after_another_is_a_sign_of_life() -> None:
    samples = [*everywhere("a"), *held({"m": "ab"})]
    late = says("unreadable", "m", "b", after=2 * 3_600_000)

    assert counts(compute(samples, START, END, "present")) == (1, 1, 1, 0, 1)
    assert counts(compute([*samples, late], START, END, "present")) == (1, 2, 2, 0, 2)
    again = sample("m", "b", IN, IN + 2 * 3_600_000)
    assert counts(compute([*samples, again], START, END, "present")) == (1, 1, 1, 0, 1)


def test_what_is_unreadable_has_the_type_that_others_say() -> None:
    samples = [
        sample("m", "b", IN, IN + 1, outcome="unreadable", message_type=""),
        sample("m", "a", IN, IN + 2, message_type="CHAT"),
        sample("m", "d", IN, IN + 3, message_type="NOISE"),
        sample("n", "b", IN, IN + 1, outcome="unreadable", message_type=""),
    ]
    messages = canonical(samples)

    assert messages["c", "m"].message_type == "CHAT"
    assert messages["c", "n"].message_type == ""


# Not sent


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ([], (0, 0, 2, 0)),
        # Another receiver wrote it too, and reports no failure.
        ([sample("m", "d", IN, wrote=True)], (0, 0, 1, 0)),
        ([mark("m", "d")], (0, 0, 1, 0)),
        # Somebody has a sample of it, with any outcome, whether that receiver counts or not.
        ([sample("m", "x", IN)], (0, 0, 0, 2)),
        ([says("unreadable", "m", "x")], (0, 0, 0, 2)),
        ([says("dropped", "m", "d")], (0, 1, 0, 1)),
        ([says("unreadable", "m", "d")], (1, 0, 0, 1)),
        ([sample("m", "d", IN)], (0, 0, 0, 1)),
    ],
)
def test_not_sent_is_what_only_authors_have(
    more: list[OracleSample], found: tuple[int, ...]
) -> None:
    channel = of_c(says("send_failed", "m", "a", "no_peers"), *more)

    assert classes(channel) == found
    assert channel.missing == sum(found)


def test_a_failure_makes_its_author_present() -> None:
    # a reports only failures: before the window, in it, and after it.
    failures = [replace(one, outcome="send_failed") for one in everywhere("a")]
    window = compute(
        [*failures, says("send_failed", "m", "a"), *everywhere("b", "d"), *held({"n": "b"})],
        START,
        END,
        "bracketed",
    )

    # b and d lack m. a and d lack n, which only b reports.
    assert counts(window) == (2, 3, 5, 4, 4)
    assert classes(window.channels["c"]) == (0, 0, 2, 2)


# Reasons


def test_the_reason_that_was_said_first_counts() -> None:
    channel = of_c(
        *held({"m": "a"}),
        says("unreadable", "m", "b", "later", after=3),
        says("unreadable", "m", "b", "first", after=2),
        says("dropped", "m", "b", "earliest", after=1),
        says("unreadable", "m", "d", "z", after=2),
        says("unreadable", "m", "d", "y", after=2),
        says("send_failed", "n", "a", "slow", after=2),
        says("send_failed", "n", "b", "slower", after=3),
    )

    assert channel.reasons == [
        Reason("not_sent", "slow", 1),
        Reason("unreadable", "first", 1),
        Reason("unreadable", "y", 1),
    ]


def test_the_twenty_most_frequent_reasons_are_named() -> None:
    samples = [
        sample(f"m{number}", "a", IN, outcome="unreadable", reason=f"r{number:02}")
        for number in range(25)
    ]
    found = of_c(*samples, sample("m24b", "a", IN, outcome="unreadable", reason="r24")).reasons

    # b and d hold none of the 26 messages.
    assert found[:2] == [Reason("not_arrived", "", 52), Reason("unreadable", "r24", 2)]
    assert [why.reason for why in found[2:20]] == [f"r{number:02}" for number in range(18)]
    assert found[20:] == [Reason(None, None, 6)]


def test_a_reason_that_concerns_too_few_receivers_is_put_together() -> None:
    samples = [
        *everywhere(*"abcdefg"),
        *held({"m": "a"}),
        *(says("unreadable", "m", key, "no_key") for key in "bcd"),
        *(says("dropped", "m", key, "too_large") for key in "ef"),
    ]

    def found(smallest: int) -> list[Reason]:
        return compute(samples, START, END, "present", smallest_group=smallest).reasons

    no_key = Reason("unreadable", "no_key", 3)
    too_large = Reason("dropped", "too_large", 2)
    assert found(1) == [no_key, too_large, Reason("not_arrived", "", 1)]
    # Only g has this reason. too_large, which concerns the fewest receivers, joins it.
    assert found(2) == [no_key, Reason(None, None, 3)]
    assert found(3) == [no_key, Reason(None, None, 3)]
    assert found(4) == [Reason(None, None, 6)]


# Ways


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([(2, "live"), (3, "history")], (1, 0, 0)),
        ([(3, "live"), (2, "history")], (0, 1, 0)),
        ([(2, "resent")], (0, 0, 1)),
        # Of one time the least way counts; "not said" is the least.
        ([(2, "history"), (2, "live"), (2, "resent")], (1, 0, 0)),
        ([(2, "live"), (1, "")], (0, 0, 0)),
        ([(2, "live"), (2, "")], (0, 0, 0)),
    ],
)
def test_the_way_that_was_said_first_counts(
    said: list[tuple[int, Via]], found: tuple[int, ...]
) -> None:
    channel = of_c(
        sample("m", "a", IN, wrote=True),
        *(sample("m", "b", IN, IN + after, via=via) for after, via in said),
        # The ways of unreadable samples, of authors and of missing pairs do not count.
        replace(says("unreadable", "m", "b", after=0), via="resent"),
        replace(says("dropped", "m", "d"), via="live"),
    )

    assert ways(channel) == found
    assert channel.expected - channel.missing == 1


# By envelope


def test_what_could_not_be_read_stands_for_the_messages_of_its_envelope() -> None:
    nameless = sample("", "b", IN, outcome="unreadable", envelope_id="e", reason="no_key")
    names = [
        sample("m1", "a", IN, envelope_id="e"),
        sample("m2", "d", IN, envelope_id="e"),
        sample("m3", "a", IN, envelope_id="f"),
        sample("m1", "a", IN, envelope_id="e", channel_id="other"),
    ]

    channel = of_c(nameless, *names)
    assert channel.messages == 3
    assert channel.reasons[-1] == Reason("unreadable", "no_key", 2)
    assert canonical([nameless]) == {}
    named = [replace(nameless, message_id=name) for name in ("m1", "m2")]
    assert canonical([nameless, *names]) == canonical([*named, *names])
    # Without a channel it stands for the messages of all channels.
    everywhere_unreadable = canonical([replace(nameless, channel_id=""), *names])
    assert [key for key, m in everywhere_unreadable.items() if ("b", "") in m.receipts] == [
        ("c", "m1"),
        ("c", "m2"),
        ("other", "m1"),
    ]


def test_a_mark_names_no_message_of_an_envelope() -> None:
    nameless = sample("", "b", IN, outcome="unreadable", envelope_id="e")
    marked = [sample("m", "a", IN), replace(mark("m", "a"), envelope_id="e")]

    assert ("b", "") not in canonical([nameless, *marked])["c", "m"].receipts


def test_what_nobody_can_name_shows_that_its_receiver_reports_and_no_more() -> None:
    samples = [*everywhere("a"), *held({"m": "ab", "n": "a"})]
    late = sample("", "b", END + 1, END + 1, outcome="unreadable", envelope_id="e")

    assert counts(compute(samples, START, END, "present")) == (2, 1, 2, 0, 1)
    assert counts(compute([*samples, late], START, END, "present")) == (2, 2, 3, 0, 2)
    # If it came before, the first time counts.
    early = replace(late, sent_at=IN, created_at=IN)
    assert counts(compute([*samples, early], START, END, "present")) == (2, 1, 2, 0, 1)
    again = replace(early, created_at=END + 1)
    assert counts(compute([*samples, early, again], START, END, "present")) == (2, 1, 2, 0, 1)


def test_a_failure_by_envelope_is_its_authors() -> None:
    copy = sample("m", "a", IN, installation_id="p", envelope_id="e")
    here = [replace(one, installation_id="p") for one in everywhere("a")]
    failed = EnvelopeEvent("send_failed", "e", "p", IN + 9, "a", "no_peers")

    def found(*events: EnvelopeEvent) -> tuple[int, ...]:
        return classes(of_c(*here, copy, events=events))

    # The author is key a on installation p. The receivers a, b and d name no installation, so they
    # are others, and all three lack it.
    assert found() == (0, 0, 0, 3)
    assert found(failed) == (0, 0, 3, 0)
    # An event without a receiver holds for those of its installation that report or wrote it.
    assert found(replace(failed, receiver_public_key="")) == (0, 0, 3, 0)
    assert found(replace(failed, receiver_public_key="", installation_id="q")) == (0, 0, 0, 3)
    sent = EnvelopeEvent("sent", "e", "q", IN, "x")
    assert found(sent, replace(failed, receiver_public_key="", installation_id="q")) == (0, 0, 0, 3)
    assert found(replace(failed, envelope_id="f")) == (0, 0, 0, 3)
    # If it went out in this envelope, it is not `not_sent`; another envelope changes nothing.
    assert found(failed, EnvelopeEvent("went_out", "e", "p", IN)) == (0, 0, 0, 3)
    assert found(failed, EnvelopeEvent("went_out", "f", "p", IN)) == (0, 0, 3, 0)


def test_an_event_is_no_receipt() -> None:
    copy = sample("m", "b", IN, envelope_id="e")
    events = [
        EnvelopeEvent("sent", "e", "p", END + 1, "x"),
        EnvelopeEvent("send_failed", "e", "p", END + 1, "x", "why"),
        EnvelopeEvent("went_out", "e", "p", END + 1, "x"),
        EnvelopeEvent("from_store", "e", "p", END + 1, "x"),
    ]
    author: Receiver = ("x", "p")

    message = canonical([copy], events)["c", "m"]
    assert message.receipts.keys() == {("b", "")}
    assert message.authors == {author: END + 1}
    window = compute([*everywhere("a", "b"), copy], START, END, "window", events=events)
    assert author not in window.channels["c"].members
    assert canonical([], events) == {}


def test_what_came_from_a_store_came_by_history() -> None:
    def on(phone: str, via: Via = "", envelope_id: str = "e", after: int = 1) -> OracleSample:
        return sample(
            "m", "b", IN, IN + after, installation_id=phone, envelope_id=envelope_id, via=via
        )

    def found(*samples: OracleSample, key: str = "") -> Via:
        stored = EnvelopeEvent("from_store", "e", "p", END, key)
        return canonical(samples, [stored])["c", "m"].receipts["b", "p"].via

    assert found(on("p")) == "history"
    assert found(on("p"), key="b") == "history"
    assert found(on("p"), key="x") == ""
    assert found(on("p", "live")) == "live"
    assert found(on("q"), on("p")) == "history"
    # A sample by another envelope came before it, or after it.
    assert found(on("p", envelope_id="f", after=0), on("p")) == ""
    assert found(on("p", envelope_id="f", after=2), on("p")) == "history"
