"""Reads bodies of HTTP requests, packed or not, in bounded time and memory."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from devtelemetry.model.errors import Busy

BODY_SECONDS = 60.0  # shipped status-go clients give up a request after a minute

# A body of up to this size costs little more than its connection. It is not read in a thread.
_SMALL_BYTES = 128 * 1024
_LARGE_BODIES = 4  # how many bodies of the largest size may be held at a time; more of smaller ones
_DRAINED_BODIES = 4  # of a body that is too large, this many times max_bytes are read and dropped

T = TypeVar("T")


class TooLarge(Exception):
    """The body, packed or not, is larger than allowed; the text says how much is allowed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the body is too large; allowed: {max_bytes} bytes")


class EndlessBody(Exception):
    """The body is so large that its end is not waited for. No client sends that much."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(str(TooLarge(max_bytes)))


class SlowBody(Exception):
    """The body did not come within BODY_SECONDS."""

    def __init__(self) -> None:
        super().__init__(f"the body did not come within {BODY_SECONDS:.0f} s")


class BadGzip(Exception):
    """The body cannot be unpacked; the text says why."""


class Bodies:
    """The bodies of one interface.

    max_bytes  the most that one body may have, packed or not
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0  # of large bodies
        self._one_large_body = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body as it was sent, held until the block ends.

        Raises TooLarge, EndlessBody, SlowBody, Busy if too many large bodies are held, and
        whatever `chunks` raises.
        """
        body = bytearray()
        size = held = 0
        try:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    async for chunk in chunks:
                        size += len(chunk)
                        if size > self._max_bytes:
                            # Read on, because a client may not look for an answer while it sends.
                            body.clear()
                            if size > _DRAINED_BODIES * self._max_bytes:
                                raise EndlessBody(self._max_bytes)
                        else:
                            if size > _SMALL_BYTES:
                                self._hold(size - held)
                                held = size
                            body += chunk
            except TimeoutError as error:
                raise SlowBody from error
            if size > self._max_bytes:
                raise TooLarge(self._max_bytes)
            yield bytes(body)
        finally:
            self._held_bytes -= held

    def _hold(self, size: int) -> None:
        if self._held_bytes + size > _LARGE_BODIES * self._max_bytes:
            raise Busy("too many large requests at once; send again later", 1.0)
        self._held_bytes += size

    async def read(self, work: Callable[[], T], body: bytes, *, is_packed: bool) -> T:
        """Returns what `work` makes of the body. A large or packed body is read in a thread, so
        that other requests are answered meanwhile.

        Only one at a time, because a forged body may take twenty times its size while it is read.
        """
        if not is_packed and len(body) <= _SMALL_BYTES:
            return work()
        async with self._one_large_body:
            return await asyncio.to_thread(work)


def unpack(body: bytes, max_bytes: int) -> bytes:
    """Unpacks gzip. Raises BadGzip, and TooLarge as soon as there is more than `max_bytes`."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip, nothing else
    try:
        text = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BadGzip(f"the body is not gzip: {error}") from error
    if len(text) > max_bytes:
        raise TooLarge(max_bytes)
    if not stream.eof:
        raise BadGzip("the body is gzip, but its end is missing")
    return text
