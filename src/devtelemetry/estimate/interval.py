"""How sure a delivery ratio is: an interval from counts and their spread over clusters. Pure.

Losses come in clusters: a receiver that is offline misses everything that is sent meanwhile, and a
bad channel loses messages for all its members. So the pairs say less than as many independent pairs
would. The design effect says how many times less. It follows from the spread and is at least 1.
docs/evidence/intervals.md has the formula, its source, and how often such intervals are right.
"""

import math
from dataclasses import dataclass

from devtelemetry.estimate.student import t_quantile
from devtelemetry.model import Counts, Spread, Spreads

CONFIDENCE = 0.95
MIN_CLUSTERS = 10  # no interval with fewer: too little is known about how they differ

# Clusters of unequal size say as much as fewer clusters of equal size. If these are fewer than
# three, there are no two degrees of freedom: one cluster has most of the pairs, and nothing shows
# how it differs from the others.
_MIN_EFFECTIVE_CLUSTERS = 3
_MIN_DEGREES_OF_FREEDOM = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value lies, with the confidence asked for: lower ≤ estimate ≤ upper.

    For a ratio within [0, 1], for a difference of two ratios within [−1, 1].
    """

    lower: float
    estimate: float
    upper: float


def interval_of(
    counts: Counts, spread: Spread, windows: int = 1, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of the delivery ratio of `counts`, from clusters of one cut.

    spread      of the same pairs: its Σ n is counts.corroborated, its Σ x is counts.missing
    windows     the number of windows with pairs that `counts` and `spread` are sums over
    confidence  the probability that the interval contains the true ratio

    Stored windows do not say which cluster is which. So all windows are assumed to have the same
    clusters, and a cluster that loses more in one window to lose more in all. If windows are in
    fact independent, the interval is up to √windows times wider than needed.

    None if nothing can be said: with fewer than 10 clusters, or fewer than 3 effective ones;
    without a delivery ratio, or with one outside [0, 1] (which no stored window has, because
    missing pairs are corroborated). Source: docs/evidence/intervals.md.
    """
    return _interval(counts, [spread], None, windows, confidence)


def window_interval(
    counts: Counts, spreads: Spreads, windows: int = 1, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of the delivery ratio of a window, or of a window's group.

    Clusters are receivers with all their channels, and channels with all their receivers. The
    variance is the sum of the variances of both cuts minus that of memberships, which are counted
    twice, and at least that of either cut. None if either cut alone has no interval. `windows` and
    `confidence` as in interval_of. Source: docs/evidence/intervals.md.
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
    """cuts   one spread for each cut
    twice  the spread over what two cuts have in common; None with one cut
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
    # If none of K clusters is lost: if the true loss were above `most`, that would be rarer than
    # confidence allows, (1 − most)^K < e^(−K most) = 1 − confidence. At 95 %, `most` is 3/K.
    most = min(1.0, math.ceil(-math.log1p(-confidence)) / effective)
    if missing == 0:
        return Interval(1 - most, 1.0, 1.0)
    if missing == pairs:
        return Interval(0.0, 0.0, most)

    effects = [design_effect(counts, spread, windows) for spread in cuts]
    if twice is not None:
        # Subtract only what is surely counted twice: not more of it for several windows.
        effects.append(sum(effects) - design_effect(counts, twice))
    losing = min(_clusters_that_lose(counts, spread) for spread in cuts) / windows
    degrees = min(clusters - 1, math.floor(effective) - 1, math.floor(losing))
    t = t_quantile((1 + confidence) / 2, max(_MIN_DEGREES_OF_FREEDOM, degrees))
    return wilson((pairs - missing) / pairs, pairs / max(1.0, *effects), t)


def effective_clusters(counts: Counts, spread: Spread) -> float:
    """Kish's (Σ n)² / Σ n²: how many clusters of equal size would say as much; at most all."""
    return counts.corroborated**2 / spread.corroborated_squared


def _clusters_that_lose(counts: Counts, spread: Spread) -> float:
    """(Σ x)² / Σ x², the same for the losses; or for the pairs that were not lost, if that is less.

    If the variance comes from three offline receivers, three numbers are all that is known about
    it, however many other receivers lost nothing.
    """
    held = counts.corroborated - counts.missing
    held_squared = (
        spread.corroborated_squared - 2 * spread.missing_corroborated + spread.missing_squared
    )
    return min(counts.missing**2 / spread.missing_squared, held**2 / held_squared)


def design_effect(counts: Counts, spread: Spread, windows: int = 1) -> float:
    """The variance of the ratio divided by that of as many independent pairs, as measured: it may
    be below 1. `counts` must have missing pairs and delivered pairs.

    K/(K−1) Σ(x − L n)² / N² over L(1 − L)/N with L = X/N. For several windows, the part above 1 is
    multiplied by their number, because clusters are assumed to be the same in all; the rest is
    chance. Source: Rao and Scott, Biometrics 48 (1992), 577–585.
    """
    if spread.clusters < 2 * windows:
        return 0.0
    missing, pairs = counts.missing, counts.corroborated
    # In whole numbers: with floats, large squares that cancel out would leave only noise.
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
    """Wilson's score interval for a ratio of `pairs` independent pairs; `quantile` is his z.

    Source: Wilson, Journal of the American Statistical Association 22 (1927), 209–212.
    """
    weight = quantile * quantile / pairs
    centre = (ratio + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (ratio * (1 - ratio) + weight / 4)) / (1 + weight)
    # It contains the estimate and is within [0, 1], but floats may miss that by their last digit.
    return Interval(max(0.0, min(centre - half, ratio)), ratio, min(1.0, max(centre + half, ratio)))
