"""Gives a process another clock, by libfaketime. A test can move it while the process runs."""

from collections.abc import Mapping
from pathlib import Path

from support.ci import missing_part


class MovedClock:
    """The environment of such a process. `move` takes "+30d", "-2h" or "+0", also while it runs.

    Only the wall clock moves, as when somebody sets it; the monotonic clock does not.
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
