"""The TOML file of settings."""

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from devtelemetry.model.errors import ConfigurationError


def read_file(file: str | Path, known: Collection[str]) -> dict[str, Any]:
    """The values in the file, by setting. Raises ConfigurationError.

    known  the settings that may be in it
    """
    path = Path(file)
    try:
        path = path.expanduser()
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # skips a byte order mark
    except RuntimeError as error:
        raise ConfigurationError(f"config: {path}: this account has no home directory") from error
    except OSError as error:
        raise ConfigurationError(
            f"config: {path} cannot be read: {error.strerror or error}"
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigurationError(f"config: {path} is not TOML: {error}") from error
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigurationError(
                f"{name} in {path} is not a setting; "
                + (f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}")
            )
    return values
