"""Options made from the settings, and how a command starts.

A command names the settings that it needs. It gets an option for each, and the checked Settings.
"""

import functools
import inspect
import logging
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from devtelemetry.cli.errors import one_line_errors
from devtelemetry.cli.running import sigterm_ends
from devtelemetry.settings.names import environment_name, misspelt_variables, option_name
from devtelemetry.settings.settings import Settings
from devtelemetry.settings.table import default_text, description, is_switch, metavar

EVERYWHERE = ("database_url", "data_dir", "config", "log_level", "log_format")
"""Settings that every command has options for"""

WINDOWS = (
    "timeframes",
    "membership",
    "allowed_lateness",
    "settle_time",
    "recompute_interval",
    "quorum",
    "weight_cap",
    "smallest_group",
    "unmeasured_channels",
    "unmeasured_types",
    "legacy_unmeasured_channels",
    "legacy_unmeasured_types",
)
"""Settings that decide which windows are computed, and how"""


def with_settings(
    *names: str, runs_for_long: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command options for these settings and for those that every command has.

    The command gets the checked Settings as `settings`; its own options stay as they are.

    runs_for_long  its log is shown at the set level. Other commands log only warnings, unless
                   the level was set explicitly
    """
    generated = (*names, *EVERYWHERE)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run_command(**values: Any) -> None:
            options = {name: values.pop(name) for name in generated}
            form = form_asked_for(options["log_format"])
            with one_line_errors(lambda: form == "json"):
                _log("warning", form)  # before anything can fail
                given = {name: value for name, value in options.items() if value is not None}
                settings = Settings(**given)
                form = settings.log_format
                shows_all = runs_for_long or "log_level" in settings.model_fields_set
                _log(settings.log_level if shows_all else "warning", form)
                _say_misspelt()
                command(settings=settings, **values)

        own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
        options = [option_of(name) for name in generated]
        # Typer reads the signature.
        run_command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
        )
        run_command.__annotations__ = {}
        return run_command

    return decorate


def without_settings(command: Callable[..., None]) -> Callable[..., None]:
    """For a command that needs no settings. Its errors are one line, and SIGTERM ends it."""

    @functools.wraps(command)
    def run_command(**values: Any) -> None:
        _log("warning", "console")
        with sigterm_ends(), one_line_errors():
            command(**values)

    return run_command


def option_of(name: str) -> inspect.Parameter:
    """The option for a setting. Settings checks its value, not Typer."""
    flag = option_name(name)
    if is_switch(name):
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    option = typer.Option(
        flag,
        help=f"{description(name)} Default: {default_text(name)}.".replace("`", ""),
        metavar=metavar(name) or None,
        show_default=False,
        rich_help_panel="Settings",
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[bool | None if is_switch(name) else str | None, option],
    )


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the command line has this option."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def form_asked_for(option: str | None) -> str:
    """How log lines look before the settings are read: by the option or the variable."""
    asked = option or os.environ.get(environment_name("log_format"), "")
    return "json" if asked == "json" else "console"


def _say_misspelt() -> None:
    for variable, meant in misspelt_variables(os.environ, Settings.model_fields):
        logging.getLogger(__name__).warning(
            "%s is not a setting and is ignored; did you mean %s?", variable, meant
        )


def _log(level: str, form: str) -> None:
    # Not imported at the top, because structlog takes longer to import than --help to answer.
    from devtelemetry.runtime.logs import configure_logging  # noqa: PLC0415

    configure_logging(level, form)
