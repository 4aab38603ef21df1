"""Oracle and predecessor, both compared with the known truth of recorded traffic."""

from __future__ import annotations

import functools
import json
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from oracle.cases import END, IN, MINUTE, START, everywhere, sample, still_there
from oracle.intake import HOUR_MS
from oracle.model import Canonical, Membership, OracleWindow, Receiver, canonical, compute
from oracle.recording import (
    RECORDINGS_VARIABLE,
    UNMEASURED_CHANNELS,
    UNMEASURED_TYPES,
    Mapped,
    Recording,
    Truth,
    hourly_windows,
    predecessor_ratio,
    read_recording,
    read_truth,
    recording_path,
    shift,
    to_samples,
    true_delivery_ratio,
)
from oracle.vectors import read_vectors
from support.ci import missing_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
        """All hourly windows, with what status-go's interface measures by default."""
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


def test_small_recording_measures_what_is_true() -> None:
    small = material("small")
    (_, end) = small.windows[-1]
    # The recording ends within its only hour, so without heartbeats nobody is reporting.
    assert small.measured("present")[0].channels == {}

    windows = small.measured("present", still_there(small.mapped.receipts, end))

    assert delivery_ratio_over(windows) == pytest.approx(
        float(true_delivery_ratio(small.truth)), abs=0.005
    )


# One author sent a message again 14 s later, in the next hour. Most receivers say that later time,
# so it counts.
@pytest.mark.parametrize(
    ("membership", "ratio", "pairs"),
    [("present", 0.9535, 86_769), ("bracketed", 0.9532, 73_723), ("window", 0.9484, 87_231)],
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


@pytest.mark.parametrize("name", ["small", "large"])
def test_what_could_not_be_read_and_what_was_not_sent_are_told_from_the_rest(name: str) -> None:
    known = material(name)
    messages = told_in_full(known)

    unreadable = {
        (message, key)
        for message, told in messages.items()
        for (key, _), receipt in told.receipts.items()
        if receipt.outcome == "unreadable"
    }
    assert unreadable == {
        ((channel_id, message_id), key)
        for channel_id, members in known.truth.channels.items()
        for key, truly in members.items()
        for message_id in truly.processing_error
    }
    not_sent = {key for key in known.truth.senders if messages[key].was_not_sent}
    assert not_sent == known.truth.unpublished
    # The recorded client never reports that a message came from a store.
    assert not any(r.via for told in messages.values() for r in told.receipts.values())


@pytest.mark.parametrize("name", ["small", "large"])
def test_events_hardly_move_the_delivery_ratio(name: str) -> None:
    """Unreadable messages vouch, and move the first and last of their receivers."""
    known = material(name)
    (_, end) = known.windows[-1]
    there = still_there(known.mapped.receipts, end)

    in_full = replace(known, messages=told_in_full(known)).measured("present", there)

    alone = delivery_ratio_over(known.measured("present", there))
    assert delivery_ratio_over(in_full) == pytest.approx(alone, abs=2e-5)
    assert sum(window.counts.unreadable for window in in_full) > 0
    assert sum(window.counts.not_sent for window in in_full) > 0


def told_in_full(known: Material) -> Canonical:
    """The messages, with what the recording says of envelopes."""
    mapped = known.mapped
    return canonical([*mapped.samples, *mapped.unreadable], mapped.events)


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
    # Copies of an item stay equal, so there are as many distinct items as before.
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
    # A message sent exactly at the end is in this window and in the next. A report that arrived
    # exactly at start or end does not show that its receiver was there before or after.
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
    assert len(known) == 5  # nobody reported before the first hour or after the last
    assert round(float(sum(known, Fraction(0)) / len(known)), 3) == 0.911
