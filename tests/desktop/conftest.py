"""Qt without a screen, for the tests of the page."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devtelemetry.client import Settings
from support.ci import missing_part

if TYPE_CHECKING:
    from PySide6.QtGui import QGuiApplication

    from support.page import OpenPage

# Qt reads these when it is loaded: no screen, no graphics driver, one language on all machines.
os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QT_QUICK_BACKEND"] = "software"
os.environ["LANGUAGE"] = "en"


@pytest.fixture(scope="session")
def qt() -> Iterator["QGuiApplication"]:
    """The application; a process can have only one, so all tests share it."""
    try:
        from PySide6.QtCore import QLocale  # noqa: PLC0415
        from PySide6.QtGui import QAccessible, QGuiApplication  # noqa: PLC0415
        from PySide6.QtQuick import QQuickWindow  # noqa: F401, PLC0415
        from PySide6.QtTest import QTest  # noqa: F401, PLC0415
    except ImportError as error:
        missing_part(f"no Qt: {error} (pip install '.[desktop]'; docs/desktop.md names the rest)")
    QLocale.setDefault(QLocale("en_GB"))
    application = QGuiApplication(["tests"])
    QAccessible.setActive(True)
    yield application
    application.shutdown()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "node.db")


@pytest.fixture
def open_page(qt: "QGuiApplication") -> Iterator["OpenPage"]:
    """Opens pages; they are closed after the test."""
    from support.page import OpenPage  # noqa: PLC0415

    with ExitStack() as closed_afterwards:
        yield OpenPage(closed_afterwards)
