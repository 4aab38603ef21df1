"""Compares two kinds of receivers where both are: in the same strata. Pure.

A new version does not come to all receivers alike: it comes to one platform first, to eager people,
in some channels. So only deliveries within one stratum are compared, such as one window, channel
and platform. The strata are then combined with the same weights for both sides. So an outage or a
bad channel, which affects everyone in its stratum, cancels out.

docs/evidence/releases.md says how often the intervals are right.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from devtelemetry.estimate.interval import CONFIDENCE, MIN_CLUSTERS, Interval, wilson
from devtelemetry.estimate.student import t_quantile
from devtelemetry.estimate.verdict import compare

_MIN_EFFECTIVE_CLUSTERS = 3  # as in interval.py: fewer do not show how they differ
_MIN_DEGREES_OF_FREEDOM = 2


class Pairs(NamedTuple):
    """Deliveries to one receiver in one stratum."""

    missing: int
    pairs: int


ByReceiver: TypeAlias = Mapping[int, Pairs]


@dataclass(slots=True)
class _Receiver:
    """What one receiver adds to the loss of its side, times the sum of all weights.

    lost     its part of the standardised loss
    weight   its part if it had lost everything
    apart    how far its loss is from that of the rest of its side. In a stratum in which it is the
             only receiver of its side: how far it is from the loss of the other side, minus ...
    alone    ... this weight times the difference of the sides
    """

    lost: float = 0.0
    weight: float = 0.0
    apart: float = 0.0
    alone: float = 0.0


class _Side:
    def __init__(self) -> None:
        self.receivers: dict[int, _Receiver] = defaultdict(_Receiver)
        self.missing = 0
        self.pairs = 0
        self.loss = 0.0  # Σ w L
        self.inverse = 0.0  # Σ w² / n

    def add(self, found: ByReceiver, weight: float, other: float) -> None:
        """Adds a stratum. other: the share that the other side lost in it."""
        missing = sum(one.missing for one in found.values())
        pairs = sum(one.pairs for one in found.values())
        self.missing += missing
        self.pairs += pairs
        self.loss += weight * missing / pairs
        self.inverse += weight * weight / pairs
        for key, one in found.items():
            share = weight * one.pairs / pairs
            loss = one.missing / one.pairs
            receiver = self.receivers[key]
            receiver.lost += share * loss
            receiver.weight += share
            rest = pairs - one.pairs
            if rest:
                # The change of the side's loss if this receiver were left out (jackknife).
                receiver.apart += weight * (one.pairs / rest) * (loss - missing / pairs)
            else:
                receiver.apart += weight * (loss - other)
                receiver.alone += weight

    def interval(self, weights: float, difference: float, confidence: float) -> Interval | None:
        """The interval of the standardised delivery ratio; None if receivers are too few.

        difference  this side's loss minus the other's
        """
        receivers = list(self.receivers.values())
        if len(receivers) < MIN_CLUSTERS:
            return None
        effective = _effective([one.weight for one in receivers])
        if effective < _MIN_EFFECTIVE_CLUSTERS:
            return None
        loss = self.loss / weights
        most = min(1.0, math.ceil(-math.log1p(-confidence)) / effective)
        if self.missing == 0:
            return Interval(1 - most, 1.0, 1.0)
        if self.missing == self.pairs:
            return Interval(0.0, 0.0, most)
        losing = min(
            _effective([one.lost for one in receivers]),
            _effective([one.weight - one.lost for one in receivers]),
        )
        degrees = min(len(receivers) - 1, math.floor(effective) - 1, math.floor(losing))
        apart = [(one.apart - difference * one.alone) / weights for one in receivers]
        by_chance = loss * (1 - loss) * self.inverse / weights**2
        variance = max(by_chance, sum(one * one for one in apart))
        t = t_quantile((1 + confidence) / 2, max(_MIN_DEGREES_OF_FREEDOM, degrees))
        return wilson(1 - loss, loss * (1 - loss) / variance, t)


def _effective(weights: list[float]) -> float:
    """Kish's (Σ w)² / Σ w²: how many clusters of equal weight would say as much."""
    squares = sum(one * one for one in weights)
    return sum(weights) ** 2 / squares if squares else math.inf


@dataclass(frozen=True, slots=True)
class Compared:
    """b compared with a, over the strata that have both.

    strata                    how many
    pairs_a, pairs_b          the deliveries in them
    receivers_a, receivers_b  how many receivers these are to
    ratio_a, ratio_b          the standardised delivery ratios; None if there is no stratum
    difference                ratio_b − ratio_a with its interval; None: too few receivers to say
    """

    strata: int
    pairs_a: int
    pairs_b: int
    receivers_a: int
    receivers_b: int
    ratio_a: float | None
    ratio_b: float | None
    difference: Interval | None


class Matched:
    """Adds up strata one by one. Its memory grows with the receivers, not with the strata."""

    def __init__(self) -> None:
        self._a, self._b = _Side(), _Side()
        self._strata = 0
        self._weights = 0.0

    def add(self, a: ByReceiver, b: ByReceiver) -> None:
        """Adds a stratum, by the receivers of both sides. Both sides must have pairs in it.

        A receiver that changes its version is on one side in some strata and on the other side in
        other strata.
        """
        (lost_a, of_a), (lost_b, of_b) = _sum(a), _sum(b)
        # Mantel and Haenszel's weight: a stratum counts as much as it says about the difference.
        weight = of_a * of_b / (of_a + of_b)
        self._a.add(a, weight, lost_b / of_b)
        self._b.add(b, weight, lost_a / of_a)
        self._strata += 1
        self._weights += weight

    def compared(self, confidence: float = CONFIDENCE) -> Compared:
        a, b, weights = self._a, self._b, self._weights
        known = (a.pairs, b.pairs, len(a.receivers), len(b.receivers))
        if not self._strata:
            return Compared(0, *known, None, None, None)
        more = (b.loss - a.loss) / weights
        verdict = compare(
            b.interval(weights, more, confidence), a.interval(weights, -more, confidence)
        )
        return Compared(
            self._strata,
            *known,
            1 - a.loss / weights,
            1 - b.loss / weights,
            None if verdict is None else verdict.difference,
        )


def _sum(found: ByReceiver) -> tuple[int, int]:
    return (
        sum(one.missing for one in found.values()),
        sum(one.pairs for one in found.values()),
    )
