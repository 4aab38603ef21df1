"""What clients sent is shown, and does nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.words.texts import shorten, visible


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
