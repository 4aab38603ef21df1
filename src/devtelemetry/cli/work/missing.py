"""Shows what is missing in a channel: as tables, JSON, NDJSON or CSV."""

import os
import sys
from datetime import datetime
from typing import Literal

from rich.console import Console

from devtelemetry.causes import document, show
from devtelemetry.causes.read import drill_down
from devtelemetry.causes.request import MissingRequest
from devtelemetry.cli.output import write, write_all
from devtelemetry.runtime.clock import utc_now
from devtelemetry.server.wiring import aggregate_rules, opened_database
from devtelemetry.settings.settings import Settings
from devtelemetry.words.tables import ID_WIDTH

_PIPED_WIDTH = 10_000


async def missing(
    settings: Settings,
    channel: str,
    timeframe_name: str,
    start: datetime | None,
    burst: int,
    *,
    only: int | None,
    limit: int | None,
    form: Literal["tables", "json", "ndjson", "csv"],
    file: str,
) -> None:
    """Shows what is missing in one window of a channel.

    start  of the window; None for the latest that is computed
    only   the id of one receiver
    limit  the most messages and receivers; None for the default of the form
    file   where CSV goes; `-` for standard output
    """
    rules = aggregate_rules(settings)
    asked = MissingRequest(channel, rules.timeframe(timeframe_name), start, burst)
    async with (
        opened_database(settings) as database,
        drill_down(database, rules, asked, now=utc_now) as found,
    ):
        match form:
            case "tables":
                console = Console(highlight=False, markup=False)
                id_width = ID_WIDTH
                if not console.is_terminal and "COLUMNS" not in os.environ:
                    # Programs search this for ids, so each id is whole and on one line.
                    console = Console(highlight=False, markup=False, width=_PIPED_WIDTH)
                    id_width = _PIPED_WIDTH
                await show.print_missing(
                    console, found, only=only, limit=limit or show.WORST, id_width=id_width
                )
            case "json":
                page = await document.page(found, only=only, limit=limit or document.LISTED)
                write(document.as_bytes(page))
            case "ndjson":
                await write_all(document.ndjson(found, only=only, limit=limit))
            case "csv":
                await write_all(document.as_csv(found, only=only, limit=limit), file)
        sys.stdout.buffer.flush()
