"""The objective's budget: what is left, how fast it is used up, and counters that never fall."""

from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from devtelemetry.api.app import create_app
from devtelemetry.figures.budget import (
    BUDGET_OF,
    BURNS,
    SPANS,
    Budget,
    Settled,
    Spent,
    read_budget,
    read_settled,
)
from devtelemetry.model import HOUR_MS, MembershipPolicy, Sample, from_unix_ms, parse_timeframe
from devtelemetry.server.wiring import aggregate_rules, http_access
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from support.program import Run
from support.store import START, compute_window, store, store_hours

HOUR = parse_timeframe("1h")
PRESENT = MembershipPolicy.PRESENT
SOON = from_unix_ms(START + 30 * HOUR_MS)  # the first windows are not settled yet


def budget(*rates: float, lost: int = 100) -> Budget:
    """A budget with burn rates by span, the shortest span first."""
    spent = [Spent(span, 10_000, lost, rate) for span, rate in zip(SPANS, rates, strict=True)]
    return Budget(0.99, HOUR, PRESENT, from_unix_ms(START), spent)


def test_what_is_left_is_what_was_not_lost_too_much() -> None:
    assert budget(0, 0, 0, 0, 0, 0.25).left == 0.75
    assert budget(0, 0, 0, 0, 0, 1.5).left == -0.5
    assert "75.00 % of the losses that it allows are left." in budget(0, 0, 0, 0, 0, 0.25).what
    assert "30 days, with 1.5 times the losses that it allows." in budget(0, 0, 0, 0, 0, 1.5).what
    assert (Budget(0.99, HOUR, PRESENT).left, Budget(0.99, HOUR, PRESENT).what) == (None, "")


@pytest.mark.parametrize(
    ("rates", "burning"),
    [
        ((15, 15, 5, 2, 0.5, 0.2), [BURNS[0]]),
        ((15, 14.4, 5, 2, 0.5, 0.2), []),  # only just not
        ((1, 15, 15, 15, 15, 1), [BURNS[2], BURNS[3]]),  # it was over an hour ago
        ((7, 2, 7, 2, 0.5, 0.2), [BURNS[1]]),
    ],
)
def test_an_alert_holds_over_both_of_its_spans(
    rates: tuple[float, ...], burning: list[object]
) -> None:
    assert list(budget(*rates).burning) == burning
    assert budget(*rates, lost=19).burning == []


async def test_sums_are_of_the_latest_windows(database: Database) -> None:
    await store_hours(database, 4)
    for hour in range(4):
        await compute_window(database, START + hour * HOUR_MS)
    found = await read_budget(database, [HOUR], PRESENT, 0.9)
    assert found.until == from_unix_ms(START + 4 * HOUR_MS)
    # Each hour has six deliveries. One is missing, and only corroborated ones count.
    one = found.spent[0].deliveries
    assert [spent.span for spent in found.spent] == list(SPANS)
    assert [spent.deliveries // one for spent in found.spent] == [1, 3, 4, 4, 4, 4]
    assert found.spent[-1].span == BUDGET_OF
    loss = found.spent[0].missing / one
    assert found.spent[-1].burn_rate == pytest.approx(loss / 0.1)


async def test_counters_count_a_window_once_when_it_is_settled(database: Database) -> None:
    await store_hours(database, 3)
    later = SOON + timedelta(days=2)
    assert await read_settled(database, HOUR, PRESENT) == Settled(0, 0)
    await compute_window(database, now=from_unix_ms(START + 2 * HOUR_MS))
    assert await read_settled(database, HOUR, PRESENT) == Settled(0, 0)  # provisional
    window = await compute_window(database, now=later)
    counts = window.counts
    counted = Settled(counts.corroborated, counts.corroborated - counts.missing)
    assert counted.deliveries > counted.good > 0
    assert await read_settled(database, HOUR, PRESENT) == counted
    # It is computed again with a receiver that lacks nearly everything. No counter falls.
    await store(
        database,
        [
            Sample(f"m{hour}-0", "c1", "late", at, at)
            for hour, at in [(-1, START - 1), (0, START + 60_000), (1, START + 2 * HOUR_MS)]
        ],
    )
    assert (await compute_window(database, now=later)).counts.missing > counts.missing
    assert await read_settled(database, HOUR, PRESENT) == counted
    # This window is settled at its first computation, so it is history and is not counted.
    await compute_window(database, START + HOUR_MS, now=later)
    assert await read_settled(database, HOUR, PRESENT) == counted


async def get(database: Database, path: str, objective: float = 0.99) -> httpx.Response:
    settings = Settings(http_listen="127.0.0.1:8080", objective=str(objective))
    app = create_app(
        database, aggregate_rules(settings), http_access(settings), objective=settings.objective
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080"
    ) as client:
        return await client.get(path)


async def test_the_setting_and_the_counters_are_scraped(database: Database) -> None:
    await store_hours(database, 1)
    await compute_window(database, now=from_unix_ms(START + 2 * HOUR_MS))
    window = await compute_window(database)
    text = (await get(database, "/metrics", 0.995)).text
    assert "devtelemetry_delivery_ratio_objective 0.995\n" in text
    assert f"devtelemetry_deliveries_total {float(window.counts.corroborated)}\n" in text
    good = float(window.counts.corroborated - window.counts.missing)
    assert f"devtelemetry_good_deliveries_total {good}\n" in text


async def test_the_api_answers_it(database: Database) -> None:
    assert (await get(database, "/api/v1/objective")).json()["budget_left"] is None
    await store_hours(database, 1)
    await compute_window(database)
    document = (await get(database, "/api/v1/objective", 0.5)).json()
    assert document["objective"] == 0.5
    assert document["budget_left"] == 1 - document["spent"][-1]["burn_rate"]


@pytest_asyncio.fixture
async def computed(database: Database) -> Database:
    await store_hours(database, 1)
    await compute_window(database)
    return database


@pytest.mark.usefixtures("computed")
def test_the_report_says_what_is_left(run: Run) -> None:
    assert "Objective 50.00 %: " in run("report", "--objective=0.5").out
    assert run("report", "--json", "--objective=0.5").document["objective"]["objective"] == 0.5
    wrong = run("report", "--objective=1", check=False)
    assert (wrong.status, "a number between 0 and 1" in wrong.err) == (2, True)
