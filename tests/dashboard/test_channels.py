"""The list of channels: all can be found, and those with most surely missing pairs come first."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser

from devtelemetry.dashboard.channels_state import (
    ChannelsState,
    Order,
    address_of_channels,
    read_asked_channels,
)
from devtelemetry.dashboard.listing import (
    HEAT_CHANNELS,
    HEAT_WINDOWS,
    PAGE_CHANNELS,
    Row,
    listed,
)
from devtelemetry.dashboard.state import BadState
from devtelemetry.figures.derive import Totals, worst_first
from devtelemetry.model import Counts, MembershipPolicy, Spread, Spreads
from devtelemetry.words import count, percent
from support.browser import visit
from support.month import HOSTILE, channel_names, clean, figures

PRESENT = MembershipPolicy.PRESENT


def totals(missing: int, pairs: int, receivers: int = 40) -> Totals:
    """Totals whose losses fall evenly on the receivers."""
    each, lost = pairs // receivers, missing / receivers
    spread = Spread(
        receivers, round(receivers * lost**2), round(receivers * lost * each), receivers * each**2
    )
    counts = Counts(pairs // receivers, receivers, pairs, missing, pairs)
    return Totals(counts, Spreads(Spread(), spread, spread))


# ------------------------------------------------------------------------------- in which order


def test_a_tiny_sample_that_lost_half_is_no_worse_than_what_surely_lost_much() -> None:
    tiny, few, busy = totals(20, 40), totals(30, 60, receivers=3), totals(600, 20_000)
    assert 0 < tiny.surely_missing < 20 < busy.surely_missing < 600
    assert few.surely_missing == 0, "too few to say"
    rows = [("tiny", tiny), ("few", few), ("busy", busy), ("whole", totals(0, 4_000))]
    assert [name for name, _ in sorted(rows, key=worst_first)] == ["busy", "tiny", "few", "whole"]


def test_it_is_sorted_as_it_says() -> None:
    rows = [
        ("b", totals(20, 40)),
        ("A", totals(30, 60, receivers=3)),
        ("c", totals(600, 20_000)),
        ("d", totals(0, 4_000, receivers=50)),
    ]

    def names(order: Order) -> str:
        found = listed(ChannelsState("24h", PRESENT, order), rows)
        return "".join(name for name, _ in found.rows)

    assert {order: names(order) for order in Order} == {
        Order.LOST: "cbAd",
        Order.MISSING: "cAbd",
        Order.LOWER: "bdcA",
        Order.RECEIVERS: "dbcA",
        Order.NAME: "Abcd",
    }


def test_a_part_of_an_id_finds_it_and_pages_have_all() -> None:
    rows = [(f"Group/{number:03}", totals(40 * number, 8_000)) for number in range(120)]
    shown: list[Row] = []
    for page in range(1, 4):
        found = listed(ChannelsState("24h", PRESENT, Order.NAME, page=page), rows)
        assert (found.pages, found.found, found.channels) == (3, 120, 120)
        shown += found.rows
    assert shown == rows
    found = listed(ChannelsState("24h", PRESENT, search="GROUP/11", page=9), rows)
    assert {name for name, _ in found.rows} == {f"Group/{number}" for number in range(110, 120)}
    assert (found.found, found.channels, found.page) == (10, 120, 1)
    assert [name for name, _ in found.worst] == [name for name, _ in found.rows]
    nothing = listed(ChannelsState("24h", PRESENT, search="none"), rows)
    assert (nothing.rows, nothing.worst, nothing.pages) == ([], [], 1)


@pytest.mark.parametrize(
    "query",
    [
        {"span": "90d"},
        {"sort": "worst"},
        {"page": "0"},
        {"page": "-1"},
        {"page": "٣"},
        {"page": "1" * 7},
        {"search": "x" * 513},
        {"id": "c"},
    ],
)
def test_an_address_that_is_not_understood_says_what_is_allowed(query: dict[str, str]) -> None:
    with pytest.raises(BadState, match="allowed: "):
        read_asked_channels(query, PRESENT)


def test_an_address_reads_back_as_what_it_is_of() -> None:
    for asked in (
        ChannelsState("24h", PRESENT),
        ChannelsState("30d", MembershipPolicy.WINDOW, Order.LOWER, "a&b=c é", 7),
    ):
        query = parse_qs(urlsplit(address_of_channels(asked)).query)
        read = read_asked_channels({name: one for name, [one] in query.items()}, PRESENT)
        assert read == asked


# ------------------------------------------------------------------------------------ as a page


def comparable(windows: list[dict[str, Any]]) -> set[str]:
    """The channels that are comparable in at least one of the windows."""
    return {
        channel["channel_id"]
        for window in windows
        for channel in window["channels"]
        if channel["receivers"] >= 2 and channel["expected"] > 0
    }


def test_the_list_has_the_sums_of_the_api(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        seen.go("/channels?sort=missing")
        row = seen.page.locator("table.cards tbody tr").first
        name = parse_qs(urlsplit(row.locator("a").get_attribute("href") or "").query)["id"][0]
        windows = figures(month, timeframe="1h", channel=name, limit=24)
        missing = sum(window["missing"] for window in windows)
        judged = sum(window["corroborated"] for window in windows)
        cells = [text.replace("\xa0", " ") for text in row.locator("td").all_inner_texts()]
        assert cells[1:4] == [count(missing), count(judged), percent(1 - missing / judged)]
        names = comparable(figures(month, timeframe="1h", limit=24))
        assert len(names) > PAGE_CHANNELS
        title = f"{len(names)} comparable channels, 1 to {PAGE_CHANNELS}"
        assert title in seen.page.locator("h2").all_inner_texts()
        clean(seen)


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])
def test_a_channel_is_found_by_a_part_of_its_id(
    browser: Browser, month: str, scripts: bool
) -> None:
    with visit(browser, month, scripts=scripts) as seen:
        page = seen.page
        page.goto(f"{month}/channels")
        page.get_by_role("link", name="Name", exact=True).click()
        page.wait_for_url("**sort=name**")
        page.get_by_label("Part of the id").fill("CHANNEL-0023")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**search=CHANNEL-0023**")
        assert "sort=name" in page.url
        rows = page.locator("table.cards tbody tr")
        assert rows.count() == 1
        rows.get_by_role("link").click()
        page.wait_for_url("**/channel?**")
        assert channel_names()[23] in page.locator("h1").inner_text()
        clean(seen)


def test_all_pages_together_have_all_channels(browser: Browser, month: str) -> None:
    found: list[str] = []
    with visit(browser, month) as seen:
        seen.go("/channels?sort=name&span=7d")
        while True:
            for href in seen.page.locator("table.cards tbody th a").evaluate_all(
                "all => all.map(one => one.getAttribute('href'))"
            ):
                found += parse_qs(urlsplit(href).query)["id"]
            following = seen.page.get_by_role("link", name="Next page")
            if not following.count():
                break
            before = seen.page.url
            following.click()
            seen.page.wait_for_function(f"location.href !== {before!r}")
            seen.page.wait_for_selector("table.cards")
    assert len(found) == len(set(found))
    assert set(found) == comparable(figures(month, timeframe="1d", limit=7))


def test_the_worst_are_shown_hour_by_hour_and_lead_to_their_windows(
    browser: Browser, month: str
) -> None:
    with visit(browser, month) as seen:
        seen.go("/channels")
        heat = seen.page.locator("table.heat")
        assert heat.locator("tbody tr").count() == HEAT_CHANNELS
        assert heat.locator("thead th").count() == 1 + HEAT_WINDOWS
        names = seen.page.locator("table.cards tbody th").all_inner_texts()
        assert heat.locator("tbody th").all_inner_texts()[0][:10] == names[0][:10]
        cell = heat.locator("td a").first
        said = cell.get_attribute("title") or ""
        cell.click()
        seen.page.wait_for_url("**/window?**")
        missing = said.partition(": ")[2].partition(" of ")[0]
        assert missing in seen.text("main")
        clean(seen)


def test_what_clients_call_their_channels_is_text_there(browser: Browser, month: str) -> None:
    with visit(browser, month) as seen:
        for name in HOSTILE:
            seen.go(f"/channels?{httpx.QueryParams(search=name)}")
            assert seen.page.locator("table.cards tbody tr").count() == 1
            assert seen.page.locator("main img, main script, iframe").count() == 0
        clean(seen)
