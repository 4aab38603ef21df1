"""The desktop page in a real window, used as a person uses it.

Controls are found by their names in the accessibility tree, as a screen reader finds them, and get
real mouse clicks and key presses. So a control without a name there cannot be used here.

This module imports Qt. Tests get it through the fixtures of tests/desktop, which skip the tests if
Qt is missing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import shiboken6
from PySide6.QtCore import QObject, QPoint, QPointF, QRectF, Qt, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QAccessible, QAccessibleInterface, QGuiApplication, QImage
from PySide6.QtQml import QQmlApplicationEngine
from PySide6.QtQuick import QQuickItem, QQuickWindow
from PySide6.QtTest import QTest

from devtelemetry.client import Settings
from devtelemetry.desktop.backend import Backend
from devtelemetry.desktop.window import open_window

_KEYS = {
    "tab": Qt.Key.Key_Tab,
    "space": Qt.Key.Key_Space,
    "enter": Qt.Key.Key_Return,
    "escape": Qt.Key.Key_Escape,
    "down": Qt.Key.Key_Down,
    "page down": Qt.Key.Key_PageDown,
}
# Warnings of Qt's offscreen platform itself.
_OF_THE_PLATFORM = {"This plugin does not support propagateSizeHints()"}
_NO_MODIFIER = Qt.KeyboardModifier.NoModifier


@dataclass(frozen=True)
class Control:
    """An item as the accessibility tree describes it, with its place in the window."""

    name: str
    description: str
    role: str
    is_focusable: bool
    is_focused: bool
    is_checked: bool
    is_disabled: bool
    is_password: bool
    value: str
    place: QRectF


class Page:
    """A window, opened as `devtelemetry desktop` opens it or by an app's own engine."""

    def __init__(self, engine: QQmlApplicationEngine, width: int, height: int) -> None:
        assert engine.rootObjects(), "the window does not open"
        self.engine = engine
        self.window = cast("QQuickWindow", engine.rootObjects()[0])
        self.window.resize(width, height)
        self.window.requestActivate()
        self.eventually(lambda: self.window.isExposed() and self.window.isActive())

    # --------------------------------------------------------------------------------- waiting

    def pump(self) -> None:
        QGuiApplication.processEvents()
        # QTest.qWait() would also stop all other Python threads.
        time.sleep(0.005)

    def eventually(self, holds: Callable[[], object], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not in {seconds} s; on the page: {self.texts}"
            self.pump()

    # ----------------------------------------------------------------------------- what is there

    @property
    def controls(self) -> list[Control]:
        """All controls that a screen reader finds."""
        root = QAccessible.queryAccessibleInterface(self.window)
        return [] if root is None else list(_controls(root))

    @property
    def texts(self) -> list[str]:
        """All texts on the page."""
        return [t for c in self.controls for t in (c.name, c.description, c.value) if t]

    def has(self, text: str) -> bool:
        return any(text in shown for shown in self.texts)

    def find(self, name: str, *, of: str = "") -> Control:
        """The control of that name, the topmost if there are several. Waits for it.

        of  its description, if several controls have the name
        """

        def found() -> list[Control]:
            return [
                c
                for c in self.controls
                if c.name == name and of in c.description and c.role != "Dialog"
            ]

        self.eventually(found)
        return found()[-1]

    def is_on(self, name: str) -> bool:
        return self.find(name).is_checked

    @property
    def focused(self) -> str:
        """The name of the control that has the keyboard's focus."""
        return next((c.name for c in reversed(self.controls) if c.is_focused), "")

    @property
    def clipboard(self) -> str:
        return QGuiApplication.clipboard().text()

    def picture(self) -> QImage:
        for _ in range(60):  # until movements have ended
            self.pump()
        return self.window.grabWindow()

    @property
    def theme(self) -> QObject:
        return cast("QObject", self.engine.singletonInstance("DevTelemetry", "Theme"))

    @property
    def items(self) -> list[QQuickItem]:
        """All items that are drawn."""
        return list(_items(self.window.contentItem()))

    # ------------------------------------------------------------------------- what is done to it

    def click(self, name: str, *, of: str = "") -> None:
        place = self.find(name, of=of).place.center().toPoint()
        QTest.mouseClick(self.window, Qt.MouseButton.LeftButton, _NO_MODIFIER, place)
        self.pump()

    def wheel_down(self) -> None:
        middle = QPointF(self.window.width() / 2, self.window.height() / 2)
        QTest.wheelEvent(self.window, middle, QPoint(0, -240))
        self.pump()

    def press(self, *names: str) -> None:
        for name in names:
            QTest.keyClick(self.window, _KEYS[name])
            self.pump()

    def tab_to(self, name: str) -> None:
        """Moves the focus there by the tab key alone, at most once around."""
        for _ in range(40):
            if self.focused == name:
                return
            self.press("tab")
        raise AssertionError(f"tab does not lead to {name!r}")

    def type(self, text: str) -> None:
        """Replaces the text of the focused field."""
        QTest.keyClick(self.window, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        for letter in text:
            # The type stubs do not know that a letter is allowed.
            QTest.keyClick(self.window, letter)  # type: ignore[call-overload]
        self.pump()


def _items(root: QQuickItem) -> Iterator[QQuickItem]:
    for item in root.childItems():
        if item.isVisible():
            yield item
            yield from _items(item)


def _controls(root: QAccessibleInterface) -> Iterator[Control]:
    for position in range(root.childCount()):
        child = root.child(position)
        if child is None or child.state().invisible:
            continue
        item = child.object()
        if isinstance(item, QQuickItem):
            yield _control(child, item)
        yield from _controls(child)


def _control(interface: QAccessibleInterface, item: QQuickItem) -> Control:
    state = interface.state()
    name = interface.text(QAccessible.Text.Name)
    description = interface.text(QAccessible.Text.Description)
    if state.passwordEdit:
        # Qt does not give the name of a password field; its description begins with the name.
        name, _, description = description.partition(": ")
    return Control(
        name=name,
        description=description,
        role=interface.role().name,
        is_focusable=bool(state.focusable),
        is_focused=bool(state.focused),
        is_checked=bool(state.checked),
        is_disabled=bool(state.disabled),
        is_password=bool(state.passwordEdit),
        value=interface.text(QAccessible.Text.Value),
        place=item.mapRectToScene(QRectF(0, 0, item.width(), item.height())),
    )


class OpenPage:
    """Opens the page on settings, as `devtelemetry desktop` does; it is closed by `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(
        self,
        settings: Settings,
        *,
        app_server: str = "",
        color_scheme: str = "light",
        width: int = 760,
        height: int = 1300,
    ) -> Page:
        backend = Backend(settings, app_server=app_server)
        self._stack.callback(backend.close)
        return self.of(lambda: open_window(backend, color_scheme), width, height)

    def of(
        self, make: Callable[[], QQmlApplicationEngine], width: int = 760, height: int = 1300
    ) -> Page:
        """Opens the window of the engine that `make` returns."""
        return self._stack.enter_context(_window(make, width, height))


@contextmanager
def _window(make: Callable[[], QQmlApplicationEngine], width: int, height: int) -> Iterator[Page]:
    """A window; a warning from Qt while it is open fails the test."""
    warnings: list[str] = []
    before = qInstallMessageHandler(
        lambda kind, _, text: None if kind is QtMsgType.QtDebugMsg else warnings.append(text)
    )
    try:
        engine = make()
        try:
            page = Page(engine, width, height)
            yield page
            page.window.close()
        finally:
            # The engine must go before the backend that its window shows.
            shiboken6.delete(engine)
    finally:
        qInstallMessageHandler(before)
    assert [text for text in warnings if text not in _OF_THE_PLATFORM] == []
