"""Cuts a chart's width into pieces of one or several windows, each with hint and link. Pure."""

import math
from collections.abc import Callable, Sequence

from devtelemetry import words
from devtelemetry.dashboard.charts.values import Piece
from devtelemetry.dashboard.state import PageState, address_of_part
from devtelemetry.dashboard.views.values import Point
from devtelemetry.model import Window

MOST_PIECES = 200  # more would be too narrow to hit with a fingertip or a pointer


def pieces_of(
    points: Sequence[Point], asked: PageState, say: Callable[[Sequence[Point]], Sequence[str]]
) -> list[Piece]:
    """say  returns the lines of the hint on these points"""
    together = math.ceil(len(points) / MOST_PIECES)
    found = []
    for first in range(0, len(points), together or 1):
        some = points[first : first + together]
        span = Window(some[0].start, some[-1].end)
        found.append(
            Piece(
                round(100 * first / len(points), 3),
                round(100 * len(some) / len(points), 3),
                some[0].href if len(some) == 1 else address_of_part(asked, span),
                "\n".join((_when(some), *say(some))),
            )
        )
    return found


def _when(some: Sequence[Point]) -> str:
    if len(some) == 1:
        return words.utc(some[0].start)
    return f"{words.utc(some[0].start)} to {words.utc(some[-1].end)}"
