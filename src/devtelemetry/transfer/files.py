"""A file of lines, packed or not, or standard input."""

import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator

from devtelemetry.model.errors import DevTelemetryError

MAX_LINE_BYTES = 64 * 1024  # the longest valid line, with everything escaped, has 50,000
_BUFFER_BYTES = 256 * 1024


class TransferError(DevTelemetryError):
    """A file cannot be read or written."""


class InputFile:
    """A file of lines, or `-` for standard input; `.gz` is unpacked. Use it in a `with`.

    size_bytes  of the file on the disk, packed or not; None if not known, as for a pipe
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack = contextlib.ExitStack()
        self._raw: io.FileIO
        self._file: io.BufferedReader | gzip.GzipFile
        self.size_bytes: int | None = None

    def __enter__(self) -> "InputFile":
        try:
            if self._path == "-":
                self._raw = io.FileIO(0, closefd=False)
            else:
                self._raw = self._stack.enter_context(io.FileIO(self._path))
        except OSError as error:
            raise TransferError(
                f"{self._path} cannot be read: {error.strerror or error}"
            ) from error
        status = os.fstat(self._raw.fileno())
        if stat.S_ISREG(status.st_mode):
            self.size_bytes = status.st_size
        self._file = io.BufferedReader(self._raw, _BUFFER_BYTES)
        if self._path.endswith(".gz"):
            self._file = gzip.GzipFile(fileobj=self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def position_bytes(self) -> int:
        """How many of size_bytes are read."""
        return self._raw.tell() if self.size_bytes is not None else 0

    def lines(self) -> Iterator[bytes]:
        """The lines. A longer line is cut off just beyond MAX_LINE_BYTES, to bound the memory.

        Raises TransferError if the file ends too early or cannot be read.
        """
        number = 0
        try:
            while line := self._file.readline(MAX_LINE_BYTES + 1):
                rest = line
                while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                    rest = self._file.readline(MAX_LINE_BYTES + 1)
                number += 1
                yield line
        except (OSError, EOFError, zlib.error) as error:
            raise TransferError(
                f"{self._path} cannot be read after line {number}: {error}; the lines before that "
                "are imported"
            ) from error
