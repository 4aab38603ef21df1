"""What is remembered is bounded, and is the newest."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.store import recent
from devtelemetry.store.recent import Recent

ENTRIES = 10


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ENTRIES", ENTRIES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3 * ENTRIES)))
def test_at_least_the_newest_half_is_known_and_never_more_than_is_allowed(sizes: list[int]) -> None:
    known: Recent[int, str] = Recent()
    said = 0
    for size in sizes:
        known.remember({number: str(number) for number in range(said, said + size)})
        said += size
        assert min(said, ENTRIES // 2) <= len(known) <= ENTRIES
        assert known == {number: str(number) for number in range(said - len(known), said)}


def test_what_was_said_last_of_a_thing_is_known() -> None:
    known: Recent[str, int] = Recent()
    known.remember({"a": 1})
    known.remember({"a": 2})
    assert known == {"a": 2}
