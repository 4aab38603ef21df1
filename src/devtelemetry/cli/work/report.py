"""Shows the figures, as tables or as JSON."""

from rich.console import Console

from devtelemetry.cli.output import write_all
from devtelemetry.figures.document import document
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.report.report import print_report
from devtelemetry.report.request import ReportRequest
from devtelemetry.server.wiring import opened_database
from devtelemetry.settings.settings import Settings


async def as_tables(settings: Settings, asked: ReportRequest) -> None:
    async with opened_database(settings) as database:
        await print_report(database, Console(highlight=False), asked)


async def as_json(settings: Settings, asked: ReportRequest) -> None:
    """Of one timeframe: the shortest if none is asked for."""
    selection = Selection(
        asked.timeframe or settings.timeframes[0].name,
        asked.start,
        asked.end,
        asked.channel,
        asked.membership,
        () if asked.by is None else (asked.by,),
    )
    async with opened_database(settings) as database:
        windows = read_windows(database, selection)
        await write_all(document(selection.timeframe, windows, asked.by, asked.versus))
