"""`devtelemetry desktop` as a process: what it needs, and what it does when no app runs."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devtelemetry.client import Settings
from support.clients import eventually
from support.farewells import opted_out_of
from support.program import command
from support.push_server import push_server

if TYPE_CHECKING:
    from PySide6.QtGui import QGuiApplication

pytestmark = pytest.mark.slow

# Runs the program as if some packages were not installed.
_WITHOUT = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["devtelemetry", "desktop", *{arguments}]
from devtelemetry.__main__ import main
sys.exit(main())
"""


def run_without(packages: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    script = _WITHOUT.format(packages=packages, arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


def test_without_qt_it_says_in_a_line_what_to_install() -> None:
    done = run_without({"PySide6"})
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "pip install '.[desktop]' in a checkout" in line


def test_it_needs_nothing_of_the_server() -> None:
    server = {"typer", "asyncpg", "fastapi", "pydantic_settings", "structlog", "sqlalchemy"}
    assert run_without(server, "--help").returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
            patch.delenv(name, raising=False)
        # Without a display it ends before it has a window, but after its imports.
        done = run_without(server)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no display" in line or "pip install '.[desktop]' in a checkout" in line


def test_a_settings_file_that_cannot_be_is_a_line(qt: "QGuiApplication", tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_without(set(), f"--settings={tmp_path / 'file' / 'node.db'}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("account", [[], ["--account=ann"]])
def test_where_the_app_made_no_settings_a_line_says_so_and_none_are_made(
    qt: "QGuiApplication", tmp_path: Path, account: list[str]
) -> None:
    typo = tmp_path / "not" / "there" / "typo.db"
    done = run_without(set(), f"--settings={typo}", *account)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{typo}" in line
    assert "there is no settings file here" in line
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_it_does_not_have_is_a_matter_of_usage() -> None:
    assert run_without(set(), "--color-scheme=pink").returncode == 2


def test_a_page_without_an_app_has_servers_forget(
    qt: "QGuiApplication", settings: Settings
) -> None:
    with push_server() as server:
        installation_id = opted_out_of(settings, server.address)
        with page_process(settings):
            eventually(lambda: settings.status().leaving == 0)
    (request,) = [request for request in server.pushed if request.forget]
    assert request.reporter.installation_id == installation_id


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(qt: "QGuiApplication", settings: Settings, ends: signal.Signals) -> None:
    with push_server() as server:
        opted_out_of(settings, server.address)
        with page_process(settings) as process:
            eventually(lambda: settings.status().leaving == 0)  # so it runs
            process.send_signal(ends)
            assert process.wait(timeout=20) == -ends


# Closes the window as soon as it is open.
_CLOSE = """
import sys, threading, time
from PySide6.QtCore import QMetaObject, Qt
from PySide6.QtGui import QGuiApplication
from devtelemetry.__main__ import main
def windows():
    return QGuiApplication.allWindows() if QGuiApplication.instance() else []
def close():
    while not any(window.isExposed() for window in windows()):
        time.sleep(0.01)
    for window in windows():
        QMetaObject.invokeMethod(window, "close", Qt.ConnectionType.QueuedConnection)
threading.Thread(target=close, daemon=True).start()
sys.argv = ["devtelemetry", "desktop", f"--settings={sys.argv[1]}", "--color-scheme=dark"]
sys.exit(main())
"""


def test_closing_the_window_ends_it_without_a_complaint(
    qt: "QGuiApplication", settings: Settings
) -> None:
    settings.enable()
    done = subprocess.run(
        [sys.executable, "-c", _CLOSE, settings.storage.path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    complaints = [line for line in done.stderr.splitlines() if "propagateSizeHints" not in line]
    assert (done.returncode, done.stdout, complaints) == (0, "", [])
    assert Settings(settings.storage.path).telemetry_enabled


def test_a_page_that_stays_open_for_long_goes_on(qt: "QGuiApplication", settings: Settings) -> None:
    """PySide6 6.12.0 before Python 3.12 loses a reference with every signal that is emitted."""
    script = (
        "import sys\n"
        "from devtelemetry.client import Settings\n"
        "from devtelemetry.desktop.backend import Backend\n"
        "backend = Backend(Settings(sys.argv[1]))\n"
        "for _ in range(86_400): backend.changed.emit()\n"
        "backend.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, settings.storage.path], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def page_process(settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """The page in a process, with nobody using it."""
    process = subprocess.Popen(
        command("desktop", f"--settings={settings.storage.path}"), stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
