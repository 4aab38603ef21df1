"""The oracle obeys the rules of the page: who counts, what is expected, what is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import END, IN, MINUTE, START, counts, everywhere, mark, sample, still_there
from oracle.intake import DAY_MS, HOUR_MS, rejection
from oracle.model import MEMBERSHIPS, Membership, OracleSample, OracleWindow, canonical, compute

names = st.sampled_from(["a", "b", "c", "d"])
instants = st.integers(-4, 8).map(lambda tenths: START + tenths * HOUR_MS // 4)
random_samples = st.lists(
    st.builds(
        OracleSample,
        message_id=st.sampled_from([f"m{i}" for i in range(6)]),
        channel_id=st.sampled_from(["c1", "c2"]),
        receiver_public_key=names,
        sent_at=instants,
        created_at=st.none() | instants,
        sent_by_receiver=st.booleans(),
        message_type=st.sampled_from(["CHAT_MESSAGE", "UNKNOWN"]),
        received_at=st.none() | instants,
    ),
    max_size=40,
)


@given(data=st.data(), samples=random_samples, membership=st.sampled_from(MEMBERSHIPS))
def test_order_and_repetition_change_nothing(
    data: st.DataObject, samples: list[OracleSample], membership: Membership
) -> None:
    again = data.draw(st.lists(st.sampled_from(samples), max_size=10)) if samples else []
    other = data.draw(st.permutations(samples + again))

    assert canonical(other) == canonical(samples)
    assert compute(other, START, END, membership) == compute(samples, START, END, membership)


@given(data=st.data(), samples=random_samples, membership=st.sampled_from(MEMBERSHIPS))
def test_sending_again_later_changes_nothing(
    data: st.DataObject, samples: list[OracleSample], membership: Membership
) -> None:
    receipts = [s for s in samples if s.created_at is not None]
    again = [
        replace(s, created_at=(s.created_at or 0) + data.draw(st.integers(1, 9 * HOUR_MS)))
        for s in receipts
        if data.draw(st.booleans())
    ]

    before = compute(samples, START, END, membership)
    assert compute([*samples, *again], START, END, membership) == before


@given(samples=random_samples, membership=st.sampled_from(MEMBERSHIPS))
def test_ratios_are_shares(samples: list[OracleSample], membership: Membership) -> None:
    window = compute(samples, START, END, membership, unmeasured_types={"UNKNOWN"})

    for channel in window.channels.values():
        assert 0 <= channel.missing <= channel.corroborated <= channel.expected
        assert channel.expected <= channel.receivers * channel.messages
    ratios = [window.reliability, window.delivery_ratio]
    assert all(0 <= ratio <= 1 for ratio in ratios if ratio is not None)
    assert (window.reliability is None) == (not window.comparable_channels)


@given(samples=random_samples)
def test_bracketed_is_a_part_of_present(samples: list[OracleSample]) -> None:
    present = compute(samples, START, END, "present").channels
    bracketed = compute(samples, START, END, "bracketed").channels

    assert bracketed.keys() <= present.keys()
    for channel_id, part in bracketed.items():
        whole = present[channel_id]
        assert (part.receivers, part.expected) <= (whole.receivers, whole.expected)
        assert part.missing <= whole.missing


@given(samples=random_samples, membership=st.sampled_from(MEMBERSHIPS))
def test_unmeasured_channel_leaves_the_others_alone(
    samples: list[OracleSample], membership: Membership
) -> None:
    both = compute(samples, START, END, membership).channels
    one = compute(samples, START, END, membership, unmeasured_channels=["*1"]).channels

    assert one == {name: channel for name, channel in both.items() if name == "c2"}


def test_earliest_sample_fixes_sent_at_and_the_lesser_claim_breaks_a_tie() -> None:
    claims = [
        sample("m", "a", IN + 5, created_at=IN + 9),
        sample("m", "b", IN + 2, created_at=IN + 8),
        sample("m", "c", IN + 1, created_at=IN + 8),
        sample("m", "d", IN, created_at=IN + 10),
    ]

    assert canonical(claims)["c", "m"].sent_at == IN + 1


def test_later_claim_does_not_stretch_the_presence_of_its_receiver() -> None:
    # b says that m was sent after the window. But m's sentAt is what a said, so b's last is m.
    samples = [
        *everywhere("a"),
        sample("m", "a", IN),
        sample("n", "a", IN + MINUTE),
        sample("m", "b", END + MINUTE),
    ]

    assert counts(compute(samples, START, END, "present")) == (2, 2, 3, 0, 2)


def test_heartbeat_at_the_end_is_reporting_and_one_ms_before_is_not() -> None:
    samples = [sample("m", key, IN) for key in ("a", "b")]

    def window(at: int) -> OracleWindow:
        return compute(samples, START, END, "present", heartbeats={("a", ""): END, ("b", ""): at})

    assert counts(window(END)) == (1, 2, 2, 0, 2)
    assert counts(window(END - 1)) == (1, 1, 1, 0, 1)


def test_sending_again_after_the_end_is_no_sign_of_life() -> None:
    samples = [*everywhere("a"), sample("m", "a", IN), sample("m", "b", IN)]
    again = sample("m", "b", IN, created_at=END + MINUTE)

    for membership in MEMBERSHIPS:
        before = compute(samples, START, END, membership)
        assert compute([*samples, again], START, END, membership) == before


def test_heartbeat_of_one_device_says_nothing_of_the_other() -> None:
    phone = replace(sample("m", "a", IN), installation_id="phone")
    window = compute([phone], START, END, "present", heartbeats={("a", "desktop"): END})

    assert window.channels == {}


def test_nothing_corroborated_has_no_delivery_ratio() -> None:
    samples = [sample("m1", "a", IN), sample("m2", "b", IN + MINUTE)]
    window = compute(samples, START, END, "present", heartbeats=still_there(samples, END))

    assert counts(window) == (2, 2, 2, 0, 0)
    assert window.reliability == 1
    assert window.delivery_ratio is None


def test_totals_are_of_the_comparable_channels_only() -> None:
    # In d only b reports. What b lacks is in the counts of d, and in no other figure.
    solo = [
        *everywhere("b", channel_id="d"),
        sample("m1", "b", IN, channel_id="d"),
        sample("m1", "gone", IN, channel_id="d"),
        sample("m2", "gone", IN, channel_id="d"),
    ]
    pair = [*everywhere("a", "b"), sample("m", "a", IN)]

    window = compute(pair + solo, START, END, "present")

    assert counts(window, "d") == (2, 1, 2, 1, 2)
    assert window.channels["d"].reliability is None
    assert window.channels["d"].delivery_ratio is None
    totals = (window.messages, window.receivers, window.expected)
    assert (*totals, window.missing, window.corroborated) == counts(window, "c") == (1, 2, 2, 1, 1)


@pytest.mark.parametrize(
    ("membership", "first", "last", "receivers"),
    [
        ("present", END - 1, END, 3),
        ("present", END, END + 1, 2),
        ("present", START - 1, START, 3),
        ("present", START - 2, START - 1, 2),
        ("bracketed", START - 1, END, 3),
        ("bracketed", START, END, 2),
        ("bracketed", START - 1, END - 1, 2),
    ],
)
def test_who_counts_at_the_bounds(
    membership: Membership, first: int, last: int, receivers: int
) -> None:
    samples = [
        *everywhere("a", "b"),
        sample("m", "a", IN),
        sample("first", "c", first),
        sample("last", "c", last),
    ]
    heartbeats = {("c", ""): END}

    window = compute(samples, START, END, membership, heartbeats=heartbeats)

    assert window.channels["c"].receivers == receivers


def test_channel_without_a_message_in_the_window_is_absent() -> None:
    assert compute(everywhere("a", "b"), START, END, "present").channels == {}


def test_author_mark_is_as_good_as_reporting_the_own_message() -> None:
    told = [*everywhere("a", "b"), sample("m", "b", IN), sample("m", "a", IN, wrote=True)]
    marked = [*everywhere("a", "b"), sample("m", "b", IN), sample("m", "a", IN), mark("m", "a")]

    for membership in MEMBERSHIPS:
        assert compute(marked, START, END, membership) == compute(told, START, END, membership)
    assert counts(compute(marked, START, END, "present")) == (1, 2, 1, 0, 1)


def test_author_mark_alone_takes_out_the_pair_and_vouches_for_the_message() -> None:
    unmarked = [*everywhere("a", "b"), sample("m", "b", IN)]

    assert counts(compute(unmarked, START, END, "present")) == (1, 2, 2, 1, 1)
    marked = [*unmarked, mark("m", "a")]
    assert counts(compute(marked, START, END, "present")) == (1, 2, 1, 0, 1)


def test_author_mark_alone_counts_under_window_only() -> None:
    # a reports in another channel. In this one it has only a mark that it wrote m.
    samples = [
        *everywhere("b"),
        *everywhere("a", channel_id="elsewhere"),
        sample("m", "b", IN),
        sample("n", "b", IN),
        mark("m", "a"),
    ]

    assert counts(compute(samples, START, END, "window")) == (2, 2, 3, 1, 2)
    assert counts(compute(samples, START, END, "present")) == (2, 1, 2, 0, 1)
    assert counts(compute(samples, START, END, "bracketed")) == (2, 1, 2, 0, 1)


def test_author_mark_is_no_sign_of_life_and_proves_no_message() -> None:
    assert canonical([mark("m", "a")]) == {}

    samples = [*everywhere("b"), sample("m", "a", IN), sample("m", "b", IN), mark("after", "a")]
    assert counts(compute(samples, START, END, "present")) == (1, 1, 1, 0, 1)


def test_unmeasured_samples_show_reporting_and_presence() -> None:
    # b's only signs of life after m1 are a personal topic and a status update in this channel.
    samples = [
        *everywhere("a"),
        sample("m1", "a", IN),
        sample("m1", "b", IN),
        sample("m2", "a", IN + MINUTE),
    ]

    def present(*more: OracleSample) -> OracleWindow:
        return compute(
            [*samples, *more],
            START,
            END,
            "present",
            unmeasured_channels=["*-negotiated"],
            unmeasured_types=["STATUS_UPDATE"],
        )

    elsewhere = sample("t", "b", END, channel_id="0x04-negotiated")
    here = sample("s", "b", END - 1, message_type="STATUS_UPDATE")
    assert counts(present()) == (2, 1, 2, 0, 1)
    assert counts(present(elsewhere)) == (2, 2, 3, 0, 2)
    assert counts(present(elsewhere, here)) == (2, 2, 4, 1, 3)
    assert present(elsewhere, here).channels.keys() == {"c"}


def test_the_first_sample_of_a_message_decides_its_type() -> None:
    samples = [
        *everywhere("a", "b"),
        sample("m", "a", IN, IN + 1_000),
        sample("m", "b", IN, message_type="UNKNOWN"),
        sample("u", "a", IN),
        sample("u", "b", IN, IN + 1_000, message_type="UNKNOWN"),
    ]

    window = compute(samples, START, END, "present", unmeasured_types=["UNKNOWN"])
    assert counts(window) == (1, 2, 2, 0, 2)


def test_unmeasured_patterns_are_case_sensitive_globs_over_the_whole_id() -> None:
    samples = [
        sample("m", "a", IN, channel_id="x-negotiated"),
        sample("later", "a", END, channel_id="x-negotiated"),
    ]

    def seen(glob: str) -> bool:
        window = compute(samples, START, END, "present", unmeasured_channels=[glob])
        return "x-negotiated" in window.channels

    assert not seen("*-negotiated")
    assert not seen("?-neg*")
    assert seen("-negotiated")
    assert seen("*-NEGOTIATED")


def test_oldest_accepted_day_is_kept_whole() -> None:
    arrival = START  # 10:00 of a day, as seven days before
    oldest = START - 10 * HOUR_MS - 7 * DAY_MS

    def refused(sent_at: int) -> str | None:
        return rejection(sample("m", "a", sent_at, created_at=arrival))

    assert refused(oldest) is None
    assert refused(oldest - 1) == "too_old"
    assert refused(arrival + HOUR_MS) is None
    assert refused(arrival + HOUR_MS + 1) == "in_the_future"
