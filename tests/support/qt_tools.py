"""Qt's own tools, as PySide6 brings them."""

from pathlib import Path

import PySide6

from support.ci import missing_part


def qt_tool(name: str) -> Path:
    path = Path(PySide6.__file__).parent / name
    if not path.exists():
        missing_part(f"this PySide6 comes without {name}")
    return path
