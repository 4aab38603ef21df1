"""When a version was first seen, and which share of the receivers has it."""

from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from devtelemetry.api.app import create_app
from devtelemetry.api.releases import ReleasesDocument
from devtelemetry.model import HOUR_MS, MembershipPolicy, Sample, from_unix_ms, parse_timeframe
from devtelemetry.releases.adoption import read_releases, windows_of_releases
from devtelemetry.server.wiring import aggregate_rules, http_access
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from support.program import Run
from support.store import START, compute_window, store

HOUR = parse_timeframe("1h")
OLD, NEW = "2.31.0", "2.32.0"


def hour(number: int, new: int) -> list[Sample]:
    """Ten receivers. The last `new` have the new version, on ios; the others are on android."""
    return [
        Sample(
            f"m{number}-{message}",
            "general",
            f"r{member}",
            sent_at,
            sent_at + 1_000,
            platform="android" if member < 4 else "ios",
            app_version=NEW if member >= 10 - new else OLD,
        )
        for message in range(12)
        for sent_at in [START + number * HOUR_MS + message * 300_000]
        for member in range(10)
    ]


@pytest_asyncio.fixture
async def stored(database: Database) -> Database:
    """Three hours, each computed when it is over: none, four, six of ten have the new version."""
    for number, new in enumerate([0, 4, 6, 6]):
        await store(database, hour(number, new))
        if number:
            await compute_window(database, START + (number - 1) * HOUR_MS)
    return database


async def test_releases_are_told_by_window(stored: Database) -> None:
    found = await read_releases(
        stored,
        [HOUR],
        MembershipPolicy.PRESENT,
        smallest_group=3,
        now_ms=START + 4 * HOUR_MS,
    )
    assert found.until == from_unix_ms(START + 3 * HOUR_MS)
    newest, oldest = found.found
    assert (newest.version, oldest.version) == (NEW, OLD)
    # The first hour was computed when four already reported the new version, so it has it too.
    assert [one.receivers for one in newest.adoption] == [4, 6, 6]
    assert [one.receivers_share for one in newest.adoption] == [0.4, 0.6, 0.6]
    assert [one.receivers for one in oldest.adoption] == [6, 4, 4]
    assert (newest.platforms, oldest.platforms) == ({"ios": 6}, {"android": 4})
    assert newest.first_seen is None  # because it is in the very first window
    assert oldest.first_seen is None


async def test_a_later_version_has_a_date(database: Database) -> None:
    for number, new in enumerate([0, 0, 4, 4]):
        await store(database, hour(number, new))
        if number:
            await compute_window(database, START + (number - 1) * HOUR_MS)
    found = await read_releases(
        database, [HOUR], MembershipPolicy.PRESENT, smallest_group=3, now_ms=START + 4 * HOUR_MS
    )
    assert [(one.version, one.first_seen) for one in found.found] == [
        (NEW, from_unix_ms(START + HOUR_MS)),
        (OLD, None),
    ]


async def test_where_there_is_no_window_there_is_no_release(database: Database) -> None:
    found = await read_releases(
        database, [HOUR], MembershipPolicy.PRESENT, smallest_group=3, now_ms=START
    )
    assert (found.until, found.found) == (None, ())


@pytest.mark.parametrize(
    ("names", "expected"), [(["1h", "1d", "1w"], "1d"), (["15m"], "15m"), (["1w"], "1w")]
)
def test_windows_of_up_to_a_day_tell_it(names: list[str], expected: str) -> None:
    found = windows_of_releases([parse_timeframe(name) for name in names])
    assert found is not None
    assert found.name == expected


@pytest.mark.usefixtures("stored")
def test_the_terminal_shows_them(run: Run) -> None:
    text = " ".join(run("report", "releases", "--timeframes=1h").out.split())
    assert "App versions (1h windows until 2026-03-02 13:00 UTC)" in text
    assert "2.32.0 from the start 6 60.00 %" in text
    document = run("report", "releases", "--timeframes=1h", "--json").document
    assert [one["version"] for one in document["releases"]] == [NEW, OLD]


async def test_the_api_tells_the_same(stored: Database) -> None:
    settings = Settings(http_listen="127.0.0.1:8080", timeframes="1h")
    app = create_app(stored, aggregate_rules(settings), http_access(settings))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080"
    ) as client:
        answer = await client.get("/api/v1/releases")
    assert answer.status_code == 200
    document = ReleasesDocument.model_validate(answer.json())
    assert document.releases[0].adoption[-1].receivers == 6
    assert document.until == from_unix_ms(START) + timedelta(hours=3)
