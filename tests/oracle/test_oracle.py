"""The oracle against the worked vectors, against the truth, and against laws of its own."""

from __future__ import annotations

import functools
import json
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.model import (
    MEMBERSHIPS,
    Canonical,
    Membership,
    OracleChannel,
    OracleSample,
    OracleWindow,
    Receiver,
    canonical,
    compute,
)
from oracle.recording import (
    DAY_MS,
    HOUR_MS,
    RECORDINGS_VARIABLE,
    UNMEASURED_CHANNELS,
    UNMEASURED_TYPES,
    Mapped,
    Recording,
    Truth,
    Vector,
    hourly_windows,
    predecessor_ratio,
    read_recording,
    read_truth,
    read_vectors,
    recording_path,
    rejection,
    shift,
    to_samples,
    true_delivery_ratio,
)
from support.ci import missing_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START = 1_772_445_600_000  # 2026-03-02 10:00 UTC
END = START + HOUR_MS
MINUTE = 60_000

# Vectors


def figures(channel: OracleChannel) -> dict[str, object]:
    # Cases without numbers do not say what is unknown: nothing.
    return ({"unknown": channel.unknown} if channel.unknown else {}) | {
        "messages": channel.messages,
        "receivers": channel.receivers,
        "expected": channel.expected,
        "missing": channel.missing,
        "corroborated": channel.corroborated,
        "comparable": channel.comparable,
        "reliability": written(channel.reliability),
        "delivery_ratio": written(channel.delivery_ratio),
    }


def written(ratio: Fraction | None) -> str | None:
    return None if ratio is None else str(ratio)


@pytest.mark.parametrize("vector", read_vectors(), ids=lambda vector: vector.name)
def test_vector_is_reproduced_exactly(vector: Vector) -> None:
    window = compute(
        vector.oracle_samples(),
        vector.window_start,
        vector.window_end,
        vector.membership,
        numbers=vector.oracle_numbers(),
        memberships=vector.oracle_memberships(),
    )

    assert {
        "reliability": written(window.reliability),
        "delivery_ratio": written(window.delivery_ratio),
        "channels": {name: figures(channel) for name, channel in window.channels.items()},
    } == vector.expect


# Recordings


@dataclass(frozen=True)
class Material:
    mapped: Mapped
    messages: Canonical
    truth: Truth

    @property
    def windows(self) -> list[tuple[int, int]]:
        return hourly_windows(self.mapped.receipts)

    def measured(
        self, membership: Membership, heartbeats: dict[Receiver, int] | None = None
    ) -> list[OracleWindow]:
        """All hourly windows, as the status-go interface measures by default."""
        return [
            compute(
                self.messages,
                start,
                end,
                membership,
                heartbeats=heartbeats,
                unmeasured_channels=UNMEASURED_CHANNELS,
                unmeasured_types=UNMEASURED_TYPES,
            )
            for start, end in self.windows
        ]


@functools.cache
def material(name: str) -> Material:
    recording = recording_path(f"status-go-{name}.ndjson.gz")
    truth = recording_path(f"status-go-{name}.truth.json.gz")
    if recording is None or truth is None:
        missing_part(f"no status-go-{name}.ndjson.gz: {RECORDINGS_VARIABLE} names its directory")
    mapped = to_samples(read_recording(recording))
    return Material(mapped, canonical(mapped.samples), read_truth(truth))


def small_recording() -> Recording:
    return read_recording(packaged("status-go-small.ndjson.gz"))


def packaged(name: str) -> Path:
    path = recording_path(name)
    assert path is not None
    return path


def delivery_ratio_over(windows: Sequence[OracleWindow]) -> float:
    """Σ over Σ; ratios are never averaged over windows."""
    missing = sum(window.missing for window in windows)
    return 1 - missing / sum(window.corroborated for window in windows)


def still_there(samples: Sequence[OracleSample], at: int) -> dict[Receiver, int]:
    """A heartbeat of every receiver that ever reported."""
    return {sample.receiver: at for sample in samples}


def test_small_recording_measures_what_is_true() -> None:
    small = material("small")
    (_, end) = small.windows[-1]
    # It ends within its only hour: without a sign of life after that nobody is reporting.
    assert small.measured("present")[0].channels == {}

    windows = small.measured("present", still_there(small.mapped.receipts, end))

    assert delivery_ratio_over(windows) == pytest.approx(
        float(true_delivery_ratio(small.truth)), abs=0.005
    )


@pytest.mark.parametrize(
    ("membership", "ratio", "pairs"),
    [("present", 0.9535, 86_769), ("bracketed", 0.9532, 73_724), ("window", 0.9485, 87_230)],
)
def test_large_recording_reads_as_stated(membership: Membership, ratio: float, pairs: int) -> None:
    large = material("large")

    windows = large.measured(membership)

    assert round(delivery_ratio_over(windows), 4) == ratio
    assert sum(window.expected for window in windows) == pairs


def test_large_recording_measures_what_is_true() -> None:
    large = material("large")
    true_ratio = float(true_delivery_ratio(large.truth))

    assert round(true_ratio, 4) == 0.9536
    assert delivery_ratio_over(large.measured("present")) == pytest.approx(true_ratio, abs=0.005)
    (_, end) = large.windows[-1]
    with_the_last_half_hour = large.measured("present", still_there(large.mapped.receipts, end))
    assert delivery_ratio_over(with_the_last_half_hour) == pytest.approx(true_ratio, abs=0.005)


@pytest.mark.parametrize("name", ["small", "large"])
def test_truth_adds_up(name: str) -> None:
    for receiver in material(name).truth.receivers:
        others = len(receiver.reported_under_other_chat)
        assert receiver.expected == receiver.received + len(receiver.missing) + others
        assert receiver.processing_error <= receiver.missing
        assert not receiver.missing & (
            receiver.late_from_store | receiver.reported_under_other_chat | receiver.telemetry_lost
        )


@pytest.mark.parametrize("name", ["small", "large"])
def test_defaults_leave_the_conversation_channels(name: str) -> None:
    known = material(name)
    (_, end) = known.windows[-1]

    windows = known.measured("present", still_there(known.mapped.receipts, end))

    compared = {
        channel_id
        for window in windows
        for channel_id, channel in window.channels.items()
        if channel.comparable
    }
    assert compared == known.truth.channels.keys()


@pytest.mark.parametrize("name", ["small", "large"])
def test_envelopes_name_the_true_author_and_no_other(name: str) -> None:
    known = material(name)
    marked = Counter[bool]()
    for message, sender in known.truth.senders.items():
        authors = {key for key, _ in known.messages[message].authors}
        assert authors <= {sender}
        marked[bool(authors)] += 1
    # An envelope that was never published is not reported, so a few authors stay unknown.
    assert marked[True] > 0.97 * marked.total()


def test_shift_moves_every_time_and_nothing_else() -> None:
    recording = small_recording()
    later = shift(recording, 36)

    assert shift(later, -36) == recording
    for before, after in zip(recording, later, strict=True):
        assert after.t_ms - before.t_ms == 36 * HOUR_MS
        assert len(after.body) == len(before.body)
        if before.body:
            assert times(json.loads(after.body)) == [
                time + 36 * 3_600 for time in times(json.loads(before.body))
            ]
    # Sent again stays recognisable: as many distinct items as before.
    assert len(set(to_samples(later).samples)) == len(set(to_samples(recording).samples))


def times(value: object) -> list[int]:
    if isinstance(value, list):
        return [time for element in value for time in times(element)]
    if isinstance(value, dict):
        own = [value[name] for name in ("sentAt", "timestamp") if name in value]
        return own + [time for element in value.values() for time in times(element)]
    return []


def test_shift_leaves_what_is_no_time() -> None:
    recording = read_recording(packaged("status-go-quirks.ndjson.gz"))
    later = shift(recording, 1)

    assert sorted(set(times(json.loads(later[1].body))))[:2] == [0, 1]
    assert later[-1].body == ""


def test_shift_by_whole_hours_does_not_change_the_figures() -> None:
    samples = material("small").mapped.receipts
    moved = to_samples(shift(small_recording(), 100))
    (start, end) = hourly_windows(samples)[0]
    later = 100 * HOUR_MS

    assert compute(
        moved.samples,
        start + later,
        end + later,
        "present",
        heartbeats=still_there(samples, end + later),
    ) == compute(
        material("small").messages, start, end, "present", heartbeats=still_there(samples, end)
    )


def test_quirks_are_read() -> None:
    mapped = to_samples(read_recording(packaged("status-go-quirks.ndjson.gz")))

    assert mapped.rejected == {"missing_field": 2}
    assert len(mapped.samples) == 5_001
    assert len({sample.message_id for sample in mapped.samples}) == 5_001


# Predecessor


def test_predecessor_reads_one_for_disjoint_losses() -> None:
    (vector,) = [v for v in read_vectors() if v.name == "equal-counts-disjoint-messages"]

    samples = vector.oracle_samples()

    assert predecessor_ratio(samples, vector.window_start, vector.window_end) == 1
    assert vector.expect["delivery_ratio"] == "0"


def test_predecessor_can_go_below_zero() -> None:
    samples = everywhere("a", "b", "c")
    samples += [sample(f"m{i}", "a", START + i * MINUTE) for i in range(5)]
    samples += [sample("m0", key, START) for key in ("b", "c")]

    # 1 - (0 + 4 + 4) / (5 + 1 + 1)
    assert predecessor_ratio(samples, START, END) == Fraction(-1, 7)


def test_predecessor_counts_a_retry_as_a_message() -> None:
    samples = everywhere("a", "b") + [sample("m1", key, START) for key in ("a", "b")]

    assert predecessor_ratio(samples, START, END) == 1
    assert predecessor_ratio([*samples, samples[-1]], START, END) == Fraction(2, 3)


def test_predecessor_bounds_are_its_own() -> None:
    # Sent exactly at the end is in, here and in the next window; what arrived exactly at start or
    # end does not show that the receiver was there before or after.
    both = everywhere("a", "b")
    edge = [*both, sample("m", "a", IN), sample("m", "b", IN), sample("e", "a", END)]
    assert predecessor_ratio(edge, START, END) == Fraction(2, 3)

    a_lacks_one = [*both, sample("m", "a", IN), sample("m", "b", IN), sample("n", "b", IN)]
    assert predecessor_ratio(a_lacks_one, START, END) == Fraction(2, 3)
    for name, at in (("before", START), ("after", END)):
        a_not_there = [
            replace(s, created_at=at)
            if s.message_id == name and s.receiver_public_key == "a"
            else s
            for s in a_lacks_one
        ]
        assert predecessor_ratio(a_not_there, START, END) == 1
        assert predecessor_ratio(a_not_there[:-2], START, END) is None


def test_predecessor_on_the_large_recording_reads_as_stated() -> None:
    large = material("large")
    receipts = [s for s in large.mapped.receipts if s.channel_id in large.truth.channels]

    ratios = [predecessor_ratio(receipts, start, end) for start, end in large.windows]

    known = [ratio for ratio in ratios if ratio is not None]
    assert len(known) == 5  # the first hour has no before, the last no after
    assert round(float(sum(known, Fraction(0)) / len(known)), 3) == 0.911


# Laws, made by hand


def sample(
    message_id: str,
    key: str,
    sent_at: int,
    created_at: int | None = -1,
    *,
    channel_id: str = "c",
    wrote: bool = False,
    message_type: str = "CHAT_MESSAGE",
) -> OracleSample:
    """A receipt that came two seconds after it was sent, unless told otherwise."""
    return OracleSample(
        message_id=message_id,
        channel_id=channel_id,
        receiver_public_key=key,
        sent_at=sent_at,
        created_at=sent_at + 2_000 if created_at == -1 else created_at,
        sent_by_receiver=wrote,
        message_type=message_type,
    )


def mark(message_id: str, key: str, channel_id: str = "c") -> OracleSample:
    """Says that this receiver wrote the message; no receipt."""
    return sample(message_id, key, 0, None, channel_id=channel_id, wrote=True)


def everywhere(*keys: str, channel_id: str = "c") -> list[OracleSample]:
    """Each of them held a message before the window and holds one after it."""
    return [
        sample(name, key, at, channel_id=channel_id)
        for key in keys
        for name, at in (("before", START - MINUTE), ("after", END + MINUTE))
    ]


def counts(window: OracleWindow, channel_id: str = "c") -> tuple[int, int, int, int, int]:
    """messages, receivers, expected, missing, corroborated"""
    c = window.channels[channel_id]
    return (c.messages, c.receivers, c.expected, c.missing, c.corroborated)


IN = START + MINUTE

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
    # b says m was sent after the window, but m's sentAt is what a said: b's last is m, not later.
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
    # In d only b reports: what it lacks is told there, and taken into nothing else.
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
    # a reports in another channel; of this one it is only known that it wrote m.
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
    arrival = START  # 10:00 of a day: seven days before it is 10:00 as well
    oldest = START - 10 * HOUR_MS - 7 * DAY_MS

    def refused(sent_at: int) -> str | None:
        return rejection(sample("m", "a", sent_at, created_at=arrival))

    assert refused(oldest) is None
    assert refused(oldest - 1) == "too_old"
    assert refused(arrival + HOUR_MS) is None
    assert refused(arrival + HOUR_MS + 1) == "in_the_future"
