"""What shares of users give, in a table and as JSON."""

import io
from collections.abc import Sequence

import orjson
from rich.console import Console

from devtelemetry import words
from devtelemetry.estimate.plan import Plan, expected_of
from devtelemetry.words.tables import bare_table


def as_table(plans: Sequence[Plan]) -> str:
    """A row for each share."""
    first = plans[0]
    table = bare_table(gap=2)
    for name in ("opt in", "receivers", "comparable channels", "pairs a day", "a day's 95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        found = expected_of(plan)
        table.add_row(
            words.percent(plan.share),
            words.count(found.receivers),
            f"{words.count(found.comparable)} ({words.percent(found.comparable / plan.channels)})",
            words.count(found.pairs),
            words.interval(found.interval),
        )
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(
        f"{words.count(first.users)} users, {words.count(first.channels)} channels of "
        f"{first.members:g} members, {first.messages:g} messages a day each; "
        f"{words.percent(first.loss)} lost, correlation {first.correlation:g} within a receiver"
    )
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n")


def as_json(plans: Sequence[Plan]) -> str:
    """The same, not rounded."""
    rows = []
    for plan in plans:
        found = expected_of(plan)
        interval = found.interval
        rows.append(
            {
                "share": plan.share,
                "receivers": found.receivers,
                "comparable": found.comparable,
                "pairs": found.pairs,
                "delivery_ratio_lower": None if interval is None else interval.lower,
                "delivery_ratio_upper": None if interval is None else interval.upper,
            }
        )
    return orjson.dumps({"plans": rows}).decode()
