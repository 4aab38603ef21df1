"""Plans as a table or as JSON: what shares of users give, and which machines a fleet needs."""

import io
from collections.abc import Sequence
from dataclasses import asdict

import orjson
from rich.console import Console

from devtelemetry import words
from devtelemetry.estimate.machines import (
    BUSY,
    KEPT_DAYS,
    LEAST_INTERVAL,
    WINDOWS,
    Fleet,
    Machines,
    needs_of,
)
from devtelemetry.estimate.plan import Plan, expected_of
from devtelemetry.words.tables import bare_table


def as_table(plans: Sequence[Plan]) -> str:
    """A table with a row for each share."""
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
    """The same as JSON, not rounded."""
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


def machines_as_table(fleets: Sequence[Fleet], machines: Machines) -> str:
    """A table with a row for each fleet."""
    first = fleets[0]
    table = bare_table(gap=2)
    for name in (
        *("devices", "one in", "interval", "requests/s", "samples/s", "connections"),
        *("server cores", "servers", "PostgreSQL cores", "Mbit/s", "log MB/s", "disk"),
    ):
        table.add_column(name, justify="right")
    for fleet in fleets:
        needs = needs_of(fleet, machines)
        table.add_row(
            words.count(fleet.devices),
            words.count(fleet.one_in),
            f"{fleet.interval:g} s",
            words.count(needs.requests),
            words.count(needs.samples),
            words.count(needs.open_connections),
            _cores(needs.server_cores),
            words.count(needs.servers),
            f"{_cores(needs.postgres_cores)} + {_cores(needs.window_cores)}",
            f"{needs.network * 8 / 1e6:,.0f}",
            f"{needs.log / 1e6:,.1f}",
            _size(needs.disk),
        )
    console = Console(file=io.StringIO(), width=130, highlight=False)
    console.print(
        f"{words.count(first.messages)} messages reach a device in a day; {first.receivers:g} "
        "devices report each message"
    )
    console.print(table)
    for sentence in _assumptions(machines):
        console.print(sentence)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())


def _assumptions(machines: Machines) -> Sequence[str]:
    return (
        f"Per second: in the busiest hour, with {machines.peak:g} times the load of a mean hour.",
        f"Interval: how long a sample waits on the device, at least {LEAST_INTERVAL:g} s.",
        f"Servers: each has {machines.cores} cores and is {BUSY:.0%} busy.",
        f"PostgreSQL cores: for requests + for windows; each sample is in {WINDOWS} windows.",
        f"Disk: {KEPT_DAYS} days of samples, without the log. Not counted: TLS and the dashboard.",
        "Measured on two cores (docs/evidence/fleet.md). Not measured: a core of a larger machine.",
    )


def machines_as_json(fleets: Sequence[Fleet], machines: Machines) -> str:
    """The same as JSON, not rounded."""
    rows = [asdict(fleet) | asdict(needs_of(fleet, machines)) for fleet in fleets]
    return orjson.dumps({"machines": asdict(machines), "plans": rows}).decode()


def _cores(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e12:,.1f} TB" if size_bytes >= 1e12 else f"{size_bytes / 1e9:,.1f} GB"
