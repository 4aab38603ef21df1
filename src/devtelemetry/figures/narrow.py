"""Windows narrowed to one group or one class of losses; a part compared with the rest. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from devtelemetry.estimate.interval import Interval
from devtelemetry.estimate.verdict import Verdict, compare
from devtelemetry.figures.derive import Totals, sum_of
from devtelemetry.model import (
    NO_COUNTS,
    NO_FIGURES,
    NO_SPREADS,
    Counts,
    Dimension,
    Figures,
    LossClass,
    WindowReliability,
)


def of_group(window: WindowReliability, dimension: Dimension, value: str) -> WindowReliability:
    """The window as if it had only the pairs of one of its groups.

    The groups stay. Figures that are stored only for the whole window, such as reasons, are gone.
    """
    for group in window.groups:
        if group.dimension is dimension and group.value == value:
            found, figures = group.counts, Figures(group.spreads, group.delays)
            break
    else:
        found, figures = NO_COUNTS, NO_FIGURES
    return replace(
        window,
        reliability=found.reliability,
        counts=found,
        figures=figures,
        channels=(),
        unseen=None,
        sample_coverage=None,
    )


def of_loss(window: WindowReliability, loss: LossClass) -> WindowReliability:
    """The window as if only the losses of one class were missing; the ratio counts no other losses.
    It has no interval, because the spread of such losses is not stored."""
    figures = replace(
        window.figures,
        spreads=NO_SPREADS,
        reasons=tuple(one for one in window.figures.reasons if one.of == loss.value),
    )
    counts = only(window.counts, loss)
    return replace(window, reliability=counts.reliability, counts=counts, figures=figures)


def only(counts: Counts, loss: LossClass) -> Counts:
    """The counts with the losses of only one class."""
    number = counts.losses[loss]
    said = {of.value: 0 for of in LossClass if of is not LossClass.NOT_ARRIVED}
    if loss is not LossClass.NOT_ARRIVED:
        said[loss.value] = number
    return replace(counts, missing=number, **said)


def totals_of_loss(totals: Totals, loss: LossClass) -> Totals:
    """The same as of_loss, for sums."""
    return replace(totals, counts=only(totals.counts, loss), spreads=NO_SPREADS)


@dataclass(frozen=True, slots=True)
class Rest:
    """The rest, which is all pairs except those of a part.

    ratio    of the rest; None if the part or the rest has no pairs
    verdict  on the part beside the rest; None if one of the two has no interval
    """

    ratio: float | None
    verdict: Verdict | None


def beside_the_rest(part: Totals, whole: Totals) -> Rest:
    """part  some of the pairs of `whole`

    The spread of the rest is not stored, so its interval comes from that of the whole. If w is the
    part's share of the pairs, then whole = w part + (1 − w) rest. So the variance of the rest is at
    most that of the whole over (1 − w)², if part and rest are independent.
    """
    of, pairs = part.counts, whole.counts.corroborated
    others = pairs - of.corroborated
    if others <= 0 or not of.corroborated:
        return Rest(None, None)
    ratio = 1 - (whole.counts.missing - of.missing) / others
    around = whole.interval
    if around is None:
        return Rest(ratio, None)
    wider = pairs / others
    interval = Interval(
        max(0.0, ratio - wider * (around.estimate - around.lower)),
        ratio,
        min(1.0, ratio + wider * (around.upper - around.estimate)),
    )
    return Rest(ratio, compare(part.interval, interval))


def rest_of(parts: Iterable[WindowReliability], wholes: Sequence[WindowReliability]) -> Rest:
    """The parts compared with the rest of the same windows. Parts without pairs are left out."""
    present = [one for one in parts if one.counts.corroborated]
    starts = {one.window.start for one in present}
    whole = sum_of(one for one in wholes if one.window.start in starts)
    return beside_the_rest(sum_of(present), whole)
