"""`plan`."""

from typing import Annotated

import typer

from devtelemetry.cli.options import without_settings
from devtelemetry.cli.output import say
from devtelemetry.settings.errors import BadOption
from devtelemetry.v1.sampling import MOST_ONE_IN, is_rate

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shown if no share is given"""

_SHARE = typer.Option(
    min=0.0, max=1.0, help="Of the users that opt in, from 0 to 1; several may be given."
)


@without_settings
def plan(
    users: Annotated[
        int | None, typer.Option(min=2, help="Of the messenger, each with one device.")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="That they are in.")] = None,
    members: Annotated[float, typer.Option(min=2.0, help="Of a channel.")] = 50.0,
    share: Annotated[list[float] | None, _SHARE] = None,
    messages: Annotated[
        float, typer.Option(min=0.1, help="Of a channel in a day, on average.")
    ] = 100.0,
    loss: Annotated[
        float, typer.Option(min=0.0001, max=0.9999, help="The share that is lost.")
    ] = 0.03,
    correlation: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Of the losses of one receiver: 0 is chance, 1 all or nothing."
        ),
    ] = 0.05,
    devices: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="That report: says what machines they need. Several may be given."
        ),
    ] = None,
    messages_per_day: Annotated[
        float, typer.Option(min=1, max=1_000_000, help="With --devices: that reach a device.")
    ] = 100.0,
    receivers: Annotated[
        float, typer.Option(min=1, help="With --devices: that report a message.")
    ] = 10.0,
    one_in: Annotated[
        list[int] | None,
        typer.Option(help="With --devices: of how many messages one is reported; several."),
    ] = None,
    push_interval: Annotated[
        list[int] | None,
        typer.Option(
            min=0, max=86_400, help="With --devices: seconds between two pushes of one; several."
        ),
    ] = None,
    peak: Annotated[
        float,
        typer.Option(min=1, max=24, help="With --devices: the busiest hour by the mean one."),
    ] = 2.0,
    cores: Annotated[int, typer.Option(min=1, max=1_024, help="With --devices: of a server.")] = 8,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show which interval a share of the users gives, or which machines so many devices need."""
    from devtelemetry.cli.work import plan as work
    from devtelemetry.estimate.machines import Fleet, Machines
    from devtelemetry.estimate.plan import Plan

    if devices:
        if users is not None or channels is not None:
            raise BadOption("--devices, --users: allowed: one of them; they ask for two plans")
        if not all(map(is_rate, one_in or ())):
            raise BadOption(f"--one-in: allowed: powers of two up to {MOST_ONE_IN}")
        fleets = [
            Fleet(count, messages_per_day, receivers, rate, interval)
            for count in devices
            for rate in one_in or (1,)
            for interval in push_interval or (0,)
        ]
        write = work.machines_as_json if json else work.machines_as_table
        say(write(fleets, Machines(peak, cores)))
        return
    if users is None or channels is None:
        raise BadOption("--users, --channels: missing; allowed: both of them, or --devices")
    asked = [
        Plan(users, one, channels, min(members, users), messages, loss, correlation)
        for one in share or SHARES
    ]
    say(work.as_json(asked) if json else work.as_table(asked))
