"""The error for a wrong value of a setting: one line with setting, value and what is allowed."""

import os
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.settings.file import read_file
from devtelemetry.settings.names import environment_name, option_name
from devtelemetry.settings.notations import allowed_for, notation_of

_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


class BadOption(ConfigurationError):
    """The value of an option on the command line is wrong, which is a usage error."""


def wrong_value(
    error: ValidationError, options: Mapping[str, object], settings: Mapping[str, FieldInfo]
) -> ConfigurationError:
    """The error for the first wrong value; it names the place where the value was given.

    options   the values from the command line
    settings  all settings
    """
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if name not in settings:
        return BadOption(f"{name} is not a setting; allowed: {', '.join(settings)}")
    setting = settings[name]
    said = f"{_reason(first, setting)}; allowed: {allowed_for(setting)}"
    if name in options:
        return BadOption(f"{option_name(name)}: {_quote(name, options[name])} {said}")
    variables = {key.upper(): value for key, value in os.environ.items()}
    variable = environment_name(name)
    if variable in variables:
        return ConfigurationError(f"{variable}: {_quote(name, variables[variable])} {said}")
    file = str(options.get("config") or variables[environment_name("config")])
    value = read_file(file, settings)[name]
    return ConfigurationError(f"{name} in {file}: {_quote(name, value)} {said}")


def _reason(error: ErrorDetails, setting: FieldInfo) -> str:
    own = error.get("ctx", {}).get("error")
    if own is not None:
        return str(own)
    return "is out of range" if error["type"] in _BOUNDS else notation_of(setting).refused


def _quote(name: str, value: object) -> str:
    """The value as an error shows it. URLs are not shown, because any part may be a secret."""
    if name.endswith("_url"):
        return "the URL"
    text = value if isinstance(value, str) else repr(value)
    return repr(text[:77] + "..." if len(text) > 80 else text)
