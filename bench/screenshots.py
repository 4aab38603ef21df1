"""`python -m bench.screenshots`: pictures of the dashboard over a made-up month of 500 channels.

With --drawing, the top of the overview as an SVG file too, made of lines and letters: the picture
of the README.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from playwright.sync_api import Browser, sync_playwright

from bench.months import Made, make_months
from bench.postgres import fresh_database, temporary_server
from devtelemetry.figures.document import iso
from devtelemetry.simulator.server import ServeProcess

DESKTOP, PHONE = (1280, 900), (360, 740)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path("build/screenshots"), metavar="DIR")
    parser.add_argument("--channels", type=int, default=500)
    parser.add_argument(
        "--drawing", type=Path, metavar="SVG", help="needs pdftocairo (Debian: poppler-utils)"
    )
    options = parser.parse_args()
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
    program = shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
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
    """The overview down to its line, by way of a printed page."""
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
    page.add_style_tag(
        content=f"html, body {{ height: {bottom}px !important; overflow: hidden !important }}"
    )
    with TemporaryDirectory(prefix="devtelemetry-bench-") as directory:
        printed, drawn = Path(directory) / "page.pdf", Path(directory) / "page.svg"
        page.pdf(path=printed, width=f"{width}px", height=f"{bottom}px", print_background=True)
        subprocess.run(["pdftocairo", "-svg", "-f", "1", "-l", "1", printed, drawn], check=True)
        exact = drawn.read_text(encoding="utf-8")
    # Hundredths of a point are enough.
    rounded = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", exact)
    into.write_text(rounded, encoding="utf-8")
    page.close()


if __name__ == "__main__":
    main()
