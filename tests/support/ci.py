"""Real parts: tests that need one that is not there skip on a user's machine, never in CI."""

import os
from typing import NoReturn

import pytest

CI_VARIABLE = "DEVTELEMETRY_CI"


def missing_part(what: str) -> NoReturn:
    """Skips the test, saying what is missing; in CI, where all parts are, fails it."""
    if os.environ.get(CI_VARIABLE):
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(what)
