"""Problems are shown above all figures, and are the same everywhere."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio
from bench.months import Made, make_months
from rich.console import Console

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.app import create_app
from devtelemetry.api.problems import ProblemsDocument
from devtelemetry.dashboard.drawing import draw_overview
from devtelemetry.dashboard.reading import Reader
from devtelemetry.dashboard.state import PageState, fitting, read_asked
from devtelemetry.dashboard.views.overview import overview
from devtelemetry.model import DAY, HOUR, MembershipPolicy, Window, parse_timeframe
from devtelemetry.problems import read
from devtelemetry.problems.explain import EVERYTHING, REPORTS, Kind, Unit, find_causes
from devtelemetry.problems.line import Line
from devtelemetry.problems.problem import (
    NO_PROBLEM,
    Problem,
    Problems,
    page_of,
    problems_as_json,
    subject_of,
)
from devtelemetry.problems.read import LatestProblems, looked_at, read_problems
from devtelemetry.report.report import print_report
from devtelemetry.report.request import ReportRequest
from devtelemetry.server.wiring import aggregate_rules, http_access
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from support.program import run
from test_api import get

PRESENT = MembershipPolicy.PRESENT
END = datetime(2026, 3, 9, 5, tzinfo=UTC)
FRAMES = [parse_timeframe(name) for name in ("1h", "1d", "1w")]
CHANNELS = [f"c{number}" for number in range(60)]
BAD = Unit(Kind.APP_VERSION, "2.30.1")  # the problem of the last day in the made-up months


@pytest_asyncio.fixture
async def months(database: Database) -> AsyncIterator[Database]:
    await make_months(database, Made(CHANNELS, END, timedelta(days=12)))
    yield database


async def test_the_same_problem_stands_on_top_everywhere(
    months: Database, database_url: str
) -> None:
    found = await read_problems(months, FRAMES, PRESENT)
    (problem,) = found.found
    assert problem.unit == BAD
    assert abs(problem.began - (END - DAY)) <= FRAMES[0].length
    assert problem.now < problem.before
    assert (await read_problems(months, FRAMES, PRESENT, until=END - DAY)).nothing == NO_PROBLEM

    console = Console(file=io.StringIO(), width=300, highlight=False)
    await print_report(months, console, ReportRequest(timeframe="1d"))
    assert isinstance(console.file, io.StringIO)
    top, what, sure, *_ = console.file.getvalue().splitlines()
    assert re.fullmatch(
        r"Problems \(1h windows until 2026-03-09 05:00 UTC, \d+ d( \d+ h)? ago\)", top
    )
    assert what == f"App version 2.30.1: {problem.what}"
    assert sure.strip() == problem.how_sure

    answer = await get(months, "/api/v1/problems")
    assert answer.json() == problems_as_json(found)
    (one,) = ProblemsDocument.model_validate(answer.json()).problems
    assert (one.kind, one.value, one.receivers) == (Kind.APP_VERSION, "2.30.1", problem.clusters)

    reader = Reader(months, FRAMES, AggregateRules(tuple(FRAMES)), lambda: END)
    reading = await reader.overview(PageState(FRAMES[0], "24h", PRESENT))
    page = overview(reading, FRAMES, now=END, objective=0.99)
    drawn = draw_overview(page)
    assert drawn.index("<bdi>App version 2.30.1</bdi>") < drawn.index('aria-label="Now"')
    assert f'href="{problem.page.replace("&", "&amp;")}"' in drawn

    where = f"--database={database_url}"
    shown = await asyncio.to_thread(run, "report", "problems", where, "--json")
    assert json.loads(shown.stdout) == problems_as_json(found)
    shown = await asyncio.to_thread(run, "report", where, "--json", "--timeframe=1w")
    assert json.loads(shown.stdout)["problems"] == problems_as_json(found)
    shown = await asyncio.to_thread(run, "report", "problems", where, "--to=2026-03-08T05:00:00Z")
    head, *rest = shown.stdout.splitlines()
    assert head.startswith("Problems (1h windows until 2026-03-08 05:00 UTC, ")
    assert rest == [NO_PROBLEM, ""]
    shown = await asyncio.to_thread(run, "report", where, "--json", f"--channel={CHANNELS[0]}")
    assert "problems" not in json.loads(shown.stdout)  # nor does its text show them


async def test_it_is_read_once_until_a_window_is_computed(
    months: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = LatestProblems(months, FRAMES)
    first = await latest.read(PRESENT)
    assert await latest.read(PRESENT) is first
    async with months.acquire() as connection:
        await connection.execute("update reliability_window set computed_at = now()")
    assert await latest.read(PRESENT) is not first


async def test_the_page_and_the_api_read_one_list(months: Database) -> None:
    latest = LatestProblems(months, FRAMES)
    settings = Settings(http_listen="127.0.0.1:8080")
    rules = aggregate_rules(settings)
    app = create_app(months, rules, http_access(settings), problems=latest)
    found = await latest.read(PRESENT)
    async with months.acquire() as connection:
        # If the server read again, it would find nothing.
        await connection.execute("delete from reliability_group")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        answer = await client.get("/api/v1/problems")
    assert answer.json() == problems_as_json(found)
    reader = Reader(months, FRAMES, AggregateRules(tuple(FRAMES)), lambda: END, latest)
    reading = await reader.overview(PageState(FRAMES[0], "24h", PRESENT))
    assert reading.problems is found


async def test_versions_that_clients_make_up_hide_nothing_and_are_not_all_compared(
    months: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await read_problems(months, FRAMES, PRESENT)
    async with months.acquire() as connection:
        # Each hour has other groups, as many as a window tells apart.
        await connection.execute(
            """
            insert into reliability_group
            select (jsonb_populate_record(g, jsonb_build_object(
                'value', to_char(window_start, 'DDD.HH24.') || n,
                'missing', 1, 'corroborated', 20, 'expected', 20
            ))).*
            from reliability_group g, generate_series(1, 50) n
            where channel_id = 0 and timeframe = '1h' and membership = 'present'
              and dimension = 'app_version' and value = $1
            """,
            BAD.value,
        )
    compared: list[Kind] = []

    def noting(lines: Mapping[Unit, Line], *others: Any) -> Any:
        compared.extend(unit.kind for unit in lines)
        return find_causes(lines, *others)

    monkeypatch.setattr(read, "find_causes", noting)
    found = await read_problems(months, FRAMES, PRESENT)
    assert compared.count(Kind.APP_VERSION) == read.MOST_GROUPS
    assert [one.unit for one in found.found] == [one.unit for one in before.found]
    assert found.found


async def test_where_there_is_no_window_nothing_is_said(database: Database) -> None:
    found = await read_problems(database, FRAMES, PRESENT)
    assert (found.until, list(found.found)) == (None, [])
    answer = await get(database, "/api/v1/problems")
    assert answer.json()["nothing"] == "not yet computed"


def test_the_windows_that_are_looked_at_tile_a_day() -> None:
    assert looked_at(FRAMES) == FRAMES[0]
    assert looked_at(FRAMES[1:]) == FRAMES[1]
    assert looked_at(FRAMES[2:]) is None
    short = [parse_timeframe(name) for name in ("1m", "10m", "7h", "1d")]
    assert looked_at(short) == short[1]
    assert Problems(None, PRESENT, None).nothing.startswith("Problems are found in windows")


def problem(unit: Unit, **fields: object) -> Problem:
    given = {
        "page": "/", "of": None, "is_new": False, "chance": 0.0004, "clusters": 54,
        "lost_more": 1_043, "lost": 1_893, "deliveries": 22_863, "before": 0.9628, "now": 0.9172,
        "latest": END, "earliest": END, "began": END,
    } | fields  # fmt: skip
    return Problem(unit, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        (EVERYTHING, "Everywhere"),
        (Unit(Kind.PLATFORM_VERSION, "ios", "2.1"), "App version 2.1 on ios"),
        (Unit(Kind.LOSS_CLASS, "not_sent"), "Losses that are not sent"),
        (Unit(Kind.CHANNEL, "c\u202e"), "Channel c\\u202e"),
        (Unit(Kind.PLATFORM, "{0}"), "Platform {0}"),
        (REPORTS, "Reports"),
    ],
)
def test_a_problem_has_a_name(unit: Unit, name: str) -> None:
    assert problem(unit).name == name


def test_a_problem_is_told_in_a_sentence_or_two() -> None:
    assert problem(EVERYTHING).what == (
        "91.72 % delivered since 2026-03-09 05:00 UTC, 96.28 % before. Of 22,863 "
        "deliveries to 54 or more receivers, 1,043 more were lost than expected."
    )
    assert (
        "deliveries from 54 or more authors, 1,043 more were lost"
        in problem(Unit(Kind.PATH, "a → b")).what
    )
    assert "96.28 % of all others before" in problem(BAD, is_new=True).what
    assert problem(REPORTS, lost=9).what.endswith(
        "The reports of 9 of 22,863 deliveries are missing."
    )
    assert problem(EVERYTHING, chance=0.0).how_sure == (
        "Chance alone would show this in fewer than 1 of 1,000 months."
    )
    assert problem(EVERYTHING, chance=0.05).how_sure == (
        "Chance alone would show this in fewer than 1 of 20 months."
    )


@pytest.mark.parametrize("kind", Kind)
def test_the_page_of_a_problem_is_understood(kind: Kind) -> None:
    unit = Unit(kind, "dropped" if kind is Kind.LOSS_CLASS else "a&b c", "2")
    page = urlsplit(page_of(unit, Window(END - 3 * HOUR, END), FRAMES[0], PRESENT))
    asked = read_asked(dict(parse_qsl(page.query)), FRAMES, PRESENT, path=page.path)
    assert asked.channel == ("a&b c" if kind is Kind.CHANNEL else None)
    named = {dimension.value: value for dimension, value in asked.where}
    if asked.channel is not None:
        named["channel"] = asked.channel
    if asked.loss is not None:
        named["loss_class"] = asked.loss.value
    assert named == subject_of(unit)
    of_all = kind in {Kind.EVERYTHING, Kind.REPORTS}
    assert bool(page.fragment) == (page.path == "/") == of_all


@pytest.mark.parametrize("hours", [1, 13, 168])
def test_the_page_of_a_problem_begins_as_long_before_it_as_it_lasts_and_half_a_day_at_least(
    hours: int,
) -> None:
    page = urlsplit(page_of(BAD, Window(END - hours * HOUR, END), FRAMES[0], PRESENT))
    asked = read_asked(dict(parse_qsl(page.query)), FRAMES, PRESENT, path=page.path)
    assert fitting(asked, FRAMES) == asked
    bounds = asked.bounds(None)
    assert bounds == Window(END - (hours + max(hours, 12)) * HOUR, END)
    assert asked.summed(bounds) == Window(END - hours * HOUR, END)
