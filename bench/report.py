"""The result of a benchmark, and how it is printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Result:
    """Tables for people; `figures` are these figures and more, not rounded, for `--json`."""

    name: str
    conditions: Mapping[str, str]
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def markdown(result: Result) -> str:
    lines = [f"## {result.name}", ""]
    lines += [f"- {name}: {value}" for name, value in result.conditions.items()]
    lines += [f"- {note}" for note in result.notes]
    for table in result.tables:
        lines += ["", f"**{table.title}**", "", *_rows(table)]
    return "\n".join([*lines, ""])


def _rows(table: Table) -> list[str]:
    cells = [list(table.columns), *map(list, table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]

    def line(row: Sequence[str]) -> str:
        # The first column names the row; all other columns are aligned right.
        padded = [
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        ("-" * (width + 1) + ":") if i else "-" * (width + 2) for i, width in enumerate(widths)
    )
    return [line(cells[0]), f"|{rule}|", *map(line, cells[1:])]
