"""Counts of one unit, window after window, and what it should lose by earlier days. Pure."""

from collections.abc import Sequence
from itertools import accumulate, chain
from math import inf
from operator import mul, sub
from typing import NamedTuple

from devtelemetry.model import NO_SPREADS, Spread, Spreads

BASE_DAYS = 28
"""The same hours of so many days before a span are the baseline, or of as many as there are"""

_INCIDENT = 3.0  # a window may be an incident if its rate is so many times that of the whole line


class Part(NamedTuple):
    """A unit in one window.

    missing  of `pairs`; for the unit of reports, the unknown pairs
    by_class  missing by LossClass, in its order
    clusters  receivers; authors if the unit is about authors
    """

    missing: int
    pairs: int
    messages: int = 0
    by_class: tuple[int, ...] = ()
    clusters: int = 0
    spreads: Spreads = NO_SPREADS


NOTHING = Part(0, 0)


class Expectation(NamedTuple):
    """What a span would lose if nothing had changed.

    missing, variance  for as many independent pairs
    growth             the factor by which the variance grows because earlier days are a sample too
    """

    missing: float
    variance: float
    growth: float


class Line:
    """`parts` are the windows in order, without a gap, `per_day` of them a day.

    Sums over any span read at most the windows of a day. A window with far more losses than the
    rest is not part of the baseline, because an earlier incident must not hide the next one.
    """

    def __init__(self, parts: Sequence[Part], per_day: int) -> None:
        self.parts = parts
        self.per_day = per_day
        missing = [part.missing for part in parts]
        pairs = [part.pairs for part in parts]
        self._missing = [0, *accumulate(missing)]
        self._pairs = [0, *accumulate(pairs)]
        self._messages = [0, *accumulate(part.messages for part in parts)]
        self._windows = [0, *accumulate(part.pairs > 0 for part in parts)]
        self._spreads: list[list[int]] = []
        self._pairs_by_hour = _strided(pairs, per_day)
        self._baselines: dict[int, _Hours | None] = {}
        self._base(missing, pairs)

    def _base(self, missing: Sequence[int], pairs: Sequence[int]) -> None:
        self.base_missing, self.base_pairs = list(missing), list(pairs)
        for at in _incidents(missing, pairs, self.pairs_of_a_message(0, len(pairs))):
            self.base_missing[at] = self.base_pairs[at] = 0
        self._base_missing = [0, *accumulate(self.base_missing)]
        self._base_pairs = [0, *accumulate(self.base_pairs)]
        self._base_windows = [0, *accumulate(of > 0 for of in self.base_pairs)]
        self._base_missing_by_hour = _strided(self.base_missing, self.per_day)
        self._base_pairs_by_hour = _strided(self.base_pairs, self.per_day)

    def missing(self, start: int, end: int) -> int:
        return self._missing[end] - self._missing[start]

    def pairs(self, start: int, end: int) -> int:
        return self._pairs[end] - self._pairs[start]

    def windows(self, start: int, end: int) -> int:
        """How many windows have pairs."""
        return self._windows[end] - self._windows[start]

    def spreads(self, start: int, end: int) -> Spreads:
        if not self._spreads:  # most lines never need them
            columns = zip(*(chain(*part.spreads) for part in self.parts), strict=True)
            self._spreads = [[0, *accumulate(column)] for column in columns]
        sums = [column[end] - column[start] for column in self._spreads]
        return Spreads(Spread(*sums[:4]), Spread(*sums[4:8]), Spread(*sums[8:]))

    def pairs_of_a_message(self, start: int, end: int) -> float:
        """How many pairs are lost at once if everyone loses a message."""
        messages = self._messages[end] - self._messages[start]
        return max(1.0, self.pairs(start, end) / messages) if messages else 1.0

    def earliest(self, before: int) -> int:
        """The start of the baseline for a span that starts at `before`."""
        return max(0, before - BASE_DAYS * self.per_day)

    def base_windows(self, before: int) -> int:
        """How many windows of the baseline have pairs."""
        return self._base_windows[before] - self._base_windows[self.earliest(before)]

    def rate(self, before: int) -> float | None:
        """The share of its pairs that the baseline loses; None: it has no pairs."""
        earliest = self.earliest(before)
        pairs = self._base_pairs[before] - self._base_pairs[earliest]
        if not pairs:
            return None
        # Half a loss is added, because a unit that lost nothing so far may still lose something.
        return (self._base_missing[before] - self._base_missing[earliest] + 0.5) / (pairs + 1)

    def expectation(
        self, start: int, end: int, before: int, base: "Line | None" = None
    ) -> Expectation | None:
        """What the pairs in [start, end) should lose, by the same hours of the days before
        `before`. None if there is no baseline.

        base  the line whose hours are the baseline, if not this one
        """
        hours = (base or self)._hours(before)
        if hours is None:
            return None
        per_day = self.per_day
        whole = start + (end - start) // per_day * per_day
        sums = self._pairs_by_hour
        pairs = list(map(sub, sums[whole : whole + per_day], sums[start : start + per_day]))
        for at in range(end - whole):
            pairs[at] += self.parts[whole + at].pairs
        first = start % per_day
        shares = hours.shares[first:] + hours.shares[:first]
        of_base = hours.pairs[first:] + hours.pairs[:first]
        missing = sum(map(mul, pairs, shares))
        used = sum(of_base) if end - start >= per_day else sum(of_base[: end - start])
        return Expectation(
            missing,
            missing - sum(map(mul, map(mul, pairs, shares), shares)),
            1 + sum(pairs) / used if used else inf,
        )

    def least_share(self, before: int) -> float | None:
        """The share that is expected to be lost in the best hour; None: there is no baseline."""
        hours = self._hours(before)
        return None if hours is None else hours.least

    def _hours(self, before: int) -> "_Hours | None":
        """The baseline of spans that start at `before`; it is kept."""
        if before not in self._baselines:
            self._baselines[before] = self._read_hours(before)
        return self._baselines[before]

    def _read_hours(self, before: int) -> "_Hours | None":
        rate = self.rate(before)
        if rate is None:
            return None
        earliest, per_day = self.earliest(before), self.per_day
        lost = _by_hour(self._base_missing_by_hour, earliest, before, per_day)
        pairs = _by_hour(self._base_pairs_by_hour, earliest, before, per_day)
        # An hour with few pairs says little. So each hour is drawn towards the rate of all hours,
        # with the weight of an average window.
        lean = (self._base_pairs[before] - self._base_pairs[earliest]) / (before - earliest)
        leaned = lean * rate
        shares = [(x + leaned) / (n + lean) for x, n in zip(lost, pairs, strict=True)]
        return _Hours(shares, pairs, min(shares))


class _Hours(NamedTuple):
    """For each hour of the day: the share that is lost, and how many pairs it is known from.

    least  the least of the shares
    """

    shares: list[float]
    pairs: list[int]
    least: float


def _strided(values: Sequence[int], per_day: int) -> list[int]:
    """Running sums over the windows of the same hour, each included, after `per_day` zeros."""
    sums = [0] * per_day
    for at, value in enumerate(values):
        sums.append(sums[at] + value)
    return sums


def _by_hour(sums: Sequence[int], earliest: int, before: int, per_day: int) -> list[int]:
    """Sums over the windows in [earliest, before), by hour of the day.

    sums  from `_strided`
    """
    turn = (before - earliest) % per_day
    ends = sums[before : before + per_day]
    begins = [*sums[earliest + turn : earliest + per_day], *sums[earliest : earliest + turn]]
    found = list(map(sub, ends, begins))  # begins with the hour of `before`
    first = -before % per_day
    return found[first:] + found[:first]


def _incidents(missing: Sequence[int], pairs: Sequence[int], clump: float) -> list[int]:
    """Windows that do not count for the baseline, because they are far outside the spread of the
    other windows; at most the worst hundredth."""
    total, of = sum(missing), sum(pairs)
    if not total:
        return []
    rate = total / of
    suspects = sorted(
        (at for at, lost in enumerate(missing) if lost > 3 * clump + _INCIDENT * rate * pairs[at]),
        key=lambda at: missing[at] - rate * pairs[at],
    )[-max(1, len(missing) // 100) :]
    found: list[int] = []
    left_out = set(suspects)
    for at in suspects:
        # Compared with all windows except the suspects; a suspect that is cleared joins them.
        others = [one for one in range(len(missing)) if one not in left_out and pairs[one]]
        if len(others) < 24:
            return found
        share = (sum(missing[one] for one in others) + 0.5) / (
            sum(pairs[one] for one in others) + 1
        )
        spread = sum((missing[one] - share * pairs[one]) ** 2 / pairs[one] for one in others)
        scale = (spread + clump * clump) / len(others)
        if (missing[at] - share * pairs[at]) ** 2 > 64 * pairs[at] * scale:
            found.append(at)
        else:
            left_out.discard(at)
    return found
