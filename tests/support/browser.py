"""A real browser: Debian's Chromium, driven by Playwright."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, sync_playwright

from support.ci import missing_part

DESKTOP = (1280, 900)
PHONE = (360, 740)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        missing_part("no Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # Its sandbox needs rights that root does not have in a container. It opens only our pages.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """An open page, the browser's complaints about it, and requests to other origins."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def go(self, path: str, *, ready: str = ".card") -> None:
        self.page.goto(self.origin + path)
        self.page.wait_for_selector(ready)
        self.page.wait_for_selector("html[data-script]")

    def text(self, selector: str) -> str:
        """The text as it is written, with plain spaces between a number and its unit."""
        return self.page.locator(selector).first.inner_text().replace("\xa0", " ")


@contextlib.contextmanager
def visit(
    browser: Browser,
    origin: str,
    *,
    size: tuple[int, int] = DESKTOP,
    dark: bool = False,
    zone: str = "Europe/Berlin",
    scripts: bool = True,
) -> Iterator[Visit]:
    """A new viewer, who can reach only `origin`."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        timezone_id=zone,
        locale="en-GB",
        ignore_https_errors=True,
        reduced_motion="reduce",
        java_script_enabled=scripts,
    )
    page = context.new_page()
    visited = Visit(page, origin)
    own = urlsplit(origin).netloc

    def note(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != own:
            visited.elsewhere.append(request.url)

    context.on("request", note)
    context.route(
        lambda url: urlsplit(url).netloc != own, lambda route: route.abort("internetdisconnected")
    )
    page.on(
        "console",
        lambda said: (
            visited.complaints.append(said.text) if said.type in {"error", "warning"} else None
        ),
    )
    page.on("pageerror", lambda error: visited.complaints.append(str(error)))
    page.on("dialog", lambda dialog: visited.complaints.append(f"dialog {dialog.message}"))
    try:
        yield visited
    finally:
        context.close()
