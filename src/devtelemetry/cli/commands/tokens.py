"""`token create`, `token list` and `token revoke`."""

from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings

app = typer.Typer(
    help="Tokens that let clients push samples and readers read figures.", no_args_is_help=True
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the token.")]


@app.command("create")
@with_settings()
def create(
    settings: Settings,
    name: _Name,
    scope: Annotated[
        str,
        typer.Option(
            metavar="ingest|read",
            help="What the token allows: to push samples, or to read figures.",
        ),
    ] = "ingest",
) -> None:
    """Make a token and show it, only this once."""
    from devtelemetry.cli.work import tokens

    if scope not in ("ingest", "read"):
        raise BadOption(f"--scope: {scope!r} is not known; allowed: ingest or read")
    run(tokens.create(settings, name, scope))


@app.command("list")
@with_settings()
def show(settings: Settings) -> None:
    """Show the tokens that were made, by name."""
    from devtelemetry.cli.work import tokens

    run(tokens.show(settings))


@app.command("revoke")
@with_settings()
def revoke(settings: Settings, name: _Name) -> None:
    """Make a token invalid for good; servers notice within a second."""
    from devtelemetry.cli.work import tokens

    run(tokens.revoke(settings, name))
