"""What a chart is made of. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devtelemetry.dashboard.views.values import Moment, Point

_NEAR = 4  # to an end of the axis
WIDTH, HEIGHT = 1000, 300  # of the box that paths are in


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis.

    at   0 to 100, from the left or from the top
    off  classes of dashboard.css: of the widths of a screen at which there is no room for it
    """

    at: float
    text: str
    off: str = ""

    @property
    def anchor(self) -> str:
        """Of a label of the time axis: which part of it stands at the place."""
        if self.at < _NEAR:
            return "start"
        return "end" if self.at > 100 - _NEAR else "middle"


@dataclass(frozen=True, slots=True)
class Path:
    """A shape: `d` of an SVG's path, and how it looks (a class of dashboard.css)."""

    look: str
    d: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the width: what a pointer on it is told, in lines, and where it leads."""

    left: float  # of 100
    width: float
    href: str
    said: str


@dataclass(frozen=True, slots=True)
class Key:
    """Of the legend."""

    look: str
    text: str
    term: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """name         of the file that it is saved as
    in_words     for who does not see it
    start, end   of the width
    step_ms      how long a window is
    zoom         the address of a part of it, without `from` and `to`
    points       of its windows, oldest first
    table        the template of the same as a table
    letters      of the moments, where they stand
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
    gaps: str  # what a gap of it means
    has_textures: bool  # beside colours
    points: Sequence[Point]
    table: str
    letters: Sequence[Tick] = ()
    moments: Sequence[Moment] = ()
    has_intervals: bool = True
