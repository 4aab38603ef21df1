"""`aggregate` and `clean`."""

from typing import Annotated

import typer

from devtelemetry.cli.options import WINDOWS, with_settings
from devtelemetry.cli.running import run
from devtelemetry.cli.values import moment, timeframe_name
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings


@with_settings(*WINDOWS)
def aggregate(
    settings: Settings,
    timeframe: Annotated[
        str | None, typer.Option(metavar="TIMEFRAME", help="With --window-start: of this length.")
    ] = None,
    window_start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Compute the window that starts then, now.")
    ] = None,
) -> None:
    """Compute all windows that are due, or one of them now."""
    from devtelemetry.cli.work import windows

    start = moment("--window-start", window_start)
    name = timeframe_name(timeframe)
    if name is not None and start is not None:
        run(windows.compute_one(settings, name, start))
    elif name is None and start is None:
        run(windows.compute_due(settings))
    else:
        raise BadOption(
            "--timeframe and --window-start name a window together; allowed: both, or none"
        )


@with_settings("retention", *WINDOWS)
def clean(settings: Settings) -> None:
    """Drop the days of samples that are due."""
    from devtelemetry.cli.work import windows

    run(windows.clean(settings))
