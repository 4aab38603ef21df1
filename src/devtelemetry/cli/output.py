"""Results go to standard output, everything else to stderr."""

import contextlib
import sys
from collections.abc import AsyncIterable, Callable
from pathlib import Path


def say(line: str) -> None:
    """Writes a line of the result."""
    sys.stdout.write(f"{line}\n")


def tell(line: str) -> None:
    """Writes a line that is not part of the result."""
    sys.stderr.write(f"{line}\n")


def write(data: bytes) -> None:
    """Writes all of `data`. If Python runs unbuffered, one write may take only a part of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]


async def write_all(pieces: AsyncIterable[bytes], file: str = "-") -> None:
    """Writes the pieces to standard output, or to `file` if it is not `-`."""
    with contextlib.ExitStack() as stack:
        put: Callable[[bytes], object] = write
        if file != "-":
            put = stack.enter_context(Path(file).open("wb")).write  # noqa: ASYNC230 - nobody waits
        async for piece in pieces:
            put(piece)
    # Flushed here, so that a reader that is gone is noticed while errors are still one line.
    sys.stdout.buffer.flush()
