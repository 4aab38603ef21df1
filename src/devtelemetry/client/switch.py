"""The opt-in as a word of memory that all processes of a device share.

A running client must notice a switch at once, without a timer and without a query: the app's thread
looks at it with every message. The settings file holds the truth; beside it a mapped file of some
words says what it holds:

    word 0  the number of the consent that is given; 0: none is, nothing may be recorded or sent
    word 1  goes up with every change of a setting

Both change together, by whoever has the file to itself; an opt-out clears word 0 before that, too.
So whoever has the file and finds it on and the word off has found an opt-out that was cut short,
and ends it (Settings.agree).
"""

import mmap
import os
from pathlib import Path

from devtelemetry.client.storage import make_private

_BYTES = 4096  # one page


def mapped(path: Path, size: int) -> tuple[mmap.mmap, memoryview]:
    """The file at `path`, and the same as 64-bit words; zeros up to `size` if it is shorter.

    Aligned words of a mapping are read and written whole (on 64-bit machines), and survive the end
    of the process. Whoever truncates the file ends the processes that have it mapped.
    """
    with path.open("r+b", buffering=0) as file:
        # Written, not truncated to size: a hole would need disk space at the first access.
        missing = size - file.seek(0, os.SEEK_END)
        if missing > 0 and file.write(bytes(missing)) < missing:
            raise OSError(f"{path}: there is no room for {size} bytes")
        mapping = mmap.mmap(file.fileno(), size)
    return mapping, memoryview(mapping).cast("Q")


class Switch:
    """The words. Reading one costs tens of nanoseconds."""

    def __init__(self, directory: Path) -> None:
        self.is_new = not (directory / "switch").exists()
        make_private(directory / "switch")
        self._mapping, self._words = mapped(directory / "switch", _BYTES)

    @property
    def consent(self) -> int:
        """The number of the consent that is given, or 0."""
        return self._words[0]

    @consent.setter
    def consent(self, consent: int) -> None:
        self._words[0] = consent

    @property
    def revision(self) -> int:
        return self._words[1]

    def changed(self) -> None:
        """Says that a setting changed."""
        self._words[1] += 1

    def flush(self) -> None:
        """Puts it on the disk: a word that is off beside a file that is on ends an opt-in."""
        self._mapping.flush()
