"""`client` and `desktop`: commands of the client's own, with arguments and help of their own."""

from typing import Any

import typer

PASSED_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""All that follows the command's name is the client's to read"""


def client(context: typer.Context) -> None:
    """The opt-in of this machine: status, enable, disable, show, blind."""
    from devtelemetry.client.cli import run

    raise typer.Exit(run(context.args))


def desktop(context: typer.Context) -> None:
    """The Advanced settings page of this machine, in a window. Needs the extra `desktop`."""
    from devtelemetry.desktop.cli import run

    raise typer.Exit(run(context.args))
