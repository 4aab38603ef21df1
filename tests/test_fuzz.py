"""A short run of bench/fuzz.py."""

from pathlib import Path

import pytest
from bench.fuzz import fuzz


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_spoilt_requests_cost_no_honest_one_and_leave_nothing(seed: int, tmp_path: Path) -> None:
    found = fuzz(tmp_path, seed, 1000.0, lambda turn: turn < 120)
    assert found.findings == []
    assert found.acknowledged > 100
    assert {answer for _, answer in found.answers} >= {"OK", "INVALID_ARGUMENT", "201", "status 1"}
