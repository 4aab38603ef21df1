"""An app that embeds the page must provide what docs/desktop.md lists, and nothing else."""

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from devtelemetry.client import Build, Settings
from devtelemetry.desktop import QML_DIRECTORY

if TYPE_CHECKING:
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtQml import QQmlApplicationEngine

    from support.page import OpenPage

PAGE = (Path(__file__).parents[2] / "docs" / "desktop.md").read_text(encoding="utf-8")
PROPERTIES = dict(
    re.findall(r"^\| `(\w+)` \| `(bool|int|QString|QDateTime|QVariantMap)` \|", PAGE, re.M)
)
METHODS = dict(re.findall(r"^\| `(\w+)\((\w*)\)` \|", PAGE, re.M))
IN_QML = {
    "bool": "bool",
    "int": "int",
    "QString": "string",
    "QDateTime": "date",
    "QVariantMap": "var",
}


def fence(language: str) -> str:
    """The code block in that language on docs/desktop.md."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert found
    return found[1]


def test_the_page_asks_its_backend_for_what_is_documented_and_no_more() -> None:
    used = {
        name
        for file in QML_DIRECTORY.rglob("*.qml")
        for name in re.findall(r"\bbackend\.(\w+)", file.read_text(encoding="utf-8"))
    }
    assert used | {"active"} == {*PROPERTIES, *METHODS}


def test_qt_finds_no_fault_with_the_module(qt: "QGuiApplication") -> None:
    from support.qt_tools import qt_tool  # noqa: PLC0415

    files = sorted(QML_DIRECTORY.rglob("*.qml"))
    assert len(files) > 10
    done = subprocess.run(
        [qt_tool("qmllint"), "--max-warnings=0", "-I", QML_DIRECTORY, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_backend_has_what_is_documented(qt: "QGuiApplication", settings: Settings) -> None:
    from devtelemetry.desktop.backend import Backend  # noqa: PLC0415

    meta = Backend(settings).metaObject()
    properties = [meta.property(i) for i in range(1, meta.propertyCount())]
    assert {p.name(): p.typeName() for p in properties} == PROPERTIES
    assert all(p.hasNotifySignal() for p in properties)
    signatures = {
        bytes(meta.method(i).methodSignature().data()).decode() for i in range(meta.methodCount())
    }
    assert {f"{name}({kind})" for name, kind in METHODS.items()} <= signatures


def test_a_backend_of_the_documented_members_is_enough(open_page: "OpenPage") -> None:
    """The backend is in QML and uses none of our code, like one in C++."""
    values = {
        "offered": "true",
        "telemetryEnabled": "true",
        "optedInAt": "new Date(2026, 2, 2, 14, 3)",
        "lastSentAt": "new Date(NaN)",
        "waiting": "12",
        "sent": "'{}'",
        "faults": "({})",
    }
    members = [
        f"property {IN_QML[kind]} {name}" + (f": {values[name]}" if name in values else "")
        for name, kind in PROPERTIES.items()
    ]
    members += [
        f"function {name}({'value' if kind else ''}) {{ called = '{name}' }}"
        for name, kind in METHODS.items()
    ]
    backend = "QtObject {\nproperty string called\n" + "\n".join(members) + "\n}"
    app = f"""
        import QtQuick
        import DevTelemetry
        Window {{
            readonly property QtObject telemetry: {backend}
            readonly property string called: telemetry.called
            visible: true
            AdvancedSettings {{ anchors.fill: parent; backend: telemetry }}
        }}
    """
    page = open_page.of(lambda: loaded(app))
    assert page.has("On since: 02/03/2026, 14:03")
    assert page.has("Last sent: never")
    assert page.has("Waiting: 12")
    page.click("Send reliability telemetry")
    assert page.window.property("called") == "disable"
    page.click("Server address")
    page.type("a:1")
    page.press("enter")
    assert page.window.property("called") == "setServer"
    page.click("Blind message and channel ids")
    assert page.window.property("called") == "setBlindIds"


def loaded(qml: str, **properties: object) -> "QQmlApplicationEngine":
    from PySide6.QtQml import QQmlApplicationEngine  # noqa: PLC0415

    engine = QQmlApplicationEngine()
    engine.addImportPath(str(QML_DIRECTORY))
    engine.setInitialProperties(properties)
    engine.loadData(qml.encode())
    return engine


def test_an_app_embeds_the_section_as_documented(
    open_page: "OpenPage", qt: "QGuiApplication", settings: Settings
) -> None:
    from PySide6.QtQml import QQmlApplicationEngine  # noqa: PLC0415

    names: dict[str, object] = {"settings": settings, "application": qt}

    def make() -> QQmlApplicationEngine:
        engine = QQmlApplicationEngine()
        names["engine"] = engine
        exec(fence("python"), names)
        engine.loadData(fence("qml").encode())
        return engine

    page = open_page.of(make)
    page.click("Send reliability telemetry")
    assert page.has("To the server telemetry.example:50051.")
    page.click("Turn on")
    page.eventually(lambda: Settings(settings.storage.path).telemetry_enabled)


def test_the_section_is_invisible_in_a_build_that_does_not_offer_telemetry(
    open_page: "OpenPage", tmp_path: Path
) -> None:
    from devtelemetry.desktop.backend import Backend  # noqa: PLC0415

    backend = Backend(Settings(tmp_path / "node.db", build=Build.RELEASE))
    page = open_page.of(lambda: loaded(fence("qml"), telemetry=backend))
    sections = [i for i in page.window.contentItem().childItems() if i.property("backend")]
    assert [section.isVisible() for section in sections] == [False]
    assert page.controls == []
