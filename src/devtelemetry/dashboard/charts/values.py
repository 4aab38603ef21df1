"""The parts of a chart. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devtelemetry.dashboard.views.values import Moment, Point

_NEAR = 4  # a label within this distance of an end of the axis begins or ends at its place
WIDTH, HEIGHT = 1000, 300  # of the box that paths are drawn in


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis.

    at   0 to 100, from the left or from the top
    off  classes of dashboard.css, for the widths of a screen that have no room for the label
    """

    at: float
    text: str
    off: str = ""

    @property
    def anchor(self) -> str:
        """For the time axis: which part of the label is at its place."""
        if self.at < _NEAR:
            return "start"
        return "end" if self.at > 100 - _NEAR else "middle"


@dataclass(frozen=True, slots=True)
class Path:
    """A shape: the `d` of an SVG path, and its look, a class of dashboard.css."""

    look: str
    d: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the width: its hint, in lines, and its link."""

    left: float  # percent
    width: float
    href: str
    said: str


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend."""

    look: str
    text: str
    term: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """name         of the file that the chart is saved as
    in_words     for people who do not see the chart
    start, end   of the time axis
    step_ms      the length of a window
    zoom         the address of a part of the span, without `from` and `to`
    points       of its windows, oldest first
    table        the template that shows the points as a table
    letters      the letters of the moments, with their places
    """

    name: str
    in_words: str
    start: datetime
    end: datetime
    step_ms: int
    zoom: str
    x: Sequence[Tick]
    y: Sequence[Tick]
    paths: Sequence[Path]
    pieces: Sequence[Piece]
    keys: Sequence[Key]
    gaps: str  # what a gap in it means
    has_textures: bool  # besides colours
    points: Sequence[Point]
    table: str
    letters: Sequence[Tick] = ()
    moments: Sequence[Moment] = ()
    has_intervals: bool = True
