"""`import`, `export` and `forget`."""

from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.settings.settings import Settings

_File = Annotated[str, typer.Argument(metavar="FILE", help="NDJSON; .gz is unpacked, - is stdin.")]


@with_settings("retention", "clock_skew", "timeframes", "settle_time")
def import_samples(settings: Settings, file: _File) -> None:
    """Store samples from a file of one JSON object a line."""
    from devtelemetry.cli.work import samples

    if run(samples.import_from(settings, file)):
        raise typer.Exit(1)


@with_settings()
def export_samples(settings: Settings) -> None:
    """Write all samples to standard output, in the format that import reads."""
    from devtelemetry.cli.work import samples

    run(samples.export(settings))


@with_settings()
def forget(
    settings: Settings,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The receiver's public key.")],
) -> None:
    """Delete all samples of a receiver, on all its devices."""
    from devtelemetry.cli.work import samples

    run(samples.forget(settings, key))
