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

_FIRST_TIMED = DELAY_NEGATIVE + 1  # from this class on, the delay is known and possible


class Reach(Enum):
    """A quantile that is not an edge."""

    NOT_REACHED = "not reached"


NOT_REACHED: Final = Reach.NOT_REACHED
"""No edge is the quantile, because too many pairs are lost or later than the last edge."""


def on_time_ratio(counts: Counts, delays: DelayCounts, edge_ms: int) -> float | None:
    """The share of all deliveries that were made within `edge_ms`; a lost message is late.

    delays   the delivered pairs of the same counts, by class
    edge_ms  one of DELAY_EDGES_MS

    It is the delivery ratio times the share of delivered pairs that were in time. Pairs whose delay
    is not known, or is negative, are taken to be like the others. None without a delivery ratio, or
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
    # One division only, so that 19 of 20 is exactly the float 0.95 and compares as equal to it.
    return ((counts.corroborated - counts.missing) * within) / (counts.corroborated * timed)


def delay_quantile(
    counts: Counts, delays: DelayCounts, share: float
) -> int | Literal[Reach.NOT_REACHED] | None:
    """The least edge (ms) within which this share of all deliveries was made.

    share  in (0, 1], of all deliveries, also the lost ones: 0.5 is the median of all, not of those
           that were made

    The true quantile is in the class below that edge, so it is at most the edge. NOT_REACHED if
    less than `share` was delivered within the last edge. None if on_time_ratio is None. Raises
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
    """The share of delays that are negative by more than a second, so that a clock is wrong.

    It is the share of class 1 in all classes but 0. None if no delay is known. Raises ValueError
    for another number of classes.
    """
    _check(delays)
    known = sum(delays[DELAY_UNKNOWN + 1 :])
    return delays[DELAY_NEGATIVE] / known if known else None


def _check(delays: DelayCounts) -> None:
    if len(delays) != DELAY_CLASSES:
        raise ValueError(f"{len(delays)} classes of delay; there are {DELAY_CLASSES}")
