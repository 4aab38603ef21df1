"""Where messages are lost: on the sender's side, the receiver's side, or the path between. Pure.

A bug in sending shows at every receiver, and a bug in receiving shows for every author. So groups
by author show the first, groups by receiver the second, and groups by both servers the path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from devtelemetry import words
from devtelemetry.estimate.interval import CONFIDENCE, Interval, interval_of
from devtelemetry.estimate.verdict import Verdict, Word, compare
from devtelemetry.figures.derive import Totals, groups_of
from devtelemetry.model import PATH_ARROW, Dimension, WindowReliability
from devtelemetry.results.sums import sum_of_channels


class Side(StrEnum):
    SENDER = "sender's side"
    RECEIVER = "receiver's side"
    PATH = "path"


DIMENSIONS_OF_SIDES = {
    Dimension.AUTHOR_APP_VERSION: Side.SENDER,
    Dimension.AUTHOR_PLATFORM: Side.SENDER,
    Dimension.APP_VERSION: Side.RECEIVER,
    Dimension.PLATFORM: Side.RECEIVER,
    Dimension.PATH: Side.PATH,
}

# Authors of one version seldom write to all receiver versions evenly, and the reverse. So a bug of
# five points on one side makes a difference of some tenths on the other. A side is named only if
# its difference is this many times that of the next side.
_BY_FAR = 3.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A group that loses more than the other groups of its dimension, by more than chance explains.

    ratio, others  the delivery ratios of the group and of the other groups together
    verdict        on the group beside the other groups; the confidence of its interval allows for
                   the number of comparisons
    """

    side: Side
    dimension: Dimension
    value: str
    ratio: float
    others: float
    verdict: Verdict


def suspects(windows: Sequence[WindowReliability]) -> list[Suspect]:
    """For each side the group that is worse by most, if any is; the greatest difference first.

    windows  with their groups by DIMENSIONS_OF_SIDES

    Without any fault there is a suspect with a probability of at most 5 %, however many groups are
    compared: each of k comparisons is made at confidence 1 − 0.05/k (Bonferroni).
    """
    compared = [
        (dimension, value, group, others)
        for dimension in DIMENSIONS_OF_SIDES
        for value, group, others in _beside_the_others(windows, dimension)
        if _interval(group, CONFIDENCE) is not None and _interval(others, CONFIDENCE) is not None
    ]
    if not compared:
        return []
    confidence = 1 - (1 - CONFIDENCE) / len(compared)
    worst: dict[Side, Suspect] = {}
    for dimension, value, group, others in compared:
        verdict = compare(_interval(group, confidence), _interval(others, confidence))
        ratio, ratio_of_others = group.counts.delivery_ratio, others.counts.delivery_ratio
        if verdict is None or verdict.word is not Word.WORSE:
            continue
        # Both have intervals, so they have ratios.
        assert ratio is not None
        assert ratio_of_others is not None
        side = DIMENSIONS_OF_SIDES[dimension]
        found = Suspect(side, dimension, value, ratio, ratio_of_others, verdict)
        if side not in worst or _difference(found) > _difference(worst[side]):
            worst[side] = found
    return sorted(worst.values(), key=_difference, reverse=True)


def named(found: Sequence[Suspect]) -> Suspect | None:
    """The suspect that shows the side; None if there is none, or if it may be more than one."""
    if not found or (len(found) > 1 and _difference(found[0]) < _BY_FAR * _difference(found[1])):
        return None
    return found[0]


def sentence(found: Sequence[Suspect]) -> str:
    """What `suspects` found, as a sentence for a person; empty if it found nothing."""
    if not found:
        return ""
    suspect = named(found)
    said = [
        words.side(one.side, one.dimension, one.value, one.ratio, one.others)
        for one in (found if suspect is None else [suspect])
    ]
    if suspect is not None:
        return f"Messages are lost on the {said[0]}."
    listed = " ".join(f"{one[:1].upper()}{one[1:]}." for one in said)
    return f"It cannot be told on which side messages are lost. It may be any of these: {listed}"


def _interval(totals: Totals, confidence: float) -> Interval | None:
    """The interval of the delivery ratio, even if there are few channels.

    With too few channels it cannot be known how channels differ. But groups are compared over the
    same channels, so that matters less: then only receivers, or authors, are the clusters.
    """
    return totals.interval_at(confidence) or interval_of(
        totals.counts, totals.spreads.over_receivers, totals.windows, confidence
    )


def _difference(suspect: Suspect) -> float:
    return -suspect.verdict.difference.estimate


def _beside_the_others(
    windows: Iterable[WindowReliability], dimension: Dimension
) -> list[tuple[str, Totals, Totals]]:
    """Each reported value, its group, and the sum of the other groups.

    A path is compared only with other paths to the same server: some receivers are offline for long
    and lose messages by every path.
    """
    groups = groups_of(windows, dimension)
    found = []
    for value, group in groups.items():
        others = [
            one
            for other, one in groups.items()
            if other != value
            and (dimension is not Dimension.PATH or _target(other) == _target(value))
        ]
        if value and others:
            found.append((value, group, reduce(_together, others)))
    return found


def _target(path: str | None) -> str:
    return (path or "").rpartition(PATH_ARROW)[2]


def _together(a: Totals, b: Totals) -> Totals:
    """The sum of two groups of the same windows. Their clusters are different ones."""
    return Totals(
        sum_of_channels([a.counts, b.counts]),
        a.spreads.plus(b.spreads),
        a.delays.plus(b.delays),
        max(a.windows, b.windows),
    )
