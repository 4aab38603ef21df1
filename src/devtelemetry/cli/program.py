"""The program: its commands, in the order in which --help shows them."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer
from typer.exceptions import TyperException

from devtelemetry import __version__
from devtelemetry.cli.commands import (
    annotate,
    cluster,
    machine,
    notify,
    plan,
    publish,
    report,
    samples,
    serve,
    settings,
    simulate,
    slo,
    tokens,
    windows,
)
from devtelemetry.cli.errors import say_error
from devtelemetry.cli.options import form_asked_for
from devtelemetry.cli.output import say


def run() -> int:
    """Runs the command of sys.argv; returns the exit status."""
    try:
        status = app(prog_name="devtelemetry", standalone_mode=False)
    except TyperException as error:
        # The message is empty if no command was named; then the help was printed.
        if message := " ".join(error.format_message().split()):
            form = form_asked_for(_log_format(sys.argv[1:]))
            say_error(f"{message.rstrip('.')}; {_help(error)}", is_json=form == "json")
        return error.exit_code
    return status if isinstance(status, int) else 0


def _log_format(words: Sequence[str]) -> str | None:
    """The value of --log-format in a command line that cannot be parsed as a whole."""
    for word, after in pairwise([*words, ""]):
        name, _, value = word.partition("=")
        if name == "--log-format":
            return value or after
    return None


def _help(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = "devtelemetry" if context is None else context.command_path
    return f"`{command} --help` shows what is allowed"


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
app.command("notify")(notify.notify)
app.command("clean")(windows.clean)
app.command("clock")(windows.clock)
app.command("exclude")(samples.exclude)
app.command("forget")(samples.forget)
app.command("distribute")(cluster.distribute)
app.command("annotate")(annotate.annotate)
app.command("slo")(slo.slo)
app.command("plan")(plan.plan)
app.command("demo")(simulate.demo)
app.command("simulate")(simulate.simulate)
app.command("client", **machine.PASSED_ON)(machine.client)
app.command("desktop", **machine.PASSED_ON)(machine.desktop)
app.command("settings")(settings.settings)
app.add_typer(tokens.app, name="token")
app.add_typer(report.app, name="report")
