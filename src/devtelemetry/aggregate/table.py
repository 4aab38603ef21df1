"""One window broken down by two dimensions at once, computed on request."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from devtelemetry.aggregate.algorithm import run_algorithm
from devtelemetry.aggregate.cleaned import cleaned_days_of, is_cleaned
from devtelemetry.aggregate.dimensions import TABLE
from devtelemetry.aggregate.due import ended_window
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import Counts, Delays, Dimension, Spreads, Timeframe, Window, window_at
from devtelemetry.model.errors import ConfigurationError, unknown_channel
from devtelemetry.results.rows import OF_WINDOW, Row, pairs_of_group
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.repair import repaired_snapshot
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__)


@dataclass(frozen=True, slots=True)
class Cell:
    """The pairs of one value of each dimension.

    row, column  None: the groups that are too small to show, put together
    """

    row: str | None
    column: str | None
    counts: Counts
    spreads: Spreads
    delays: Delays


@dataclass(frozen=True, slots=True)
class CrossTable:
    """`cells` are sorted by their values; the small groups that are put together come last."""

    timeframe: str
    window: Window
    rows: Dimension
    columns: Dimension
    channel_id: str | None
    cells: tuple[Cell, ...]


async def cross_table(
    database: Database,
    rules: AggregateRules,
    timeframe: Timeframe,
    dimensions: tuple[Dimension, Dimension],
    *,
    start: datetime | None = None,
    channel_id: str | None = None,
    now: Callable[[], datetime],
) -> CrossTable:
    """The table of the window that starts at `start`, or of one channel in it.

    start  None: the latest window that is over

    Raises ConfigurationError if no window starts then, it has not ended, its samples were cleaned,
    or the two dimensions are the same. Raises UnknownName if the channel is not known.
    """
    rows, columns = dimensions
    if rows is columns:
        raise ConfigurationError(
            f"rows and columns are both {rows.value}; allowed: two different ones of "
            f"{', '.join(Dimension)}"
        )
    if start is None:
        start = window_at(timeframe, now() - timeframe.length).start
    window = ended_window(timeframe, start, now())
    async with repaired_snapshot(database, readonly=False, delays_of=window) as connection:
        if is_cleaned(window, await cleaned_days_of(connection)):
            raise ConfigurationError(
                f"samples of the {timeframe.name} window of {window.start.isoformat()} were cleaned"
            )
        level = OF_WINDOW if channel_id is None else await _channel(connection, channel_id)
        found = await run_algorithm(connection, rules, window, dimensions)
    cells = [
        _cell(row)
        for row in found.groups
        if row["dimension"] == TABLE and row["channel_id"] == level
    ]
    cells.sort(key=lambda one: (one.row is None, one.row or "", one.column or ""))
    return CrossTable(timeframe.name, window, rows, columns, channel_id, tuple(cells))


def _cell(row: Row) -> Cell:
    value, column = (None, None) if row["is_rest"] else json.loads(row["value"])
    return Cell(value, column, *pairs_of_group(row))


async def _channel(connection: Connection, channel_id: str) -> int:
    found: int | None = await connection.fetchval(_QUERIES["channel_id"], external_id=channel_id)
    if found is None:
        raise unknown_channel(channel_id)
    return found
