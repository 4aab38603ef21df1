"""A process whose clock is somewhere else, by libfaketime: it may be moved while it runs."""

from collections.abc import Mapping
from pathlib import Path

from support.ci import missing_part


class MovedClock:
    """What a process's environment needs for it. `move`, also while it runs: "+30d", "-2h", "+0".

    Only the time of day moves, as when somebody sets it.
    """

    def __init__(self, file: Path, by: str) -> None:
        self._file = file
        self.move(by)

    def move(self, by: str) -> None:
        self._file.write_text(f"{by}\n")

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing_part("no libfaketime (Debian: apt-get install libfaketime)")
    return found[0]
