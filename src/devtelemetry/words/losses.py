"""What became of missing messages, and how delivered ones came, in words. Pure."""

from collections.abc import Iterable, Mapping

from devtelemetry.model import Counts, LossClass, LossReason, Via
from devtelemetry.words.numbers import count

LOSS_CLASSES: Mapping[LossClass, str] = {
    LossClass.NOT_ARRIVED: "not arrived",
    LossClass.UNREADABLE: "unreadable",
    LossClass.NOT_SENT: "not sent",
    LossClass.DROPPED: "dropped",
}
"""The name of each class"""

WAYS: Mapping[Via, str] = {
    Via.LIVE: "live",
    Via.HISTORY: "from a history",
    Via.RESENT: "sent again",
    Via.NOT_SAID: "not said",
}
"""The name of each way"""

_BECAME: Mapping[LossClass, tuple[str, str]] = {
    LossClass.NOT_ARRIVED: ("did not arrive", "did not arrive"),
    LossClass.UNREADABLE: ("could not be read", "could not be read"),
    LossClass.NOT_SENT: ("was never sent", "were never sent"),
    LossClass.DROPPED: ("was dropped by the app", "were dropped by the app"),
}  # for one message, for several

_SHOWN_REASONS = 2  # per class


def losses(counts: Counts, reasons: Iterable[LossReason] = ()) -> str:
    """A sentence: `Of 1,204 missing: 612 did not arrive, 410 could not be read (…), …`

    Empty if nothing is missing.
    """
    if not counts.missing:
        return ""
    listed = list(reasons)
    said = ", ".join(
        f"{count(number)} {_BECAME[of][number > 1]}{_because(of, listed)}"
        for of, number in sorted(counts.losses.items(), key=lambda item: -item[1])
        if number
    )
    return f"Of {count(counts.missing)} missing: {said}."


def losses_of(numbers: Mapping[LossClass, int], reasons: Iterable[LossReason] = ()) -> str:
    """`3 not sent (no_peers 3), 1 dropped`; empty if there are none."""
    listed = list(reasons)
    return ", ".join(
        f"{count(number)} {LOSS_CLASSES[of]}{_because(of, listed)}"
        for of, number in numbers.items()
        if number
    )


def ways(counts: Counts) -> str:
    """A sentence: `Of 1,000 delivered: 900 live, 20 from a history, …`

    Empty if no receiver reports how anything came.
    """
    delivered = counts.expected - counts.missing
    if counts.ways[Via.NOT_SAID] == delivered:
        return ""
    return f"Of {count(delivered)} delivered: {ways_of(counts.ways)}."


def ways_of(numbers: Mapping[Via, int]) -> str:
    """`900 live, 20 from a history`; empty if there are none."""
    return ", ".join(f"{count(number)} {WAYS[via]}" for via, number in numbers.items() if number)


def _because(of: LossClass, reasons: Iterable[LossReason]) -> str:
    said = [one for one in reasons if one.of == of and one.reason]
    if not said:
        return ""
    shown = sorted(said, key=lambda one: -one.pairs)[:_SHOWN_REASONS]
    return f" ({', '.join(f'{one.reason} {count(one.pairs)}' for one in shown)})"
