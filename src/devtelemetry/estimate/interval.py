"""How sure a delivery ratio is: an interval from counts and their spread over clusters. Pure.

Losses come in clusters: a receiver that is offline misses everything that is sent meanwhile, and a
bad channel loses messages for all its members. So the pairs say less than as many independent pairs
would. The design effect is how many times less. It comes from the spread and is never below 1.
docs/evidence/intervals.md has the formula, its source, and how often such intervals are right.
"""

import math
from dataclasses import dataclass

from devtelemetry.estimate.student import t_quantile
from devtelemetry.model import Counts, Spread, Spreads

CONFIDENCE = 0.95
MIN_CLUSTERS = 10  # with fewer, too little is known of how they differ: no interval

# Clusters of unequal size are worth fewer equal ones. Below three there are no two degrees of
# freedom: one cluster has most of the pairs, and nothing tells how it differs from others.
_MIN_EFFECTIVE_CLUSTERS = 3
_MIN_DEGREES_OF_FREEDOM = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the truth lies, as far as one can be sure: lower ≤ estimate ≤ upper.

    Of a ratio within [0, 1], of a difference of two within [−1, 1].
    """

    lower: float
    estimate: float
    upper: float


def interval_of(
    counts: Counts, spread: Spread, windows: int = 1, confidence: float = CONFIDENCE
) -> Interval | None:
    """Of the delivery ratio of `counts`, with clusters cut in one way.

    spread   of the same pairs: its Σ n is counts.corroborated, its Σ x is counts.missing
    windows  how many windows with pairs `counts` and `spread` are the sums of
    confidence  that the truth lies in it

    A cluster of several windows is taken to be the same in each, and what it loses too much to lose
    it in all: who is who is not stored. Where windows have nothing to do with each other the
    interval is up to √windows times wider than it need be.

    None where nothing can be said: fewer than 10 clusters, or less than 3 by weight; no delivery
    ratio, or none within [0, 1] (no window has such counts: what is missing is corroborated).
    Source: docs/evidence/intervals.md.
    """
    return _interval(counts, [spread], None, windows, confidence)


def window_interval(
    counts: Counts, spreads: Spreads, windows: int = 1, confidence: float = CONFIDENCE
) -> Interval | None:
    """Of the delivery ratio of a window, or of a group of one: clusters are receivers and channels.

    Losses of a receiver in all its channels belong together, and those of all receivers in a
    channel do. The variance is that of both less what is counted twice, and at least that of
    either. None where one of the two alone has none. `windows` and `confidence` as in interval_of.
    Source: docs/evidence/intervals.md.
    """
    return _interval(
        counts,
        [spreads.over_receivers, spreads.over_channels],
        spreads.over_memberships,
        windows,
        confidence,
    )


def _interval(
    counts: Counts, cuts: list[Spread], twice: Spread | None, windows: int, confidence: float
) -> Interval | None:
    """cuts   the ways to cut the pairs into clusters
    twice  clusters of what two cuts have in common
    """
    missing, pairs = counts.missing, counts.corroborated
    if not 0 <= missing <= pairs or pairs == 0:
        return None
    clusters = min(spread.clusters for spread in cuts) // windows
    if clusters < MIN_CLUSTERS:
        return None
    effective = min(effective_clusters(counts, spread) for spread in cuts) / windows
    if effective < _MIN_EFFECTIVE_CLUSTERS:
        return None
    # Where none of K clusters is lost: with a probability of more than `most` that none is would be
    # rarer than confidence allows, (1 − most)^K < e^(−K most) = 1 − confidence. At 95 %: 3/K.
    most = min(1.0, math.ceil(-math.log1p(-confidence)) / effective)
    if missing == 0:
        return Interval(1 - most, 1.0, 1.0)
    if missing == pairs:
        return Interval(0.0, 0.0, most)

    effects = [design_effect(counts, spread, windows) for spread in cuts]
    if twice is not None:
        # What is taken off is what is there for sure: not more of it for more windows.
        effects.append(sum(effects) - design_effect(counts, twice))
    losing = min(_clusters_that_lose(counts, spread) for spread in cuts) / windows
    degrees = min(clusters - 1, math.floor(effective) - 1, math.floor(losing))
    t = t_quantile((1 + confidence) / 2, max(_MIN_DEGREES_OF_FREEDOM, degrees))
    return wilson((pairs - missing) / pairs, pairs / max(1.0, *effects), t)


def effective_clusters(counts: Counts, spread: Spread) -> float:
    """Kish's (Σ n)² / Σ n²: how many clusters of equal size say as much. Their number at most."""
    return counts.corroborated**2 / spread.corroborated_squared


def _clusters_that_lose(counts: Counts, spread: Spread) -> float:
    """(Σ x)² / Σ x², the same of the losses; or of what was not lost, where that is less.

    A variance that rests on three offline receivers is no better known than three numbers tell,
    however many others lost nothing.
    """
    held = counts.corroborated - counts.missing
    held_squared = (
        spread.corroborated_squared - 2 * spread.missing_corroborated + spread.missing_squared
    )
    return min(counts.missing**2 / spread.missing_squared, held**2 / held_squared)


def design_effect(counts: Counts, spread: Spread, windows: int = 1) -> float:
    """The variance of the ratio, as a multiple of that of as many independent pairs; as measured,
    so it may be below 1. `counts` has losses, and pairs that are none.

    K/(K−1) Σ(x − L n)² / N² over L(1 − L)/N with L = X/N. Of several windows what is above 1 goes
    on from each to the next; the rest is chance. Source: Rao and Scott, Biometrics 48 (1992),
    577–585.
    """
    if spread.clusters < 2 * windows:
        return 0.0
    missing, pairs = counts.missing, counts.corroborated
    # In whole numbers: what is left of large squares that cancel out would be noise.
    residuals = (
        pairs * pairs * spread.missing_squared
        - 2 * missing * pairs * spread.missing_corroborated
        + missing * missing * spread.corroborated_squared
    )
    effect = (spread.clusters * residuals) / (
        (spread.clusters - windows) * pairs * missing * (pairs - missing)
    )
    return 1 + windows * (effect - 1) if effect > 1 else effect


def wilson(ratio: float, pairs: float, quantile: float) -> Interval:
    """Wilson's score interval of a ratio of so many independent pairs; `quantile` is his z.

    Source: Wilson, Journal of the American Statistical Association 22 (1927), 209–212.
    """
    weight = quantile * quantile / pairs
    centre = (ratio + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (ratio * (1 - ratio) + weight / 4)) / (1 + weight)
    # It holds its estimate and lies in [0, 1]; rounded numbers may miss that by their last digit.
    return Interval(max(0.0, min(centre - half, ratio)), ratio, min(1.0, max(centre + half, ratio)))
