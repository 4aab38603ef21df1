"""The page that reports by itself, in a real browser, against a real server."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from devtelemetry.v1 import PUSH
from support.browser import chromium
from support.program import run
from support.server import ServerProcess

pytestmark = pytest.mark.slow

DIRECTORY = Path(__file__).parents[2] / "examples" / "browser"
ORIGIN = "http://127.0.0.1:8081"  # the page's; nothing listens there
KINDS = {".html": "text/html", ".js": "text/javascript"}


class App:
    """A browser with the page open. The page loads without a network too, like an installed web
    app."""

    def __init__(self, browser: Browser, server: str) -> None:
        self._server = server
        # Chromium takes a page that is served so for one of the internet, which needs permission
        # for this machine.
        self.context = browser.new_context(permissions=["local-network-access"])
        self.context.route(f"{ORIGIN}/**", self._serve)
        self.complaints: list[str] = []
        self.page = self.open()

    def _serve(self, route: Route) -> None:
        file = DIRECTORY / (route.request.url.removeprefix(ORIGIN).lstrip("/") or "index.html")
        text = file.read_text(encoding="utf-8").replace("127.0.0.1:8080", self._server)
        route.fulfill(body=text, content_type=KINDS[file.suffix])

    def open(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{ORIGIN}/")
        return page

    def messages(self, number: int) -> None:
        for _ in range(number):
            self.page.get_by_role("button", name="A message comes").click()

    def opts(self) -> None:
        self.page.get_by_label("Tell the makers").click()

    def holds(self, sample: str) -> None:
        """Adds a sample, as another app's page would do it."""
        self.page.evaluate(f"import('./report.js').then((page) => page.held({sample}))")

    def reports(self) -> None:
        """Makes it report at once: it does so when the network comes back."""
        self.context.set_offline(True)
        self.context.set_offline(False)

    def waits(self, number: int, page: Page | None = None) -> None:
        """Waits until so many samples wait."""
        expect((page or self.page).locator("#waiting")).to_have_text(str(number), timeout=60_000)


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    options = (f"--database={database_url}", f"--cors-origins={ORIGIN}")
    with ServerProcess(tmp_path / "data", *options) as started:
        yield started


def in_browser(work: Callable[[Browser], None]) -> None:
    """Runs in a thread: Playwright's event loop must not be in the thread of the tests."""

    def worked() -> None:
        with chromium() as browser:
            work(browser)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(worked).result()


def message_ids(server: ServerProcess) -> list[str]:
    """What the server stored, read by a process: the browser's thread has an event loop."""
    lines = map(json.loads, run("export", server.where).stdout.splitlines())
    return [line["messageId"] for line in lines if "messageId" in line]


def test_offline_reload_online_again_each_sample_is_there_once(server: ServerProcess) -> None:
    pushed: list[Any] = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method == "POST":
            pushed.append(route.request.post_data_json)
            if len(pushed) == 1:
                route.fetch()  # the server has them
                route.abort()
                return
        route.continue_()

    def work(browser: Browser) -> None:
        app = App(browser, server.http)
        app.messages(1)  # before the opt-in, so it is not reported
        app.opts()
        app.messages(2)
        app.waits(2)
        app.context.set_offline(True)
        app.messages(3)
        app.waits(5)
        app.page.reload()
        app.waits(5)
        app.messages(1)
        app.waits(6)
        assert message_ids(server) == []
        app.context.route(f"http://{server.http}{PUSH}", lose_the_first_answer)
        with app.page.expect_event("requestfailed"):
            app.context.set_offline(False)
        app.waits(6)
        app.reports()
        app.waits(0)
        assert app.complaints == []
        # Nothing waits in another tab either, and nothing is sent again.
        other = app.open()
        app.waits(0, other)

    in_browser(work)
    found = message_ids(server)
    assert len(found) == len(set(found)) == 6
    first, *others = pushed
    assert others, "what was not answered was sent again"
    assert [sample["message_id"] for sample in first["samples"]] == found
    assert all(one["first_sequence"] == 1 for one in (first, *others) if one["samples"])


def test_two_tabs_send_each_sample_once_and_what_is_refused_is_not_sent_again(
    server: ServerProcess,
) -> None:
    def work(browser: Browser) -> None:
        app = App(browser, server.http)
        app.opts()
        app.context.set_offline(True)
        app.messages(2)
        one, app.page = app.page, app.open()
        app.messages(2)
        app.holds("{ message_id: 'a', channel_id: 'c', sent_at: Date.now() * 1000 }")
        for page in (one, app.page):
            app.waits(5, page)
        app.context.set_offline(False)
        app.waits(0, one)
        # So large that the whole request is refused.
        app.holds("{ message_id: 'b'.repeat(5e6), channel_id: 'c', sent_at: Date.now() }")
        app.waits(1)
        app.reports()
        app.waits(0)
        app.messages(1)
        app.waits(1)
        app.reports()
        app.waits(0)
        assert app.complaints == []

    in_browser(work)
    found = message_ids(server)
    assert len(found) == len(set(found)) == 5


def test_who_opts_out_is_forgotten_by_the_server(server: ServerProcess) -> None:
    def work(browser: Browser) -> None:
        app = App(browser, server.http)
        app.opts()
        app.messages(2)
        app.waits(2)
        app.page.reload()  # a page that loads reports at once
        app.waits(0)
        assert len(message_ids(server)) == 2
        app.opts()
        deadline = time.monotonic() + 60
        while message_ids(server):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        app.messages(1)
        app.waits(0)
        assert app.complaints == []

    in_browser(work)


def test_a_page_whose_origin_is_not_named_keeps_what_it_has(
    tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:

        def work(browser: Browser) -> None:
            app = App(browser, server.http)
            app.opts()
            app.messages(1)
            app.waits(1)  # it is stored before the page is closed
            with app.page.expect_event("requestfailed"):
                app.page.reload()
            app.waits(1)

        in_browser(work)
        assert message_ids(server) == []


def test_the_example_is_short_enough_to_be_read() -> None:
    lines = (DIRECTORY / "report.js").read_text(encoding="utf-8").splitlines()
    assert sum(bool(re.match(r"\s*[^\s/]", line)) for line in lines) <= 30
    assert max(map(len, lines)) <= 110
