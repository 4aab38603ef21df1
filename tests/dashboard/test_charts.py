"""Charts, and what the script adds to pages, in a real browser over a month of figures."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from devtelemetry import words
from devtelemetry.dashboard.state import SPANS
from devtelemetry.words import percent
from support.browser import visit
from support.month import HOSTILE, PATHS, channel_names, clean, figures, together

pytestmark = pytest.mark.slow

# For each axis the visible labels: text, and where it begins and ends along the axis.
LABELS = """() => [...document.querySelectorAll(".drawing, .hours > svg[role]")].flatMap((of) => {
    const seen = [...of.querySelectorAll("text.axis:not(.letter)")]
        .filter((e) => e.checkVisibility()).map((e) => [e, e.getBoundingClientRect()]);
    const isX = (e) => e.getAttribute("y") === "100%" && e.getAttribute("x") !== "-8";
    return [
        seen.filter(([e]) => isX(e)).map(([e, box]) => [e.textContent, box.left, box.right]),
        seen.filter(([e]) => !isX(e)).map(([e, box]) => [e.textContent, box.top, box.bottom]),
    ];
})"""


def test_the_line_says_in_words_what_it_shows(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.go("/?timeframe=1d&span=7d")
        label = seen.page.locator(".drawing").first.get_attribute("aria-label") or ""
        days = figures(month, timeframe="1d", channels=False)[-7:]
        least = min(day["delivery_ratio"] for day in days)
        assert f"lowest {percent(least)}" in label
        assert f"last {percent(days[-1]['delivery_ratio'])}" in label


def test_losses_by_kind_are_drawn_said_in_words_and_in_a_table(
    browser: Browser, month: str
) -> None:
    with visit(browser, month) as seen:
        seen.go("/?timeframe=1d&span=7d")
        days = figures(month, timeframe="1d", channels=False)[-7:]
        label = seen.page.locator(".drawing").nth(1).get_attribute("aria-label") or ""
        for of, name in words.LOSS_CLASSES.items():
            lost = sum(day[of] for day in days)
            assert lost
            assert f"{lost:,} {name}" in label
        seen.page.locator("#losses-table summary").click()
        table = seen.page.get_by_role("region", name="The losses as a table")
        last = table.locator("tbody tr").first.inner_text()
        for of in words.LOSS_CLASSES:
            assert f"{days[-1][of]:,}" in last
        clean(seen)


def test_without_scripts_every_page_is_whole(browser: Browser, month: str) -> None:
    day = figures(month, timeframe="1d", channels=False)[-1]
    with visit(browser, month, scripts=False) as seen:
        page = seen.page
        page.goto(month)
        latest = figures(month, timeframe="1h", channels=False)[-1]
        assert seen.text(".tile .figure") == percent(latest["delivery_ratio"])
        assert re.fullmatch(r"Data until [\d-]{10} \d\d:\d\d UTC, .+ ago", seen.text("#until"))
        for hidden in ("[data-theme-switch]", "[data-png]"):
            expect(page.locator(hidden).first).to_be_hidden()
        page.get_by_role("link", name="1d", exact=True).click()
        page.locator("#line-table summary").click()
        assert percent(day["delivery_ratio"]) in seen.text("#line-table table")
        # A bar leads to its window.
        page.locator(".plot .pieces a").last.evaluate(
            "e => e.dispatchEvent(new MouseEvent('click'))"
        )
        page.wait_for_url("**/window?**")
        assert seen.text(".lead .figure") == percent(day["delivery_ratio"])
        page.go_back()
        page.get_by_label("A channel by its id").fill(channel_names()[3])
        page.keyboard.press("Enter")
        assert seen.text("h1 bdi") == channel_names()[3]


def test_a_part_of_a_span_is_dragged_typed_and_shared(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.go("/?timeframe=1d&span=30d")
        page = seen.page
        days = figures(month, timeframe="1d", channels=False)[-30:]
        plot = page.locator(".plot").first
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        at = [box["x"] + box["width"] * (number + 0.5) / len(days) for number in (10, 19)]
        page.mouse.move(at[0], box["y"] + 40)
        expect(page.locator(".hint")).to_contain_text(percent(days[10]["delivery_ratio"]))
        page.mouse.down()
        page.mouse.move(at[1], box["y"] + 40, steps=5)
        page.mouse.up()
        page.wait_for_url("**from=**")
        page.wait_for_selector("html[data-script]")
        # Ten days are shown in hours, the shortest windows for which there is room.
        hours = [
            window
            for window in figures(month, timeframe="1h", channels=False)
            if days[10]["start"] <= window["start"] < days[19]["end"]
        ]
        assert len(hours) == 240
        assert seen.text(".summary strong") == together(hours)
        assert page.evaluate("scrollY") > 0, "who dragged is where they were"
        with visit(browser, month, zone="America/New_York") as second:
            second.go(page.evaluate("location.pathname + location.search"))
            assert second.text(".summary") == seen.text(".summary")

        page.get_by_label("to", exact=True).fill(days[14]["end"][:16])
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_function(f"location.search.includes('{days[14]['end'][:10]}')")
        assert seen.text(".summary strong") == together(hours[:120])
        page.go_back()
        page.go_back()
        page.wait_for_function("location.search.includes('span=30d')")
        assert seen.text(".summary strong") == together(days)
        clean(seen)


def test_an_id_is_copied_whole(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        for name in HOSTILE:
            seen.go(f"/channel?{urlencode({'id': name})}")
            seen.page.get_by_role("button", name="Copy").click()
            expect(seen.page.get_by_role("button", name="Copied")).to_be_visible()
            assert seen.page.evaluate("navigator.clipboard.readText()") == name


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_moves_once_it_is_seen_and_no_number_is_broken(
    browser: Browser, month: str, width: int
) -> None:
    day = figures(month, timeframe="1d", channels=False)[-1]["start"]
    with visit(browser, month, size=(width, 900)) as seen:
        for path in PATHS:
            seen.go(path.replace("DAY", day))
            moved = seen.page.evaluate(
                """() => new Promise((done) => {
                    let moved = 0;
                    new PerformanceObserver((list) => {
                        for (const one of list.getEntries()) moved += one.value;
                    }).observe({ type: "layout-shift", buffered: true });
                    setTimeout(() => done(moved), 200);
                })"""
            )
            assert moved < 0.05, path
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
            broken = seen.page.evaluate(
                """() => [...document.querySelectorAll(".figure:not(.none), .number, .value")]
                    .filter((e) => e.checkVisibility() && /\\d/.test(e.textContent))
                    .filter((e) => {
                        const range = document.createRange();
                        range.selectNodeContents(e);
                        const boxes = [...range.getClientRects()];
                        const lines = new Set(boxes.map((box) => Math.round(box.bottom)));
                        return lines.size > 1 && !e.matches("th, [data-label]");
                    }).map((e) => e.textContent)"""
            )
            assert broken == [], path
            small = seen.page.evaluate(
                """() => [...document.querySelectorAll(".plot text")]
                    .map((e) => getComputedStyle(e))
                    .filter((looks) => parseFloat(looks.fontSize) < 12
                        || looks.fontFamily !== getComputedStyle(document.body).fontFamily)
                    .length"""
            )
            assert small == 0, path


@pytest.mark.parametrize("width", [360, 390, 737, 768, 1121, 1280])
def test_no_two_labels_of_an_axis_overlap(browser: Browser, month: str, width: int) -> None:
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def part(hours: int, ago: int) -> str:
        start, end = (until - timedelta(hours=of) for of in (hours + ago, ago))
        return f"from={start:%Y-%m-%dT%H:%M:%SZ}&to={end:%Y-%m-%dT%H:%M:%SZ}"

    spans = [f"span={name}" for name in SPANS]
    parts = [part(hours, ago) for hours in (2, 6, 20, 24, 40, 168, 700) for ago in (0, 1, 5)]
    with visit(browser, month, size=(width, 900)) as seen:
        for query in (*spans, *parts):
            seen.go(f"/group?platform=ios&{query}")
            axes = seen.page.evaluate(LABELS)
            assert len(axes) >= 4, query
            for axis in axes:
                assert len(axis) >= 2, (query, axis)
                ordered = sorted(axis, key=lambda label: label[1])
                for (left, _, end), (right, begin, _) in pairwise(ordered):
                    assert begin >= end, (query, left, right)


def test_a_time_of_another_year_says_so(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        year = datetime.now(UTC).year
        for asked, says_year in ((2019, True), (year, False)):
            seen.go(f"/window?timeframe=1h&start={asked}-01-02T10:00:00Z")
            mine, _, utc = seen.text("h1 time").partition(" · ")
            assert utc.endswith("10:00 UTC")
            assert (str(asked) in mine, str(asked) in utc) == (says_year, says_year)


def test_a_page_that_is_cut_off_says_so_and_when_it_is_not_any_more(
    browser: Browser, month: str
) -> None:
    with visit(browser, month) as seen:
        seen.go("/")
        connection = seen.page.locator("#connection")
        seen.page.context.set_offline(True)
        expect(connection).to_contain_text("No connection to the server since", timeout=30_000)
        expect(connection).to_be_in_viewport()
        seen.page.context.set_offline(False)
        expect(connection).to_have_text("Connected again.", timeout=30_000)


def test_a_link_shows_the_same_to_who_it_is_shared_with(browser: Browser, month: str) -> None:
    with visit(browser, month) as first, visit(browser, month, zone="America/New_York") as second:
        first.go("/")
        first.page.get_by_role("link", name="1d", exact=True).click()
        first.page.wait_for_function("location.search.includes('timeframe=1d')")
        first.page.get_by_role("link", name="Message type").click()
        first.page.wait_for_function("location.search.includes('by=message_type')")
        first.page.wait_for_selector("th:has-text('CHAT_MESSAGE')")
        path = first.page.evaluate("location.pathname + location.search")
        second.go(path)
        second.page.wait_for_selector("th:has-text('CHAT_MESSAGE')")
        assert first.text(".summary") == second.text(".summary")
        # Each browser shows its own time zone, with the same moment in UTC beside it.
        times = [one.text(".tile .when") for one in (first, second)]
        assert times[0] != times[1]
        assert len({one.partition("·")[2] for one in times}) == 1
        assert re.search(r"CES?T|GMT[+]\d", times[0])
