"""`annotate`: the team's notes."""

from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.cli.values import moment
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings


@with_settings()
def annotate(
    settings: Settings,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text of the note: a sentence.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The moment that the note is about; by default now."),
    ] = None,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="The app version that the note is about.")
    ] = "",
    show: Annotated[bool, typer.Option("--list", help="Show the notes.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --list: as JSON.")] = False,
    remove: Annotated[
        int | None, typer.Option(metavar="ID", help="Remove the note with this number.")
    ] = None,
) -> None:
    """Note something that happened, such as a deployment. `report` and the API show the notes."""
    from devtelemetry.cli.work import annotate as work

    if (text is not None) + show + (remove is not None) != 1:
        raise BadOption(
            "annotate: nothing or too much is asked for; allowed: one of TEXT, --list and "
            "--remove ID"
        )
    if json and not show:
        raise BadOption("--json: only the list can be JSON; allowed: with --list")
    if text is None and (at is not None or version):
        raise BadOption("--at, --version: only a new note has them; allowed: with a TEXT")
    if text is not None:
        run(work.add(settings, text, moment("--at", at), version))
    elif remove is not None:
        run(work.remove(settings, remove))
    else:
        run(work.show(settings, as_json=json))
