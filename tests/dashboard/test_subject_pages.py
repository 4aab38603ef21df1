"""From a problem to who has it and since when, in a real browser over a month of figures."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from devtelemetry.releases.notes import add_note
from devtelemetry.store.database import Database
from devtelemetry.words import percent
from support.browser import visit
from support.month import clean, figures, interval, tiled, together

pytestmark = pytest.mark.slow

VERSION = "2.30.1"


def groups(windows: list[dict[str, Any]], name: str, value: str) -> list[dict[str, Any]]:
    return [one for window in windows for one in window["groups"] if one[name] == value]


def test_a_problem_leads_to_its_page_with_onset_receivers_and_the_ratio_of_the_api(
    browser: Browser, month: str
) -> None:
    (problem,) = httpx.get(f"{month}/api/v1/problems", timeout=60).json()["problems"]
    assert (problem["kind"], problem["value"]) == ("app_version", VERSION)
    with visit(browser, month) as seen:
        seen.go("/")
        page = seen.page
        page.locator(".problems").get_by_role("link").first.click()
        page.wait_for_url("**/group?**")
        page.wait_for_selector("html[data-script]")
        assert seen.text("h1").strip() == f"App version {VERSION}"
        since = seen.text(".problems")
        assert f"since {problem['began'][:10]} {problem['began'][11:16]} UTC" in since
        assert f"to {problem['receivers']:,} or more receivers" in since
        assert f"{problem['deliveries']:,} deliveries" in since
        assert page.locator(".problems li a").count() == 0, "it is the page of it"
        assert seen.text(".lead .figure") == percent(problem["now"])
        assert f"delivered since {problem['began'][:10]}" in seen.text(".lead")
        assert f"{problem['lost']:,}" in seen.text(".lead .facts")
        assert f"since {problem['began'][:10]}" in seen.text(".summary")
        hours = figures(month, timeframe="1h", by="app_version", channels=False)
        own = groups(hours, "app_version", VERSION)
        before = [one for one in hours if one["start"] < problem["began"]]
        drawn = parse_qs(urlsplit(page.url).query)["from"][0]
        assert sum(one["start"] >= drawn for one in before) >= 12
        last = own[-1]
        assert f"{percent(last['delivery_ratio'])} in the last window of 1h" in seen.text(".lead")
        assert interval(last) in seen.text(".lead")
        page.locator("#line-table summary").click()
        first = page.locator("#line-table tbody tr").first.inner_text().replace("\xa0", " ")
        assert percent(last["delivery_ratio"]) in first
        page.get_by_role("link", name="Channels that lose most").click()
        channel = page.locator("#channels th a").first
        expect(channel).to_be_in_viewport()
        name = channel.inner_text()
        lost = page.locator("#channels td[data-label=Missing]").all_inner_texts()
        # The month has no groups of channels, so these are the channel's own figures.
        theirs = figures(month, timeframe="1h", channel=name, **{"from": problem["began"]})
        assert lost[0] == f"{sum(one['missing'] for one in theirs):,}"
        channel.click()
        page.wait_for_url("**/channel?**since=**")
        page.wait_for_selector("html[data-script]")
        assert seen.text(".lead .figure") == together(theirs)
        assert name in seen.text("h1")
        expect(page.locator("#missing")).to_be_attached()
        clean(seen)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "none"])
def test_every_name_of_a_table_and_every_bar_narrows_down_and_back_works(
    browser: Browser, month: str, scripts: bool
) -> None:
    with visit(browser, month, scripts=scripts) as seen:
        page = seen.page
        page.goto(month)
        platform = page.get_by_role("region", name="Table: Platform")
        for name in ("android", "desktop", "ios"):
            platform.get_by_role("link", name=name).click()
            page.wait_for_url(f"**/group?**platform={name}**")
            assert seen.text("h1").strip() == f"Platform {name}"
            expect(page.locator("tr.current th")).to_have_text(name)
            page.go_back()
            page.wait_for_url(f"{month}/")
        platform.get_by_role("link", name="ios").click()
        page.get_by_role("link", name="unreadable").click()
        page.wait_for_url("**loss_class=unreadable**")
        assert seen.text("h1").strip() == "Platform ios Losses unreadable"
        hours = figures(month, timeframe="1h", by="platform", channels=False)[-168:]
        own = groups(hours, "platform", "ios")
        summed = groups(tiled(month, hours, by="platform"), "platform", "ios")
        lost, pairs = (sum(one[name] for one in summed) for name in ("unreadable", "corroborated"))
        assert seen.text(".lead .figure") == percent(1 - lost / pairs)
        assert f"{lost:,}" in seen.text(".lead .facts")
        page.get_by_role("link", name="All losses").click()
        page.wait_for_function("!location.search.includes('loss_class')") if scripts else None
        assert seen.text(".lead .figure") == together(summed)
        # A bar leads to its part of the span, for the same group.
        page.locator(".plot .pieces a").last.evaluate(
            "e => e.dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        page.wait_for_url("**platform=ios**from=**")
        assert seen.text(".lead .figure") == percent(own[-1]["delivery_ratio"])


def test_a_link_that_stays_shows_the_same_when_there_are_newer_windows(
    browser: Browser, month: str
) -> None:
    with visit(browser, month) as seen:
        seen.go(f"/group?app_version={VERSION}&span=24h")
        said = seen.text(".lead .figure")
        seen.page.get_by_role("link", name="Link that stays").click()
        seen.page.wait_for_url("**from=**to=**")
        seen.page.wait_for_selector("html[data-script]")
        assert seen.text(".lead .figure") == said
        assert "span=" not in seen.page.url
        hours = figures(month, timeframe="1h", channels=False)[-24:]
        assert f"{hours[0]['start'][:10]} {hours[0]['start'][11:16]} UTC" in seen.text(".summary")
        clean(seen)


def test_of_two_groups_at_once_it_is_said_what_is_not_stored(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.go(f"/group?platform=ios&app_version={VERSION}")
        assert "Figures are stored for one group at a time." in seen.text("#page")
        assert seen.page.locator(".plot").count() == 0
        (line,) = seen.page.locator(".problems li").all()
        assert line.get_by_role("link").inner_text() == f"App version {VERSION}"
        seen.page.get_by_role("link", name="All platforms").click()
        seen.page.wait_for_selector(".plot")
        assert seen.text("h1").strip() == f"App version {VERSION}"
        answer = httpx.get(f"{month}/group?platform=a&app_version=b&path=c")
        assert answer.status_code == 400
        assert "computed of two" in answer.text
        clean(seen)


def test_notes_stand_on_the_line_and_below_it_in_words(
    browser: Browser, month: str, month_url: str
) -> None:
    said = "rolled out <i>2.30.1</i>"
    at = datetime.now(UTC) - timedelta(hours=30)

    async def note() -> None:
        async with Database(month_url) as database:
            await add_note(database, said, at=at, version=VERSION, now=at)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, note()).result()
    with visit(browser, month) as seen:
        for path in ("/", f"/group?{urlencode({'app_version': VERSION})}"):
            seen.go(path)
            expect(seen.page.locator(".moments")).to_contain_text(
                f"{VERSION}: {said}", timeout=9000
            )
            letter = seen.page.locator(".moments li", has_text=said).locator("strong").inner_text()
            expect(seen.page.locator(".letter", has_text=letter).first).to_be_visible()
            assert seen.page.locator(".plot").locator(".moment, .objective, .before").count() == 3
        clean(seen)
