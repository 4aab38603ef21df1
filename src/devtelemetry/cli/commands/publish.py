"""`publish`."""

from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.cli.values import span, timeframe_name
from devtelemetry.settings.settings import Settings

_REMOTE_WRITE = tuple(name for name in Settings.model_fields if name.startswith("remote_write_"))


@with_settings("membership", "insecure", *_REMOTE_WRITE)
def publish(
    settings: Settings,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Windows that end after this time."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Windows that start before this time.")
    ] = None,
    timeframe: Annotated[
        str | None,
        typer.Option(
            metavar="TIMEFRAME", help="Windows of this length; by default of all lengths."
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="The most points to send in a second.")
    ] = 20_000,
) -> None:
    """Send stored windows to the store of time series again, to fill a new store."""
    from devtelemetry.cli.work import publish

    start, end = span(from_, to)
    if run(publish.publish(settings, start, end, timeframe_name(timeframe), rate)):
        raise typer.Exit(1)
