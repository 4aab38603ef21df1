"""Shows the figures, as tables or as JSON."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console

from devtelemetry.aggregate.table import cross_table
from devtelemetry.cli.output import write, write_all
from devtelemetry.figures.budget import budget_as_json, read_budget
from devtelemetry.figures.document import document
from devtelemetry.figures.grid import table_as_json
from devtelemetry.figures.read import Selection, check_names, read_windows
from devtelemetry.findings.read import findings_as_json, read_findings
from devtelemetry.model import Dimension, MembershipPolicy
from devtelemetry.problems.problem import problems_as_json
from devtelemetry.problems.read import read_problems
from devtelemetry.releases.adoption import read_releases, releases_as_json
from devtelemetry.releases.asked import Asked
from devtelemetry.releases.comparison import compare_releases, comparison_as_json
from devtelemetry.releases.decide import Decision
from devtelemetry.releases.notes import notes_as_json, read_notes
from devtelemetry.report.releases import of_comparison, releases_table
from devtelemetry.report.report import print_report
from devtelemetry.report.request import ReportRequest
from devtelemetry.report.sentences import of_findings, of_problems
from devtelemetry.report.tables import print_table
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.server.wiring import aggregate_rules, opened_database
from devtelemetry.settings.settings import Settings


async def as_tables(settings: Settings, asked: ReportRequest) -> None:
    async with opened_database(settings) as database:
        await print_report(database, Console(highlight=False), asked)


async def table(
    settings: Settings,
    dimensions: tuple[Dimension, Dimension],
    timeframe_name: str,
    start: datetime | None,
    channel: str | None,
    *,
    as_json: bool,
) -> None:
    """Shows a window by two dimensions. start: None for the latest window that is over."""
    rules = aggregate_rules(settings)
    async with opened_database(settings) as database:
        found = await cross_table(
            database,
            rules,
            rules.timeframe(timeframe_name),
            dimensions,
            start=start,
            channel_id=channel,
            now=utc_now,
        )
    if as_json:
        write(orjson.dumps(table_as_json(found)) + b"\n")
    else:
        print_table(Console(highlight=False), found)


async def as_json(settings: Settings, asked: ReportRequest) -> None:
    """Writes windows of one timeframe, by default the shortest."""
    selection = Selection(
        asked.timeframe or settings.timeframes[0].name,
        asked.start,
        asked.end,
        asked.channel,
        asked.membership,
        asked.by,
    )
    async with opened_database(settings) as database:
        await check_names(database, selection, asked.versus)
        windows = read_windows(database, selection)
        by = next(iter(asked.by), None)
        notes = await read_notes(database, start=asked.start, end=asked.end)
        head: dict[str, Any] = {"notes": notes_as_json(notes)}
        if asked.channel is None:  # problems and budget are of all channels
            policy = asked.membership or asked.policy
            found = await read_problems(database, settings.timeframes, policy, until=asked.end)
            budget = await read_budget(database, settings.timeframes, policy, asked.objective)
            head = {
                "problems": problems_as_json(found),
                "objective": budget_as_json(budget),
                **head,
            }
        await write_all(document(selection.timeframe, windows, by, asked.versus, head))


async def problems(
    settings: Settings,
    membership: MembershipPolicy,
    until: datetime | None,
    *,
    as_json: bool,
) -> None:
    """Shows problems: what loses more than before."""
    async with opened_database(settings) as database:
        found = await read_problems(database, settings.timeframes, membership, until=until)
    if as_json:
        write(orjson.dumps(problems_as_json(found)) + b"\n")
        return
    console = Console(highlight=False)
    for line in of_problems(found, utc_now()):
        console.print(line)
    if found.until is None:
        console.print(f"{found.nothing.capitalize()}: there is no window to look at.")


async def compare(
    settings: Settings, asked: Asked, membership: MembershipPolicy | None, *, as_json: bool
) -> Decision:
    """Shows and returns whether a version may be shipped."""
    rules = aggregate_rules(settings)
    if membership is not None:
        rules = replace(rules, membership=membership)
    async with opened_database(settings) as database:
        found = await compare_releases(database, rules, asked, now=utc_now)
    if as_json:
        write(orjson.dumps(comparison_as_json(found)) + b"\n")
    else:
        console = Console(highlight=False)
        for line in of_comparison(found):
            console.print(line)
    return found.decided.decision


async def releases(settings: Settings, *, as_json: bool) -> None:
    """Shows when each version was first seen, and what share of receivers has it."""
    async with opened_database(settings) as database:
        found = await read_releases(
            database,
            settings.timeframes,
            settings.membership,
            smallest_group=settings.smallest_group,
            now_ms=now_ms(),
        )
    if as_json:
        write(orjson.dumps(releases_as_json(found)) + b"\n")
        return
    console = Console(highlight=False)
    for part in releases_table(found):
        console.print(part)


async def findings(settings: Settings, *, as_json: bool) -> None:
    """Shows faults in how apps report."""
    async with opened_database(settings) as database:
        found = await read_findings(database)
    if as_json:
        write(orjson.dumps({"findings": findings_as_json(found)}) + b"\n")
        return
    console = Console(highlight=False)
    for line in of_findings(found):
        console.print(line)
    if not found:
        console.print("Nothing is known to be wrong in how apps report.")
