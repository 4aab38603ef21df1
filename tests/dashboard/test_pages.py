"""The dashboard in a real browser, over a month of figures."""

import asyncio
import contextlib
import csv
import io
import json
import re
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg
import httpx
import pytest
import trustme
from axe_playwright_python.sync_playwright import Axe
from bench.months import Made, make_months
from playwright.sync_api import Browser, expect

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.texts import short_identifier
from devtelemetry.model import HOUR_MS, MINUTE_MS, Sample, unix_ms
from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer
from devtelemetry.v1 import PUSH
from devtelemetry.words import percent
from support.browser import Visit, visit
from support.month import (
    HOSTILE,
    clean,
    figures,
    interval,
    together,
)
from support.program import run
from support.server import ServerProcess
from support.store import START as STORED_FROM
from support.store import compute_window, store

pytestmark = pytest.mark.slow


# ------------------------------------------------------------------------------------- the figures


def worst_first(channels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by surely missing pairs."""

    def lost(channel: dict[str, Any]) -> tuple[int, int]:
        upper = channel["delivery_ratio_upper"]
        surely = 0 if upper is None else int(channel["corroborated"] * (1 - upper))
        return surely, channel["missing"]

    ratios = [one for one in channels if one["delivery_ratio"] is not None]
    return sorted(ratios, key=lost, reverse=True)


def test_from_the_overview_to_a_channel_to_a_window_all_figures_are_the_apis(
    browser: Browser, month: str
) -> None:
    with visit(browser, month) as seen:
        seen.go("/")
        page = seen.page
        for number, timeframe in enumerate(("1h", "1d", "1w")):
            latest = figures(month, timeframe=timeframe, channels=False)[-1]
            tile = page.locator(".tile").nth(number)
            assert tile.locator(".figure").inner_text() == percent(latest["delivery_ratio"])
            assert interval(latest) in tile.inner_text()
        hours = figures(month, timeframe="1h", channels=False)[-168:]
        assert seen.text(".summary strong") == together(hours)

        row = page.locator("section.card", has_text="Worst channels").locator("tbody tr").first
        channel = row.locator("th").inner_text()
        row.get_by_role("link").click()
        page.wait_for_url("**/channel?**")
        page.wait_for_selector("h1.identifier")
        assert seen.text("h1 bdi") == channel
        own = figures(month, timeframe="1h", channel=channel, channels=False)[-168:]
        known = [window for window in own if window["delivery_ratio"] is not None]
        assert seen.text(".lead .figure") == together(known)
        assert f"{sum(window['missing'] for window in known):,}" in seen.text(".lead .facts")

        page.locator("#line-table summary").click()
        shown = known[-1]
        start = shown["start"]
        cells = page.locator("#line-table tr", has=page.locator(f'time[datetime="{start}"]'))
        assert percent(shown["delivery_ratio"]) in cells.inner_text()
        assert interval(shown) in cells.inner_text()
        cells.get_by_role("link").click()
        page.wait_for_url("**/window?**")
        page.wait_for_selector("h1.identifier")
        assert seen.text(".lead .figure") == percent(shown["delivery_ratio"])
        assert f"{shown['missing']:,}" in seen.text(".lead .facts")
        page.get_by_role("link", name="All channels of this window").click()
        page.wait_for_selector("text=Channels of this window")
        whole = figures(month, timeframe="1h", **{"from": start})[0]
        assert seen.text(".lead .figure") == percent(whole["delivery_ratio"])
        worst = worst_first(whole["channels"])[0]
        table = page.locator("section.card", has_text="Channels of this window")
        assert percent(worst["delivery_ratio"]) in table.locator("tbody tr").first.inner_text()
        clean(seen)


def test_groups_are_the_sums_of_the_apis_with_its_verdicts(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        latest = figures(month, timeframe="1d", by="platform", channels=False)[-1]
        seen.go(f"/window?timeframe=1d&start={latest['start']}")
        table = seen.page.locator("section.card", has=seen.page.locator("h2", has_text="Platform"))
        for group in latest["groups"]:
            name = group["platform"] or "(other)"
            row = table.locator("tbody tr", has=seen.page.locator("th", has_text=name)).inner_text()
            assert percent(group["delivery_ratio"]) in row
            assert interval(group) in row
            assert percent(group["on_time"]["1m"]) in row
            if group["versus"] is not None:
                assert group["versus"]["verdict"] in row
        clean(seen)


def test_what_is_exported_is_what_is_shown(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.go("/?timeframe=1d&span=30d")
        page = seen.page
        days = figures(month, timeframe="1d", channels=False)[-30:]

        with page.expect_download() as got:
            page.get_by_role("link", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text())))
        assert [row["start"] for row in rows] == [day["start"] for day in days]
        assert [int(row["missing"]) for row in rows] == [day["missing"] for day in days]
        assert float(rows[-1]["delivery_ratio"]) == days[-1]["delivery_ratio"]

        with page.expect_download() as got:
            page.get_by_role("link", name="JSON").first.click()
        assert json.loads(Path(got.value.path()).read_text())["windows"] == days

        for number, name in enumerate(("delivery-ratio.png", "losses.png")):
            with page.expect_download() as got:
                page.get_by_role("button", name="Save as PNG").nth(number).click()
            assert got.value.suggested_filename == name
            picture = Path(got.value.path()).read_bytes()
            assert picture.startswith(b"\x89PNG\r\n")
            width, height = (int.from_bytes(picture[at : at + 4]) for at in (16, 20))
            assert (width, height) == (2400, 960)
            assert len(picture) > 40_000, "there is something on it"
        clean(seen)


# ----------------------------------------------------------------------------------- for everybody


def test_by_keyboard_alone_one_gets_from_the_overview_to_a_window(
    browser: Browser, month: str
) -> None:
    def tab_to(seen: Visit, matches: str) -> None:
        for _ in range(150):
            seen.page.keyboard.press("Tab")
            if seen.page.evaluate(f"(e => {matches})(document.activeElement)"):
                shown = seen.page.evaluate(
                    "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
                )
                assert shown, "where one is must be seen"
                return
        raise AssertionError(f"no tab leads to {matches}")

    with visit(browser, month) as seen:
        seen.go("/")
        keyboard, page = seen.page.keyboard, seen.page
        tab_to(seen, "'themeSwitch' in e.dataset")
        for theme in ("light", "dark", "system"):
            keyboard.press("Enter")
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
        tab_to(seen, "e.textContent === '95 % interval'")
        keyboard.press("Enter")
        explained = page.locator("#term-interval")
        expect(explained).to_be_visible()
        assert "95 % confidence" in explained.inner_text()
        keyboard.press("Escape")
        expect(explained).to_be_hidden()
        tab_to(seen, "(e.getAttribute('href') ?? '').startsWith('/channel')")
        keyboard.press("Enter")
        page.wait_for_url("**/channel?**")
        page.wait_for_selector("h1.identifier")
        tab_to(seen, "e.textContent === 'As a table'")
        keyboard.press("Space")
        expect(page.locator("#line-table table")).to_be_visible()
        tab_to(seen, "(e.getAttribute('href') ?? '').startsWith('/window')")
        keyboard.press("Enter")
        page.wait_for_url("**/window?**")
        clean(seen)


def test_what_is_not_there_is_a_page_that_says_so(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        for path, title in (
            ("/nothing", "There is no such page"),
            ("/channel?id=nosuch", "This is not known here"),
        ):
            seen.go(path)
            assert seen.text("h1") == title
            assert Axe().run(seen.page).response["violations"] == []
            seen.page.get_by_role("link", name="To the overview").click()
            seen.page.wait_for_selector(".tile")
    assert httpx.get(f"{month}/nothing").json() == {"detail": "Not Found"}


# ----------------------------------------------------------------------------------------- safety


def test_what_clients_call_their_channels_is_text_on_every_page(
    browser: Browser, month: str
) -> None:
    day = figures(month, timeframe="1d", channels=False)[-1]["start"]
    with visit(browser, month) as seen:
        seen.go("/?timeframe=1d&span=24h")
        for name in HOSTILE:
            seen.go(f"/channels?{urlencode({'search': name, 'span': '7d'})}")
            assert short_identifier(name) in seen.page.locator("table.cards tbody").inner_text()
        for name in HOSTILE:
            seen.go(f"/channel?{urlencode({'id': name})}")
            shown = seen.text("h1 bdi")
            assert seen.text(".lead .figure").endswith("%"), "it is that channel"
            assert "\u202e" not in shown
            assert "\x1b" not in shown
            seen.go(f"/window?{urlencode({'timeframe': '1d', 'start': day, 'channel': name})}")
            # It is in the address and in the title of the crumb, but no part of it became a tag.
            assert seen.page.locator("img, body script, iframe").count() == 0
        assert seen.text("h1 bdi").startswith("=HYPERLINK")
        clean(seen)
        exported = httpx.get(f"{month}/export/window.csv?timeframe=1d&start={day}").text
        names = [row["channel_id"] for row in csv.DictReader(io.StringIO(exported))]
        assert not any(name.startswith("=") for name in names)
        (whole,) = [one for one in figures(month, timeframe="1d") if one["start"] == day]
        assert len(names) == len(whole["channels"])


def test_no_script_runs_that_the_page_did_not_bring(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.go("/")
        ran = seen.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.injected = 1";
                document.body.append(script);
                const image = document.createElement("img");
                image.setAttribute("onerror", "window.injected = 2");
                image.src = "data:,";
                document.body.append(image);
                return new Promise((done) => setTimeout(() => done(window.injected ?? 0), 300));
            }"""
        )
        assert ran == 0
        assert any("Content Security Policy" in said for said in seen.complaints)


def test_addresses_that_are_not_understood_say_what_is_allowed(
    browser: Browser, month: str
) -> None:
    with visit(browser, month) as seen:
        for path in ("/?span=2d", "/channel", "/window?start=x", "/?<script>=1"):
            assert httpx.get(month + path).status_code == 400
            seen.go(path)
            assert re.search("allowed|missing|not a time", seen.text(".card p"))
        assert not any("alert" in said for said in seen.complaints)


def test_the_paths_that_were_there_are_as_they_were(month: str) -> None:
    for path, kind in (
        ("/healthz", "text/plain"),
        ("/readyz", "text/plain"),
        ("/metrics", "text/plain"),
        ("/docs", "text/html"),
        ("/openapi.json", "application/json"),
        ("/api/v1/reliability?channels=false", "application/json"),
        ("/health", "text/plain"),
    ):
        answer = httpx.get(month + path, timeout=60)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith(kind), path
        assert "content-security-policy" not in answer.headers, path
    assert httpx.post(f"{month}/record-metrics", content=b"[]").status_code == 201
    assert "/channel" not in httpx.get(f"{month}/openapi.json").json()["paths"]


def test_beyond_loopback_a_viewer_signs_in_and_is_out_when_the_token_is_revoked(
    browser: Browser, month_url: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    at = (f"--database={month_url}",)
    token = run("token", "create", "viewer", "--scope", "read", *at).stdout.split()[-1]
    options = (*at, f"--tls-cert={certificate}", f"--tls-key={key}")
    with ServerProcess(tmp_path / "data", *options, http_listen="0.0.0.0:0") as server:
        origin = f"https://localhost:{server.http.rpartition(':')[2]}"
        with visit(browser, origin) as seen:
            page = seen.page
            page.goto(f"{origin}/channel?id=community-0%2Fchannel-0000")
            assert Axe().run(page).response["violations"] == []
            page.get_by_label("Token").fill("dt_wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("not a valid token")
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_selector("h1.identifier")
            assert seen.text("h1 bdi") == "community-0/channel-0000"
            assert page.evaluate("document.cookie") == ""
            (cookie,) = page.context.cookies()
            assert (cookie["httpOnly"], cookie["secure"]) == (True, True)
            assert cookie["sameSite"] == "Strict"
            assert token not in page.content()

            page.get_by_role("button", name="Sign out").click()
            page.wait_for_url("**/sign-in")
            page.get_by_label("Token").fill(token)
            page.keyboard.press("Enter")
            page.wait_for_selector(".tile")
            run("token", "revoke", "viewer", *at)
            page.wait_for_url("**/sign-in?**", timeout=30_000)
            assert seen.elsewhere == []


# --------------------------------------------------------------------------------------- day by day


def test_who_has_nothing_yet_is_told_how_to_begin_and_sees_the_first_figures_come(
    browser: Browser, database_url: str, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        origin = f"http://{server.http}"
        with visit(browser, origin) as seen:
            seen.go("/")
            shown = seen.text(".empty")
            assert f"by gRPC at {server.grpc}, and by HTTP" in shown
            assert f"' {origin}{PUSH}" in shown
            assert "curl -H 'content-type: application/json' -d '" in shown
            assert "devtelemetry import" in shown
            assert Axe().run(seen.page).response["violations"] == []
            # The window of the new sample has not ended, so there is nothing to compute yet.
            apart(_first_sample(database_url))
            expect(seen.page.locator("h1")).to_have_text(
                "Samples are here, figures are not yet", timeout=30_000
            )
            apart(_make(database_url))
            seen.page.wait_for_selector(".tile", timeout=30_000)

            # When the figures change, the page changes too, without being loaded again.
            seen.page.evaluate("window.sameDocument = true")
            before = seen.text(".tile .figure")
            seen.page.locator("#losses-table summary").click()
            seen.page.evaluate("window.scrolled = scrollY")
            seen.page.locator(".tile h2 a").first.evaluate("e => e.focus({preventScroll: true})")
            apart(_lose_more(database_url))
            expect(seen.page.locator(".tile .figure").first).not_to_have_text(
                before, timeout=30_000
            )
            latest = figures(origin, timeframe="1h", channels=False)[-1]
            assert seen.text(".tile .figure") == percent(latest["delivery_ratio"])
            assert seen.page.evaluate("window.sameDocument") is True
            assert seen.page.evaluate("document.activeElement.getAttribute('href')").startswith(
                "/window"
            ), "who was somewhere by keyboard still is"
            expect(seen.page.locator("#losses-table table")).to_be_visible()
            assert seen.page.evaluate("scrollY === window.scrolled")
            clean(seen)

            started = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - started < 15, "an open page holds nobody up"


def test_a_channel_s_window_leads_down_to_the_messages_that_are_missing(
    browser: Browser, database_url: str, tmp_path: Path
) -> None:
    hostile = "</code><img src=x onerror=alert(3)>\u202e"
    apart(_store_losses(database_url, hostile))
    logs = "https://logs.example.org/search?q={message_id}&at={sent_at}"
    options = (f"--database={database_url}", "--retention=3650d", f"--log-link={logs}")
    with ServerProcess(tmp_path / "data", *options) as server:
        origin = f"http://{server.http}"
        query = {"channel": "c1", "timeframe": "1h", "start": "2026-03-02T10:00:00Z"}
        found = httpx.get(f"{origin}/api/v1/missing", params=query, timeout=60).json()
        with visit(browser, origin) as seen:
            seen.go(f"/window?{urlencode(query)}")
            page = seen.page
            messages = page.locator("section.card", has_text=words.MISSING_MESSAGES)
            rows = messages.locator("tbody tr")
            assert rows.count() == found["missing_messages_total"] == 2
            said = messages.inner_text()
            for message in found["missing_messages"]:
                assert words.visible(message["message_id"]) in said
                assert f"{message['held']} of {message['expected']}" in said
            assert "\\u202e" in said
            receivers = page.locator("section.card", has_text=words.LOSSY_RECEIVERS)
            for receiver in found["lossy_receivers"]:
                row = receivers.locator("tr", has_text=receiver["receiver"]).inner_text()
                assert f"{receiver['missing']} of {receiver['expected']}" in row
            lost = page.locator("section.card", has_text="Losses by kind").inner_text()
            for of, name in words.LOSS_CLASSES.items():
                assert re.search(rf"{name}\s+{found[of]}\b", lost)
            by_pattern = [
                f"{number} {words.LOSS_PATTERNS[name]}"
                for name, number in found["patterns"].items()
                if number
            ]
            assert f"Lost {', '.join(by_pattern)}." in said
            matrix = page.get_by_role("region", name="Table: receivers and messages")
            (line,) = matrix.locator("tbody tr").all()
            assert (
                line.locator("th code").inner_text() == found["lossy_receivers"][0]["receiver"][:8]
            )
            assert line.locator(".cells").inner_text() == "\N{MULTIPLICATION SIGN}" * 2
            assert "lacks 2 of 2: 2 not arrived" in line.inner_text()
            links = [link.get_attribute("href") or "" for link in messages.locator(".log").all()]
            assert [parse_qs(urlsplit(link).query)["q"] for link in links] == [
                [message["message_id"]] for message in found["missing_messages"]
            ]
            # The channel's page has the same table for the window that lost most.
            seen.go("/channel?id=c1&from=2026-03-01T10:00:00Z&to=2026-03-02T12:00:00Z")
            assert matrix.locator("tbody tr").count() == 1
            assert messages.locator("tbody tr").count() == 2
            page.locator("#matrix").get_by_role("link").click()
            page.wait_for_url("**/window?**")
            assert Axe().run(page).response["violations"] == []
            clean(seen)


def test_a_message_s_id_is_seen_whole_at_any_width_and_leaves_room_for_the_other_columns(
    browser: Browser, database_url: str, tmp_path: Path
) -> None:
    whole = f"0x{'0123456789abcdef' * 4}"
    apart(_store_losses(database_url, whole))
    query = {"channel": "c1", "timeframe": "1h", "start": "2026-03-02T10:00:00Z"}
    options = (f"--database={database_url}", "--retention=3650d")
    with ServerProcess(tmp_path / "data", *options) as server:
        for width in (390, 768, 1280):
            with visit(browser, f"http://{server.http}", size=(width, 900)) as seen:
                seen.go(f"/window?{urlencode(query)}")
                shown = seen.page.locator("#missing .id bdi", has_text=whole)
                places = ["e", "e.closest('th')"]
                if width != 768:  # at this width the table does not fit, and scrolls
                    places.append("e.closest('.scroll')")
                for place in places:
                    is_wider = f"e => {place}.scrollWidth > {place}.clientWidth"
                    assert not shown.evaluate(is_wider), (width, place)
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
                selected = shown.evaluate(
                    "e => { getSelection().selectAllChildren(e); return `${getSelection()}`; }"
                )
                assert selected == whole
                seen.page.evaluate("getSelection().removeAllRanges()")
                assert seen.page.evaluate("id => window.find(id)", whole)
                clean(seen)


async def _store_losses(url: str, message_id: str) -> None:
    """Stores three receivers; one lacks two of four messages, and `message_id` is one of them."""
    async with Database(url) as database:
        await store(
            database,
            [
                Sample(message, "c1", receiver, at, at + 1000, received_at=at + 500)
                for hour in range(2)
                for number, message in enumerate((f"m{hour}", message_id, f"n{hour}", f"o{hour}"))
                for receiver in ("a", "b", "c")
                for at in [STORED_FROM + hour * HOUR_MS + (number + 1) * MINUTE_MS]
                if (receiver, number) not in {("b", 1), ("b", 2)} and (hour == 0 or number != 1)
            ],
        )
        await compute_window(database, STORED_FROM)


def test_a_page_outlives_the_database(browser: Browser, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with EmbeddedServer(tmp_path / "postgres") as postgres:
            url = postgres.url
            apart(_make(url))
            server = stack.enter_context(ServerProcess(tmp_path / "data", f"--database={url}"))
            seen = stack.enter_context(visit(browser, f"http://{server.http}"))
            seen.go("/")
            figure = seen.text(".tile .figure")
        assert httpx.get(f"http://{server.http}/", timeout=60).status_code == 503
        seen.go("/", ready="#problem-title")
        assert seen.text("#problem-title") == "The database cannot be reached"
        assert seen.text(".card p") == texts.NO_DATABASE
        expect(seen.page.locator("#connection")).to_contain_text(
            "The database does not answer since", timeout=30_000
        )
        with EmbeddedServer(tmp_path / "postgres"):
            seen.page.wait_for_selector(".tile", timeout=60_000)
            assert seen.text(".tile .figure") == figure


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Runs it in a thread of its own, because the browser's thread has an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _first_sample(url: str) -> None:
    now_ms = unix_ms(datetime.now(UTC))
    async with Database(url) as database:
        await store(database, [Sample("m1", "general", "0x04aa", now_ms, now_ms)])


async def _make(url: str) -> None:
    async with Database(url) as database:
        await make_months(database, Made(["c1", "c2", "c3"], datetime.now(UTC), timedelta(days=2)))


async def _lose_more(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "update reliability_window "
        "set missing = missing + greatest(1, corroborated / 10), computed_at = now() "
        "where timeframe = '1h' and corroborated > missing"
    )
    await connection.close()
