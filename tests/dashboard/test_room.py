"""Who leaves where too many pages are in memory."""

from dataclasses import dataclass

import pytest
from nicegui import Client

from devtelemetry.dashboard.serving import MOST_OF_ADDRESS, MOST_VIEWERS, make_room


@dataclass
class Page:
    """As NiceGUI keeps one."""

    ip: str
    created: float
    has_socket_connection: bool
    is_deleted: bool = False

    def delete(self) -> None:
        self.is_deleted = True


def opened(monkeypatch: pytest.MonkeyPatch, *pages: Page) -> None:
    monkeypatch.setattr(Client, "instances", {str(number): p for number, p in enumerate(pages)})


def gone(*pages: Page) -> list[Page]:
    return [page for page in pages if page.is_deleted]


def test_while_there_is_room_nobody_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Page(f"192.0.2.{n % 10}", n, False) for n in range(MOST_VIEWERS - 1)]
    opened(monkeypatch, *pages)
    assert make_room("198.51.100.1")
    assert gone(*pages) == []


def test_of_whom_has_most_pages_that_nobody_looks_at_the_oldest_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [Page("192.0.2.1", 0, True) for _ in range(100)]
    few = [Page("192.0.2.2", 0, False) for _ in range(40)]
    many = [Page("192.0.2.3", 100 - n, False) for n in range(60)]
    opened(monkeypatch, *seen, *few, *many)
    assert make_room("198.51.100.1")
    assert gone(*seen, *few, *many) == [many[-1]]


def test_one_address_alone_does_not_have_all_room(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [Page("192.0.2.1", 0, True) for _ in range(MOST_OF_ADDRESS)]
    opened(monkeypatch, *seen)
    assert not make_room("192.0.2.1")
    assert make_room("192.0.2.2")
    assert gone(*seen) == []


def test_pages_that_are_looked_at_leave_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [Page(f"192.0.2.{n % 10}", n, True) for n in range(MOST_VIEWERS)]
    opened(monkeypatch, *seen)
    assert not make_room("198.51.100.1")
    assert gone(*seen) == []
