"""New windows on open pages: one look at the database for all viewers, not one each.

Two things go on beside each other, so that neither waits for the other: whether a page may be shown
still is asked again and again, and pages that are behind the figures are updated, some at a time.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass

import structlog

from devtelemetry.dashboard.reading import Reader
from devtelemetry.model.errors import DatabaseAway

LOOK_SECONDS = 5.0
UPDATES = 3  # at a time; less than the connections that there are, which ingest needs too
CLOSED_PAGES = 50  # after so many their memory is looked for, some 20 MB; that takes 50 ms

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Viewer:
    """An open page.

    may_stay  asked at each look; a page that may not sees to itself, and is looked at no more
    update    reads and draws it anew
    drills    that reads samples, for seconds: such pages wait for each other, and no other page
              waits for them
    """

    may_stay: Callable[[], Awaitable[bool]]
    update: Callable[[], Awaitable[None]]
    drills: bool = False


class Live:
    """Looks for new figures while somebody has a page open."""

    def __init__(self, reader: Reader, *, seconds: float = LOOK_SECONDS) -> None:
        self._reader = reader
        self._seconds = seconds
        self._viewers: dict[str, Viewer] = {}
        self._behind: set[str] = set()  # the figures; to be updated
        self._updates: dict[str, asyncio.Task[None]] = {}  # under way, one of a page at most
        self._quick = asyncio.Semaphore(UPDATES)
        self._slow = asyncio.Semaphore(1)
        self._closed = 0
        self.state: Hashable = None  # that of the figures, at the last look

    def add(self, name: str, viewer: Viewer, *, is_behind: bool = False) -> None:
        """`is_behind`: it does not show the figures as they are."""
        self._viewers[name] = viewer
        if is_behind:
            self._behind.add(name)

    def remove(self, name: str) -> None:
        """What is under way for it ends: who may not look is shown nothing more."""
        self._viewers.pop(name, None)
        self._behind.discard(name)
        if name in self._updates:
            self._updates[name].cancel()

    def close(self, name: str) -> None:
        """The page is gone."""
        self.remove(name)
        self._closed += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._again(self._dismiss), name="dashboard: who may stay"),
            asyncio.create_task(self._again(self._look), name="dashboard: new figures"),
        ]
        try:
            yield
        finally:
            tasks += self._updates.values()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _again(self, what: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await what()

    async def _dismiss(self) -> None:
        """Ends what may not stay."""
        if self._closed >= CLOSED_PAGES:
            # Pages are cycles, and full collections are rare here (collector.py).
            self._closed = 0
            gc.collect()
        for name, viewer in list(self._viewers.items()):
            try:
                may_stay = await viewer.may_stay()
            except Exception as error:  # the next look may succeed
                _tell("a page of the dashboard could not be checked", error)
                continue
            if not may_stay:
                self.remove(name)

    async def _look(self) -> None:
        """Begins updates of all pages that are behind."""
        if not self._viewers:
            return
        try:
            state = await self._reader.state()
        except Exception as error:  # the next look may succeed
            _log.warning("the dashboard cannot read", error=str(error) or type(error).__name__)
            return
        if state != self.state:
            self.state = state
            self._behind.update(self._viewers)
        for name in self._behind - self._updates.keys():
            self._begin(name)

    def _begin(self, name: str) -> None:
        task = asyncio.create_task(self._update(name, self._viewers[name]))
        self._updates[name] = task
        # Not in the task itself: one that is cancelled before it runs never gets there.
        task.add_done_callback(lambda _: self._updates.pop(name))

    async def _update(self, name: str, viewer: Viewer) -> None:
        async with self._slow if viewer.drills else self._quick:
            # Figures that become new from here on are for the next time.
            self._behind.discard(name)
            try:
                await viewer.update()
            except Exception as error:  # the database may be back at the next look
                _tell("a page of the dashboard could not be updated", error)
                if name in self._viewers:
                    self._behind.add(name)


def _tell(what: str, error: Exception) -> None:
    if isinstance(error, DatabaseAway):
        _log.warning(what, error=error.detail)
    else:
        _log.warning(what, error=str(error) or type(error).__name__, exc_info=True)
