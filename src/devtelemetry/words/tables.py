"""Tables in a terminal, for 80 columns."""

from rich import box
from rich.table import Table

from devtelemetry.words.numbers import short_count

ID_WIDTH = 27  # of a channel's id; longer ids are cut in the middle


def bare_table(*, title: str | None = None, gap: int = 1) -> Table:
    """A table with only a line under its head, and `gap` spaces between the columns."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),
    )


def narrow_count(value: int) -> str:
    """A count in at most nine characters."""
    return short_count(value, whole_below=10_000_000)
