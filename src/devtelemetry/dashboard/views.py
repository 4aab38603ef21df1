"""What a page says, as values: from what was read to what is written down. Pure.

Texts are finished (words.py), figures are not computed here (figures.derive).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from devtelemetry.aggregate.windows import is_due
from devtelemetry.dashboard import words
from devtelemetry.dashboard.reading import (
    ChannelReading,
    Days,
    OverviewReading,
    WindowReading,
    Worst,
)
from devtelemetry.dashboard.state import SPANS, Asked, AskedWindow, address
from devtelemetry.estimate.verdict import Word, compare
from devtelemetry.figures.derive import (
    ON_TIME_MS,
    QUANTILES,
    Share,
    groups_of,
    reference,
    share_of,
    sum_of,
    verdicts,
)
from devtelemetry.model import (
    ChannelReliability,
    Counts,
    Dimension,
    MembershipPolicy,
    Timeframe,
    Window,
    WindowReliability,
    WindowState,
)

# Beyond these a change is told; below they are the noise of every day.
_RECEIVERS_CHANGED = 0.1
_KNOWN_CHANGED = 0.01
_NEW_SHARE = 0.01  # of the pairs: a version that fewer have is not worth a line
MOST_CHANNELS = 50  # of a window's page; all of them are in its export


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
    """A term (a key of words.TERMS, or none), its value, and a line under it."""

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
    """The latest window of a timeframe."""

    title: str
    start: datetime
    end: datetime
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
    lower: float | None
    upper: float | None
    provisional: bool
    counts: Counts
    reason: str = ""
    href: str = ""


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


@dataclass(frozen=True, slots=True)
class GroupTable:
    title: str
    beside: str  # the group that the others are judged by
    rows: Sequence[GroupRow]
    choice: Choice | None = None
    scale: str = ""


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
class Overview:
    asked: Asked
    choices: Sequence[Choice]
    now: Sequence[Now]
    facts: Sequence[Fact]
    notes: Sequence[str]  # what the viewer should know before believing: stale, influence, …
    changes: Sequence[Change]
    span: Fact  # the sum over the span
    points: Sequence[Point]
    groups: Sequence[GroupTable]
    worst: Sequence[ChannelRow]
    worst_of: str
    empty: str  # no window at all: what to do; else nothing
    computed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    count: int
    share: float  # of 100
    tone: str = ""


@dataclass(frozen=True, slots=True)
class ChannelPage:
    asked: Asked
    name: str
    choices: Sequence[Choice]
    headline: str
    interval: str
    reason: str
    facts: Sequence[Fact]
    notes: Sequence[str]
    points: Sequence[Point]
    delays: Sequence[Bar]
    delay_facts: Sequence[Fact]
    losses: Sequence[Bar]
    groups: Sequence[GroupTable]
    empty: str
    computed_at: datetime | None


@dataclass(frozen=True, slots=True)
class WindowPage:
    asked: AskedWindow
    name: str  # of the channel; empty: all
    title: str
    window: Window
    links: Sequence[Link]  # to its neighbours and to the same window of all channels
    headline: str
    interval: str
    reason: str
    state: str
    facts: Sequence[Fact]
    notes: Sequence[str]
    delays: Sequence[Bar]
    delay_facts: Sequence[Fact]
    losses: Sequence[Bar]
    groups: Sequence[GroupTable]
    channels: Sequence[ChannelRow]
    channels_note: str
    computed_at: datetime | None


# ------------------------------------------------------------------------------------ overview


def overview(
    reading: OverviewReading,
    timeframes: Sequence[Timeframe],
    *,
    now: datetime,
    influence_limit: float,
) -> Overview:
    asked = reading.asked
    total = sum_of(reading.windows)
    latest = [
        _now(timeframe, windows, asked.membership)
        for timeframe, windows in reading.latest
        if windows
    ]
    return Overview(
        asked,
        _choices(asked, timeframes),
        latest,
        _overview_facts(reading, total),
        [*_stale(reading, now), *influence_notes(reading.windows, influence_limit)],
        changes(reading.days, asked),
        _span_fact(asked, total),
        points_of(reading.windows, asked, reading.anchor),
        _two_groups(reading.windows, asked),
        [] if reading.worst is None else _worst_rows(reading.worst, asked),
        "" if reading.worst is None else _worst_of(reading.worst),
        "" if latest else _empty(reading.has_samples),
        reading.computed_at,
    )


def _now(
    timeframe: Timeframe, windows: Sequence[WindowReliability], membership: MembershipPolicy
) -> Now:
    last, before = windows[-1], windows[:-1]
    share = share_of(last)
    ratio = last.counts.delivery_ratio
    trend, tone = "", ""
    if ratio is not None and before:
        verdict = compare(share.interval, sum_of(before).interval)
        versus = "the window before" if len(before) == 1 else f"the {len(before)} before"
        trend = f"beside {versus}: {words.verdict(verdict)}"
        tone = "" if verdict is None else _tone(verdict.word)
    return Now(
        words.TIMEFRAMES.get(timeframe.name, f"Latest {timeframe.name}"),
        last.window.start,
        last.window.end,
        address(AskedWindow(timeframe, last.window.start, membership)),
        "" if ratio is None else words.percent(ratio),
        why_no_ratio(last),
        words.interval(share.interval),
        trend,
        tone,
        last.state is WindowState.PROVISIONAL,
        [one.counts.delivery_ratio for one in windows],
    )


def why_no_ratio(window: WindowReliability | None) -> str:
    """Why a window that was read with its channels has no ratio; empty if it has one."""
    if window is None:
        return words.NOT_COMPUTED
    if window.counts.delivery_ratio is not None:
        return ""
    if window.counts.expected:
        return f"{words.TOO_FEW}: no other receiver vouches for any message"
    if not window.channels:
        return f"{words.NO_REPORTERS}: no message was reported by a receiver that counts"
    return f"{words.NOT_COMPARABLE}: {why_not_comparable(window.channels)}"


def why_not_comparable(channels: Iterable[ChannelReliability]) -> str:
    """Of channels of which none is comparable: what they lack."""
    if any(channel.counts.receivers >= 2 for channel in channels):
        return "nothing was expected of the receivers that count"
    return "one receiver alone counts, and nobody can vouch for its messages"


def _overview_facts(reading: OverviewReading, total: Share) -> list[Fact]:
    last = reading.windows[-1] if reading.windows else None
    facts = [_receivers_fact(reading.windows)]
    if last is not None:
        facts.append(_channels_fact(reading.windows))
    facts.append(known_fact(total.counts))
    covered = [
        (one.sample_coverage, one.counts.expected)
        for one in reading.windows
        if one.sample_coverage is not None
    ]
    facts.append(
        Fact(
            "Sample coverage",
            words.percent(_weighted(covered)) if covered else words.TOO_FEW,
            "estimated, mean by expected pairs" if covered else "",
            "sample coverage",
        )
    )
    return facts


def _weighted(values: Sequence[tuple[float, int]]) -> float:
    weight = sum(count for _, count in values)
    if not weight:
        return sum(value for value, _ in values) / len(values)
    return sum(value * count for value, count in values) / weight


def _receivers_fact(windows: Sequence[WindowReliability]) -> Fact:
    """Distinct ones are known of each window, not of several together."""
    report = _clusters(windows, lambda one: one.figures.spreads.over_receivers.clusters)
    if not report:
        return Fact("Receivers that report", words.NO_REPORTERS, "", "receivers")
    return Fact(
        "Receivers that report",
        words.short_count(report[-1]),
        f"in the latest window; {min(report):,} to {max(report):,} in the span",
        "receivers",
    )


def _channels_fact(windows: Sequence[WindowReliability]) -> Fact:
    channels = _clusters(windows, lambda one: one.figures.spreads.over_channels.clusters)
    if not channels:
        return Fact("Comparable channels", "none", "", "comparable")
    return Fact(
        "Comparable channels", words.short_count(channels[-1]), "in the latest window", "comparable"
    )


def _clusters(
    windows: Sequence[WindowReliability], of: Callable[[WindowReliability], int]
) -> list[int]:
    return [of(one) for one in windows if one.counts.corroborated]


def known_share(counts: Counts) -> float | None:
    pairs = counts.expected + counts.unknown
    return counts.expected / pairs if pairs else None


def known_fact(counts: Counts) -> Fact:
    known = known_share(counts)
    return Fact(
        "Known share",
        words.TOO_FEW if known is None else words.percent(known),
        "" if known is None else f"{words.count(counts.unknown)} pairs unknown",
        "known share",
    )


def _span_fact(asked: Asked, total: Share) -> Fact:
    ratio = total.counts.delivery_ratio
    label = f"{words.SPANS[asked.span]}, windows of {asked.timeframe.name}"
    if ratio is None:
        return Fact(label, words.NOT_COMPARABLE, "no window of the span has a ratio")
    return Fact(
        label,
        words.percent(ratio),
        f"95 % interval {words.interval(total.interval)}; {words.count(total.counts.missing)} of "
        f"{words.count(total.counts.corroborated)} missing",
        "delivery ratio",
    )


def _stale(reading: OverviewReading, now: datetime) -> list[str]:
    """A line that ends in the past is no line of today."""
    if reading.anchor is None:
        return []
    asked = reading.asked
    due = Window(reading.anchor, reading.anchor + asked.timeframe.length)
    if not is_due(asked.timeframe, due, now - asked.timeframe.length):
        return []
    return [
        (
            f"The latest {asked.timeframe.name} window ended "
            f"{words.ago(now - reading.anchor)} ago, "
            f"{words.utc(reading.anchor)}. Later ones are {words.NOT_COMPUTED}: is the server that "
            "computes running?"
        )
    ]


def influence_notes(windows: Sequence[WindowReliability], limit: float) -> list[str]:
    moved = [
        one
        for one in windows
        if one.figures.influence is not None and one.figures.influence > limit
    ]
    if not moved:
        return []
    worst = max(moved, key=lambda one: one.figures.influence or 0.0)
    where = (
        "In this window"
        if len(windows) == 1
        else f"In {len(moved)} of {len(windows)} windows, last that of "
        f"{words.utc(moved[-1].window.start)},"
    )
    return [
        (
            f"{where} one receiver could move R by more than {words.percent(limit)}, at most by "
            f"{words.percent(worst.figures.influence)}."
        )
    ]


def _empty(has_samples: bool) -> str:
    return "waiting" if has_samples else "first"


def _two_groups(windows: Sequence[WindowReliability], asked: Asked) -> list[GroupTable]:
    """By platform, and by what was asked for."""
    second = asked.by if asked.by is not Dimension.PLATFORM else Dimension.APP_VERSION
    return [
        group_table(windows, Dimension.PLATFORM),
        replace(
            group_table(windows, second),
            choice=Choice(
                "Break down by",
                [
                    Link(
                        words.DIMENSIONS[by],
                        address(replace(asked, by=by)),
                        by is second,
                    )
                    for by in (Dimension.APP_VERSION, Dimension.MESSAGE_TYPE)
                ],
            ),
        ),
    ]


def group_table(windows: Sequence[WindowReliability], by: Dimension) -> GroupTable:
    groups = groups_of(windows, by)
    beside = reference(list(groups))
    judged = verdicts(groups)
    scale = _scale(groups.values())
    rows = []
    for value, share in groups.items():
        verdict = judged[value]
        is_reference = value == beside and beside is not None
        rows.append(
            GroupRow(
                words.group(value),
                words.percent(share.counts.delivery_ratio)
                if share.counts.delivery_ratio is not None
                else words.TOO_FEW,
                words.interval(share.interval),
                words.count(share.counts.expected),
                words.count(share.counts.missing),
                _ratio_or(share.on_time(ON_TIME_MS["1m"]), "not known"),
                "others beside it" if is_reference else words.verdict(verdict),
                "" if verdict is None else _tone(verdict.word),
                _mark(share, scale),
            )
        )
    return GroupTable(
        words.DIMENSIONS[by],
        "" if beside is None else words.group(beside),
        rows,
        scale="" if scale is None else f"{words.percent(scale)} to 100 %",
    )


def _scale(shares: Iterable[Share]) -> float | None:
    """Where the marks of a table begin; they end at 1. None: there is nothing to mark."""
    lows = []
    for share in shares:
        ratio, interval = share.counts.delivery_ratio, share.interval
        if ratio is not None:
            lows.append(ratio if interval is None else interval.lower)
    if not lows:
        return None
    low = min(lows)
    for edge in (0.99, 0.98, 0.95, 0.9, 0.8, 0.6):
        if low > edge:
            return edge
    return 0.0


def _mark(share: Share, scale: float | None) -> Mark | None:
    ratio = share.counts.delivery_ratio
    if ratio is None or scale is None:
        return None

    def place(value: float) -> float:
        return round(100 * max(0.0, value - scale) / (1 - scale), 2)

    interval = share.interval
    return Mark(
        place(ratio),
        None if interval is None else place(interval.lower),
        None if interval is None else place(interval.upper),
    )


def _worst_rows(worst: Worst, asked: Asked) -> list[ChannelRow]:
    scale = _scale([share for _, share in worst.channels])
    return [
        ChannelRow(
            words.short_identifier(channel_id),
            address(replace(asked, channel=channel_id)),
            words.percent(share.counts.delivery_ratio),
            words.interval(share.interval),
            words.count(share.counts.messages),
            words.count(share.counts.receivers),
            words.count(share.counts.expected),
            words.count(share.counts.missing),
            mark=_mark(share, scale),
        )
        for channel_id, share in worst.channels
    ]


def _worst_of(worst: Worst) -> str:
    return (
        f"Sums over the windows of {worst.timeframe.name} from {words.utc(worst.start)} to "
        f"{words.utc(worst.end)}"
    )


# ------------------------------------------------------------------------- what changed, in words


def changes(days: Days | None, asked: Asked) -> list[Change]:
    """The last 24 hours beside the 24 before, in sentences; what may be chance is called that."""
    if days is None or not days.after:
        return [Change("note", "There is no full day of windows yet to compare.")]
    after, before = sum_of(days.after), sum_of(days.before)
    new, old = after.counts.delivery_ratio, before.counts.delivery_ratio
    if new is None:
        return [Change("note", "No window of the last 24 hours has a ratio.")]
    if old is None:
        return [
            Change(
                "note",
                f"In the last 24 hours {words.percent(new)} was delivered. No window of the 24 "
                "hours before has a ratio to compare with.",
            )
        ]
    found = [
        _overall(after, before, new, old),
        *_coverage_changes(days),
        *_group_changes(days, Dimension.PLATFORM),
        *_group_changes(days, Dimension.APP_VERSION),
        *_channel_changes(days, asked),
    ]
    if len(found) == 1:
        found.append(
            Change("note", "No platform, version or channel changed by more than chance explains.")
        )
    return found


def _overall(after: Share, before: Share, new: float, old: float) -> Change:
    verdict = compare(after.interval, before.interval)
    said = f"{words.percent(new)} was delivered, {words.percent(old)} the day before"
    if verdict is None:
        return Change("note", f"{said}; {words.TOO_FEW} whether that is a change.")
    if verdict.word is Word.CANNOT_TELL:
        return Change(
            "note", f"{said}: {words.points(new - old)} points, which may well be chance."
        )
    return Change(_tone(verdict.word), f"{said}: {words.verdict(verdict)}.")


def _coverage_changes(days: Days) -> list[Change]:
    found = []
    after, before = sum_of(days.after).counts, sum_of(days.before).counts
    known, known_before = known_share(after), known_share(before)
    if (
        known is not None
        and known_before is not None
        and abs(known - known_before) > _KNOWN_CHANGED
    ):
        fewer = known < known_before
        found.append(
            Change(
                "worse" if fewer else "better",
                f"{'More' if fewer else 'Fewer'} reports were lost: of {words.percent(1 - known)} "
                f"of the pairs nothing can be said, {words.percent(1 - known_before)} the day "
                "before.",
            )
        )
    report = _clusters(days.after, lambda one: one.figures.spreads.over_receivers.clusters)
    reported = _clusters(days.before, lambda one: one.figures.spreads.over_receivers.clusters)
    if report and reported:
        new, old = sum(report) / len(report), sum(reported) / len(reported)
        if old and abs(new - old) / old > _RECEIVERS_CHANGED:
            found.append(
                Change(
                    "worse" if new < old else "better",
                    f"{words.count(new)} receivers reported in a window of {days.timeframe.name} "
                    f"on average, {words.count(old)} the day before.",
                )
            )
    return found


def _group_changes(days: Days, by: Dimension) -> list[Change]:
    after, before = groups_of(days.after, by), groups_of(days.before, by)
    total = sum(share.counts.expected for share in after.values())
    found = []
    for value, share in after.items():
        if value is None:
            continue
        name = f"{words.DIMENSIONS[by]} {words.group(value)}"
        if value not in before:
            part = share.counts.expected / total if total else 0.0
            if part >= _NEW_SHARE:
                found.append(
                    Change(
                        "note",
                        f"{name} is new, with {words.percent(part)} of the expected deliveries.",
                    )
                )
            continue
        found += _judged(name, share, before[value])
    return found


def _channel_changes(days: Days, asked: Asked) -> list[Change]:
    found = []
    for channel_id, before, after in days.moved:
        found += [
            replace(
                change,
                href=address(replace(asked, channel=channel_id)),
                link_text=words.short_identifier(channel_id),
            )
            for change in _judged("", after, before)
        ]
    return found


def _judged(name: str, after: Share, before: Share) -> list[Change]:
    verdict = compare(after.interval, before.interval)
    if verdict is None or verdict.word is Word.CANNOT_TELL:
        return []
    return [
        Change(
            _tone(verdict.word),
            f"{name} is {words.verdict(verdict)}: {words.percent(after.counts.delivery_ratio)}, "
            f"{words.percent(before.counts.delivery_ratio)} the day before.".lstrip(),
        )
    ]


def _tone(word: Word) -> str:
    return "" if word is Word.CANNOT_TELL else word.value


# ------------------------------------------------------------------------------------ the line


def points_of(
    windows: Sequence[WindowReliability], asked: Asked, anchor: datetime | None
) -> list[Point]:
    """All windows of the span, oldest first; those that were never computed are gaps."""
    if anchor is None:
        return []
    by_start = {one.window.start: one for one in windows}
    found = []
    start = anchor - asked.points * asked.timeframe.length
    while start < anchor:
        end = start + asked.timeframe.length
        found.append(_point(Window(start, end), by_start.get(start), asked))
        start = end
    return found


def _point(window: Window, found: WindowReliability | None, asked: Asked) -> Point:
    href = address(AskedWindow(asked.timeframe, window.start, asked.membership, asked.channel))
    if found is None:
        return Point(
            window.start, window.end, None, None, None, False, Counts(0, 0, 0, 0, 0),
            words.NOT_COMPUTED, href,
        )  # fmt: skip
    interval = share_of(found).interval
    ratio = found.counts.delivery_ratio
    return Point(
        window.start,
        window.end,
        ratio,
        None if interval is None else interval.lower,
        None if interval is None else interval.upper,
        found.state is WindowState.PROVISIONAL,
        found.counts,
        "" if ratio is not None else _why_gap(found, asked),
        href,
    )


def _why_gap(window: WindowReliability, asked: Asked) -> str:
    if asked.channel is None:
        return words.NOT_COMPARABLE
    return why_no_ratio(window).partition(":")[0]


# ------------------------------------------------------------------------------------- a channel


def channel_page(
    reading: ChannelReading, timeframes: Sequence[Timeframe], *, influence_limit: float
) -> ChannelPage:
    asked = reading.asked
    assert asked.channel is not None
    compared = [one for one in reading.windows if one.reliability is not None]
    total = sum_of(compared)
    ratio = total.counts.delivery_ratio
    return ChannelPage(
        asked,
        words.identifier(asked.channel),
        _choices(asked, timeframes),
        "" if ratio is None else words.percent(ratio),
        words.interval(total.interval),
        "" if ratio is not None else _why_never(reading),
        [
            *count_facts(total.counts, receivers_note="the most in a window"),
            known_fact(total.counts),
            _windows_fact(reading.windows, compared),
        ],
        influence_notes(compared, influence_limit),
        points_of(reading.windows, asked, reading.anchor),
        delay_bars(total),
        delay_facts(total),
        loss_bars(total.counts),
        _two_groups(compared, asked),
        "" if reading.windows else _empty(reading.has_samples),
        reading.computed_at,
    )


def _why_never(reading: ChannelReading) -> str:
    rows = [channel for one in reading.windows for channel in one.channels]
    if not reading.windows:
        return words.NOT_COMPUTED
    if not rows:
        return f"{words.NO_REPORTERS}: no window of the span has a message of this channel"
    return f"{words.NOT_COMPARABLE}: {why_not_comparable(rows)}"


def _windows_fact(
    windows: Sequence[WindowReliability], compared: Sequence[WindowReliability]
) -> Fact:
    return Fact(
        "Comparable windows", f"{len(compared):,}", f"of {len(windows):,} computed", "comparable"
    )


def count_facts(counts: Counts, *, receivers_note: str = "") -> list[Fact]:
    return [
        Fact("Messages", words.count(counts.messages)),
        Fact("Receivers", words.count(counts.receivers), receivers_note, "receivers"),
        Fact("Expected", words.count(counts.expected), "deliveries", "expected"),
        Fact(
            "Missing",
            words.count(counts.missing),
            f"of {words.count(counts.corroborated)} corroborated",
            "missing",
        ),
    ]


def delay_facts(share: Share) -> list[Fact]:
    """On time within, and quantiles of all that should have been delivered."""
    on_time = {name: share.on_time(edge) for name, edge in ON_TIME_MS.items()}
    if all(ratio is None for ratio in on_time.values()):
        return []
    return [
        *(
            Fact(
                f"Within {words.duration(ON_TIME_MS[name])}",
                _ratio_or(ratio, "not known"),
                "",
                "on time",
            )
            for name, ratio in on_time.items()
        ),
        *(
            Fact(name, words.delay(share.quantile(of)), "", "delay")
            for name, of in QUANTILES.items()
        ),
    ]


def delay_bars(share: Share) -> list[Bar]:
    """Delivered pairs by class of delay; nothing where no delay is known."""
    counts = share.delays.delivery
    total = sum(counts)
    if not sum(counts[1:]):
        return []
    return [
        Bar(name, count, 100 * count / total, "unknown" if number < 2 else "")
        for number, (name, count) in enumerate(zip(words.DELAY_CLASSES, counts, strict=True))
        if count or number >= 2
    ]


def loss_bars(counts: Counts) -> list[Bar]:
    """All pairs: delivered, lost for sure or not, and of which nothing is known."""
    pairs = counts.expected + counts.unknown
    if not pairs:
        return []
    return [
        Bar("delivered", counts.expected - counts.missing,
            100 * (counts.expected - counts.missing) / pairs, "good"),
        Bar("missing", counts.missing, 100 * counts.missing / pairs, "bad"),
        Bar("unknown: the report is missing", counts.unknown, 100 * counts.unknown / pairs,
            "unknown"),
    ]  # fmt: skip


# -------------------------------------------------------------------------------------- a window


def window_page(
    reading: WindowReading, *, now: datetime, settle_time: timedelta, influence_limit: float
) -> WindowPage:
    asked, window = reading.asked, reading.window
    bounds = Window(asked.start, asked.start + asked.timeframe.length)
    share = Share() if window is None else share_of(window)
    counts = share.counts
    ratio = counts.delivery_ratio
    facts, notes = [], []
    if window is not None:
        facts = [*count_facts(counts), known_fact(counts), *_middle_facts(window)]
        notes = influence_notes([window], influence_limit)
    rows, rows_note = _channel_rows(window, asked) if asked.channel is None else ([], "")
    return WindowPage(
        asked,
        "" if asked.channel is None else words.identifier(asked.channel),
        f"Window of {asked.timeframe.name}",
        bounds,
        _window_links(reading, bounds),
        "" if ratio is None else words.percent(ratio),
        words.interval(share.interval),
        _why_no_window(asked, bounds, window, now),
        _state_of(window, bounds, settle_time),
        facts,
        notes,
        delay_bars(share),
        delay_facts(share),
        loss_bars(counts),
        [] if window is None or ratio is None else [group_table([window], by) for by in Dimension],
        rows,
        rows_note,
        None if window is None else window.computed_at,
    )


def _why_no_window(
    asked: AskedWindow, bounds: Window, window: WindowReliability | None, now: datetime
) -> str:
    if window is not None:
        return why_no_ratio(window)
    if is_due(asked.timeframe, bounds, now):
        return f"{words.NOT_COMPUTED}: there is no such window, or nobody computed it"
    due = bounds.end + asked.timeframe.allowed_lateness
    return f"{words.NOT_COMPUTED}: it is computed from {words.utc(due)} on"


def _state_of(window: WindowReliability | None, bounds: Window, settle_time: timedelta) -> str:
    if window is None:
        return ""
    if window.state is WindowState.SETTLED:
        return f"settled, revision {window.revision}"
    return (
        f"provisional, revision {window.revision}; settled from "
        f"{words.utc(bounds.end + settle_time)} on"
    )


def _middle_facts(window: WindowReliability) -> list[Fact]:
    figures = window.figures
    facts = [Fact("R", _ratio_or(window.reliability, words.NOT_COMPARABLE), "", "R")]
    if figures.median is not None:
        facts.append(Fact("Median", words.percent(figures.median), "of the receivers", "median"))
    if figures.trimmed is not None:
        facts.append(
            Fact("Trimmed mean", words.percent(figures.trimmed), "of the receivers", "trimmed mean")
        )
    if figures.influence is not None:
        facts.append(
            Fact("Influence", words.percent(figures.influence), "of one receiver", "influence")
        )
    if window.unseen is not None:
        facts.append(
            Fact("Unseen", f"≈ {words.count(window.unseen)}", "messages, estimated", "unseen")
        )
    if window.sample_coverage is not None:
        facts.append(
            Fact("Sample coverage", words.percent(window.sample_coverage), "estimated",
                 "sample coverage")
        )  # fmt: skip
    return facts


def _window_links(reading: WindowReading, bounds: Window) -> list[Link]:
    asked, length = reading.asked, reading.asked.timeframe.length
    stored = {one.window.start for one in reading.neighbours}
    links = []
    if bounds.start - length in stored:
        links.append(Link("← The one before", address(replace(asked, start=bounds.start - length))))
    if bounds.end in stored:
        links.append(Link("The one after →", address(replace(asked, start=bounds.end))))
    if asked.channel is not None:
        links.append(Link("All channels of this window", address(replace(asked, channel=None))))
    return links


def _channel_rows(
    window: WindowReliability | None, asked: AskedWindow
) -> tuple[list[ChannelRow], str]:
    """The worst first; those without a ratio last, with the reason."""
    if window is None:
        return [], ""
    shares = [(channel, share_of(channel)) for channel in window.channels]
    shares.sort(key=lambda one: _order(one[0]))
    shown = shares[:MOST_CHANNELS]
    scale = _scale([share for channel, share in shown if channel.comparable])
    rows = []
    for channel, share in shown:
        ratio = channel.counts.delivery_ratio if channel.comparable else None
        rows.append(
            ChannelRow(
                words.short_identifier(channel.channel_id),
                address(replace(asked, channel=channel.channel_id)),
                _ratio_or(ratio, _why_not(channel)),
                "" if ratio is None else words.interval(share.interval),
                words.count(channel.counts.messages),
                words.count(channel.counts.receivers),
                words.count(channel.counts.expected),
                words.count(channel.counts.missing),
                "audit: its losses are known, it is in no total" if channel.is_audit else "",
                _mark(share, scale) if ratio is not None else None,
            )
        )
    hidden = len(shares) - len(shown)
    return rows, f"{hidden:,} more are in the export." if hidden else ""


def _why_not(channel: ChannelReliability) -> str:
    return words.NOT_COMPARABLE if not channel.comparable else words.TOO_FEW


def _order(channel: ChannelReliability) -> tuple[bool, float, int, str]:
    ratio = channel.counts.delivery_ratio if channel.comparable else None
    return (
        ratio is None,
        1.0 if ratio is None else ratio,
        -channel.counts.missing,
        channel.channel_id,
    )


# ------------------------------------------------------------------------------------------ rest


def _choices(asked: Asked, timeframes: Sequence[Timeframe]) -> list[Choice]:
    """Links to the same page of other windows and spans."""
    longest = max(len(timeframes), 1)
    return [
        Choice(
            "Windows",
            [
                Link(one.name, address(_of_timeframe(asked, one)), one == asked.timeframe)
                for one in timeframes[:longest]
            ],
        ),
        Choice(
            "Span",
            [
                Link(words.SPANS[name], address(replace(asked, span=name)), name == asked.span)
                for name, length in SPANS.items()
                if length >= 2 * asked.timeframe.length or name == asked.span
            ],
        ),
    ]


def _of_timeframe(asked: Asked, timeframe: Timeframe) -> Asked:
    """With a span that holds some of its windows."""
    span = asked.span
    for name, length in SPANS.items():
        if SPANS[span] >= 2 * timeframe.length:
            break
        span = name if length >= 2 * timeframe.length else span
    return replace(asked, timeframe=timeframe, span=span)


def _ratio_or(ratio: float | None, otherwise: str) -> str:
    return otherwise if ratio is None else words.percent(ratio)
