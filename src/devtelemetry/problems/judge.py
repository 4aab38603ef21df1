"""Whether a unit loses more in a span than in the same hours of earlier days, and since when. Pure.

Each look compares spans of several lengths that end with the latest window. A comparison counts
only if its chance, times the number of all comparisons in four weeks, is at most 5 % (Bonferroni).
So neither many looks nor many units make false alarms. docs/problems.md has the formula.
"""

import math
from functools import cache
from typing import NamedTuple

from devtelemetry.estimate.interval import MIN_CLUSTERS, design_effect, effective_clusters
from devtelemetry.estimate.student import t_quantile, t_tail
from devtelemetry.model import Counts, Spread, Spreads
from devtelemetry.problems.line import BASE_DAYS, Line

ALARMS = 0.05
"""At most this share of worlds without a fault shows any problem in four weeks of looks"""

LEAST_RISE = 0.002
"""A rise by a smaller share of the pairs is no problem for anyone, however sure it is"""

MIN_BASE_DAYS = 3
MANY_DEGREES = 200
_LIKELY = 4.0  # twice the difference of log likelihoods beyond which a beginning is not likely
_ENDED = 8.0  # likewise: beyond it, the rise is over


@cache
def lengths(per_day: int) -> tuple[int, ...]:
    """Lengths of the compared spans in windows: powers of two below a day, then 1, 2, 4, 7 days."""
    within = [2**power for power in range(20) if 2**power < per_day]
    return (*within, *(per_day * days for days in (1, 2, 4, 7)))


def comparisons(units: int, per_day: int) -> int:
    """How many comparisons are made in four weeks, with a look at each window."""
    return BASE_DAYS * per_day * len(lengths(per_day)) * units


class Evidence(NamedTuple):
    """Evidence that a unit lost more in [start, end) than expected.

    scale    the variance, as a multiple of that of independent pairs
    degrees  degrees of freedom of the variance's estimate
    chance   that as much or more is lost without a cause, in this one comparison
    """

    start: int
    end: int
    missing: int
    pairs: int
    expected: float
    scale: float
    degrees: int
    chance: float

    @property
    def rise(self) -> float:
        return (self.missing - self.expected) / self.pairs

    def less(self, explained: float) -> "Evidence":
        """The evidence that remains if so many of the missing pairs have another cause."""
        expected = min(self.expected + max(0.0, explained), self.pairs)
        return self._replace(
            expected=expected,
            chance=_chance(self.missing, self.pairs, expected, self.scale, self.degrees),
        )


def deviance(missing: int, pairs: int, expected: float) -> float:
    """Twice the log likelihood that is gained if the unit has a rate of its own in the span.

    0 if it lost no more than expected.
    """
    if missing <= expected:
        return 0.0
    held, expected_held = pairs - missing, pairs - expected
    kept = held * math.log(held / expected_held) if held else 0.0
    return 2 * (missing * math.log(missing / expected) + kept)


def judge(line: Line, end: int, length: int, most: float) -> Evidence | None:
    """Compares the `length` windows before `end` with the same hours of earlier days. None if the
    chance is greater than `most`, or if there is too little to tell."""
    start = end - length
    if start <= 0 or (least := line.least_share(start)) is None:
        return None
    missing, pairs = line.missing(start, end), line.pairs(start, end)
    together = line.pairs_of_a_message(start, end)
    # Nearly all spans are far from evidence. This cheap test finds them: even if all hours were
    # expected to lose as little as the best hour, the deviance would be too small.
    if not pairs or deviance(missing, pairs, least * pairs) < _least_deviance(most) * together:
        return None
    expected = line.expectation(start, end, start)
    if expected is None or missing - expected.missing < LEAST_RISE * pairs:
        return None
    # Losses of one message belong together, too. How much is not stored, so this assumes the most:
    # each message that is lost is lost by everyone. One such message is not a problem of a channel.
    scale = together * expected.growth
    found = Evidence(start, end, missing, pairs, expected.missing, scale, MANY_DEGREES, 0.0).less(
        0.0
    )
    # Each step can only raise the chance. The more costly step comes last.
    for spread in (_over_clusters, _over_time):
        if found.chance > most or line.base_windows(start) < MIN_BASE_DAYS * line.per_day:
            return None
        known = spread(line, start, end)
        if known is None:
            return None
        found = found._replace(
            scale=max(found.scale, known[0] * expected.growth),
            degrees=min(found.degrees, known[1]),
        ).less(0.0)
    return found if found.chance <= most else None


def _least_deviance(most: float) -> float:
    """The least deviance of independent pairs with such a chance; a little less, because quantiles
    are rounded."""
    return t_quantile(1 - most, MANY_DEGREES) ** 2 * (1 - 1e-6) if most < 0.5 else 0.0


def _chance(missing: int, pairs: int, expected: float, scale: float, degrees: int) -> float:
    """The chance of such a deviance. Its signed root is nearly normal even if few losses are
    expected."""
    return t_tail(math.sqrt(deviance(missing, pairs, expected) / scale), degrees)


def _over_clusters(line: Line, start: int, end: int) -> tuple[float, int] | None:
    """The scale of the variance because losses of one receiver belong together, and its degrees of
    freedom. None: too few receivers lose messages to tell."""
    spreads, windows = line.spreads(start, end), line.windows(start, end)
    receivers = spreads.over_receivers
    if receivers.clusters // windows < MIN_CLUSTERS:
        return None
    missing, pairs = line.missing(start, end), line.pairs(start, end)
    counts = Counts(0, 0, pairs, missing, pairs)
    effective = effective_clusters(counts, receivers) / windows
    # The effective number of receivers that lose messages. One receiver that is offline for long is
    # not a fault of the unit.
    losing = missing**2 / receivers.missing_squared / windows
    degrees = math.floor(min(receivers.clusters // windows - 1, effective - 1, losing))
    if degrees < 2:
        return None
    return (_design(counts, spreads) if 0 < missing < pairs else 1.0), degrees


def _design(counts: Counts, spreads: Spreads) -> float:
    effects = [design_effect(counts, spreads.over_receivers)]
    if _tells(spreads.over_channels):
        effects.append(design_effect(counts, spreads.over_channels))
        effects.append(sum(effects) - design_effect(counts, spreads.over_memberships))
    return max(effects)


def _tells(spread: Spread) -> bool:
    return spread.clusters >= MIN_CLUSTERS


def _over_time(line: Line, start: int, end: int) -> tuple[float, int] | None:
    """The same, from how spans of that length varied in the baseline. None: too few spans."""
    earliest, length = line.earliest(start), end - start
    spread = 0.0
    spans = 0
    end = start
    while end - length >= earliest:
        pairs = sum(line.base_pairs[end - length : end])
        expected = line.expectation(end - length, end, start) if pairs else None
        whole = line.pairs(end - length, end)
        if expected is not None and expected.variance > 0 and 2 * pairs >= whole:
            # Only windows that are not incidents count.
            lost = sum(line.base_missing[end - length : end]) - expected.missing * pairs / whole
            variance = expected.variance * pairs / whole
            spread += lost * lost / variance
            spans += 1
        end -= length
    days = (start - earliest) / line.per_day
    degrees = min(spans - 1, math.floor(spans * (1 - 1 / days)))
    if degrees < 2:
        return None
    return spread / degrees, degrees


class Onset(NamedTuple):
    """Where a rise begins and ends, as places of windows in the line.

    start, end        where it most likely begins and ends; the window `end` is not in it
    earliest, latest  it begins in one of these or between them with a probability of 95 %
    """

    start: int
    end: int
    earliest: int
    latest: int


def onset(line: Line, evidence: Evidence, base: Line | None = None) -> Onset:
    """Where the rise around `evidence` begins, and whether it is over.

    base  the line whose earlier days are the baseline, if not this one
    """
    end = evidence.end
    least = (base or line).per_day * MIN_BASE_DAYS
    before = max(min(evidence.start, least), end - 2 * (end - evidence.start))
    scale = evidence.scale
    lost = [
        expected.missing if (expected := line.expectation(at, at + 1, before, base)) else 0.0
        for at in range(before, end)
    ]
    gains = {}
    expected_missing = 0.0
    for at in range(end - 1, before - 1, -1):
        expected_missing += lost[at - before]
        gains[at] = deviance(
            line.missing(at, end), line.pairs(at, end), max(expected_missing, 1e-9)
        )
    start = max(gains, key=lambda at: gains[at])
    likely = [
        at
        for at, gain in gains.items()
        if gain >= gains[start] - _LIKELY * scale and line.pairs(at, at + 1)
    ]
    expected_missing, until, most = 0.0, end, gains[start]
    for at in range(start, end):
        expected_missing += lost[at - before]
        gain = deviance(
            line.missing(start, at + 1), line.pairs(start, at + 1), max(expected_missing, 1e-9)
        )
        if gain > most + _ENDED * scale:
            until, most = at + 1, gain
    return Onset(start, until, min(likely), max(likely))
