"""The program: its commands, in the order in which --help shows them."""

from typing import Annotated

import typer

from devtelemetry import __version__
from devtelemetry.cli.commands import (
    machine,
    plan,
    publish,
    report,
    samples,
    serve,
    settings,
    simulate,
    tokens,
    windows,
)
from devtelemetry.cli.output import say


def run() -> int:
    """Runs the command of sys.argv; returns the exit status."""
    try:
        app(prog_name="devtelemetry")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"devtelemetry {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


app = typer.Typer(
    help="How reliably do the messages of a messenger arrive?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(_main)
app.command("serve")(serve.serve)
app.command("import")(samples.import_samples)
app.command("export")(samples.export_samples)
app.command("aggregate")(windows.aggregate)
app.command("publish")(publish.publish)
app.command("clean")(windows.clean)
app.command("clock")(windows.clock)
app.command("exclude")(samples.exclude)
app.command("forget")(samples.forget)
app.command("plan")(plan.plan)
app.command("demo")(simulate.demo)
app.command("simulate")(simulate.simulate)
app.command("client", **machine.PASSED_ON)(machine.client)
app.command("desktop", **machine.PASSED_ON)(machine.desktop)
app.command("settings")(settings.settings)
app.add_typer(tokens.app, name="token")
app.add_typer(report.app, name="report")
