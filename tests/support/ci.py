"""Real parts: tests that need one that is not there skip on a user's machine, never in CI."""

import importlib.util
import os
from typing import NoReturn

import pytest

CI_VARIABLE = "DEVTELEMETRY_CI"


def missing_part(what: str) -> NoReturn:
    """Skips the test, saying what is missing; in CI, where all parts are, fails it."""
    if os.environ.get(CI_VARIABLE):
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(what, allow_module_level=True)


def needs_package(name: str) -> None:
    """Skips the module or test that needs it, likewise."""
    if importlib.util.find_spec(name) is None:
        missing_part(f"no {name}: make test installs it")
