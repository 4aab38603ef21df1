"""Tests that need a missing program or package skip on a user's machine, and fail in CI."""

import importlib.util
import os
from typing import NoReturn

import pytest

CI_VARIABLE = "DEVTELEMETRY_CI"


def missing_part(what: str) -> NoReturn:
    """Skips the test and names what is missing; in CI, which should have all parts, fails it."""
    if os.environ.get(CI_VARIABLE):
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(what, allow_module_level=True)


def needs_package(name: str) -> None:
    """The same, for a package that the module or test needs."""
    if importlib.util.find_spec(name) is None:
        missing_part(f"no {name}: make test installs it")
