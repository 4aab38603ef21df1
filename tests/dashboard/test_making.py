"""A few pages are made at a time, each once for all viewers who ask for it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import httpx
from starlette.applications import Starlette

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard.pages import MAKING, Made, Pages
from devtelemetry.dashboard.reading import Reader
from devtelemetry.model import MembershipPolicy, parse_timeframe
from devtelemetry.model.errors import DatabaseAway, unknown_channel

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
WINDOW = "/window?timeframe=1h&start=2026-03-02T10:00:00Z"


class Figures:
    """Replaces the reader: each page waits until the test releases it."""

    def __init__(self) -> None:
        self.states = self.began = 0
        self.go = asyncio.Event()
        self.fails: Exception | None = None

    async def state(self) -> int:
        self.states += 1
        return 1

    async def kept(self, *_: object) -> Made:
        self.began += 1
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        return Made("<p>figures</p>")

    async def until(self, _: MembershipPolicy) -> datetime:
        return datetime(2026, 3, 2, 11, tzinfo=UTC)


def client_of(figures: Figures) -> httpx.AsyncClient:
    rules = AggregateRules((parse_timeframe("1h"),))
    made = Pages(rules, 0.99, "127.0.0.1:1", cast(Reader, figures), lambda: NOW, False)
    site = Starlette(routes=made.routes())
    return httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://127.0.0.1")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def test_so_many_pages_are_made_at_a_time() -> None:
    figures = Figures()
    async with client_of(figures) as client:
        asked = [asyncio.create_task(client.get("/")) for _ in range(3 * MAKING)]
        await until(lambda: figures.began == MAKING)
        await asyncio.sleep(0.02)
        assert figures.began == MAKING
        figures.go.set()
        answers = await asyncio.gather(*asked)
    assert [one.status_code for one in answers] == [200] * (3 * MAKING)


async def test_pages_that_drill_down_hold_up_only_each_other() -> None:
    figures = Figures()
    async with client_of(figures) as client:
        drills = [
            asyncio.create_task(client.get(f"{WINDOW}&channel=c{number}"))
            for number in range(2 * MAKING)
        ]
        await until(lambda: figures.began == 1)
        quick = asyncio.create_task(client.get(WINDOW))
        await until(lambda: figures.began == 2)
        await asyncio.sleep(0.02)
        assert figures.began == 2
        figures.go.set()
        assert (await quick).status_code == 200
        await asyncio.gather(*drills)
    assert figures.began == 1 + 2 * MAKING


async def test_one_look_at_the_state_serves_all_open_pages() -> None:
    figures = Figures()
    figures.go.set()
    async with client_of(figures) as client:
        answers = await asyncio.gather(*(client.get("/fresh") for _ in range(50)))
        assert figures.states == 1
        (state,) = {one.text for one in answers}
        assert f'data-state="{state}"' in (await client.get("/")).text


async def test_a_page_says_until_when_its_figures_are_and_how_long_ago_that_is() -> None:
    figures = Figures()
    figures.go.set()
    async with client_of(figures) as client:
        shown = (await client.get("/")).text
    assert "<title>Overview · Dev-Telemetry</title>" in shown
    assert "2026-03-02 11:00 UTC</time>" in shown
    assert "1 h 30 min ago" in shown
    assert "<p>figures</p>" in shown


async def test_a_page_without_a_database_tries_again_and_one_of_nothing_does_not() -> None:
    figures = Figures()
    figures.go.set()
    async with client_of(figures) as client:
        figures.fails = DatabaseAway("away")
        away = await client.get("/")
        figures.fails = unknown_channel("c")
        unknown = await client.get("/channel?id=c")
    assert (away.status_code, unknown.status_code) == (503, 404)
    for page, tries_again in ((away, True), (unknown, False)):
        assert ("data-state" in page.text) is tries_again
        assert ('http-equiv="refresh"' in page.text) is tries_again


async def test_colours_that_were_chosen_come_with_the_page() -> None:
    figures = Figures()
    figures.go.set()
    async with client_of(figures) as client:
        for sent, shown in (("dark", "dark"), ("", "system"), ('"><b>', "system")):
            cookie = f"devtelemetry_theme={sent}"
            page = await client.get("/", headers={"cookie": cookie})
            assert f'data-theme="{shown}"' in page.text
