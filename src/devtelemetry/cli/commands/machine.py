"""`client` and `desktop`: the client's own commands, which read their arguments themselves."""

from typing import Any

import typer

PASSED_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""Passes everything after the command's name to the client"""


def client(context: typer.Context) -> None:
    """The opt-in of this machine: status, enable, disable, show, blind."""
    from devtelemetry.client.cli import run

    raise typer.Exit(run(context.args))


def desktop(context: typer.Context) -> None:
    """The Advanced settings page of this machine, in a window. Needs the extra `desktop`."""
    from devtelemetry.desktop.cli import run

    raise typer.Exit(run(context.args))
