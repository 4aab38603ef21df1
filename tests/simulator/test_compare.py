"""Measured beside true."""

from typing import Any

from devtelemetry.simulator.compare import Figures, compare
from devtelemetry.simulator.show import comparison_line

START = "2026-03-02T10:00:00Z"


def true_group(expected: int, delivered: int, **more: Any) -> dict[str, Any]:
    return {
        "expected": expected,
        "delivered": delivered,
        "delivery_ratio": delivered / expected,
        **more,
    }


def measured_channel(name: str, expected: int, missing: int, **more: Any) -> dict[str, Any]:
    return {
        "channel_id": name,
        "comparable": True,
        "expected": expected,
        "missing": missing,
        "corroborated": expected,
        "unknown": 0,
        "delivery_ratio": 1 - missing / expected,
        "reliability": 1 - missing / expected,
        **more,
    }


TRUTH = {
    "windows": [
        {
            "start": START,
            **true_group(200, 180, reliability=0.85),
            "channels": [
                true_group(100, 100, channel_id="a"),
                true_group(100, 80, channel_id="b"),
            ],
        }
    ]
}


def report(*channels: dict[str, Any], membership: str = "present") -> dict[str, Any]:
    return {"windows": [{"start": START, "membership": membership, "channels": list(channels)}]}


def test_a_window_has_the_sums_over_the_channels_of_the_truth_and_no_others() -> None:
    whole, a, b = compare(
        TRUTH,
        report(
            measured_channel("a", 90, 0),
            measured_channel("b", 100, 30, corroborated=80, unknown=4),
            measured_channel("of somebody else", 1_000, 999),
        ),
    )
    assert whole.measured == Figures(190, 30, 4, 1 - 30 / 170, (1 + 0.7) / 2)
    assert whole.true == Figures(200, 20, 0, 0.9, 0.85)
    assert whole.difference == (1 - 30 / 170) - 0.9
    assert (a.channel_id, a.difference) == ("a", 0.0)
    assert b.measured is not None
    assert (b.measured.expected, b.measured.missing) == (100, 30)


def test_a_channel_that_is_not_comparable_is_in_no_sum() -> None:
    whole, _, b = compare(
        TRUTH,
        report(
            measured_channel("a", 90, 9),
            measured_channel("b", 7, 7, comparable=False, delivery_ratio=None, reliability=None),
        ),
    )
    assert whole.measured == Figures(90, 9, 0, 0.9, 0.9)
    assert b.difference is None


def test_what_is_not_computed_is_not_measured_and_another_policy_is_not_taken_for_it() -> None:
    nothing: dict[str, Any] = {"windows": []}
    for figures in (nothing, report(measured_channel("a", 90, 9), membership="window")):
        comparisons = compare(TRUTH, figures)
        assert [comparison.measured for comparison in comparisons] == [None, None, None]
    assert "not measured" in comparison_line(comparisons[0])


def test_a_line_says_both_ratios_their_difference_and_the_pairs() -> None:
    whole, *_ = compare(TRUTH, report(measured_channel("a", 90, 9)))
    assert comparison_line(whole) == (
        f"{START} true 90.00 %, measured 90.00 % (+0.00), 90 of 200 pairs"
    )
