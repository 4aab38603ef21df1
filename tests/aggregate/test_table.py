"""A window by two dimensions at once: `report table`, and the window's page."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard.reading import Reader
from devtelemetry.dashboard.state import WindowPageState, read_asked_window
from devtelemetry.dashboard.views.values import WindowPage
from devtelemetry.dashboard.views.window import window_page
from devtelemetry.model import (
    DAY,
    HOUR_MS,
    MembershipPolicy,
    Sample,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.store.database import Database
from support.program import Run
from support.store import LATER, START, compute_window, store

HOUR = parse_timeframe("1h")
AT = "--window-start=2026-03-02T10:00"


def version_of(member: int) -> str:
    return ("2.0", "2.1")[member % 2]


def samples(members: int = 8) -> list[Sample]:
    """Half of the receivers with 2.0 do not get what authors with 2.1 write."""
    return [
        Sample(
            f"m{number}",
            "general",
            f"r{member}",
            sent_at,
            sent_at + 1_000,
            sent_by_receiver=member == author,
            app_version=version_of(member),
        )
        for number, sent_at in enumerate(
            [START - 60_000, *range(START, START + 40 * 60_000, 60_000), START + HOUR_MS]
        )
        for author in [number % members]
        for member in range(members)
        if not (
            version_of(author) == "2.1"
            and version_of(member) == "2.0"
            and (number // 2 + member // 2) % 2
            and START <= sent_at < START + HOUR_MS
        )
    ]


@pytest_asyncio.fixture
async def stored(database: Database) -> Database:
    await store(database, samples())
    return database


@pytest_asyncio.fixture
async def few_stored(database: Database) -> Database:
    await store(database, samples(members=4))
    return database


@pytest.mark.usefixtures("stored")
def test_the_terminal_and_json_show_the_cells(run: Run) -> None:
    done = run("report", "table", AT)
    assert (done.status, done.err) == (0, "")
    text = " ".join(done.out.split())
    assert "1h window of 2026-03-02 10:00 UTC: author's app version × app version" in text
    # 20 messages by authors of each version, which are not expected of the authors themselves.
    assert "2.0 100.00 % of 60 100.00 % of 80" in text
    assert "2.1 50.00 % of 80 100.00 % of 60" in text
    found = json.loads(run("report", "table", AT, "--channel=general", "--json").out)
    assert found["start"] == "2026-03-02T10:00:00Z"
    assert [
        (cell["author_app_version"], cell["app_version"], cell["expected"], cell["missing"])
        for cell in found["cells"]
    ] == [
        ("2.0", "2.0", 60, 0),
        ("2.0", "2.1", 80, 0),
        ("2.1", "2.0", 80, 40),
        ("2.1", "2.1", 60, 0),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rows=platform", "--columns=platform"], "rows and columns are both platform"),
        (["--channel=none"], "there is no channel 'none'"),
        (["--window-start=2026-03-02T10:30"], "no 1h window starts at 2026-03-02T10:30"),
        (["--window-start=2999-01-01T10:00"], "in the future"),
        (["--rows=weather"], "weather"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_what_cannot_be_shown_is_said(options: list[str], said: str, run: Run) -> None:
    done = run("report", "table", *([] if "--window" in options[0] else [AT]), *options)
    assert done.status != 0
    assert said in " ".join(done.err.split())


@pytest.mark.usefixtures("few_stored")
def test_too_few_are_put_together(run: Run) -> None:
    found = json.loads(run("report", "table", AT, "--json").out)
    assert [(cell["author_app_version"], cell["expected"]) for cell in found["cells"]] == [
        (None, 120)
    ]


async def test_the_windows_page_shows_versions_where_it_is_asked_for(stored: Database) -> None:
    await compute_window(stored)
    reader = Reader(stored, [HOUR], AggregateRules((HOUR,)), now=lambda: LATER)

    async def page_of(asked: WindowPageState) -> WindowPage:
        reading = await reader.window(asked)
        return window_page(reading, now=LATER, settle_time=DAY)

    page = await page_of(WindowPageState(HOUR, from_unix_ms(START), MembershipPolicy.PRESENT))
    assert page.versions is None
    query = dict(parse_qsl(urlsplit(page.versions_link).query))
    page = await page_of(read_asked_window(query, [HOUR], MembershipPolicy.PRESENT))
    assert page.versions is not None
    assert page.versions.columns == ["2.0", "2.1"]
    assert page.versions.rows[1] == ("2.1", ["50.00 % of 80", "100.00 % of 60"])
    assert page.versions_link == ""
