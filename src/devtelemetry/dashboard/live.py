"""New windows on open pages: one look at the database for all viewers, not one each."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import structlog

from devtelemetry.dashboard.reading import Reader
from devtelemetry.store.database import is_transient

LOOK_SECONDS = 5.0
CLOSED_PAGES = 50  # after so many their memory is looked for, some 20 MB; that takes 50 ms

_log = structlog.get_logger(__name__)

Look = Callable[[bool], Awaitable[None]]
"""Called at each look; whether figures are new"""


class Live:
    """Looks for new figures while somebody has a page open."""

    def __init__(self, reader: Reader, *, seconds: float = LOOK_SECONDS) -> None:
        self._reader = reader
        self._seconds = seconds
        self._viewers: dict[str, Look] = {}
        self._newest: datetime | None = None
        self._owed: set[str] = set()  # could not be updated; they are again at the next look
        self._closed = 0

    def add(self, viewer: str, look: Look) -> None:
        self._viewers[viewer] = look

    def remove(self, viewer: str) -> None:
        self._viewers.pop(viewer, None)
        self._owed.discard(viewer)

    def close(self, viewer: str) -> None:
        """The page is gone."""
        self.remove(viewer)
        self._closed += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name="dashboard")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            if self._closed >= CLOSED_PAGES:
                # Pages are cycles, and full collections are rare here (collector.py).
                self._closed = 0
                gc.collect()
            if not self._viewers:
                continue
            try:
                newest = await self._reader.newest()
            except Exception as error:  # the next look may succeed
                _log.warning("the dashboard cannot read", error=str(error) or type(error).__name__)
                continue
            is_new, self._newest = newest != self._newest, newest
            for viewer, look in list(self._viewers.items()):
                try:
                    await look(is_new or viewer in self._owed)
                    self._owed.discard(viewer)
                except Exception as error:  # the database may be back at the next look
                    _log.warning(
                        "a page of the dashboard could not be updated",
                        error=str(error) or type(error).__name__,
                        exc_info=not is_transient(error),
                    )
                    self._owed.add(viewer)
