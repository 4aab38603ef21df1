"""The opt-in as a word of memory that all processes of a device share.

A running client must notice an opt-in or opt-out at once, without a timer and without a query: the
app's thread looks at the switch with every message. The settings file holds the truth. A mapped
file beside it repeats it in two words:

    word 0  the number of the consent that is given; 0: none is, nothing may be recorded or sent
    word 1  one more with every change of a setting

File and word 0 change together, while a process holds the file's write lock. An opt-out also clears
word 0 before that. So a process that holds the lock and finds the file on and the word off has
found an opt-out that was cut short, and completes it (Settings.agree).
"""

import mmap
import os
from pathlib import Path

from devtelemetry.client.storage import make_private

_BYTES = 4096  # one page


def mapped(path: Path, size: int) -> tuple[mmap.mmap, memoryview]:
    """The mapped file at `path`, as bytes and as 64-bit words. Zeros fill it up to `size`.

    Aligned words of a mapping are read and written whole (on 64-bit machines), and survive the end
    of the process. Never truncate the file: that kills the processes that have it mapped.
    """
    with path.open("r+b", buffering=0) as file:
        # Written, because truncate() would leave a hole, which needs disk space only later, at the
        # first access.
        missing = size - file.seek(0, os.SEEK_END)
        if missing > 0 and file.write(bytes(missing)) < missing:
            raise OSError(f"{path}: there is no room for {size} bytes")
        mapping = mmap.mmap(file.fileno(), size)
    return mapping, memoryview(mapping).cast("Q")


class Switch:
    """The two words. Reading one takes tens of nanoseconds."""

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
        """Marks that a setting has changed."""
        self._words[1] += 1

    def flush(self) -> None:
        """Writes the words to the disk. If word 0 were off there and the file on, `agree` would end
        the opt-in."""
        self._mapping.flush()
