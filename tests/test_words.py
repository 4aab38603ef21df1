"""Texts for people: clients' texts cannot do harm, and a share below 1 never reads as 100 %."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.causes.classify import LossPattern
from devtelemetry.estimate.delay import NOT_REACHED
from devtelemetry.estimate.interval import Interval
from devtelemetry.model import Counts, Dimension, LossClass, LossReason, Via
from devtelemetry.words import (
    DIMENSIONS,
    LOSS_CLASSES,
    LOSS_PATTERNS,
    TOO_FEW,
    WAYS,
    delay,
    duration,
    interval,
    losses,
    percent,
    short_count,
    shorten,
    visible,
    ways,
)
from devtelemetry.words.tables import narrow_count


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("general", "general"),
        ("a\nb\x1b[31m", "a\\u000ab\\u001b[31m"),
        ("\u202egpj", "\\u202egpj"),
        ("a\U000e0001", "a\\U000e0001"),
        ("\ud800", "\\ud800"),
        ("日本 é", "日本 é"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\u200db", "a\\u200db"),
        ("\u200d👧", "\\u200d👧"),
        ("👧\u200d\u202e", "👧\\u200d\\u202e"),
    ],
)
def test_what_cannot_be_seen_is_written_as_its_code(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(), st.integers(3, 60))
def test_a_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    shown = shorten(text, width)
    assert len(shown) <= width
    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()
    begin, cut, end = shown.partition("…")
    assert visible(text) == shown or (
        cut and visible(text).startswith(begin) and visible(text).endswith(end)
    )


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("👨\u200d👩\u200d👧" * 3, 13, "👨\u200d👩\u200d👧…👨\u200d👩\u200d👧"),
        ("👋🏽" * 7, 11, "👋🏽👋🏽…👋🏽👋🏽"),
        ("🇳🇵" * 9, 11, "🇳🇵🇳🇵…🇳🇵🇳🇵"),
        ("\u202e" * 9, 12, "…"),
        ("a\nbcdefghijkl", 12, "a…hijkl"),
    ],
)
def test_a_shortened_text_cuts_no_letter_and_no_code_in_two(
    text: str, width: int, shown: str
) -> None:
    assert shorten(text, width) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (1.0, "100.00 %"),
        (0.999999, "99.99 %"),
        (14 / 15, "93.33 %"),
        (0.0, "0.00 %"),
        (None, "–"),
    ],
)
def test_what_is_not_all_never_reads_as_all(ratio: float | None, shown: str) -> None:
    assert percent(ratio) == shown


def test_an_interval_has_one_unit_or_says_why_there_is_none() -> None:
    assert interval(Interval(0.9102, 0.93, 0.951)) == "91.02–95.10 %"
    assert interval(Interval(0.99, 0.999999, 1.0)) == "99.00–100.00 %"
    assert interval(None) == TOO_FEW


@pytest.mark.parametrize(
    ("value", "short", "narrow"),
    [
        (9_999, "9,999", "9,999"),
        (12_345, "12.3k", "12,345"),
        (9_999_999, "10.0M", "9,999,999"),
        (98_765_432_109, "98.8G", "98.8G"),
    ],
)
def test_a_count_is_as_short_as_its_place_needs(value: int, short: str, narrow: str) -> None:
    assert (short_count(value), narrow_count(value)) == (short, narrow)


def test_a_duration_is_a_number_and_a_unit_that_is_no_other() -> None:
    assert [duration(ms) for ms in (1_000, 60_000, 3_600_000)] == ["1 s", "1 min", "1 h"]
    assert (delay(60_000), delay(NOT_REACHED), delay(None)) == (
        "≤ 1 min",
        "not reached",
        "not known",
    )


def test_every_dimension_class_and_pattern_of_loss_and_way_has_a_name() -> None:
    assert DIMENSIONS.keys() == set(Dimension)
    assert LOSS_PATTERNS.keys() == set(LossPattern)
    assert LOSS_CLASSES.keys() == set(LossClass)
    assert WAYS.keys() == set(Via)


def test_losses_are_said_in_a_sentence_the_most_first() -> None:
    counts = Counts(9, 9, 20_000, 1_204, 20_000, unreadable=410, dropped=32, not_sent=150)
    reasons = [
        LossReason("not_arrived", "", 612),
        LossReason("unreadable", "no_session_key", 380),
        LossReason("unreadable", "", 20),
        LossReason("not_sent", "timeout", 4),
        LossReason("not_sent", "no_peers", 140),
        LossReason("not_sent", "gave_up", 3),
        LossReason(None, None, 45),
    ]
    assert losses(counts, reasons) == (
        "Of 1,204 missing: 612 did not arrive, 410 could not be read (no_session_key 380), "
        "150 were never sent (no_peers 140, timeout 4), 32 were dropped by the app."
    )
    assert losses(Counts(9, 9, 20, 2, 20, not_sent=1, dropped=1)) == (
        "Of 2 missing: 1 was never sent, 1 was dropped by the app."
    )
    assert losses(Counts(9, 9, 20, 0, 20), reasons) == ""


def test_ways_are_said_where_anybody_says_them() -> None:
    assert ways(Counts(9, 9, 20, 0, 20)) == ""
    assert ways(Counts(9, 9, 1_020, 20, 20, by_live=900, by_history=20, by_resend=5)) == (
        "Of 1,000 delivered: 900 live, 20 from a history, 5 sent again, 75 not said."
    )
    assert ways(Counts(9, 9, 20, 0, 20, by_live=20)) == "Of 20 delivered: 20 live."
