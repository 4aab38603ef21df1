"""Open pages: each is updated when figures are new, and none waits for another that is slow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import cast

from devtelemetry.dashboard.live import UPDATES, Live, Viewer
from devtelemetry.dashboard.reading import Reader


class Figures:
    """The database, of which only the newest computation is read."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, tzinfo=UTC)
        self.looks = 0

    async def state(self) -> datetime:
        self.looks += 1
        return self.at

    def change(self) -> None:
        self.at += timedelta(minutes=1)

    async def looked_at(self, times: int = 2) -> None:
        """Returns after so many more looks."""
        await until(lambda seen=self.looks: self.looks >= seen + times)  # type: ignore[misc]


class Page:
    """A page whose updates take until they are let go."""

    def __init__(self, *, drills: bool = False, slow: bool = False) -> None:
        self.begun = self.done = self.checks = 0
        self.is_welcome = True
        self.go = asyncio.Event()
        if not slow:
            self.go.set()
        self.viewer = Viewer(self._may_stay, self._update, drills)

    async def _may_stay(self) -> bool:
        self.checks += 1
        return self.is_welcome

    async def _update(self) -> None:
        self.begun += 1
        await self.go.wait()
        self.done += 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def shown(figures: Figures, *pages: Page) -> AsyncIterator[Live]:
    live = Live(cast(Reader, figures), seconds=0.005)
    for number, page in enumerate(pages):
        live.add(str(number), page.viewer)
    async with live.running():
        yield live


async def test_a_page_is_updated_once_each_time_that_figures_are_new() -> None:
    figures, page = Figures(), Page()
    async with shown(figures, page):
        await until(lambda: page.done == 1)
        await figures.looked_at()
        assert page.done == 1
        figures.change()
        await until(lambda: page.done == 2)


async def test_a_page_that_was_drawn_of_older_figures_is_updated_at_the_next_look() -> None:
    figures, current, older = Figures(), Page(), Page()
    async with shown(figures, Page()) as live:
        await until(lambda: live.state == figures.at)
        live.add("current", current.viewer)
        live.add("older", older.viewer, is_behind=True)
        await until(lambda: older.done == 1)
        assert current.begun == 0


async def test_a_page_that_could_not_be_updated_is_so_at_the_next_look() -> None:
    figures, calls = Figures(), 0

    async def fails_once() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("the database restarts")

    async def may_stay() -> bool:
        return True

    async with shown(figures) as live:
        live.add("viewer", Viewer(may_stay, fails_once))
        await until(lambda: calls == 2)
        await figures.looked_at()
    assert calls == 2


async def test_a_slow_page_holds_up_no_other_and_is_not_updated_twice_at_once() -> None:
    figures, slow, quick = Figures(), Page(slow=True), Page()
    async with shown(figures, slow, quick):
        await until(lambda: slow.begun == 1)
        for times in (1, 2, 3):
            await until(lambda times=times: quick.done == times)  # type: ignore[misc]
            await figures.looked_at()
            figures.change()
        assert (slow.begun, slow.done) == (1, 0)
        slow.go.set()
        # What became new meanwhile is not forgotten.
        await until(lambda: slow.done == 2)


async def test_pages_that_drill_down_hold_up_only_each_other() -> None:
    figures = Figures()
    drills = [Page(drills=True, slow=True) for _ in range(2 * UPDATES)]
    quick = Page()
    async with shown(figures, *drills, quick):
        await until(lambda: quick.done == 1)
        await figures.looked_at()
        assert sum(page.begun for page in drills) == 1
        for page in drills:
            page.go.set()
        await until(lambda: all(page.done == 1 for page in drills))


async def test_so_many_pages_are_updated_at_a_time() -> None:
    figures, pages = Figures(), [Page(slow=True) for _ in range(3 * UPDATES)]
    async with shown(figures, *pages):
        await until(lambda: sum(page.begun for page in pages) >= UPDATES)
        await figures.looked_at()
        assert sum(page.begun for page in pages) == UPDATES
        for page in pages:
            page.go.set()
        await until(lambda: all(page.done == 1 for page in pages))


async def test_who_may_stay_is_asked_while_pages_are_updated_and_who_may_not_sees_no_more() -> None:
    figures, revoked, other = Figures(), Page(slow=True), Page(slow=True)
    async with shown(figures, revoked, other):
        await until(lambda: revoked.begun == other.begun == 1)
        revoked.is_welcome = False
        asked = other.checks
        await until(lambda: other.checks >= asked + 3)
        checks = revoked.checks
        revoked.go.set()
        other.go.set()
        figures.change()
        await until(lambda: other.done == 2)
        assert revoked.checks == checks
    assert (revoked.begun, revoked.done) == (1, 0)


async def test_who_may_stay_is_asked_while_the_database_does_not_answer() -> None:
    figures, page = Figures(), Page()
    never = asyncio.Event()

    async def hang() -> datetime:
        await never.wait()
        return figures.at

    figures.state = hang  # type: ignore[method-assign]
    async with shown(figures, page):
        await until(lambda: page.checks >= 3)
    assert page.begun == 0


async def test_nothing_goes_on_after_the_end() -> None:
    figures, page = Figures(), Page(slow=True)
    async with shown(figures, page):
        await until(lambda: page.begun == 1)
    page.go.set()
    await asyncio.sleep(0.02)
    assert page.done == 0
