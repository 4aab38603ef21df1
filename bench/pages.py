"""The dashboard's pages on a phone with a slow network: bytes, and the time until figures are seen.

The phone has 1.6 Mbit/s down and 750 kbit/s up. Each answer takes 150 ms longer. Its processor has
a quarter of this one's speed, and its browser has no cache.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from bench.machine import conditions
from bench.months import Made, make_months
from bench.postgres import fresh_database, server_version, temporary_server
from bench.report import Result, Table
from devtelemetry.figures.document import iso
from devtelemetry.simulator.server import ServeProcess

_NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
_SLOWER = 4
_PHONE = {"width": 390, "height": 844}
_SECONDS = 60  # the most until figures are there

# The time of the first drawn frame with a figure, in ms since the page was requested.
_WATCH = """
(() => {
  const look = () => {
    const figure = document.querySelector(".tile .figure, .lead .figure, .heat td");
    if (figure && figure.textContent.trim()) requestAnimationFrame(() => {
      window.figureSeen = performance.now();
    });
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--channels", type=int, default=500)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--times", type=int, default=7, help="visits of each page")


def run(options: argparse.Namespace) -> Result:
    return asyncio.run(_run(options))


@dataclass(frozen=True, slots=True)
class Seen:
    """One visit of a page: bytes on the wire, requests, ms to the first paint and to the figure."""

    transferred: int
    requests: int
    painted: float
    figure: float


async def _run(options: argparse.Namespace) -> Result:
    names = [f"community-{number // 8}/channel-{number:04}" for number in range(options.channels)]
    end = datetime.now(UTC)
    with temporary_server() as url, TemporaryDirectory(prefix="devtelemetry-bench-") as directory:
        before = conditions(await server_version(url))
        async with fresh_database(url, "pages") as database:
            await make_months(database, Made(names, end, timedelta(days=options.days)))
            with ServeProcess(Path(directory) / "data", f"--database={database.url}") as server:
                server.wait_until_ready()
                origin = f"http://{server.http}"
                looks = await asyncio.to_thread(_look, origin, _pages(names, end), options.times)
    return Result(
        "Pages on a slow phone",
        before,
        [
            Table(
                "Nothing in the browser's cache",
                ("page", "kB", "requests", "first paint ms", "first figure ms", "slowest"),
                [_row(name, seen) for name, seen in looks.items()],
            )
        ],
        notes=(
            f"{options.channels:,} channels, {options.days} days",
            f"each {options.times} times, median; Chromium slowed: 1.6 Mbit/s, 150 ms, CPU ÷ 4",
        ),
        figures={"looks": {name: [vars_of(one) for one in seen] for name, seen in looks.items()}},
    )


def vars_of(seen: Seen) -> dict[str, float]:
    return {name: getattr(seen, name) for name in Seen.__slots__}


def _pages(names: Sequence[str], end: datetime) -> dict[str, str]:
    hour = iso((end - timedelta(hours=6)).replace(minute=0, second=0, microsecond=0))
    return {
        "overview": "/",
        "overview, a year of days": "/?timeframe=1d&span=1y",
        "channel": f"/channel?id={quote(names[0], safe='')}",
        "version": "/group?app_version=2.30.1",
        "list of channels": "/channels",
        "window": f"/window?timeframe=1h&start={hour}",
    }


def _row(name: str, seen: Sequence[Seen]) -> tuple[str, ...]:
    return (
        name,
        f"{statistics.median(one.transferred for one in seen) / 1000:,.0f}",
        f"{statistics.median(one.requests for one in seen):.0f}",
        f"{statistics.median(one.painted for one in seen):,.0f}",
        f"{statistics.median(one.figure for one in seen):,.0f}",
        f"{max(one.figure for one in seen):,.0f}",
    )


def _look(origin: str, paths: dict[str, str], times: int) -> dict[str, list[Seen]]:
    program = shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is a browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = {
            name: [_one(browser, origin + path) for _ in range(times)]
            for name, path in paths.items()
        }
        browser.close()
    return found


def _one(browser: Any, address: str) -> Seen:
    context = browser.new_context(viewport=_PHONE, device_scale_factor=3, is_mobile=True)
    page = context.new_page()
    page.add_init_script(_WATCH)
    session = context.new_cdp_session(page)
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda done: sizes.append(done["encodedDataLength"]))
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", _NETWORK)
    session.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
    page.goto(address)
    page.wait_for_function("window.figureSeen", timeout=1000 * _SECONDS)
    page.wait_for_load_state("networkidle")
    painted, figure = page.evaluate(
        "[performance.getEntriesByName('first-contentful-paint')[0].startTime, window.figureSeen]"
    )
    context.close()
    return Seen(int(sum(sizes)), len(sizes), painted, figure)
