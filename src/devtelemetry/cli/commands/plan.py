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
    min=0.0,
    max=1.0,
    help="The share of users that opt in, from 0 to 1. May be given again.",
)


@without_settings
def plan(
    users: Annotated[
        int | None, typer.Option(min=2, help="Users of the messenger, each with one device.")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Channels of the messenger.")] = None,
    members: Annotated[float, typer.Option(min=2.0, help="Members of a channel.")] = 50.0,
    share: Annotated[list[float] | None, _SHARE] = None,
    messages: Annotated[
        float, typer.Option(min=0.1, help="Messages in a channel in a day, on average.")
    ] = 100.0,
    loss: Annotated[
        float, typer.Option(min=0.0001, max=0.9999, help="The share of deliveries that are lost.")
    ] = 0.03,
    correlation: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="How the losses of one receiver go together: 0 by chance, 1 all or nothing.",
        ),
    ] = 0.05,
    devices: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Plan the machines for so many reporting devices. May be given again.",
        ),
    ] = None,
    messages_per_day: Annotated[
        float,
        typer.Option(
            min=1, max=1_000_000, help="With --devices: messages that reach a device in a day."
        ),
    ] = 100.0,
    receivers: Annotated[
        float, typer.Option(min=1, help="With --devices: devices that report a message.")
    ] = 10.0,
    one_in: Annotated[
        list[int] | None,
        typer.Option(
            help="With --devices: one message in so many is reported. May be given again."
        ),
    ] = None,
    push_interval: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            max=86_400,
            help="With --devices: seconds between two pushes of a device. May be given again.",
        ),
    ] = None,
    peak: Annotated[
        float,
        typer.Option(
            min=1,
            max=24,
            help="With --devices: the load of the busiest hour, as a multiple of the mean hour's.",
        ),
    ] = 2.0,
    cores: Annotated[
        int, typer.Option(min=1, max=1_024, help="With --devices: cores of a server.")
    ] = 8,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show which interval a share of the users gives, or which machines so many devices need."""
    from devtelemetry.cli.work import plan as work
    from devtelemetry.estimate.machines import Fleet, Machines
    from devtelemetry.estimate.plan import Plan

    if devices:
        if users is not None or channels is not None:
            raise BadOption(
                "--devices, --users, --channels: they ask for different plans; allowed: "
                "--devices, or the others"
            )
        if not all(map(is_rate, one_in or ())):
            raise BadOption(
                "--one-in: a number is not a power of two; allowed: powers of two up to "
                f"{MOST_ONE_IN}"
            )
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
