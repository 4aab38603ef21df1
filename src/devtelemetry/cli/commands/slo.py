"""`slo`: the objective for other tools."""

from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.output import say
from devtelemetry.publish.slo import Format, slo_file
from devtelemetry.settings.settings import Settings


@with_settings("objective")
def slo(
    settings: Settings,
    kind: Annotated[Format, typer.Argument(help="The tool that reads the file.")],
) -> None:
    """Print the objective as a file for Sloth or OpenSLO."""
    say(slo_file(kind, settings.objective).rstrip("\n"))
