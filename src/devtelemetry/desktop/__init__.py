"""The desktop page: the opt-in and how it goes, in Qt Quick. Needs the extra `desktop`.

    engine.addImportPath(str(QML_DIRECTORY))  # for `import DevTelemetry`
    backend = Backend(settings, app_server="telemetry.example:50051")

docs/desktop.md says how an app embeds it, in Python and in C++. Nothing is imported here: the
command line has to come as far as saying that the extra is missing.
"""

from pathlib import Path

QML_DIRECTORY = Path(__file__).parent / "qml"
"""What a QML engine needs as an import path to know the module DevTelemetry."""
