"""Prints the figures for a person: problems, windows (the newest last), sentences, groups and the
worst channels."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from rich.console import Console, RenderableType
from rich.text import Text

from devtelemetry import words
from devtelemetry.aggregate.failed import read_failed_windows
from devtelemetry.figures.budget import read_budget
from devtelemetry.figures.clocks import read_clocks
from devtelemetry.figures.read import (
    Selection,
    check_names,
    has_samples,
    read_windows,
    start_of_latest,
    stored_timeframes,
)
from devtelemetry.figures.sides import DIMENSIONS_OF_SIDES
from devtelemetry.figures.tiles import read_tiles
from devtelemetry.findings.read import read_findings
from devtelemetry.model import (
    MembershipPolicy,
    WindowReliability,
    WindowState,
    parse_timeframe,
)
from devtelemetry.problems.read import read_problems
from devtelemetry.releases.notes import read_notes
from devtelemetry.report.request import ReportRequest
from devtelemetry.report.sentences import (
    of_budget,
    of_clocks,
    of_findings,
    of_notes,
    of_problems,
    together,
)
from devtelemetry.report.tables import groups_table, windows_table, worst_channels_table
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.store.database import Database
from devtelemetry.words.tables import ID_WIDTH

_LATEST_NOTES = 10
LATEST_WINDOWS = 24  # shown if no start is given: a day of hours, which fits on a screen

_NO_SAMPLES = (
    "There are no samples yet. `devtelemetry serve` takes samples that clients push, "
    "`devtelemetry import FILE` reads them from a file."
)


async def print_report(database: Database, console: Console, asked: ReportRequest) -> None:
    """Prints the problems, and a section per timeframe and membership policy. If there is no
    section, it says what to do next.

    Raises UnknownName if the channel is not known.
    """
    await check_names(database, Selection("", channel=asked.channel))
    timeframes = await stored_timeframes(database)
    longer = [parse_timeframe(name) for name in timeframes]
    shown = 0
    firsts: list[datetime] = []
    if asked.channel is None and asked.timeframe in {None, *timeframes}:
        await _print_first(database, console, asked, timeframes)
    for timeframe in timeframes if asked.timeframe is None else [asked.timeframe]:
        selection = Selection(
            timeframe,
            asked.start,
            asked.end,
            asked.channel,
            asked.membership,
            (*DIMENSIONS_OF_SIDES, *asked.by),
        )
        earlier = 0
        if asked.start is None:
            start, stored = await start_of_latest(database, selection, LATEST_WINDOWS)
            if start is None:
                continue
            selection = replace(selection, start=start)
            earlier = max(0, stored - LATEST_WINDOWS)
        sections: dict[MembershipPolicy, list[WindowReliability]] = defaultdict(list)
        async for window in read_windows(database, selection):
            sections[window.membership].append(window)
        for membership, windows in sections.items():
            if shown:
                console.print()
            one_policy = replace(selection, membership=membership, channels=False)
            tiles = await read_tiles(database, longer, one_policy, windows)
            for part in render(timeframe, membership, windows, tiles, asked, console.width):
                console.print(part)
            if earlier:
                console.print(f"{earlier:,} earlier windows are stored; --from shows them.")
            shown += 1
            firsts.append(windows[0].window.start)
    if not shown:
        console.print(await _what_next(database, timeframes))
        return
    await _print_what_to_know(database, console, asked, min(firsts))


async def _print_what_to_know(
    database: Database, console: Console, asked: ReportRequest, since: datetime
) -> None:
    """After the figures: the team's notes since then, and what is known about the quality of the
    figures."""
    notes = await read_notes(database, start=since, end=asked.end, limit=_LATEST_NOTES)
    if notes:
        console.print(Text("Notes", style="bold"))
    for line in of_notes(notes):
        console.print(line)
    clocks = await read_clocks(database, now_ms=now_ms())
    if clocks.told:
        console.print(of_clocks(clocks))
    for line in of_findings(await read_findings(database)):
        console.print(line)
    for one in await read_failed_windows(database, asked.membership or asked.policy):
        said = words.failed(one.timeframe, one.start, one.failures, one.error)
        console.print(Text(said, style="yellow"))


def render(
    timeframe: str,
    membership: MembershipPolicy,
    windows: Sequence[WindowReliability],
    tiles: Sequence[WindowReliability],
    asked: ReportRequest,
    width: int,
) -> Iterable[RenderableType]:
    """The parts of one section, for a console `width` columns wide.

    tiles  the windows that are summed for the span: figures/tiles.py
    """
    of_channel = (
        f" of {words.shorten(asked.channel, ID_WIDTH)}" if asked.channel is not None else ""
    )
    yield Text(f"{timeframe} windows{of_channel}, membership {membership}, UTC", style="bold")
    yield windows_table(timeframe, windows, width)
    yield from together(windows, tiles, asked.influence_limit)
    for dimension in asked.by:
        yield from groups_table(tiles, dimension, asked.versus)
    if asked.channel is None:
        worst = worst_channels_table(windows)
        if worst is not None:
            yield Text("Worst channels of these windows", style="bold")
            yield worst
    if any(window.state is WindowState.PROVISIONAL for window in windows):
        yield Text("A provisional window is computed again when samples come for it.", style="dim")


async def _print_first(
    database: Database, console: Console, asked: ReportRequest, timeframes: Sequence[str]
) -> None:
    """Prints the problems, and what is left of the budget."""
    configured = [parse_timeframe(name) for name in timeframes]
    policy = asked.membership or asked.policy
    problems = await read_problems(database, configured, policy, until=asked.end)
    for line in of_problems(problems, utc_now()):
        console.print(line)
    if configured and asked.start is None and asked.end is None:
        budget = await read_budget(database, configured, policy, asked.objective)
        for line in of_budget(budget):
            console.print(line)


async def _what_next(database: Database, timeframes: Sequence[str]) -> str:
    if timeframes:
        return f"No window matches. There are windows of {', '.join(timeframes)}."
    if not await has_samples(database):
        return _NO_SAMPLES
    return (
        "There are samples, but no window has been computed yet. `devtelemetry aggregate` computes "
        "those that are due; `devtelemetry aggregate --timeframe 1h --window-start TIME` computes "
        "the one that starts then at once."
    )
