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

_BYTES = 4096  # one page


def mapped_words(path: Path) -> tuple[mmap.mmap, memoryview]:
    """The file at `path` as 64-bit words, made of zeros if it is not there.

    Aligned words of a mapping are read and written whole (on 64-bit machines), and survive the end
    of the process. Whoever truncates the file ends the processes that have it mapped.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size < _BYTES:
            # Written, not truncated to size: a hole would need disk space at the first access.
            os.pwrite(descriptor, bytes(_BYTES), 0)
            os.fsync(descriptor)
        mapping = mmap.mmap(descriptor, _BYTES)
    finally:
        os.close(descriptor)
    return mapping, memoryview(mapping).cast("Q")


class Switch:
    """The words. Reading one costs tens of nanoseconds."""

    def __init__(self, directory: Path) -> None:
        self.is_new = not (directory / "switch").exists()
        self._mapping, self._words = mapped_words(directory / "switch")

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
