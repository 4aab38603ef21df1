"""Comparisons for people: a line, or rows of a table. Pure."""

from collections.abc import Iterable

from rich.table import Table

from devtelemetry.simulator.compare import Comparison
from devtelemetry.words import percent, points
from devtelemetry.words.tables import bare_table


def comparison_line(comparison: Comparison) -> str:
    """`2026-03-02T10:00:00Z true 94.67 %, measured 94.73 % (+0.05), 15,951 of 15,960 pairs`"""
    true, measured = comparison.true, comparison.measured
    what = " ".join(filter(None, (comparison.start, comparison.channel_id)))
    if measured is None:
        return f"{what} true {percent(true.delivery_ratio)}, not measured"
    return (
        f"{what} true {percent(true.delivery_ratio)}, measured {percent(measured.delivery_ratio)}"
        f" ({difference(comparison)}), {measured.expected:,} of {true.expected:,} pairs"
    )


def difference(comparison: Comparison) -> str:
    """Measured less true, in percentage points."""
    found = comparison.difference
    return "–" if found is None else points(found)


def comparison_table(title: str, comparisons: Iterable[Comparison]) -> Table:
    """80 columns wide at most. `counted` are the pairs that the server has of the `pairs`."""
    table = bare_table(title=title, gap=2)
    table.add_column("window (UTC)", no_wrap=True)
    table.add_column("channel", no_wrap=True)
    for name in ("true", "measured", "diff", "pairs", "counted"):
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        measured = comparison.measured
        table.add_row(
            comparison.start[:16].replace("T", " "),
            comparison.channel_id or "all",
            percent(comparison.true.delivery_ratio),
            percent(None if measured is None else measured.delivery_ratio),
            difference(comparison),
            f"{comparison.true.expected:,}",
            "–" if measured is None else f"{measured.expected:,}",
            style=None if comparison.channel_id is None else "dim",
        )
    return table
