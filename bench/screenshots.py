"""`python -m bench.screenshots`: pictures of the dashboard over a made-up month of 500 channels.

--drawing also makes the picture of the README: the top of the overview as an SVG file of lines and
letters. --way instead makes the pictures of docs/evidence/on-call.md: SVG files of the way, by
clicks, from the overview of `devtelemetry demo` to a missing message.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from bench.months import Made, make_months
from bench.postgres import fresh_database, temporary_server
from devtelemetry.figures.document import iso
from devtelemetry.simulator.server import ServeProcess

DESKTOP, PHONE = (1280, 900), (360, 740)
_WAYS = {"desktop": DESKTOP, "phone": (390, 844)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path("build/screenshots"), metavar="DIR")
    parser.add_argument("--channels", type=int, default=500)
    parser.add_argument(
        "--drawing",
        type=Path,
        metavar="SVG",
        help="the picture of the README; needs pdftocairo (Debian: poppler-utils)",
    )
    parser.add_argument(
        "--way",
        type=Path,
        metavar="DIR",
        help="pictures of the way to a missing message; needs it too",
    )
    options = parser.parse_args()
    if options.way is not None:
        options.way.mkdir(parents=True, exist_ok=True)
        with _demo() as origin, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
            for name, size in _WAYS.items():
                _go(browser, origin, size, options.way / name)
            browser.close()
        return
    options.into.mkdir(parents=True, exist_ok=True)
    asyncio.run(_run(options.into, options.channels, options.drawing))


async def _run(into: Path, channels: int, drawing: Path | None) -> None:
    names = [f"community-{number // 8}/channel-{number:04}" for number in range(channels)]
    end = datetime.now(UTC)
    with temporary_server() as url, TemporaryDirectory(prefix="devtelemetry-bench-") as directory:
        async with fresh_database(url, "screenshots") as database:
            await make_months(database, Made(names, end, timedelta(days=31)))
            with ServeProcess(Path(directory) / "data", f"--database={database.url}") as server:
                server.wait_until_ready()
                origin = f"http://{server.http}"
                await asyncio.to_thread(_take, origin, into, names, end, drawing)


def _take(origin: str, into: Path, names: list[str], end: datetime, drawing: Path | None) -> None:
    hour = iso((end - timedelta(hours=6)).replace(minute=0, second=0, microsecond=0))
    channel = quote(names[0], safe="")
    pictures = (
        ("overview-light", "/", DESKTOP, "light"),
        ("overview-dark", "/", DESKTOP, "dark"),
        ("overview-phone-dark", "/", PHONE, "dark"),
        ("version-light", "/group?app_version=2.30.1", DESKTOP, "light"),
        ("version-phone-dark", "/group?app_version=2.30.1", PHONE, "dark"),
        ("channel-light", f"/channel?id={channel}", DESKTOP, "light"),
        ("window-light", f"/window?timeframe=1h&start={hour}", DESKTOP, "light"),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        for name, path, (width, height), colours in pictures:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if colours == "dark" else "light",
                device_scale_factor=1,
            )
            page.goto(origin + path)
            page.wait_for_selector("html[data-script]")
            page.screenshot(path=into / f"{name}.png", full_page="phone" not in name)
            print(into / f"{name}.png")
            page.close()
        if drawing is not None:
            _draw(browser, origin, drawing)
            print(drawing)
        browser.close()


def _draw(browser: Browser, origin: str, into: Path) -> None:
    """Draws the top of the overview, down to its line."""
    width, height = DESKTOP
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="light",
        bypass_csp=True,  # for the style below
    )
    page.emulate_media(media="screen", color_scheme="light")
    page.goto(origin)
    page.wait_for_selector("html[data-script]")
    bottom = page.evaluate("document.querySelector('.plot').getBoundingClientRect().bottom + 36")
    _print(page, width, bottom, into)
    page.close()


def _print(page: Page, width: int, height: float, into: Path, top: float = 0) -> None:
    """Prints `height` px of the page from `top` on, and makes an SVG of lines and letters of it."""
    page.add_style_tag(
        content=f"html, body {{ height: {top + height}px !important; overflow: hidden !important }}"
        f"html {{ margin-top: -{top}px }}"
    )
    with TemporaryDirectory(prefix="devtelemetry-bench-") as directory:
        printed, drawn = Path(directory) / "page.pdf", Path(directory) / "page.svg"
        page.pdf(path=printed, width=f"{width}px", height=f"{height}px", print_background=True)
        subprocess.run(["pdftocairo", "-svg", "-f", "1", "-l", "1", printed, drawn], check=True)
        exact = drawn.read_text(encoding="utf-8")
    # Hundredths of a point are enough, and letters need no line of their own.
    rounded = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", exact)
    into.write_text(rounded.replace("\n", "") + "\n", encoding="utf-8")


def _chromium() -> str:
    program = shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium (Debian: apt-get install chromium)")
    return program


@contextlib.contextmanager
def _demo() -> Iterator[str]:
    """Runs the demo; yields the origin of its server when its week of history is computed."""
    command = [sys.executable, "-m", "devtelemetry", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            origin = ""
            for line in demo.stdout:
                if found := re.search(r"open (http://\S+)/", line):
                    origin = found[1]
                if "a week:" in line:
                    break
            else:
                sys.exit("the demo ended before its week was computed")
            yield origin
        finally:
            os.kill(demo.pid, signal.SIGINT)


def _go(browser: Browser, origin: str, size: tuple[int, int], into: Path) -> None:
    """Makes three clicks, each on something in view or scrolled to, and a picture of each page."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="light", bypass_csp=True
    )
    page = context.new_page()
    page.emulate_media(media="screen", color_scheme="light")
    page.goto(origin)
    page.wait_for_selector("html[data-script]")

    def drawn(name: str, top: float = 0) -> None:
        # A page that was printed takes no more clicks, so another one is printed.
        printed = context.new_page()
        printed.emulate_media(media="screen", color_scheme="light")
        printed.goto(page.url)
        printed.wait_for_selector("html[data-script]")
        path = into.with_name(f"{into.name}-{name}.svg")
        _print(printed, width, height, path, top)
        printed.close()
        print(path)

    def click(link: Locator) -> None:
        said = " ".join(link.inner_text().split())
        before = page.evaluate("scrollY")
        link.scroll_into_view_if_needed()
        scrolled = page.evaluate("scrollY") - before
        link.click()
        page.wait_for_selector("html[data-script]")
        print(f"{into.name}: scrolled {scrolled:.0f} px, clicked on {said!r}: {page.url}")

    drawn("1-overview")
    click(page.locator(".problems a").first)
    print(page.locator(".lead .figure + .under").inner_text(), page.locator(".figure").inner_text())
    drawn("2-problem")
    click(page.locator("#channels th a").first)
    click(page.locator("a[href='#missing']"))
    row = page.locator("#missing tbody tr").first
    print(" ".join(row.inner_text().split()))
    place = "e => e.getBoundingClientRect().top + scrollY - 16"
    drawn("3-messages", page.locator("#matrix").evaluate(place))
    context.close()


if __name__ == "__main__":
    main()
