"""Whether one delivery ratio is better than another. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum

from devtelemetry.estimate.interval import Interval


class Word(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing a with b.

    difference  ratio of a − ratio of b, with its 95 % interval
    """

    word: Word
    difference: Interval


def compare(a: Interval | None, b: Interval | None) -> Verdict | None:
    """Compares two groups of one window or span by the intervals of their delivery ratios.

    The word is better or worse only if the interval of the difference does not contain 0. None if
    one of the two has no interval.

    The interval of the difference is computed from the two intervals (Newcombe's hybrid score
    interval; Zou and Donner's MOVER). So it takes clusters into account as they do, also where
    nothing was lost. It assumes that the two are independent. Groups that share channels or
    receivers usually lose alike; then the interval is wider than needed, and more comparisons
    "cannot tell".

    It does not correct for the number of comparisons: of twenty pairs of groups without any
    difference, one may well read better or worse. Nor does it say why: a platform may read worse
    because its users are in worse channels. Source: docs/evidence/intervals.md.
    """
    if a is None or b is None:
        return None
    difference = a.estimate - b.estimate
    lower = difference - math.hypot(a.estimate - a.lower, b.upper - b.estimate)
    upper = difference + math.hypot(a.upper - a.estimate, b.estimate - b.lower)
    word = Word.CANNOT_TELL
    if lower > 0:
        word = Word.BETTER
    elif upper < 0:
        word = Word.WORSE
    return Verdict(word, Interval(max(-1.0, lower), difference, min(1.0, upper)))
