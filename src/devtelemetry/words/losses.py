"""What became of what is missing, in words. Pure."""

from collections.abc import Iterable, Mapping

from devtelemetry.model import Counts, LossReason
from devtelemetry.words.numbers import count

LOSSES: Mapping[str, str] = {
    "not_arrived": "did not arrive",
    "unreadable": "could not be read",
    "not_sent": "were never sent",
    "dropped": "were dropped by the app",
}
"""By class: it follows a number of messages"""

WAYS: Mapping[str, str] = {
    "by_live": "live",
    "by_history": "from a history",
    "by_resend": "sent again",
}
"""How what was delivered came, by the name of its count"""

_SHOWN_REASONS = 2  # of a class


def losses(counts: Counts, reasons: Iterable[LossReason]) -> str:
    """A sentence: `Of 1,204 missing: 612 did not arrive, 410 could not be read (…), …`

    Empty where nothing is missing.
    """
    if not counts.missing:
        return ""
    listed = list(reasons)
    classes = {name: getattr(counts, name) for name in LOSSES}
    said = ", ".join(
        f"{count(number)} {LOSSES[name]}{_because(name, listed)}"
        for name, number in sorted(classes.items(), key=lambda item: -item[1])
        if number
    )
    return f"Of {count(counts.missing)} missing: {said}."


def ways(counts: Counts) -> str:
    """A sentence: `Of 1,000 delivered: 900 live, 20 from a history, …`

    Empty where nobody says how anything came.
    """
    numbers = {name: getattr(counts, name) for name in WAYS}
    if not any(numbers.values()):
        return ""
    delivered = counts.expected - counts.missing
    parts = [f"{count(number)} {WAYS[name]}" for name, number in numbers.items() if number]
    unsaid = delivered - sum(numbers.values())
    if unsaid:
        parts.append(f"{count(unsaid)} not said how")
    return f"Of {count(delivered)} delivered: {', '.join(parts)}."


def _because(of: str, reasons: Iterable[LossReason]) -> str:
    said = [one for one in reasons if one.of == of and one.reason]
    if not said:
        return ""
    shown = sorted(said, key=lambda one: -one.pairs)[:_SHOWN_REASONS]
    return f" ({', '.join(f'{one.reason} {count(one.pairs)}' for one in shown)})"
