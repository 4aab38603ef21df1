"""`aggregate` and `clean`; and `clock`, which shows the clocks that these two go by."""

from typing import Annotated

import typer

from devtelemetry.cli.options import WINDOWS, with_settings
from devtelemetry.cli.running import run
from devtelemetry.cli.values import moment, timeframe_name
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings


@with_settings("clock_leap", *WINDOWS)
def aggregate(
    settings: Settings,
    timeframe: Annotated[
        str | None,
        typer.Option(metavar="TIMEFRAME", help="With --window-start: the length of the window."),
    ] = None,
    window_start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Compute the window that starts at this time."),
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
            "--timeframe, --window-start: only one is given, but a window needs both; allowed: "
            "both or none"
        )


@with_settings("retention", "silent_after", "clock_leap", *WINDOWS)
def clean(settings: Settings) -> None:
    """Drop the days of samples that are older than the retention."""
    from devtelemetry.cli.work import windows

    run(windows.clean(settings))


@with_settings("clock_leap")
def clock(
    settings: Settings,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm that this machine's clock is right.")
    ] = False,
) -> None:
    """Show the clocks by which samples are accepted, settled and cleaned."""
    from devtelemetry.cli.work import windows

    run(windows.clock(settings, confirm=confirm))
