"""How fast the dashboard and the calls of the API are over a year of hourly windows."""

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx

from bench.machine import conditions, memory
from bench.months import Made, make_months
from bench.postgres import fresh_database, server_version, temporary_server
from bench.report import Result, Table
from devtelemetry.figures.document import iso
from devtelemetry.simulator.server import ServeProcess


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--times", type=int, default=30, help="repetitions of each view and call")


def run(options: argparse.Namespace) -> Result:
    return asyncio.run(_run(options))


@dataclass(frozen=True, slots=True)
class Took:
    what: str
    seconds: Sequence[float]
    size: int  # bytes

    def at(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _run(options: argparse.Namespace) -> Result:
    names = [f"community-{number // 8}/channel-{number:04}" for number in range(options.channels)]
    end = datetime.now(UTC)
    with temporary_server() as url, TemporaryDirectory(prefix="devtelemetry-bench-") as directory:
        before = conditions(await server_version(url))
        async with fresh_database(url, "dashboard") as database:
            started = time.monotonic()
            await make_months(database, Made(names, end, timedelta(days=options.days)))
            print(f"dashboard: made in {time.monotonic() - started:.0f} s", file=sys.stderr)
            rows = await _rows(database.url)
            with ServeProcess(Path(directory) / "data", f"--database={database.url}") as server:
                server.wait_until_ready()
                origin = f"http://{server.http}"
                took = await asyncio.to_thread(
                    _measure, origin, database.url, names, end, options.times
                )
                resident = memory([server.pid]).resident
                seen = await asyncio.to_thread(_browser, origin, database.url, options.times)
                grown = memory([server.pid]).resident - resident
    return Result(
        "Dashboard",
        before,
        [
            Table(
                "Time of an answer, one at a time",
                ("", "p50 ms", "p95 ms", "kB"),
                [
                    (
                        one.what,
                        f"{1000 * one.at(0.5):,.0f}",
                        f"{1000 * one.at(0.95):,.0f}",
                        f"{one.size / 1000:,.0f}",
                    )
                    for one in (*took, *seen)
                ],
            ),
        ],
        notes=(
            f"{options.channels:,} channels, {options.days} days: {rows:,} rows of channels",
            f"each {options.times} times; first: nothing of it was read before",
            f"server: {resident:,.0f} MiB after all calls, {grown:+,.0f} MiB after the browser's",
        ),
        figures={"took": [{"what": one.what, "seconds": one.seconds} for one in (*took, *seen)]},
    )


async def _rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        rows: int = await connection.fetchval("select count(*) from reliability_channel")
    finally:
        await connection.close()
    return rows


def _forget(url: str) -> None:
    """Makes the server believe that a window was computed, so that it reads again."""

    async def touch() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "update reliability_window "
            "set computed_at = (select max(computed_at) from reliability_window) + interval '1 s' "
            "where (timeframe, window_start) = (select timeframe, max(window_start) "
            "from reliability_window where timeframe = '1w' group by timeframe)"
        )
        await connection.close()

    with ThreadPoolExecutor(1) as thread:  # the browser's thread has an event loop already
        thread.submit(asyncio.run, touch()).result()


def _measure(origin: str, url: str, names: Sequence[str], end: datetime, times: int) -> list[Took]:
    def ago(days: int) -> str:
        return iso(end - timedelta(days=days))

    hour = iso((end - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0))
    channel = quote(names[len(names) // 2], safe="")
    first: Mapping[str, str] = {
        "overview, first": "/",
        "overview, 30 days of hours, first": "/?timeframe=1h&span=30d",
        "overview, a year of days, first": "/?timeframe=1d&span=1y",
        "channel, first": f"/channel?id={channel}",
        "platform, first": "/group?platform=ios",
        "class of losses, first": "/group?loss_class=unreadable",
        "window with its channels, first": f"/window?timeframe=1h&start={hour}",
        "list of channels, a day, first": "/channels",
        "list of channels, 30 days, first": "/channels?span=30d&sort=lower",
    }
    api = "/api/v1/reliability?timeframe=1h&"
    again = {
        "overview, again": "/",
        "list of channels, searched": "/channels?search=channel-00",
        "API: a week of hours": f"{api}channels=false&from={ago(7)}",
        "API: a week of hours by platform": f"{api}channels=false&by=platform&from={ago(7)}",
        "API: a year of hours": f"{api}channels=false&from={ago(366)}",
        "API: one channel, a week of hours": f"{api}channel={channel}&channels=false&from={ago(7)}",
        "API: an hour with its channels": f"{api}from={hour}&to={hour[:14]}01:00Z",
        "metrics": "/metrics",
    }
    with httpx.Client(base_url=origin, timeout=600) as client:
        found = [
            _took(client, what, path, times, lambda: _forget(url)) for what, path in first.items()
        ]
        found += [_took(client, what, path, times, lambda: None) for what, path in again.items()]
    return found


def _took(
    client: httpx.Client, what: str, path: str, times: int, before: Callable[[], None]
) -> Took:
    seconds: list[float] = []
    size = 0
    while len(seconds) < times:
        before()
        started = time.perf_counter()
        answer = client.get(path)
        took = time.perf_counter() - started
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            time.sleep(int(answer.headers["retry-after"]))
            continue
        seconds.append(took)
        answer.raise_for_status()
        size = len(answer.content)
    print(f"dashboard: {what}: {sorted(seconds)[len(seconds) // 2]:.3f} s", file=sys.stderr)
    return Took(what, seconds, size)


def _browser(origin: str, url: str, times: int) -> list[Took]:
    """Times until figures and line are drawn in Chromium; empty without Chromium."""
    program = shutil.which("chromium")
    if program is None:
        return []
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is a browser

    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(times):
            context: Any = browser.new_context()  # nothing in its cache
            page = context.new_page()
            _forget(url)
            started = time.perf_counter()
            page.goto(origin)
            page.wait_for_selector(".drawing path.line", state="attached")
            page.wait_for_selector(".tile .figure")
            seconds.append(time.perf_counter() - started)
            context.close()
        browser.close()
    return [Took("overview drawn in a browser with an empty cache, first", seconds, 0)]
