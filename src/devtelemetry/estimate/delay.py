"""How much arrived in time, from counts by class of delay. Pure. Source: docs/algorithm.md."""

from enum import Enum
from typing import Final, Literal

from devtelemetry.model import (
    DELAY_CLASSES,
    DELAY_EDGES_MS,
    DELAY_NEGATIVE,
    DELAY_UNKNOWN,
    Counts,
    DelayCounts,
)

_FIRST_TIMED = DELAY_NEGATIVE + 1  # the classes from here on say how long it took


class Reach(Enum):
    """A delay that is none of the edges."""

    NOT_REACHED = "not reached"


NOT_REACHED: Final = Reach.NOT_REACHED
"""So many are not delivered at all, or later than the last edge, that no edge is the quantile."""


def on_time_ratio(counts: Counts, delays: DelayCounts, edge_ms: int) -> float | None:
    """Of the pairs that should have been delivered, the share that was within `edge_ms`.

    delays   of the delivered pairs of the same counts, by class
    edge_ms  one of DELAY_EDGES_MS

    The delivery ratio times the share in time of what was delivered; pairs whose delay nobody knows
    (or whose clocks were wrong) are taken to be like the others. None without a delivery ratio, or
    if no delay is known. Raises ValueError for another edge or another number of classes.
    """
    _check(delays)
    if edge_ms not in DELAY_EDGES_MS:
        known = ", ".join(map(str, DELAY_EDGES_MS))
        raise ValueError(f"edge_ms is {edge_ms}; it must be one of {known}")
    timed = sum(delays[_FIRST_TIMED:])
    if not timed or not counts.corroborated:
        return None
    within = sum(delays[_FIRST_TIMED : _FIRST_TIMED + DELAY_EDGES_MS.index(edge_ms) + 1])
    # One division: 19 of 20 is 0.95 as a person writes it, and compares as that.
    return ((counts.corroborated - counts.missing) * within) / (counts.corroborated * timed)


def delay_quantile(
    counts: Counts, delays: DelayCounts, share: float
) -> int | Literal[Reach.NOT_REACHED] | None:
    """The least edge (ms) within which this share of the pairs was delivered, lost ones counted in.

    share  in (0, 1], of all that should have been delivered: 0.5 is the median of messages, not
           of those that made it

    The quantile lies in the class below that edge, so it is at most the edge. NOT_REACHED if fewer
    than `share` were delivered within the last edge, or at all; None where on_time_ratio is. Raises
    ValueError for another share.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be above 0 and at most 1")
    for edge_ms in DELAY_EDGES_MS:
        ratio = on_time_ratio(counts, delays, edge_ms)
        if ratio is None:
            return None
        if ratio >= share:
            return edge_ms
    return NOT_REACHED


def negative_share(delays: DelayCounts) -> float | None:
    """The share of known delays that are below zero by more than a second: wrong clocks.

    Of classes 1 and up; None if no delay is known. Raises ValueError for another number of classes.
    """
    _check(delays)
    known = sum(delays[DELAY_UNKNOWN + 1 :])
    return delays[DELAY_NEGATIVE] / known if known else None


def _check(delays: DelayCounts) -> None:
    if len(delays) != DELAY_CLASSES:
        raise ValueError(f"{len(delays)} classes of delay; there are {DELAY_CLASSES}")
