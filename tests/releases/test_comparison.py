"""Two versions compared, from the samples to the exit status."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.app import create_app
from devtelemetry.model import HOUR_MS, Sample, from_unix_ms, parse_timeframe
from devtelemetry.model.errors import ConfigurationError, UnknownName
from devtelemetry.releases.asked import Asked
from devtelemetry.releases.comparison import Comparison, compare_releases
from devtelemetry.releases.decide import Decision
from devtelemetry.server.wiring import aggregate_rules, http_access
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from support.program import Run
from support.store import START, store

RULES = AggregateRules((parse_timeframe("1h"),))
NOW = from_unix_ms(START + 5 * HOUR_MS)
OLD, NEW = "2.31.0", "2.32.0"
SPAN = ("--from=2026-03-02T10:00", "--to=2026-03-02T12:00")
COMPARE = ("report", "--compare", OLD, NEW, *SPAN)


def samples(
    loses: dict[tuple[str, str], int],
    *,
    members: int = 24,
    platforms: Sequence[str] = ("ios",),
    channels: Sequence[str] = ("general",),
    hours: int = 2,
    messages: int = 40,
) -> list[Sample]:
    """Members have the old and the new version by turns, so half of each channel has each.

    loses  (platform, version) → how many messages of an hour each receiver lacks
    """
    found = []
    for channel in channels:
        for number in range(-1, hours * messages + 1):
            inside = 0 <= number < hours * messages
            sent_at = START + number * HOUR_MS // messages
            author = f"{channel}-author"
            found.append(
                Sample(
                    f"{channel}{number}", channel, author, sent_at, sent_at, sent_by_receiver=True
                )
            )
            for member in range(members):
                platform = platforms[member // 2 % len(platforms)]
                version = (OLD, NEW)[member % 2]
                lost = loses.get((platform, version), 0)
                # Receivers lack different messages, so that no message has only one voucher.
                if inside and (number * 7 + member * 3) % messages < lost:
                    continue
                found.append(
                    Sample(
                        f"{channel}{number}",
                        channel,
                        f"{channel}-{platform}-{member}",
                        sent_at,
                        sent_at + 1_000,
                        platform=platform,
                        app_version=version,
                    )
                )
    return found


async def compared(database: Database, **asked: object) -> Comparison:
    span = {"start": from_unix_ms(START), "end": from_unix_ms(START + 2 * HOUR_MS)}
    return await compare_releases(
        database,
        RULES,
        Asked(**{"baseline": OLD, "candidate": NEW, **span, **asked}),  # type: ignore[arg-type]
        now=lambda: NOW,
    )


async def test_a_version_that_loses_more_is_held_and_one_that_does_not_is_shipped(
    database: Database,
) -> None:
    await store(database, samples({("ios", OLD): 2, ("ios", NEW): 6}))
    found = await compared(database)
    assert found.decided.decision is Decision.HOLD
    assert found.found.ratio_a == pytest.approx(0.95)
    assert found.found.ratio_b == pytest.approx(0.85)
    assert (found.found.receivers_a, found.found.receivers_b) == (12, 12)
    assert (found.windows, found.found.strata) == (2, 2)
    assert (found.matched_a, found.matched_b) == (1.0, 1.0)
    # If the versions are swapped, the candidate is better.
    other = await compared(database, baseline=NEW, candidate=OLD)
    assert other.decided.decision is Decision.SHIP
    # Ten points are within a margin of twenty.
    assert (await compared(database, margin=0.2)).decided.decision is Decision.SHIP


async def test_platforms_are_compared_apart(database: Database) -> None:
    # Android loses more with both versions, and has most of the new version.
    both = samples(
        {("android", OLD): 8, ("android", NEW): 8}, platforms=("android", "ios"), members=48
    )
    left_out = {f"general-ios-{member}" for member in range(17, 48)}
    await store(
        database,
        [one for one in both if one.receiver_public_key not in left_out or one.app_version == OLD],
    )
    found = await compared(database)
    assert found.found.difference is not None
    assert found.found.difference.estimate == pytest.approx(0, abs=1e-12)
    of_ios = await compared(database, platform="ios")
    assert of_ios.found.ratio_a == of_ios.found.ratio_b == 1.0
    nowhere = await compared(database, platform="desktop")
    assert (nowhere.found.strata, nowhere.decided.decision) == (0, Decision.NEEDS_MORE)


async def test_what_is_in_no_common_channel_is_told_and_not_compared(database: Database) -> None:
    await store(
        database,
        samples({}, channels=["both"]),
        [one for one in samples({("ios", OLD): 20}, channels=["old"]) if one.app_version != NEW],
    )
    found = await compared(database)
    assert (found.matched_a, found.matched_b) == (0.5, 1.0)
    assert found.found.ratio_a == 1.0


@pytest.mark.parametrize("is_in_order", [True, False])
async def test_before_its_update_a_receiver_has_the_version_before(
    database: Database, is_in_order: bool
) -> None:
    """In the first hour all but three have the old version, in the second all have the new one."""
    first = [
        one._replace(app_version=OLD if int(one.receiver_public_key[-2:].strip("-")) > 2 else NEW)
        if one.app_version
        else one
        for one in samples({("ios", OLD): 2, ("ios", NEW): 2}, hours=1)
    ]
    second = [
        one._replace(
            message_id=f"later-{one.message_id}",
            sent_at=one.sent_at + 2 * HOUR_MS,
            created_at=(one.created_at or 0) + 2 * HOUR_MS,
            app_version=one.app_version and NEW,
        )
        for one in first
    ]
    await store(database, *([first, second] if is_in_order else [second, first]))
    found = await compared(database, end=from_unix_ms(START + 3 * HOUR_MS))
    assert found.found.receivers_a == 21
    assert found.found.receivers_b == 3
    assert found.found.strata == 1  # the first hour; later nobody has the old version
    assert found.all_pairs_b > found.all_pairs_a / 21 * 24 * 0.9


async def test_names_and_spans_that_do_not_do_are_said(database: Database) -> None:
    await store(database, samples({}))
    with pytest.raises(UnknownName, match=r"no receiver has app version '9'; there are '2\.3"):
        await compared(database, candidate="9")
    with pytest.raises(ConfigurationError, match="both versions are"):
        await compared(database, candidate=OLD)
    later = from_unix_ms(START + 50 * HOUR_MS)
    with pytest.raises(ConfigurationError, match="later than the start of the last window"):
        await compared(database, start=later, end=later + timedelta(hours=1))
    with pytest.raises(ConfigurationError, match="allowed: up to 200"):
        await compared(database, start=from_unix_ms(START - 300 * HOUR_MS))


async def test_of_fewer_than_three_receivers_nothing_is_told(database: Database) -> None:
    await store(database, samples({("ios", NEW): 6}, members=4))
    found = await compared(database)
    assert (found.found.receivers_b, found.found.ratio_b) == (2, None)
    assert (found.decided.decision, found.decided.more_receivers) == (Decision.NEEDS_MORE, 16)


@pytest_asyncio.fixture
async def stored(database: Database) -> Database:
    await store(database, samples({("ios", OLD): 2, ("ios", NEW): 6}))
    return database


@pytest.mark.usefixtures("stored")
def test_the_exit_status_tells_a_pipeline(run: Run) -> None:
    held = run(*COMPARE, check=False)
    assert held.status == 3
    text = " ".join(held.out.split())
    assert "2.32.0 beside 2.31.0, 1h windows from 2026-03-02 10:00 UTC to 2026-03-02 12:00" in text
    assert "Hold 2.32.0: it delivers over 0.50 points less than 2.31.0." in text
    assert re.search(r"Difference −10\.00 points, 95 % interval −\d+\.\d+ to −\d+\.\d+\.", text)
    assert "to 12 and 12 receivers" in text
    shipped = run(*COMPARE, "--margin=20", "--json", check=False)
    assert shipped.status == 0
    assert shipped.document["decision"] == "ship"
    assert shipped.document["of_baseline"]["matched_share"] == 1.0
    wider = run(*COMPARE, "--margin=10", "--json", check=False)
    assert (wider.status, wider.document["decision"]) == (4, "needs_more")
    unknown = run("report", "--compare", OLD, "9", *SPAN, check=False)
    assert unknown.status == 1
    assert "no receiver has app version '9'; there are" in unknown.err
    for wrong in (["--by=platform"], ["--timeframe=1h"], ["--channel=general"]):
        assert run(*COMPARE, *wrong, check=False).status == 2
    assert run("report", "--platform=ios", check=False).status == 2
    several = ("report", "--by=platform", "--by=app_version")
    assert run(*several).status == 0
    assert run(*several, "--json", check=False).status == 2
    assert run(*several, "--versus=ios", check=False).status == 2


async def get(database: Database, path: str, params: Iterable[tuple[str, str]]) -> httpx.Response:
    settings = Settings(http_listen="127.0.0.1:8080")
    app = create_app(database, aggregate_rules(settings), http_access(settings))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080"
    ) as client:
        return await client.get(path, params=list(params))


async def test_the_api_tells_the_same(stored: Database) -> None:
    params = [
        ("baseline", OLD),
        ("candidate", NEW),
        ("from", "2026-03-02T10:00"),
        ("to", "2026-03-02T12:00"),
    ]
    answer = await get(stored, "/api/v1/releases/compare", params)
    assert answer.status_code == 200
    assert answer.json()["decision"] == "hold"
    assert answer.json()["difference"] == pytest.approx(-0.1)
    assert answer.json()["from"] == "2026-03-02T10:00:00Z"
    unknown = await get(
        stored, "/api/v1/releases/compare", [*params[2:], ("baseline", OLD), ("candidate", "9")]
    )
    assert (unknown.status_code, "there are" in unknown.json()["detail"]) == (404, True)
    same = await get(
        stored, "/api/v1/releases/compare", [*params[2:], ("baseline", OLD), ("candidate", OLD)]
    )
    assert same.status_code == 422
