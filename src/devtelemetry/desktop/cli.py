"""`devtelemetry desktop`: the settings page of this machine's node settings, in a window.

Needs the client and Qt, nothing of the server. Qt is imported late, so that one line can say what
is missing.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from devtelemetry.client import ClientError, Settings
from devtelemetry.client.cli import SETTINGS_VARIABLE, default_path
from devtelemetry.client.storage import settings_files


def run(arguments: Sequence[str]) -> int:
    """Runs `devtelemetry desktop` with these arguments; returns the exit status."""
    try:
        asked = _parser().parse_args(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    try:
        from devtelemetry.desktop.window import show  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "PySide6":
            raise
        return _failed(
            "the page needs Qt: run pip install '.[desktop]' in a checkout of Dev-Telemetry"
        )
    except ImportError as error:
        return _failed(f"Qt does not load: {error}; install the system's package that has it")
    if not _has_display():
        return _failed(
            "there is no display to show the page on: DISPLAY and WAYLAND_DISPLAY are not set"
        )
    try:
        (path,) = settings_files(asked.settings or default_path(), asked.account)
        settings = Settings(path)
    except (ClientError, OSError) as error:
        return _failed(str(error))
    return show(settings, asked.color_scheme)


def _parser() -> argparse.ArgumentParser:
    text = (
        "The Advanced settings page, with the opt-in in the settings of this machine's node. The "
        "app makes the file."
    )
    parser = argparse.ArgumentParser(prog="devtelemetry desktop", description=text)
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help=f"the node's settings (default: ${SETTINGS_VARIABLE}, else {default_path()})",
    )
    parser.add_argument(
        "--account", default="", metavar="NAME", help="the account to show, if the app has several"
    )
    parser.add_argument(
        "--color-scheme",
        choices=("system", "light", "dark"),
        default="system",
        help="the colors of the page (default: system)",
    )
    return parser


def _has_display() -> bool:
    """Whether there is a display. Without one, Qt ends the process with a long text on plugins."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def _failed(line: str) -> int:
    sys.stderr.write(f"devtelemetry: {line}\n")
    return 1
