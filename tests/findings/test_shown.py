"""Findings are shown wherever figures are shown."""

import io

import pytest
from rich.console import Console

from devtelemetry.api.findings import FindingsDocument
from devtelemetry.dashboard.drawing import draw_overview
from devtelemetry.dashboard.reading import Reader
from devtelemetry.dashboard.state import PageState
from devtelemetry.dashboard.views.overview import overview
from devtelemetry.findings.look import look
from devtelemetry.model import HOUR_MS, MembershipPolicy, from_unix_ms
from devtelemetry.report.report import print_report
from devtelemetry.report.request import ReportRequest
from devtelemetry.store.database import Database
from findings.test_look import RULES, renamed_by_author
from support.program import in_process
from support.seams import store_told
from support.store import LATER, START, compute_window
from test_api import get

HOUR = RULES.timeframes[0]


@pytest.fixture
async def found(database: Database) -> Database:
    await store_told(database, renamed_by_author("c<1>"))
    await compute_window(database)
    await look(database, RULES, from_unix_ms(START + HOUR_MS), now=lambda: LATER)
    return database


async def test_the_report_ends_with_it(found: Database) -> None:
    console = Console(file=io.StringIO(), width=300, highlight=False)
    await print_report(found, console, ReportRequest())
    assert isinstance(console.file, io.StringIO)
    *_, what, remedy = console.file.getvalue().splitlines()
    assert what.startswith("ids_differ: android 2.1, most in channel c<1>. Ids seem to differ")
    assert remedy.endswith("as on all others. docs/messengers.md#ids")


async def test_the_api_answers_with_it(found: Database) -> None:
    answer = await get(found, "/api/v1/findings")
    (one,) = FindingsDocument.model_validate(answer.json()).findings
    assert (one.kind, one.channel_id, one.evidence["lone"]) == ("ids_differ", "c<1>", 120)


async def test_the_overview_shows_it_and_changes_when_it_changes(found: Database) -> None:
    reader = Reader(found, RULES.timeframes, RULES, lambda: LATER)
    asked = PageState(HOUR, "24h", MembershipPolicy.PRESENT)
    page = overview(
        await reader.overview(asked),
        RULES.timeframes,
        now=LATER,
        objective=0.99,
    )
    assert "<bdi>android 2.1, most in channel c&lt;1&gt;</bdi>" in draw_overview(page)
    before = await reader.state()
    async with found.acquire() as connection:
        await connection.execute("delete from finding")
    assert await reader.state() != before


def test_a_command_shows_it_alone(database_url: str) -> None:
    where = f"--database={database_url}"
    assert in_process("report", "findings", where, "--json").document == {"findings": []}
    assert "Nothing is known to be wrong" in in_process("report", "findings", where).out
