"""Qt's own tools, which come with PySide6."""

from pathlib import Path

import PySide6

from support.ci import missing_part


def qt_tool(name: str) -> Path:
    path = Path(PySide6.__file__).parent / name
    if not path.exists():
        missing_part(f"this PySide6 comes without {name}")
    return path
