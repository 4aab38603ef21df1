# ruff: noqa: N802, N815 - names that QML uses follow its style
"""What the page shows and does: the node's settings as a Qt object.

The page uses only its properties and slots. docs/desktop.md lists them, since an app in C++ brings
its own object. The file may be slow or kept by another process, so Qt's thread does not wait for
it. One worker thread changes and reads the settings, and the page shows what that read last.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import Property, QCoreApplication, QDateTime, QObject, QTimer, Signal, Slot

from devtelemetry.client import ClientError, Settings, Status, shown

REFRESH_MS = 1000
_SHOWN_REPORTS = 100  # of each state
_LOG = logging.getLogger("devtelemetry.desktop")


@dataclass(frozen=True, slots=True)
class _View:
    """All that the page shows, read at one time."""

    is_offered: bool
    status: Status
    server: str
    has_token: bool
    send_real_key: bool
    blind_ids: bool
    sent: str


# Shown until the file could be read once: the error says so, and the page claims nothing.
_BLANK = _View(
    is_offered=True,
    status=Status(False, None, "", 0, 0, 0, 0, 0, {}, {}, None, None, "", 0, False),
    server="",
    has_token=False,
    send_real_key=False,
    blind_ids=False,
    sent="{}",
)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """view: None if the file could not be read. lines: errors by subject; an empty text: none."""

    view: _View | None
    lines: dict[str, str]


class Backend(QObject):
    """The settings for the page.

    settings    of the node
    app_server  HOST:PORT that the app passes to its client; shown unless the user has set another

    Belongs to the thread that made it. `close` ends it, and so does the end of the application.
    """

    changed = Signal()
    _done = Signal(object)

    def __init__(
        self, settings: Settings, *, app_server: str = "", parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._app_server = app_server
        self._view = _BLANK
        self._lines: dict[str, str] = {}
        self._is_looking = False
        self._is_open = True
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="devtelemetry-page")
        self._timer = QTimer(self, interval=REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._done.connect(self._take)
        # Only this first look is in Qt's thread: the switch must not be off when the page opens,
        # and on a moment later.
        self._take(self._work("look", None))
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    @Slot()
    def close(self) -> None:
        """Ends the backend, after the changes that were asked for."""
        self._is_open = False
        self._timer.stop()
        self._worker.shutdown()

    # ---------------------------------------------------------------------------- what is shown

    @property
    def status(self) -> Status:
        """The status that the page shows."""
        return self._view.status

    def _active(self) -> bool:
        return self._timer.isActive()

    def _set_active(self, active: bool) -> None:
        if active == self._timer.isActive() or not self._is_open:
            return
        if active:
            self._timer.start()
            self.refresh()
        else:
            self._timer.stop()
        self.changed.emit()

    active = Property(bool, _active, _set_active, notify=changed)
    offered = Property(bool, lambda self: self._view.is_offered, notify=changed)
    telemetryEnabled = Property(
        bool, lambda self: self._view.status.telemetry_enabled, notify=changed
    )
    optedInAt = Property(
        QDateTime, lambda self: _qt_time(self._view.status.opted_in_at), notify=changed
    )
    lastSentAt = Property(
        QDateTime, lambda self: _qt_time(self._view.status.last_sent_at), notify=changed
    )
    waiting = Property(int, lambda self: self._view.status.waiting, notify=changed)
    acknowledged = Property(int, lambda self: self._view.status.acknowledged, notify=changed)
    dropped = Property(int, lambda self: self._view.status.dropped, notify=changed)
    setAside = Property(int, lambda self: self._view.status.set_aside, notify=changed)
    beforeOptIn = Property(int, lambda self: self._view.status.before_opt_in, notify=changed)
    faults = Property(
        "QVariantMap",  # type: ignore[arg-type] # Qt's name of it: there is no type
        lambda self: dict(self._view.status.faults),
        notify=changed,
    )
    leaving = Property(int, lambda self: self._view.status.leaving, notify=changed)
    problem = Property(str, lambda self: str(self._view.status.problem or ""), notify=changed)
    problemDetail = Property(str, lambda self: self._view.status.detail, notify=changed)
    server = Property(str, lambda self: self._view.server, notify=changed)
    appServer = Property(str, lambda self: self._app_server, notify=changed)
    tokenIsSet = Property(bool, lambda self: self._view.has_token, notify=changed)
    sendRealKey = Property(bool, lambda self: self._view.send_real_key, notify=changed)
    blindIds = Property(bool, lambda self: self._view.blind_ids, notify=changed)
    sent = Property(str, lambda self: self._view.sent, notify=changed)
    error = Property(
        str, lambda self: self._lines.get("change") or self._lines.get("look", ""), notify=changed
    )
    serverError = Property(str, lambda self: self._lines.get("server", ""), notify=changed)
    tokenError = Property(str, lambda self: self._lines.get("token", ""), notify=changed)

    # -------------------------------------------------------------------------- what can be done

    @Slot()
    def enable(self) -> None:
        self._submit("change", self._settings.enable)

    @Slot()
    def disable(self) -> None:
        self._submit("change", self._settings.disable)

    @Slot(str)
    def setServer(self, server: str) -> None:
        self._set("server", "server", server)

    @Slot(str)
    def setToken(self, token: str) -> None:
        self._set("token", "token", token)

    @Slot(bool)
    def setSendRealKey(self, wanted: bool) -> None:
        self._set("change", "send_real_key", wanted)

    @Slot(bool)
    def setBlindIds(self, wanted: bool) -> None:
        self._set("change", "blind_ids", wanted)

    @Slot()
    def refresh(self) -> None:
        """Reads the settings now instead of at the next tick."""
        if not self._is_looking:
            self._is_looking = True
            self._submit("look", None)

    # --------------------------------------------------------------------------------- the work

    def _set(self, subject: str, name: str, value: object) -> None:
        self._submit(subject, lambda: setattr(self._settings, name, value))

    def _submit(self, subject: str, change: Callable[[], None] | None) -> None:
        if self._is_open:
            self._worker.submit(lambda: self._done.emit(self._work(subject, change)))

    def _work(self, subject: str, change: Callable[[], None] | None) -> _Outcome:
        """Makes the change, if there is one, and reads the settings. In the worker thread."""
        lines = {}
        if change is not None:
            lines[subject] = _line_of(change)
        views = list[_View]()
        lines["look"] = _line_of(lambda: views.append(_look(self._settings)))
        return _Outcome(views[0] if views else None, lines)

    @Slot(object)
    def _take(self, outcome: _Outcome) -> None:
        self._is_looking = False
        view = outcome.view or self._view
        lines = self._lines | outcome.lines
        if (view, lines) != (self._view, self._lines):
            self._view, self._lines = view, lines
            self.changed.emit()


def _look(settings: Settings) -> _View:
    return _View(
        is_offered=settings.is_offered,
        status=settings.status(),
        server=settings.server,
        has_token=bool(settings.token),
        send_real_key=settings.send_real_key,
        blind_ids=settings.blind_ids,
        sent=json.dumps(shown(settings, limit=_SHOWN_REPORTS), indent=2, ensure_ascii=False),
    )


def _line_of(action: Callable[[], None]) -> str:
    """Does the action. Returns its error as one line; empty if there was none."""
    try:
        action()
    except (ClientError, OSError) as error:
        return str(error)
    except Exception as error:
        # The page must go on, because the user may want to opt out.
        _LOG.exception("the settings page failed")
        return f"a fault in the program: {type(error).__name__}: {error}"
    return ""


def _qt_time(when: datetime | None) -> QDateTime:
    """`when` for Qt; None becomes an invalid QDateTime."""
    if when is None:
        return QDateTime()
    return QDateTime.fromMSecsSinceEpoch(round(when.timestamp() * 1000))
