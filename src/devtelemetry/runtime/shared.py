"""Makes a result once if many ask for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Shared:
    """If a result is being made, all who ask for it wait for that one. A failure is not kept: the
    next call makes the result again."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Future[Any]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        """What `make` returns or raises, for all who ask for `key` while it runs."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(make())
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        result: _T = await asyncio.shield(task)
        return result
