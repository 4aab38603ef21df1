"""The window of `devtelemetry desktop`."""

import signal

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtQml import QQmlApplicationEngine

from devtelemetry import __version__
from devtelemetry.client import Settings
from devtelemetry.desktop import QML_DIRECTORY
from devtelemetry.desktop.backend import Backend
from devtelemetry.desktop.farewell import Farewell
from devtelemetry.desktop.translation import Translation

_SCHEMES = {
    "system": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}


def show(settings: Settings, color_scheme: str) -> int:
    """Shows the page until its window is closed; returns the exit status."""
    application = QGuiApplication(["devtelemetry"])
    application.setApplicationDisplayName("Dev-Telemetry")
    application.setApplicationVersion(__version__)
    # For the window's frame too, if the platform allows it.
    application.styleHints().setColorScheme(_SCHEMES[color_scheme])
    translation = Translation()
    application.installTranslator(translation)
    # Python does not see a Ctrl-C while Qt's loop runs. The default action ends the process, which
    # does no harm: the settings are consistent at any moment.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    backend = Backend(settings)
    farewell = Farewell(settings, backend)
    engine = open_window(backend, color_scheme)
    status = application.exec() if engine.rootObjects() else 1
    backend.close()
    farewell.finish()
    # The engine goes before the backend that it shows.
    del engine
    return status


def open_window(backend: Backend, color_scheme: str = "system") -> QQmlApplicationEngine:
    """Opens the window. It lives as long as the engine that this returns."""
    engine = QQmlApplicationEngine()
    engine.addImportPath(str(QML_DIRECTORY))
    engine.setInitialProperties({"backend": backend, "colorScheme": color_scheme})
    engine.load(QUrl.fromLocalFile(QML_DIRECTORY / "Window.qml"))
    return engine
