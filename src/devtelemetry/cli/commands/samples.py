"""`import`, `export`, `exclude` and `forget`."""

from pathlib import Path
from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.cli.values import moment
from devtelemetry.model import Hand
from devtelemetry.runtime.machine import cores
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings
from devtelemetry.store.keyring import parse_receiver

_File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A file of NDJSON; .gz is unpacked, - is standard input."),
]


@with_settings("retention", "clock_skew", "timeframes", "settle_time")
def import_samples(
    settings: Settings,
    file: _File,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Processes that store the lines; by default one for each core."
        ),
    ] = None,
) -> None:
    """Store samples from a file with one JSON object on each line."""
    from devtelemetry.cli.work import samples

    if run(samples.import_from(settings, file, workers or cores())):
        raise typer.Exit(1)


@with_settings()
def export_samples(settings: Settings) -> None:
    """Write all samples to standard output, in the format that import reads."""
    from devtelemetry.cli.work import samples

    run(samples.export(settings))


@with_settings()
def exclude(
    settings: Settings,
    to: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The file to write the samples to; it must not exist."),
    ],
    receiver: Annotated[
        str,
        typer.Argument(
            metavar="RECEIVER", help="The receiver: 16 hexadecimal digits, as reports show them."
        ),
    ] = "",
    hand: Annotated[
        Hand,
        typer.Option("--with", help="Take out all receivers of its installation or network too."),
    ] = Hand.RECEIVER,
    token: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Take out all receivers whose latest push came with this token."
        ),
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Take out only what the server accepted from this time on."
        ),
    ] = None,
) -> None:
    """Take out what a liar reported; windows are computed without it. Import undoes this."""
    from devtelemetry.cli.work import samples

    if bool(receiver) == bool(token):
        raise BadOption(
            "RECEIVER, --token: none or both are given; allowed: either RECEIVER or --token NAME"
        )
    try:
        wanted = parse_receiver(receiver) if receiver else None
    except ValueError as error:
        raise BadOption(f"RECEIVER: {error}") from None
    if to.exists():
        raise BadOption(f"--to: {to} exists; allowed: the name of a new file")
    run(samples.exclude(settings, wanted, hand, token, moment("--since", since), to))


@with_settings()
def forget(
    settings: Settings,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The receiver's public key.")],
) -> None:
    """Delete all samples of a public key, from all its devices."""
    from devtelemetry.cli.work import samples

    run(samples.forget(settings, key))
