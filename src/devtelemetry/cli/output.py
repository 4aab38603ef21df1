"""Results go to standard output, everything else to stderr."""

import contextlib
import sys
from collections.abc import AsyncIterable, Callable
from pathlib import Path


def say(line: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{line}\n")


def tell(line: str) -> None:
    """A line beside the result."""
    sys.stderr.write(f"{line}\n")


def write(data: bytes) -> None:
    """All of it: where Python runs unbuffered, standard output may take a part only."""
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]


async def write_all(pieces: AsyncIterable[bytes], file: str = "-") -> None:
    """The pieces on standard output, or in another file than `-`."""
    with contextlib.ExitStack() as stack:
        put: Callable[[bytes], object] = write
        if file != "-":
            put = stack.enter_context(Path(file).open("wb")).write  # noqa: ASYNC230 - nobody waits
        async for piece in pieces:
            put(piece)
    # Here, so that a reader who has gone is noticed while errors are still one line.
    sys.stdout.buffer.flush()
