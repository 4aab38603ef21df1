"""Places for calls that may hold out for long: who waits longest goes first when there is no room.

An honest client says at once what it wants. Whoever holds places open is made to leave by those who
come after, and by a deadline in any case.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from itertools import count

from devtelemetry.model.errors import Busy
from devtelemetry.runtime import metrics

GRACE_SECONDS = 5.0
"""So long nobody has to leave for another"""


class Slots:
    """kind     a label of metrics
    crowded  from so many on, who has been there longest and for more than the grace leaves
    most     more are refused
    seconds  after which each has to leave
    """

    def __init__(self, kind: str, *, crowded: int, most: int, seconds: float) -> None:
        self._kind = kind
        self._crowded = crowded
        self._most = most
        self._seconds = seconds
        self._numbers = count()
        self._held: OrderedDict[int, tuple[float, asyncio.Timeout]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """A place, as long as the block lasts.

        Raises TimeoutError when it has to be left, and Busy if there is none.
        """
        now = asyncio.get_running_loop().time()
        if len(self._held) >= self._crowded:
            self._make_room(now)
        if len(self._held) >= self._most:
            metrics.PLACES_REFUSED.labels(self._kind).inc()
            raise Busy("too many calls at once; send again later", retry_after_seconds=1.0)
        number = next(self._numbers)
        try:
            async with asyncio.timeout(self._seconds) as timeout:
                self._held[number] = (now, timeout)
                yield
        except TimeoutError:
            metrics.PLACES_REFUSED.labels(self._kind).inc()
            raise
        finally:
            self._held.pop(number, None)

    def _make_room(self, now: float) -> None:
        number, (since, timeout) = next(iter(self._held.items()))
        if now - since > GRACE_SECONDS:
            del self._held[number]
            timeout.reschedule(now)
