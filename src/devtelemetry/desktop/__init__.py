"""The desktop page: the opt-in and the state of telemetry, in Qt Quick. Needs the extra `desktop`.

    engine.addImportPath(str(QML_DIRECTORY))  # for `import DevTelemetry`
    backend = Backend(settings, app_server="telemetry.example:50051")

docs/desktop.md says how an app embeds it, in Python and in C++. Qt is not imported here, so that
the command line can say that the extra is missing.
"""

from pathlib import Path

QML_DIRECTORY = Path(__file__).parent / "qml"
"""A QML engine needs this as an import path to find the module DevTelemetry."""
