"""`plan`."""

from typing import Annotated

import typer

from devtelemetry.cli.output import say

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shown where none is asked for"""

_SHARE = typer.Option(
    min=0.0, max=1.0, help="Of the users that opt in, from 0 to 1; several may be given."
)


def plan(
    users: Annotated[int, typer.Option(min=2, help="Of the messenger, each with one device.")],
    channels: Annotated[int, typer.Option(min=1, help="That they are in.")],
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
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Say what share of the users gives which interval."""
    from devtelemetry.cli.work import plan as work
    from devtelemetry.estimate.plan import Plan

    asked = [
        Plan(users, one, channels, min(members, users), messages, loss, correlation)
        for one in share or SHARES
    ]
    say(work.as_json(asked) if json else work.as_table(asked))
