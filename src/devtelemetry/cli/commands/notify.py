"""`notify`."""

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.settings.settings import Settings

_NAMES = ("public_url", *(name for name in Settings.model_fields if name.startswith("notify_")))


@with_settings(*_NAMES)
def notify(settings: Settings) -> None:
    """Send a trial to everyone who is told of problems, and print who took it."""
    from devtelemetry.cli.work import notify

    if not run(notify.notify(settings)):
        raise typer.Exit(1)
