"""The oracle's figures are those of the worked cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oracle.model import compute
from oracle.vectors import VECTORS_2, Vector, read_vectors

if TYPE_CHECKING:
    from fractions import Fraction

    from oracle.window import OracleChannel

CASES = [*read_vectors(), *read_vectors(VECTORS_2)]


def figures(channel: OracleChannel) -> dict[str, Any]:
    return {
        "messages": channel.messages,
        "receivers": channel.receivers,
        "comparable": channel.comparable,
        "reliability": written(channel.reliability),
        "delivery_ratio": written(channel.delivery_ratio),
        **channel.counts._asdict(),
        "reasons": [
            {"class": why.missing, "reason": why.reason, "pairs": why.pairs}
            for why in channel.reasons
        ],
    }


def written(ratio: Fraction | None) -> str | None:
    return None if ratio is None else str(ratio)


def in_full(expected: dict[str, Any]) -> dict[str, Any]:
    """Adds what the older cases leave out: nothing is unknown, and all missing is not_arrived."""
    missing = expected["missing"]
    lost = [{"class": "not_arrived", "reason": "", "pairs": missing}] if missing else []
    zero = ("unreadable", "dropped", "not_sent", "recovered", "by_live", "by_history", "by_resend")
    return {
        "unknown": 0,
        **dict.fromkeys(zero, 0),
        "not_arrived": missing,
        "reasons": lost,
    } | expected


@pytest.mark.parametrize("vector", CASES, ids=lambda vector: vector.name)
def test_vector_is_reproduced_exactly(vector: Vector) -> None:
    window = compute(
        vector.oracle_samples(),
        vector.window_start,
        vector.window_end,
        vector.membership,
        numbers=vector.oracle_numbers(),
        lost=vector.oracle_lost(),
        memberships=vector.oracle_memberships(),
        smallest_group=1,  # the cases name every reason, also that of a single receiver
    )

    assert written(window.reliability) == vector.expect["reliability"]
    assert written(window.delivery_ratio) == vector.expect["delivery_ratio"]
    assert {name: figures(channel) for name, channel in window.channels.items()} == {
        name: in_full(expected) for name, expected in vector.expect["channels"].items()
    }


def test_no_case_is_missing() -> None:
    assert len(read_vectors()) == 46
    assert len(read_vectors(VECTORS_2)) == 15
