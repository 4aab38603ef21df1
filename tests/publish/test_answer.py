"""What a store's answer means, and which parts of a refused request are sent again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.publish.answer import (
    Failed,
    Meaning,
    Rejected,
    failed_for,
    meaning_of,
    rejected_for,
    retry_after_seconds,
)
from devtelemetry.publish.remote_write import Stamped, halves

NOW = datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_success_is_taken(status: int) -> None:
    assert meaning_of(status, "") is Meaning.TAKEN


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_a_store_has_looked_at_and_refused_is_not_sent_as_it_is(status: int) -> None:
    assert meaning_of(status, "anything") is Meaning.REFUSED


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        (408, Failed.SERVER_ERROR),
        (429, Failed.BUSY),
        (500, Failed.SERVER_ERROR),
        (502, Failed.SERVER_ERROR),
        (503, Failed.SERVER_ERROR),
        (504, Failed.SERVER_ERROR),
    ],
)
def test_a_store_that_is_busy_or_broken_is_asked_later(status: int, failed: Failed) -> None:
    assert meaning_of(status, "out of memory") is Meaning.LATER
    assert failed_for(status) is failed


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 407, 415])
def test_a_wrong_address_or_login_costs_no_point(status: int) -> None:
    assert meaning_of(status, "too old sample") is Meaning.MISDIRECTED
    assert failed_for(status) is Failed.MISDIRECTED


def test_the_500_that_means_too_old_does_not_hold_up_the_others() -> None:
    assert meaning_of(500, "too old sample\n") is Meaning.REFUSED
    assert meaning_of(503, "too old sample\n") is Meaning.LATER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("out of order sample", Rejected.OUT_OF_ORDER),
        ("user=a: err: Out of order sample. series={}", Rejected.OUT_OF_ORDER),
        ("… (err-mimir-sample-out-of-order). The affected sample …", Rejected.OUT_OF_ORDER),
        ("duplicate sample for timestamp", Rejected.DUPLICATE),
        ("(err-mimir-sample-duplicate-timestamp)", Rejected.DUPLICATE),
        ("out of bounds", Rejected.TOO_OLD),
        ("too old sample", Rejected.TOO_OLD),
        ("(err-mimir-sample-timestamp-too-old)", Rejected.TOO_OLD),
        ("label name is not unique", Rejected.OTHER),
        ("", Rejected.OTHER),
    ],
)
def test_a_refusal_is_counted_by_what_the_store_says(text: str, reason: Rejected) -> None:
    assert rejected_for(text) is reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 02 Mar 2026 10:00:30 GMT", 30.0),
        ("Mon, 02 Mar 2026 09:59:30 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_halves_are_the_whole_and_end_between_two_times_if_there_are_two(times: list[int]) -> None:
    points = [Stamped((), at, float(n)) for n, at in enumerate(sorted(times))]
    older, newer = halves(points)
    assert [*older, *newer] == points
    assert older
    assert newer
    assert older[-1].at_ms != newer[0].at_ms or len(set(times)) == 1
