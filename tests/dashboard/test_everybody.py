"""Every page on every screen, light and dark, for people who see badly or use a phone."""

import re
from collections.abc import Mapping

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from support.browser import Visit, visit
from support.month import PATHS, clean, figures

pytestmark = pytest.mark.slow

CHANNEL_LISTS = ("/channels", "/channels?span=30d&sort=lower&page=3", "/channels?search=zzz")
OF_ALL = {"resultTypes": ["violations"]}
OF_COLOURS = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
    "resultTypes": ["violations"],
}
"""The rules of axe that another choice of colours can break"""


def is_dark(seen: Visit) -> bool:
    ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", ground)[:3])) < 200


def found_by_axe(seen: Visit, options: Mapping[str, object] = OF_ALL) -> list[tuple[str, str]]:
    violations = Axe().run(seen.page, options=dict(options)).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in violations]


# Screens of 1920 and of 1280 have the same styles, so axe looks only at the last width.
@pytest.mark.parametrize("widths", [(360,), (768,), (1920, 1280)], ids=str)
def test_no_page_has_what_axe_finds_or_is_wider_than_the_screen(
    browser: Browser, month: str, widths: tuple[int, ...]
) -> None:
    day = figures(month, timeframe="1d", channels=False)[-1]["start"]
    with visit(browser, month, size=(widths[-1], 900)) as seen:
        for path in (*PATHS, *CHANNEL_LISTS):
            seen.page.emulate_media(color_scheme="light")
            seen.go(path.replace("DAY", day))
            for summary in seen.page.locator("details:not(.fixed) > summary").all():
                summary.click()
            for width in widths:
                seen.page.set_viewport_size({"width": width, "height": 900})
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert not is_dark(seen)
            assert found_by_axe(seen) == [], path
            seen.page.emulate_media(color_scheme="dark")
            assert is_dark(seen)
            assert found_by_axe(seen, OF_COLOURS) == [], path
        clean(seen)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_documentation_of_the_api_has_the_colours_of_the_pages(
    browser: Browser, month: str, dark: bool
) -> None:
    with visit(browser, month, dark=dark) as seen:
        for chosen in (dark, not dark):
            seen.page.goto(f"{month}/docs")
            seen.page.locator(".opblock").first.wait_for()
            ink = seen.page.locator(".swagger-ui .info p").first.evaluate(
                "e => getComputedStyle(e).color"
            )
            assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 400) is chosen
            theme = "light" if chosen else "dark"
            seen.page.evaluate(f"document.cookie = 'devtelemetry_theme={theme}; path=/'")
        clean(seen)
