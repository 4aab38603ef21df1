"""The content of pages: finished texts, and numbers for charts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devtelemetry.dashboard.state import PageState, WindowPageState
from devtelemetry.estimate.interval import Interval
from devtelemetry.figures.grid import Grid
from devtelemetry.model import Counts, Window


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A row of links; one of them is the current choice."""

    label: str
    links: Sequence[Link]


@dataclass(frozen=True, slots=True)
class Fact:
    """A label, its value, and a line under it. term: a key of texts.TERMS, or empty"""

    label: str
    value: str
    note: str = ""
    term: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A ratio and its interval, 0 to 100 on the scale that the marks of a table share."""

    at: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Now:
    """The latest window of a timeframe. Without a window it has only title and reason."""

    title: str
    start: datetime | None
    end: datetime | None
    href: str
    ratio: str  # empty if there is none; `reason` says why
    reason: str
    interval: str
    trend: str
    tone: str  # better, worse, or empty
    provisional: bool
    spark: Sequence[float | None]  # the ratios of the windows before it, and its own


@dataclass(frozen=True, slots=True)
class Point:
    """A window on the line; without a ratio it is a gap."""

    start: datetime
    end: datetime
    ratio: float | None
    interval: Interval | None
    provisional: bool
    counts: Counts
    reason: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A letter on the line, with its text: a version first seen, a note, or where sums begin."""

    at: datetime
    letter: str
    text: str


@dataclass(frozen=True, slots=True)
class LineBeside:
    """objective    the share that should be delivered; None: the line shows no delivery ratio
    week_before  the ratio a week before each point; empty: not shown
    """

    objective: float | None
    week_before: Sequence[float | None]
    moments: Sequence[Moment]


@dataclass(frozen=True, slots=True)
class GroupRow:
    name: str
    ratio: str
    interval: str
    expected: str
    missing: str
    on_time: str
    verdict: str
    tone: str
    mark: Mark | None
    href: str = ""  # its page; empty for other, which has no page
    current: bool = False  # whether the page shows this group


@dataclass(frozen=True, slots=True)
class GroupTable:
    title: str
    compared_with: str  # the group that the others are compared with; empty if there is none
    rows: Sequence[GroupRow]
    choice: Choice | None = None
    scale: str = ""
    delivered: str = "Delivered"  # this and the next: the heads of two columns
    missing: str = "Missing"
    about: str = ""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    name: str
    href: str
    ratio: str
    interval: str
    messages: str
    receivers: str
    expected: str
    missing: str
    note: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Change:
    tone: str  # better, worse, note
    text: str
    href: str = ""
    link_text: str = ""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding: what is wrong in how an app reports."""

    where: str
    what: str
    remedy: str
    see: str


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem: what loses more than before."""

    name: str
    href: str
    what: str
    how_sure: str


@dataclass(frozen=True, slots=True)
class Overview:
    asked: PageState
    choices: Sequence[Choice]
    problems: Sequence[ProblemRow]
    no_problem: str  # why none is listed
    problems_until: datetime | None  # None: no windows were looked at
    stale: Sequence[str]  # warnings that the figures are old
    now: Sequence[Now]
    facts: Sequence[Fact]
    notes: Sequence[str]  # windows that could not be computed
    findings: Sequence[FindingRow]
    changes: Sequence[Change]
    changes_title: str
    span: Fact  # the sum over the span
    points: Sequence[Point]
    beside: LineBeside
    groups: Sequence[GroupTable]
    worst: Sequence[ChannelRow]
    worst_of: str
    empty: str  # why there is no window at all; empty if there is one


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    count: int
    share: float  # percent
    tone: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """Why pairs are missing."""

    of: str  # the class
    reason: str
    pairs: str


@dataclass(frozen=True, slots=True)
class Filter:
    """One thing that a page is narrowed to, and the link to the page without it."""

    label: str
    name: str
    whole: str  # the name, as it was reported
    wider: str
    without: str


@dataclass(frozen=True, slots=True)
class MissingRow:
    """A message that some receiver lacks. The id is as it was sent; `shown_id` is for people.

    number  its column in the matrix; log: a link to the logs, or empty
    """

    number: int
    log: str
    sent_at: datetime
    message_id: str
    shown_id: str
    kind: str
    written_on: str
    held: str
    came: str  # by which ways it came to the receivers that hold it
    missing: str
    became: str
    patterns: str


@dataclass(frozen=True, slots=True)
class LossyRow:
    """A receiver that lacks messages."""

    name: str
    on: str
    missing: str
    became: str
    patterns: str
    runs: str
    mean_run: str
    longest: str
    longest_from: datetime | None
    longest_to: datetime | None


@dataclass(frozen=True, slots=True)
class Cells:
    """Consecutive cells that are alike: their look, and a sign for each."""

    look: str
    signs: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A receiver, and what became of each message at it."""

    name: str
    on: str
    cells: Sequence[Cells]
    lacks: str
    in_words: str


@dataclass(frozen=True, slots=True)
class MatrixView:
    """heads  the columns' numbers, in lines of digits
    legend  each sign, and what it means
    """

    columns: int
    heads: Sequence[str]
    rows: Sequence[MatrixRow]
    legend: Sequence[tuple[Cells, str]]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Missing:
    """The drill-down of one channel in one window."""

    window: Window
    href: str  # the window's page; empty on that page
    matrix: MatrixView

    messages: Sequence[MissingRow]
    receivers: Sequence[LossyRow]
    messages_of: str  # a sentence on the window and the receivers; empty if those of the page
    messages_note: str
    receivers_note: str
    patterns: str  # how many pairs are lost in each pattern
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """The page of a channel, a group or a class of losses, or of several of these together."""

    asked: PageState
    filters: Sequence[Filter]
    choices: Sequence[Choice]
    headline: str
    interval: str
    of_what: str  # the span or window of the headline
    relation: str  # why the headline is not the problem's number; empty if it is
    latest: str  # the last window; empty if it is the only one, or has no ratio
    reason: str
    rest: str  # the comparison with the rest; empty if there is none
    rest_tone: str
    problems: Sequence[ProblemRow]  # of the subject, of what contains it, and of its parts
    no_problem: str
    problems_until: datetime | None
    facts: Sequence[Fact]
    not_stored: str  # why there is no line
    points: Sequence[Point]
    beside: LineBeside
    delays: Sequence[Bar]
    delay_facts: Sequence[Fact]
    losses: Sequence[Bar]
    reasons: Sequence[ReasonRow]
    ways: str  # how delivered messages came; empty if nobody reports it
    channels: Sequence[ChannelRow]
    channels_title: str
    channels_note: str
    missing: Missing | None
    missing_problem: str
    groups: Sequence[GroupTable]
    across: Choice | None  # other dimensions that it can be broken down by
    across_problem: str
    empty: str


@dataclass(frozen=True, slots=True)
class WindowPage:
    asked: WindowPageState
    name: str  # of the channel; empty: all channels
    title: str
    window: Window
    links: Sequence[Link]  # to its neighbours and to the same window of all channels
    headline: str
    interval: str
    reason: str
    state: str
    facts: Sequence[Fact]
    delays: Sequence[Bar]
    delay_facts: Sequence[Fact]
    losses: Sequence[Bar]
    reasons: Sequence[ReasonRow]
    ways: str  # how delivered messages came; empty if nobody reports it
    groups: Sequence[GroupTable]
    channels: Sequence[ChannelRow]
    channels_note: str
    missing: Missing | None
    missing_problem: str
    versions: Grid | None  # authors' by receivers' versions
    versions_problem: str
    versions_link: str  # to ask for them; empty if they were asked for
    computed_at: datetime | None
