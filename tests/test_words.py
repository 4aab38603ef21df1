"""What people are shown: texts of clients do nothing, and what is not all never reads as all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.causes.classify import LossClass
from devtelemetry.estimate.delay import NOT_REACHED
from devtelemetry.estimate.interval import Interval
from devtelemetry.model import Dimension
from devtelemetry.words import (
    DIMENSIONS,
    LOSS_CLASSES,
    TOO_FEW,
    delay,
    duration,
    interval,
    percent,
    short_count,
    shorten,
    visible,
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
    ],
)
def test_what_cannot_be_seen_is_written_as_its_code(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(), st.integers(3, 60))
def test_a_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    shown = shorten(text, width)
    assert len(shown) <= width
    assert shown.isprintable()
    begin, cut, end = shown.partition("…")
    assert visible(text) == shown or (
        cut and visible(text).startswith(begin) and visible(text).endswith(end)
    )


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


def test_every_dimension_and_class_of_loss_has_a_name() -> None:
    assert DIMENSIONS.keys() == set(Dimension)
    assert LOSS_CLASSES.keys() == set(LossClass)
