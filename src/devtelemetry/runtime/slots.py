"""Places for calls that may last long. If there is no room, the oldest call must leave first.

An honest client sends its request at once. A call that only occupies a place must leave when others
come, and at a deadline in any case.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from itertools import count

from devtelemetry.model.errors import Busy
from devtelemetry.runtime import metrics

GRACE_SECONDS = 5.0
"""A call need not leave for another one before this time"""


class Slots:
    """kind     a label in metrics
    crowded  from so many calls on, a new call makes the oldest one leave if its grace is over
    most     more calls are refused
    seconds  after which each call must leave
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
        """Holds a place until the block ends.

        Raises TimeoutError in the block if the call must leave, and Busy if there is no place.
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
