"""A table of two dimensions, as rows and columns of text and as JSON. Pure."""

from dataclasses import dataclass
from typing import Any

from devtelemetry import words
from devtelemetry.aggregate.table import Cell, CrossTable
from devtelemetry.figures.derive import Totals
from devtelemetry.figures.document import iso, totals_as_json


@dataclass(frozen=True, slots=True)
class Grid:
    """The table as text: the delivery ratio of each cell, or a dash if it has none.

    rows   the name of each row and its cells, one per column
    rest   the groups that were put together as other; empty if none were
    """

    columns: list[str]
    rows: list[tuple[str, list[str]]]
    rest: str


def grid_of(table: CrossTable) -> Grid:
    shown = {(cell.row, cell.column): cell for cell in table.cells if cell.row is not None}
    rows = list(dict.fromkeys(row for row, _ in shown))
    columns = sorted({column or "" for _, column in shown})

    def text(cell: Cell | None) -> str:
        if cell is None or cell.counts.delivery_ratio is None:
            return "–"
        return f"{words.percent(cell.counts.delivery_ratio)} of {words.count(cell.counts.expected)}"

    rest = [cell for cell in table.cells if cell.row is None]
    return Grid(
        [words.group(column) for column in columns],
        [(words.group(row), [text(shown.get((row, one))) for one in columns]) for row in rows],
        "".join(f"{words.GROUP_OTHER}: {text(cell)}" for cell in rest),
    )


def table_as_json(table: CrossTable) -> dict[str, Any]:
    """Source: docs/protocol.md, "Two dimensions at once"."""
    return {
        "timeframe": table.timeframe,
        "start": iso(table.window.start),
        "end": iso(table.window.end),
        "channel_id": table.channel_id,
        "rows": table.rows.value,
        "columns": table.columns.value,
        "cells": [
            {
                table.rows.value: cell.row,
                table.columns.value: cell.column,
                **totals_as_json(Totals(cell.counts, cell.spreads, cell.delays)),
            }
            for cell in table.cells
        ],
    }
