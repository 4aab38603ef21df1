"""The widest causes of losses, and what they do not explain. Pure.

One fault shows in many units: a bad version raises the losses of every platform and channel that
has it. The cause is the unit where a rate of its own gains most likelihood. It is the whole, unless
the rise in a unit is at least three times the rise in everything else. The extra losses that a
cause explains are subtracted from all other units. If the rest still cannot be chance, it is the
next cause.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from devtelemetry.estimate.interval import Interval, interval_of
from devtelemetry.estimate.student import t_quantile
from devtelemetry.estimate.verdict import Word, compare
from devtelemetry.figures.derive import Totals
from devtelemetry.model import Counts, LossClass
from devtelemetry.problems.judge import (
    ALARMS,
    LEAST_RISE,
    MANY_DEGREES,
    MIN_BASE_DAYS,
    Evidence,
    Onset,
    comparisons,
    deviance,
    judge,
    lengths,
    onset,
)
from devtelemetry.problems.line import Line

BY_FAR = 3.0
"""A unit's rise must be so many times the rise elsewhere, because groups are never spread quite
evenly over one another"""

MOST_CAUSES = 10
_SAME = 0.85  # with so much of a cause's extra losses, a group of the other dimension is part of it
_MOST_OF_ALL = 0.7  # a group with so much of all pairs has as much of anything, so it is not tested
_MOSTLY = 0.6  # a class is named if it has so much of the extra losses


class Kind(StrEnum):
    """What can have a problem, the most general first."""

    EVERYTHING = "everything"
    APP_VERSION = "app_version"
    PLATFORM = "platform"
    PLATFORM_VERSION = "platform_and_app_version"
    AUTHOR_APP_VERSION = "author_app_version"
    AUTHOR_PLATFORM = "author_platform"
    AUTHOR_PLATFORM_VERSION = "author_platform_and_app_version"
    PATH = "path"
    MESSAGE_TYPE = "message_type"
    CHANNEL = "channel"
    LOSS_CLASS = "loss_class"
    REPORTS = "reports"


class Unit(NamedTuple):
    """value: a value of the dimension, a channel's id or a LossClass; "": the kind has one unit.

    other  for a kind of two dimensions the app version; `value` is then the platform
    """

    kind: Kind
    value: str = ""
    other: str = ""


EVERYTHING = Unit(Kind.EVERYTHING)
REPORTS = Unit(Kind.REPORTS)

CLASSES: Sequence[LossClass] = tuple(LossClass)
"""The order of Part.by_class"""

_TWO = {
    Kind.APP_VERSION: (Kind.PLATFORM, Kind.PLATFORM_VERSION),
    Kind.PLATFORM: (Kind.APP_VERSION, Kind.PLATFORM_VERSION),
    Kind.AUTHOR_APP_VERSION: (Kind.AUTHOR_PLATFORM, Kind.AUTHOR_PLATFORM_VERSION),
    Kind.AUTHOR_PLATFORM: (Kind.AUTHOR_APP_VERSION, Kind.AUTHOR_PLATFORM_VERSION),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """unit     where messages are lost
    evidence  over [onset.start, end): `missing` of `pairs`, and what was expected
    chance    at most the chance that anything like it is found in four weeks without a cause
    is_new    the unit has no earlier days and is compared with everything
    of        the class that most extra losses are of; None: several, or not known
    clusters  receivers, or authors, in the window that has most of them
    """

    unit: Unit
    evidence: Evidence
    onset: Onset
    chance: float
    is_new: bool = False
    of: LossClass | None = None
    clusters: int = 0

    @property
    def excess(self) -> float:
        return self.evidence.missing - self.evidence.expected


def find_causes(lines: Mapping[Unit, Line], end: int, units: int | None = None) -> list[Cause]:
    """The causes of losses beyond chance in the windows up to `end`, the most general first.

    lines  all of the same windows; EVERYTHING must be one of them
    units  how many units were looked at in all; None: as many as there are lines
    """
    whole = lines[EVERYTHING]
    if not whole.pairs(0, end):
        return []
    found = _Found(lines, end, comparisons(units or len(lines), whole.per_day))
    return sorted(
        [*found.of_pairs(), *found.of_classes(), *found.of_reports()],
        key=lambda cause: (list(Kind).index(cause.unit.kind), -cause.excess),
    )


class _Found:
    def __init__(self, lines: Mapping[Unit, Line], end: int, made: int) -> None:
        self._lines = lines
        self._end = end
        self._made = made
        self._whole = lines[EVERYTHING]
        self._causes: list[Cause] = []
        self._line = dict(lines)  # a unit of two dimensions has the line of the wider unit

    def of_pairs(self) -> list[Cause]:
        apart = {Kind.LOSS_CLASS, Kind.REPORTS}
        lines = {unit: line for unit, line in self._lines.items() if unit.kind not in apart}
        seen = {
            unit: found for unit, line in lines.items() if (found := self._evidence(unit, line))
        }
        while len(self._causes) < MOST_CAUSES:
            left = {
                unit: likeliest
                for unit, found in seen.items()
                if unit not in {cause.unit for cause in self._causes}
                and (likeliest := self._unexplained(unit, found))
            }
            cause = self._widest(left)
            if cause is None:
                break
            self._causes.append(cause)
        return self._causes

    def of_classes(self) -> list[Cause]:
        """Classes of losses that rose by more than the causes explain."""
        found = []
        for unit, line in self._lines.items():
            if unit.kind is not Kind.LOSS_CLASS:
                continue
            of = CLASSES.index(LossClass(unit.value))
            left = [
                rest
                for one in self._evidence(unit, line)
                if (
                    rest := one.less(
                        sum(self._class_excess(it, of, one.start) for it in self._causes)
                    )
                )
                and rest.chance * self._made <= ALARMS
            ]
            if left:
                found.append(self._cause(unit, line, min(left, key=lambda one: one.chance)))
        return found

    def _class_excess(self, cause: Cause, of: int, start: int) -> float:
        start = max(start, cause.onset.start)
        line = self._line[cause.unit]
        now, earlier = self._of_class(line, start, of)
        return max(0.0, now - earlier)

    def _of_class(self, line: Line, start: int, of: int) -> tuple[int, float]:
        """The losses in a class since `start`, and what they would be at the rate of before."""
        base = self._whole if self._is_new(line, start) else line
        before = [part for part in base.parts[base.earliest(start) : start] if part.by_class]
        pairs = sum(part.pairs for part in before)
        now = sum(part.by_class[of] for part in line.parts[start : self._end] if part.by_class)
        rate = sum(part.by_class[of] for part in before) / pairs if pairs else 0.0
        return now, rate * line.pairs(start, self._end)

    def of_reports(self) -> list[Cause]:
        line = self._lines.get(REPORTS)
        if line is None:
            return []
        seen = self._evidence(REPORTS, line)
        return [self._cause(REPORTS, line, min(seen, key=lambda one: one.chance))] if seen else []

    # ---------------------------------------------------------------------------- one unit

    def _evidence(self, unit: Unit, line: Line) -> list[Evidence]:
        """The evidence of all lengths that cannot be chance, unless the rise is over."""
        most = ALARMS / self._made
        found = [
            one
            for length in lengths(line.per_day)
            if (one := judge(line, self._end, length, most)) is not None
        ]
        if not found:
            new = self._of_new(unit, line)
            return [new] if new else []
        over = onset(line, max(found, key=lambda one: one.end - one.start)).end
        if over < self._end:
            found = [one for one in found if one.start >= over]
        return found

    def _of_new(self, unit: Unit, line: Line) -> Evidence | None:
        """Compares a group without earlier days with the whole, in the same windows."""
        start = next((at for at, part in enumerate(line.parts) if part.pairs), self._end)
        start = max(start, self._end - lengths(line.per_day)[-1])
        if unit == EVERYTHING or unit.kind is Kind.CHANNEL or start >= self._end:
            return None
        if (
            line.base_windows(start)
            or self._whole.base_windows(start) < MIN_BASE_DAYS * line.per_day
        ):
            return None
        confidence = 1 - 2 * ALARMS / self._made
        verdict = compare(
            _interval(line, start, self._end, confidence),
            _interval(self._whole, start, self._end, confidence),
        )
        expected = self._whole_expectation(line, start)
        missing, pairs = line.missing(start, self._end), line.pairs(start, self._end)
        if (
            verdict is None
            or verdict.word is not Word.WORSE
            or expected is None
            or missing - expected < LEAST_RISE * pairs
        ):
            return None
        # The scale makes this deviance as sure as the verdict, so that `less` can subtract from it.
        sure = t_quantile(1 - 0.99 * ALARMS / self._made, MANY_DEGREES)
        scale = max(1.0, deviance(missing, pairs, expected) / (sure * sure))
        chance = ALARMS / self._made
        return Evidence(start, self._end, missing, pairs, expected, scale, MANY_DEGREES, chance)

    def _whole_expectation(self, line: Line, start: int) -> float | None:
        expected = line.expectation(start, self._end, start, self._whole)
        return None if expected is None else expected.missing

    def _is_new(self, line: Line, start: int) -> bool:
        return line.base_windows(start) < MIN_BASE_DAYS * line.per_day

    # --------------------------------------------------------------- compared with other units

    def _over(self, unit: Unit, start: int) -> Evidence | None:
        """What the unit lost since `start`, and what it should have lost by the days before."""
        line = self._line[unit]
        base = self._whole if self._is_new(line, start) else line
        expected = line.expectation(start, self._end, start, base)
        pairs = line.pairs(start, self._end)
        if expected is None or not pairs:
            return None
        missing = line.missing(start, self._end)
        return Evidence(start, self._end, missing, pairs, expected.missing, 1.0, MANY_DEGREES, 0.0)

    def _excess(self, unit: Unit, start: int) -> float:
        found = self._over(unit, start)
        return 0.0 if found is None else found.missing - found.expected

    def _unexplained(self, unit: Unit, found: Iterable[Evidence]) -> Evidence | None:
        """The surest evidence that remains after the causes found so far are subtracted."""
        left = [
            rest
            for one in found
            if (rest := one.less(self._explained(unit, one.start))).chance * self._made <= ALARMS
            and rest.rise >= LEAST_RISE
        ]
        return min(left, key=lambda one: (one.chance, one.start), default=None)

    def _explained(self, unit: Unit, start: int) -> float:
        """The extra losses of the unit since `start` that the causes explain, at most."""
        line = self._lines[unit]
        explained = 0.0
        for cause in self._causes:
            since = max(start, cause.onset.start)
            share = line.pairs(since, self._end) / max(1, self._whole.pairs(since, self._end))
            explained += _overlap(unit, cause.unit, share) * max(
                0.0, self._excess(cause.unit, since)
            )
        return explained

    def _widest(self, left: Mapping[Unit, Evidence]) -> Cause | None:
        if not left:
            return None
        lead = min(left, key=lambda unit: (left[unit].chance, -left[unit].missing))
        since = self._onset(lead, left[lead]).start
        gains = {}
        for unit in left:
            over = self._over(unit, since)
            if over is None:
                continue
            over = over.less(self._explained(unit, since))
            if unit == EVERYTHING or self._is_apart(over, since):
                gains[unit] = deviance(over.missing, over.pairs, over.expected)
        if not gains:
            return None
        unit = max(gains, key=lambda one: gains[one])
        cause = self._cause(unit, self._lines[unit], left[unit])
        return self._narrowed(cause)

    def _is_apart(self, over: Evidence, since: int) -> bool:
        """Whether the unit's rise is at least BY_FAR times the rise in everything else."""
        whole = self._over(EVERYTHING, since)
        if whole is None or whole.pairs <= over.pairs:
            return False
        whole = whole.less(self._explained(EVERYTHING, since))
        others = (whole.missing - whole.expected) - (over.missing - over.expected)
        return over.rise >= BY_FAR * others / (whole.pairs - over.pairs)

    def _narrowed(self, cause: Cause) -> Cause:
        """The cause as a version on one platform, if nearly all its extra losses are there."""
        if cause.unit.kind not in _TWO:
            return cause
        other_kind, both = _TWO[cause.unit.kind]
        since = cause.onset.start
        for unit in self._lines:
            if unit.kind is not other_kind:
                continue
            share = self._lines[unit].pairs(since, self._end) / self._whole.pairs(since, self._end)
            if share < _MOST_OF_ALL and self._excess(unit, since) >= _SAME * cause.excess:
                platform, version = cause.unit.value, unit.value
                if other_kind in {Kind.PLATFORM, Kind.AUTHOR_PLATFORM}:
                    platform, version = version, platform
                narrower = Unit(both, platform, version)
                self._line[narrower] = self._line[cause.unit]
                return replace(cause, unit=narrower)
        return cause

    def _onset(self, unit: Unit, evidence: Evidence) -> Onset:
        line = self._lines[unit]
        return onset(line, evidence, self._whole if self._is_new(line, evidence.start) else None)

    def _cause(self, unit: Unit, line: Line, evidence: Evidence) -> Cause:
        began = self._onset(unit, evidence)
        over = self._over(unit, began.start) or evidence
        parts = line.parts[began.start : self._end]
        return Cause(
            unit,
            over,
            began,
            min(ALARMS, evidence.chance * self._made),
            self._is_new(line, began.start),
            self._mostly(line, began.start, over),
            max(part.clusters for part in parts),
        )

    def _mostly(self, line: Line, start: int, over: Evidence) -> LossClass | None:
        """The class that most extra losses are of."""
        excess = over.missing - over.expected
        for place, of in enumerate(CLASSES):
            now, earlier = self._of_class(line, start, place)
            if now - earlier >= _MOSTLY * excess > 0:
                return of
        return None


def _overlap(unit: Unit, cause: Unit, share: float) -> float:
    """The share of a cause's extra losses that may be in a unit with this share of all pairs."""
    if unit == EVERYTHING:
        return 1.0
    mine = {unit.kind: unit.value}
    its = _groups(cause)
    common = mine.keys() & its.keys()
    if common:
        return 1.0 if mine[unit.kind] == its[unit.kind] else 0.0
    return min(1.0, BY_FAR * share)


def _groups(unit: Unit) -> dict[Kind, str]:
    if unit.kind is Kind.PLATFORM_VERSION:
        return {Kind.PLATFORM: unit.value, Kind.APP_VERSION: unit.other}
    if unit.kind is Kind.AUTHOR_PLATFORM_VERSION:
        return {Kind.AUTHOR_PLATFORM: unit.value, Kind.AUTHOR_APP_VERSION: unit.other}
    return {unit.kind: unit.value}


def _interval(line: Line, start: int, end: int, confidence: float) -> Interval | None:
    """The interval over several windows, as if the receivers that lose were the same in each."""
    spreads = line.spreads(start, end)
    missing, pairs = line.missing(start, end), line.pairs(start, end)
    counts = Counts(0, 0, pairs, missing, pairs)
    totals = Totals(counts, spreads, windows=max(1, line.windows(start, end)))
    return totals.interval_at(confidence) or interval_of(
        counts, spreads.over_receivers, totals.windows, confidence
    )
