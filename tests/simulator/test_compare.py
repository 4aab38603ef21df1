"""Measured figures beside true ones."""

from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from devtelemetry.model import Counts, LossClass
from devtelemetry.simulator.compare import Figures, compare
from devtelemetry.simulator.show import comparison_line, stages_line, stages_table

START = "2026-03-02T10:00:00Z"


NO_STAGES = dict.fromkeys(
    (*LossClass, "recovered", "by_live", "by_history", "by_resend", "messages", "receivers"), 0
)


def true_group(expected: int, delivered: int, **more: Any) -> dict[str, Any]:
    return {
        **NO_STAGES,
        "expected": expected,
        "delivered": delivered,
        "delivery_ratio": delivered / expected,
        "unsaid": 0,
        "reasons": [],
        **more,
    }


def measured_channel(name: str, expected: int, missing: int, **more: Any) -> dict[str, Any]:
    return {
        **NO_STAGES,
        "channel_id": name,
        "comparable": True,
        "expected": expected,
        "missing": missing,
        "corroborated": expected,
        "unknown": 0,
        "delivery_ratio": 1 - missing / expected,
        "reliability": 1 - missing / expected,
        "reasons": [],
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
    measured = Counts(0, 0, 190, 30, 170, 4)
    assert whole.measured == Figures(measured, 1 - 30 / 170, (1 + 0.7) / 2)
    assert whole.true == Figures(Counts(0, 0, 200, 20, 200), 0.9, 0.85)
    assert whole.difference == (1 - 30 / 170) - 0.9
    assert (a.channel_id, a.difference) == ("a", 0.0)
    assert b.measured is not None
    assert (b.measured.counts.expected, b.measured.counts.missing) == (100, 30)


def test_a_channel_that_is_not_comparable_is_in_no_sum() -> None:
    whole, _, b = compare(
        TRUTH,
        report(
            measured_channel("a", 90, 9),
            measured_channel("b", 7, 7, comparable=False, delivery_ratio=None, reliability=None),
        ),
    )
    assert whole.measured == Figures(Counts(0, 0, 90, 9, 90), 0.9, 0.9)
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


def test_stages_are_shown_true_and_measured_with_the_reasons_that_apps_give() -> None:
    stages: dict[str, Any] = {"unreadable": 4, "not_sent": 6, "by_live": 170, "recovered": 2}
    no_key = [{"class": "unreadable", "reason": "no_session_key", "pairs": 3}]
    truth = {
        "windows": [
            {
                "start": START,
                **true_group(200, 180, reliability=0.9, unsaid=6),
                "channels": [
                    true_group(100, 90, channel_id="a", **stages),
                    true_group(100, 90, channel_id="b"),
                ],
            }
        ]
    }
    whole, *_ = compare(
        truth,
        report(
            measured_channel("a", 100, 10, unreadable=3, by_live=90, reasons=no_key),
            measured_channel("b", 100, 10, unreadable=1, by_live=80, reasons=no_key),
        ),
    )
    assert stages_line(whole) == (
        "true / measured: missing 20 / 20, not arrived 10 / 16, unreadable 4 / 4, not sent 6 / 0, "
        "dropped 0 / 0, unsaid 6 / 0, live 170 / 170, from a history 0 / 0, "
        "sent again 0 / 0, read later 2 / 0"
    )
    table = shown(stages_table({"minute": [whole], "week": [whole, whole]}))
    assert max(map(len, table.splitlines())) <= 80
    (unreadable,) = [line for line in table.splitlines() if line.startswith("unreadable")]
    assert unreadable.split() == ["unreadable", "4", "4", "8", "8", "no_session_key", "12"]


def shown(table: Table) -> str:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table)
    return console.export_text()
