"""Ship, hold, or wait for more receivers. Pure. Source: docs/releases.md."""

import math
from dataclasses import dataclass
from enum import StrEnum

from devtelemetry.estimate.interval import MIN_CLUSTERS
from devtelemetry.estimate.matched import Compared

MARGIN = 0.005
"""A release is held if its delivery ratio is lower by more than this: half a point"""

MOST_MORE = 1_000_000
"""If more receivers would be needed, no number is named: the truth is too near to the margin"""


class Decision(StrEnum):
    SHIP = "ship"
    HOLD = "hold"
    NEEDS_MORE = "needs_more"


@dataclass(frozen=True, slots=True)
class Decided:
    """more_receivers: about how many more receivers are needed, of both versions together and in
    today's proportion; None: no more are needed, or no number is known."""

    decision: Decision
    more_receivers: int | None = None


def decide(found: Compared, margin: float = MARGIN) -> Decided:
    """HOLD if the new version is surely worse by more than `margin`, SHIP if it surely is not,
    otherwise NEEDS_MORE.

    margin  a difference of delivery ratios, 0 or more
    """
    there = found.receivers_a + found.receivers_b
    between = found.difference
    if between is None:
        lacking = [max(0, MIN_CLUSTERS - one) for one in (found.receivers_a, found.receivers_b)]
        return Decided(Decision.NEEDS_MORE, sum(lacking) or None)
    if between.upper < -margin:
        return Decided(Decision.HOLD)
    if between.lower > -margin:
        return Decided(Decision.SHIP)
    # The margin is in the interval, whose width goes with 1 / √(number of receivers).
    room = abs(between.estimate + margin)
    is_better = between.estimate > -margin
    reach = between.estimate - between.lower if is_better else between.upper - between.estimate
    if room * math.sqrt(1 + MOST_MORE / there) < reach:
        return Decided(Decision.NEEDS_MORE)
    return Decided(Decision.NEEDS_MORE, max(1, math.ceil(there * ((reach / room) ** 2 - 1))))
