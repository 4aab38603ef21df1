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
    """What can be said of a beside b.

    difference  ratio of a − ratio of b, with its 95 % interval
    """

    word: Word
    difference: Interval


def compare(a: Interval | None, b: Interval | None) -> Verdict | None:
    """a beside b: two groups of one window or span, by the intervals of their delivery ratios.

    Better or worse only if the interval of the difference leaves 0 out. None where one of them has
    no interval.

    The interval of the difference is made of the two intervals (Newcombe's hybrid score interval;
    Zou and Donner's MOVER), so it takes over what they do about clusters, and where nothing was
    lost. It takes the two for independent. Groups that share channels or receivers mostly fare
    alike: then it is wider than need be, and rather cannot tell.

    It does not correct for how many pairs of groups are looked at: of twenty pairs without any
    difference one may well read better or worse. Nor does it say why: a platform may read worse
    because those who have it are in worse channels. Source: docs/evidence/intervals.md.
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
