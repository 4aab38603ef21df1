"""Quantiles and tails of Student's t distribution. Pure."""

import math
from functools import lru_cache
from statistics import NormalDist

_SERIES_UP_TO = 200  # above it the expansion is exact to ten digits, and costs nothing
_HALVINGS = 60  # of a right angle: a float is not more precise


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """The t below which a variable is with this probability; for up to 0.9995 exact to 1e-9.

    probability         in (0.5, 1)
    degrees_of_freedom  ≥ 1, whole

    Raises ValueError for any other. Source: Abramowitz and Stegun, Handbook of Mathematical
    Functions, 26.7.3 to 26.7.5.
    """
    if not 0.5 < probability < 1:
        raise ValueError(f"probability is {probability}; it must lie between 0.5 and 1")
    if degrees_of_freedom < 1:
        raise ValueError(f"degrees_of_freedom is {degrees_of_freedom}; it must be at least 1")
    if degrees_of_freedom > _SERIES_UP_TO:
        return _expansion(NormalDist().inv_cdf(probability), degrees_of_freedom)
    within = 2 * probability - 1
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        angle = (low + high) / 2
        if _probability_within(angle, degrees_of_freedom) < within:
            low = angle
        else:
            high = angle
    return math.sqrt(degrees_of_freedom) * math.tan((low + high) / 2)


def t_tail(t: float, degrees_of_freedom: int) -> float:
    """The probability that a variable is above `t`, for t ≥ 0, exact to 1e-14.

    degrees_of_freedom  ≥ 1, whole; above 200 it is taken as 200, which gives a little more

    Raises ValueError for any other.
    """
    if t < 0:
        raise ValueError(f"t is {t}; it must not be negative")
    if degrees_of_freedom < 1:
        raise ValueError(f"degrees_of_freedom is {degrees_of_freedom}; it must be at least 1")
    degrees = min(degrees_of_freedom, _SERIES_UP_TO)
    return max(0.0, (1 - _probability_within(math.atan(t / math.sqrt(degrees)), degrees)) / 2)


def _probability_within(angle: float, degrees_of_freedom: int) -> float:
    """The probability of |t| ≤ √df tan(angle). 26.7.3 if degrees are odd, 26.7.4 if even."""
    cosine = math.cos(angle)
    odd = degrees_of_freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 if odd else 0, degrees_of_freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine * cosine
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def _expansion(z: float, degrees_of_freedom: int) -> float:
    """26.7.5, from the quantile of the normal distribution."""
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / degrees_of_freedom ** float(power) for power, term in enumerate(terms))
