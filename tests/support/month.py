"""A month of figures of 120 channels, some of whose names are hostile, and the API over it."""

from typing import Any
from urllib.parse import quote

import httpx

from devtelemetry.words import percent
from support.browser import Visit

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(2)</script>',
    "\u202egnp.exe\u2066",
    "a\nb\tc\x1b[31m",
    "x" * 512,
    "{{7*7}}${7*7}<!--",
    '=HYPERLINK("http://evil.example")&amp;\'',
)


CHANNELS = 120


def channel_names() -> list[str]:
    """Hostile names belong to channels that lose most, so every page that names some has them."""
    names = [f"community-{number // 8}/channel-{number:04}" for number in range(CHANNELS)]
    for number, name in enumerate(HOSTILE):
        names[1 + 15 * number] = name
    return names


# The pages of subjects. One shows a week of hours, so tests that look at each element are slow.
SUBJECTS = (
    "/group?app_version=2.30.1",
    "/group?platform=ios&app_version=2.30.1",
    "/group?path=&loss_class=unreadable&span=24h",
)
PATHS = (
    "/?span=24h",
    "/channel?span=24h&id=" + quote(channel_names()[3]),
    *SUBJECTS,
    "/window?timeframe=1d&start=DAY",
)


def figures(origin: str, **query: Any) -> list[dict[str, Any]]:
    answer = httpx.get(f"{origin}/api/v1/reliability", params=query, timeout=60)
    answer.raise_for_status()
    windows: list[dict[str, Any]] = answer.json()["windows"]
    return windows


def interval(of: dict[str, Any]) -> str:
    if of["delivery_ratio_lower"] is None:
        return "too few to say"
    lower, upper = of["delivery_ratio_lower"], of["delivery_ratio_upper"]
    return f"{percent(lower)[:-2]}–{percent(upper)}"


def together(windows: list[dict[str, Any]]) -> str:
    missing = sum(window["missing"] for window in windows)
    corroborated = sum(window["corroborated"] for window in windows)
    return percent((corroborated - missing) / corroborated)


def tiled(origin: str, hours: list[dict[str, Any]], **query: Any) -> list[dict[str, Any]]:
    """The windows that tile the span of `hours`: weeks where they fit, then days, then hours."""
    start, end = hours[0]["start"], hours[-1]["end"]
    chosen: list[dict[str, Any]] = []
    for timeframe in ("1w", "1d", "1h"):
        for window in figures(origin, timeframe=timeframe, channels=False, **query):
            fits = start <= window["start"] and window["end"] <= end
            free = all(window["end"] <= c["start"] or c["end"] <= window["start"] for c in chosen)
            if fits and free:
                chosen.append(window)
    return chosen


def clean(found: Visit) -> None:
    assert found.complaints == []
    assert found.elsewhere == []
