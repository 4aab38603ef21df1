"""Bodies of HTTP requests, in bounded time and memory, packed ones too."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from devtelemetry.model.errors import Busy

BODY_SECONDS = 60.0  # shipped status-go clients give a request up after a minute

# Up to here a body costs little more than its connection, and is read while nothing else runs.
_SMALL_BYTES = 128 * 1024
_LARGE_BODIES = 4  # how many of the largest allowed may be held at a time; of smaller ones more
_DRAINED_BODIES = 4  # up to how many times what is allowed is read and forgotten

T = TypeVar("T")


class TooLarge(Exception):
    """The body, packed or not, has more than is allowed; the text says so."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the body is too large; allowed: {max_bytes} bytes")


class EndlessBody(Exception):
    """So large that even its end is not waited for; no client has that much to say."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(str(TooLarge(max_bytes)))


class SlowBody(Exception):
    """The body was not there after BODY_SECONDS; the text says so."""

    def __init__(self) -> None:
        super().__init__(f"the body did not come within {BODY_SECONDS:.0f} s")


class BadGzip(Exception):
    """The body cannot be unpacked; the text says why."""


class Bodies:
    """The bodies of one interface.

    max_bytes  of one of them, packed or not
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0  # of large bodies
        self._one_large_body = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body as it was sent, held for the block.

        Raises TooLarge, EndlessBody, SlowBody, Busy if too many large ones are held, and whatever
        `chunks` does.
        """
        body = bytearray()
        size = held = 0
        try:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    async for chunk in chunks:
                        size += len(chunk)
                        if size > self._max_bytes:
                            # Read on: a client that is still sending may not look for an answer.
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
        """What `work` makes of the body: in a thread if there may be much in it, since others want
        to be answered meanwhile.

        One at a time: a forged body may take twenty times its size while it is read.
        """
        if not is_packed and len(body) <= _SMALL_BYTES:
            return work()
        async with self._one_large_body:
            return await asyncio.to_thread(work)


def unpack(body: bytes, max_bytes: int) -> bytes:
    """What was packed by gzip. Raises BadGzip, and TooLarge before it has unpacked much more."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip, nothing else
    try:
        text = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BadGzip(f"the body is no gzip: {error}") from error
    if len(text) > max_bytes:
        raise TooLarge(max_bytes)
    if not stream.eof:
        raise BadGzip("the body is gzip without its end")
    return text
