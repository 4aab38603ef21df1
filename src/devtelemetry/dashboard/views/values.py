"""What pages say: finished texts, and numbers that are drawn. Pure."""

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
    """A row of links of which one holds."""

    label: str
    links: Sequence[Link]


@dataclass(frozen=True, slots=True)
class Fact:
    """A term (a key of texts.TERMS, or none), its value, and a line under it."""

    label: str
    value: str
    note: str = ""
    term: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A ratio and its interval on a scale that several share, each 0 to 100."""

    at: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Now:
    """The latest window of a timeframe; without one there is a reason alone."""

    title: str
    start: datetime | None
    end: datetime | None
    href: str
    ratio: str  # empty: there is none, and `reason` says why
    reason: str
    interval: str
    trend: str
    tone: str  # better, worse, or nothing
    provisional: bool
    spark: Sequence[float | None]  # the windows before it and itself


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
    """On the line, by a letter that its name stands beside: a version first seen, or a note."""

    at: datetime
    letter: str
    text: str


@dataclass(frozen=True, slots=True)
class LineBeside:
    """objective    what share is to be delivered; None: it is no share of deliveries
    week_before  of each point the ratio a week before; empty: it is not shown
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
    href: str = ""  # of its page; empty: it has none, being several put together
    current: bool = False  # the page is of it


@dataclass(frozen=True, slots=True)
class GroupTable:
    title: str
    compared_with: str  # the group that the others are judged by; empty: there is none
    rows: Sequence[GroupRow]
    choice: Choice | None = None
    scale: str = ""
    delivered: str = "Delivered"  # heads of two columns
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
    """What is wrong in how an app reports."""

    where: str
    what: str
    remedy: str
    see: str


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """What loses more than before."""

    name: str
    href: str
    what: str
    how_sure: str


@dataclass(frozen=True, slots=True)
class Overview:
    asked: PageState
    choices: Sequence[Choice]
    problems: Sequence[ProblemRow]
    no_problem: str  # why there is none
    problems_until: datetime | None  # None: nothing was looked at
    stale: Sequence[str]  # that all of this is of the past
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
    empty: str  # no window at all: what to do; else nothing


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    count: int
    share: float  # of 100
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
    """What a page is narrowed to, and the page without it."""

    label: str
    name: str
    whole: str  # name, as it was said
    wider: str
    without: str


@dataclass(frozen=True, slots=True)
class MissingRow:
    """A message that somebody lacks; ids as they are, for the template to show them.

    number  its column in the matrix; log: where the logs have it, or nothing
    """

    number: int
    log: str
    sent_at: datetime
    message_id: str
    shown_id: str
    kind: str
    written_on: str
    held: str
    came: str  # by which way to those who hold it
    missing: str
    became: str
    patterns: str


@dataclass(frozen=True, slots=True)
class LossyRow:
    """A receiver that lacks something."""

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
    """Several in a row that are alike: how they look, and a sign for each."""

    look: str
    signs: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A receiver, and what became of each message there."""

    name: str
    on: str
    cells: Sequence[Cells]
    lacks: str
    in_words: str


@dataclass(frozen=True, slots=True)
class MatrixView:
    """heads  the columns' numbers, written from the top down
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
    href: str  # of the window; empty: the page is of it
    matrix: MatrixView

    messages: Sequence[MissingRow]
    receivers: Sequence[LossyRow]
    messages_of: str  # which messages, and whose receivers are counted; empty: the page's
    messages_note: str
    receivers_note: str
    patterns: str  # how many pairs are lost in each
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """Of a channel, a group, a class of losses, and of those together."""

    asked: PageState
    filters: Sequence[Filter]
    choices: Sequence[Choice]
    headline: str
    interval: str
    of_what: str  # the headline is of: windows
    relation: str  # of the headline to the problem's number; empty: they are the same
    latest: str  # the last of these; empty: it is the only one, or has no ratio
    reason: str
    rest: str  # beside the rest; empty: there is none
    rest_tone: str
    problems: Sequence[ProblemRow]  # of it, and of what it is a part of
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
    ways: str  # how what was delivered came; empty: nobody says
    channels: Sequence[ChannelRow]
    channels_title: str
    channels_note: str
    missing: Missing | None
    missing_problem: str
    groups: Sequence[GroupTable]
    across: Choice | None  # by which other dimension it can be broken down
    across_problem: str
    empty: str


@dataclass(frozen=True, slots=True)
class WindowPage:
    asked: WindowPageState
    name: str  # of the channel; empty: all
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
    ways: str  # how what was delivered came; empty: nobody says
    groups: Sequence[GroupTable]
    channels: Sequence[ChannelRow]
    channels_note: str
    missing: Missing | None
    missing_problem: str
    versions: Grid | None  # authors' by receivers'
    versions_problem: str
    versions_link: str  # where it was not asked for; else empty
    computed_at: datetime | None
