"""Losses over time as shares of the pairs that can be judged: one bar per window. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from devtelemetry import words
from devtelemetry.dashboard.charts.axes import share_ticks, share_top, time_ticks
from devtelemetry.dashboard.charts.pieces import pieces_of
from devtelemetry.dashboard.charts.values import HEIGHT, WIDTH, Chart, Key, Path
from devtelemetry.dashboard.state import PageState, address_of_part
from devtelemetry.dashboard.views.values import Point
from devtelemetry.model import LossClass

_MS = timedelta(milliseconds=1)
_GAP = 0.1  # the part of a bar's place that stays empty
# Each class has a texture of its own, named after it, so that nobody needs colours to tell.
_KEYS = tuple(Key(f"loss {of.value}", name) for of, name in words.LOSS_CLASSES.items())


def losses_chart(points: Sequence[Point], asked: PageState) -> Chart:
    """Bars in which the classes are stacked. points: at least one"""
    shares = shares_of(points)
    top = share_top(max((sum(row) for row in shares if row), default=0.0))
    return Chart(
        "losses.png",
        losses_in_words(points),
        points[0].start,
        points[-1].end,
        asked.timeframe.length // _MS,
        address_of_part(asked, None),
        time_ticks(points[0].start, points[-1].end),
        share_ticks(0.0, top),
        _paths(shares, top),
        pieces_of(points, asked, _said),
        _KEYS,
        "",
        True,
        points,
        "losses_points.html",
    )


def shares_of(points: Sequence[Point]) -> list[tuple[float, ...]]:
    """For each window the share of each class, in the order of classes; empty for a window without
    corroborated pairs."""
    return [
        tuple(number / point.counts.corroborated for number in point.counts.losses.values())
        if point.counts.corroborated
        else ()
        for point in points
    ]


def losses_in_words(points: Sequence[Point]) -> str:
    """The bars in words, for people who do not see them."""
    lost = _lost(points)
    if not lost.total():
        return "Nothing was lost in the span."
    return (
        f"What was lost in {len(points):,} windows from {words.utc(points[0].start)} to "
        f"{words.utc(points[-1].end)}: {words.losses_of(lost)}."
    )


def _lost(points: Sequence[Point]) -> Counter[LossClass]:
    lost = Counter[LossClass]()
    for point in points:
        lost.update(point.counts.losses)
    return lost


def _paths(shares: Sequence[tuple[float, ...]], top: float) -> list[Path]:
    wide = WIDTH / len(shares)
    bars: dict[LossClass, list[str]] = {of: [] for of in words.LOSS_CLASSES}
    for number, row in enumerate(shares):
        below = 0.0
        for of, share in zip(bars, row, strict=False):
            if share:
                left, height = (number + _GAP / 2) * wide, HEIGHT * share / top
                bottom = HEIGHT * (1 - below / top)
                width = wide * (1 - _GAP)
                bars[of].append(f"M{left:.1f} {bottom:.1f}v{-height:.1f}h{width:.1f}v{height:.1f}z")
            below += share
    return [Path(f"loss {of.value}", "".join(parts)) for of, parts in bars.items() if parts]


def _said(some: Sequence[Point]) -> Sequence[str]:
    corroborated = sum(point.counts.corroborated for point in some)
    if not corroborated:
        return (words.NOTHING_TO_COMPARE,)
    lost = _lost(some)
    return (
        f"{words.count(lost.total())} of {words.count(corroborated)} missing",
        *(
            f"{words.LOSS_CLASSES[of]} {words.count(number)} ({100 * number / corroborated:.2f} %)"
            for of, number in lost.items()
        ),
    )
