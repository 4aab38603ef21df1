"""Ratios, counts, intervals and differences as people read them. Pure."""

from devtelemetry.estimate.interval import Interval
from devtelemetry.words.names import TOO_FEW


def percent(ratio: float | None) -> str:
    """`93.33 %`. A ratio below 1 is never written as 100.00 %; None is written as a dash."""
    if ratio is None:
        return "–"
    if ratio < 1:
        ratio = min(ratio, 0.9999)
    return f"{100 * ratio:.2f} %"


def interval(found: Interval | None) -> str:
    """`91.02–95.10 %`; a text if there is no interval."""
    if found is None:
        return TOO_FEW
    return f"{percent(found.lower).removesuffix(' %')}–{percent(found.upper)}"


def points(difference: float) -> str:
    """`−0.81`: percentage points, with a sign and a real minus."""
    sign = "−" if difference < 0 else "+"
    return f"{sign}{abs(100 * difference):.2f}"


def mean(value: float | None) -> str:
    """`2.5`, for a mean of counts; None is written as a dash."""
    return "–" if value is None else f"{value:.1f}"


def count(value: float) -> str:
    """`1,234,567`"""
    return f"{value:,.0f}"


def short_count(value: int, whole_below: int = 10_000) -> str:
    """`12.3k`, `98.8G`: numbers from `whole_below` on have a unit and one digit after the point."""
    if value < whole_below:
        return count(value)
    unit, letter = next(
        (unit, letter) for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if value >= unit
    )
    return f"{value / unit:,.1f}{letter}"
