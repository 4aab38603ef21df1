"""Asks servers to forget this installation while the page runs without an app.

An opt-out leaves requests to forget, which a running client sends: normally the app's, as soon as
the app runs. But a user who opts out on the page may never start the app again. So the page runs a
client for these requests.

This client must not do more. If it reported, the server would think that this installation still
gets messages. But the page gets none, so each message of the hour would count as lost. The client
would also send the samples of the app's outbox without the app's key. So for this client the switch
is off, whatever the user chooses meanwhile. It ends when all servers have answered, or when the
user opts in again, because only one client at a time may push for an installation.
"""

import contextlib

from PySide6.QtCore import QObject, QTimer

from devtelemetry.client import ClientError, Settings, TelemetryClient
from devtelemetry.client.switch import Switch
from devtelemetry.desktop.backend import Backend

_LOOK_MS = 500
_LAST_SECONDS = 3.0  # how long the process may go on after its window is closed


class _Off(Switch):
    """A switch that is always off, for a client that must not report."""

    @property
    def consent(self) -> int:
        return 0

    @consent.setter
    def consent(self, consent: int) -> None:
        raise AssertionError(f"consent {consent} is not this client's to give")


class Farewell(QObject):
    """Runs the client while `backend` shows that a server has yet to answer."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        super().__init__(backend)
        self._settings = settings
        self._backend = backend
        self._client: TelemetryClient | None = None
        # A timer of its own, because the backend's pauses while the window is hidden. A tick reads
        # one word of memory and makes no query.
        self._timer = QTimer(self, interval=_LOOK_MS)
        self._timer.timeout.connect(self._end_if_on)
        backend.changed.connect(self._follow)
        self._follow()

    def finish(self) -> None:
        """At the end: gives a request that was made a moment ago some time to arrive."""
        self._timer.stop()
        with contextlib.suppress(ClientError):
            status = self._settings.status()
            if status.leaving and not status.telemetry_enabled:
                self._start()
        self._end(_LAST_SECONDS)

    def _follow(self) -> None:
        status = self._backend.status
        if status.leaving and not status.telemetry_enabled:
            self._start()
        else:
            self._end(0.0)

    def _end_if_on(self) -> None:
        if self._settings.switch.consent:
            self._end(0.0)

    def _start(self) -> None:
        if self._client is not None:
            return
        settings = Settings(self._settings.storage.path, clock=self._settings.clock)
        settings.switch = _Off(settings.storage.directory)
        # The page does not know which authorities the app trusts. If gRPC's own list is not enough,
        # the request stays for the app.
        self._client = TelemetryClient(settings)
        self._client.start()
        self._timer.start()

    def _end(self, seconds: float) -> None:
        self._timer.stop()
        client, self._client = self._client, None
        if client is not None:
            client.close(seconds)
