"""The parts that several pages have. Pure."""

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.beside import Beside
from devtelemetry.dashboard.state import (
    BREAKDOWNS,
    SPANS,
    PageState,
    WindowPageState,
    address,
    address_of_part,
    narrow,
)
from devtelemetry.dashboard.views.values import (
    Bar,
    ChannelRow,
    Choice,
    Fact,
    GroupRow,
    GroupTable,
    LineBeside,
    Link,
    Mark,
    Moment,
    Point,
    ReasonRow,
)
from devtelemetry.estimate.verdict import Verdict, Word
from devtelemetry.figures.derive import (
    ON_TIME_MS,
    QUANTILES,
    Totals,
    groups_of,
    reference,
    totals_of,
    verdicts,
)
from devtelemetry.figures.narrow import totals_of_loss
from devtelemetry.model import (
    NO_COUNTS,
    WEEK,
    ChannelReliability,
    Counts,
    Dimension,
    LossClass,
    LossReason,
    Timeframe,
    Window,
    WindowReliability,
    WindowState,
)
from devtelemetry.releases.notes import Note


def why_no_ratio(window: WindowReliability | None) -> str:
    """Why a window that was read with its channels has no ratio; empty if it has one."""
    if window is None:
        return words.NOT_COMPUTED
    if window.counts.delivery_ratio is not None:
        return ""
    if window.counts.expected:
        return f"{words.TOO_FEW}: no second receiver confirms any message"
    return f"{words.without_ratio(window)}: {why_not_comparable(window.channels)}"


def why_not_comparable(channels: Sequence[ChannelReliability]) -> str:
    """What these channels lack to be comparable; none of them is."""
    if not channels:
        return "no receiver that counts was in a channel with messages"
    if any(channel.counts.receivers >= 2 for channel in channels):
        return "nothing was expected of the receivers that count"
    return "only one receiver counts, and nobody can confirm its messages"


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


def verdict_text(found: Verdict | None, windows: Sequence[WindowReliability]) -> str:
    """The verdict on these windows, and whether one installation alone could have caused it.

    One installation moves the ratio of a span by at most the mean of what it moves in each window.
    """
    said = words.verdict(found)
    if found is None or found.word is Word.CANNOT_TELL:
        return said
    moved = [
        (one.figures.influence, one.counts.corroborated)
        for one in windows
        if one.figures.influence is not None and one.counts.corroborated
    ]
    surely = min(abs(found.difference.lower), abs(found.difference.upper))
    if sum(influence * pairs for influence, pairs in moved) < surely * sum(n for _, n in moved):
        return said
    return f"{said}, which one installation or network alone could cause" if moved else said


def clusters(
    windows: Sequence[WindowReliability], of: Callable[[WindowReliability], int]
) -> list[int]:
    return [of(one) for one in windows if one.counts.corroborated]


def empty(has_samples: bool) -> str:
    return "waiting" if has_samples else "first"


LINE, BREAKDOWN = "#line", "#breakdown"
"""The places that a page shows after a choice, so that the viewer stays where the choice was"""


def two_groups(windows: Sequence[WindowReliability], asked: PageState) -> list[GroupTable]:
    """A table by platform, and a table by the dimension that was asked for."""
    return [
        group_table(windows, Dimension.PLATFORM, asked),
        replace(
            group_table(windows, asked.by, asked),
            choice=Choice(
                "Break down by",
                [
                    Link(
                        words.DIMENSIONS[by].capitalize(),
                        address(replace(asked, by=by)) + BREAKDOWN,
                        by is asked.by,
                    )
                    for by in BREAKDOWNS
                ],
            ),
        ),
    ]


def group_table(
    windows: Sequence[WindowReliability], by: Dimension, asked: PageState
) -> GroupTable:
    """Each name links to the page of `asked`, narrowed to the group."""
    return table_of(groups_of(windows, by), by, asked)


def table_of(groups: Mapping[str | None, Totals], by: Dimension, asked: PageState) -> GroupTable:
    """groups  the largest first, other (None) last"""
    loss = asked.loss
    shown = {
        value: totals if loss is None else totals_of_loss(totals, loss)
        for value, totals in groups.items()
    }
    other = reference(list(groups)) if loss is None else None
    scale = scale_of(shown.values())
    current = dict(asked.where).get(by)
    judged = verdicts(shown)
    return GroupTable(
        words.DIMENSIONS[by].capitalize(),
        "" if other is None else words.group(other),
        [
            GroupRow(
                words.group(value),
                ratio_or(totals.counts.delivery_ratio, words.TOO_FEW),
                words.interval(totals.interval) if loss is None else "–",
                words.count(totals.counts.expected),
                words.count(totals.counts.missing),
                ratio_or(groups[value].on_time(ON_TIME_MS["1m"]), words.NOT_KNOWN),
                "–" if other is None or value == other else words.verdict(judged[value]),
                tone_of(judged[value]),
                mark_on(totals, scale),
                "" if value is None else address(narrow(asked, by, value)),
                value is not None and value == current,
            )
            for value, totals in shown.items()
        ],
        scale="" if scale is None else f"{words.percent(scale)} to 100 %",
        delivered="Delivered" if loss is None else "Not lost in this way",
        missing="Missing" if loss is None else words.LOSS_CLASSES[loss].capitalize(),
    )


def channel_rows(
    channels: Sequence[tuple[str, Totals]],
    asked: PageState,
    where: Sequence[tuple[Dimension, str]] = (),
) -> list[ChannelRow]:
    """Each row links to the channel's page. where: the groups that this page is narrowed to"""
    scale = scale_of([totals for _, totals in channels])
    return [
        ChannelRow(
            texts.short_identifier(channel_id),
            address(replace(asked, channel=channel_id, where=tuple(where), across=None)),
            words.percent(totals.counts.delivery_ratio),
            words.interval(totals.interval) if asked.loss is None else "–",
            words.count(totals.counts.messages),
            words.count(totals.counts.receivers),
            words.count(totals.counts.expected),
            words.count(totals.counts.missing),
            mark=mark_on(totals, scale),
        )
        for channel_id, totals in channels
    ]


def scale_of(shares: Iterable[Totals]) -> float | None:
    """Where the scale of a table's marks begins; it ends at 1. None if there is nothing to mark."""
    lows = []
    for totals in shares:
        ratio, interval = totals.counts.delivery_ratio, totals.interval
        if ratio is not None:
            lows.append(ratio if interval is None else interval.lower)
    if not lows:
        return None
    low = min(lows)
    for edge in (0.99, 0.98, 0.95, 0.9, 0.8, 0.6):
        if low > edge:
            return edge
    return 0.0


def mark_on(totals: Totals, scale: float | None) -> Mark | None:
    ratio = totals.counts.delivery_ratio
    if ratio is None or scale is None:
        return None

    def place(value: float) -> float:
        return round(100 * max(0.0, value - scale) / (1 - scale), 2)

    interval = totals.interval
    return Mark(
        place(ratio),
        None if interval is None else place(interval.lower),
        None if interval is None else place(interval.upper),
    )


def points_of(
    windows: Sequence[WindowReliability], asked: PageState, anchor: datetime | None
) -> list[Point]:
    """A point for each window of the span, oldest first; windows never computed are gaps."""
    bounds = asked.bounds(anchor)
    if anchor is None or bounds is None:
        return []
    by_start = {one.window.start: one for one in windows}
    found = []
    start = bounds.end - asked.points * asked.timeframe.length
    while start < bounds.end:
        end = start + asked.timeframe.length
        found.append(_point(Window(start, end), by_start.get(start), asked))
        start = end
    return found


def _point(window: Window, found: WindowReliability | None, asked: PageState) -> Point:
    href = (
        address_of_part(asked, window)
        if asked.is_narrowed
        else address(
            WindowPageState(asked.timeframe, window.start, asked.membership, asked.channel)
        )
    )
    if found is None:
        return Point(
            window.start, window.end, None, None, False, NO_COUNTS, words.NOT_COMPUTED, href
        )
    ratio = found.counts.delivery_ratio
    return Point(
        window.start,
        window.end,
        ratio,
        totals_of(found).interval,
        found.state is WindowState.PROVISIONAL,
        found.counts,
        "" if ratio is not None else _why_gap(found, asked),
        href,
    )


def line_beside(
    points: Sequence[Point], asked: PageState, found: Beside, objective: float | None
) -> LineBeside:
    """objective  None: the line does not show a delivery ratio"""
    before = {one.window.start + WEEK: one.counts.delivery_ratio for one in found.week_before}
    moments = sorted(
        [
            (at, f"version {words.shorten(version, _NAME)} first seen")
            for at, version in found.first_seen
        ]
        + [(one.at, _noted(one)) for one in found.notes]
        + [(one.start, _SUMS_BEGIN) for one in _first_summed(points, asked)],
    )
    return LineBeside(
        objective,
        [before.get(point.start) for point in points] if any(before.values()) else [],
        [
            Moment(at, letter, text)
            for (at, text), letter in zip(moments, string.ascii_uppercase, strict=False)
        ],
    )


_SUMS_BEGIN = "the sums of this page begin"


def _first_summed(points: Sequence[Point], asked: PageState) -> Sequence[Point]:
    """The first summed point; empty if all points are summed, or none is."""
    found = [one for one in points if asked.sums(Window(one.start, one.end))]
    return found[:1] if len(found) < len(points) else ()


def _noted(note: Note) -> str:
    text = words.visible(note.text)
    return f"{words.shorten(note.version, _NAME)}: {text}" if note.version else text


_NAME = 40  # characters shown of a version


def _why_gap(window: WindowReliability, asked: PageState) -> str:
    if asked.is_narrowed:
        return words.NOTHING_TO_COMPARE
    if asked.channel is None:
        return words.NOT_COMPARABLE
    return why_no_ratio(window).partition(":")[0]


def count_facts(counts: Counts) -> list[Fact]:
    return [
        Fact("Messages", words.count(counts.messages)),
        Fact("Receivers", words.count(counts.receivers), "", "receivers"),
        Fact("Expected", words.count(counts.expected), "deliveries", "expected"),
        Fact(
            "Missing",
            words.count(counts.missing),
            f"of {words.count(counts.corroborated)} corroborated",
            "missing",
        ),
    ]


def delay_facts(totals: Totals) -> list[Fact]:
    """On-time ratios, and quantiles of the delay, of all that should have been delivered."""
    on_time = {name: totals.on_time(edge) for name, edge in ON_TIME_MS.items()}
    if all(ratio is None for ratio in on_time.values()):
        return []
    return [
        *(
            Fact(
                f"Within {words.duration(ON_TIME_MS[name])}",
                ratio_or(ratio, words.NOT_KNOWN),
                "",
                "on time",
            )
            for name, ratio in on_time.items()
        ),
        *(
            Fact(name, words.delay(totals.quantile(of)), "", "delay")
            for name, of in QUANTILES.items()
        ),
    ]


def delay_bars(totals: Totals) -> list[Bar]:
    """Delivered pairs by class of delay; empty if no delay is known."""
    counts = totals.delays.delivery
    total = sum(counts)
    if not sum(counts[1:]):
        return []
    return [
        Bar(name, count, 100 * count / total, "unknown" if number < 2 else "")
        for number, (name, count) in enumerate(zip(words.DELAY_CLASSES, counts, strict=True))
        if count or number >= 2
    ]


def loss_bars(counts: Counts, asked: PageState) -> list[Bar]:
    """All pairs: delivered, missing by class, and unknown. Each class links to the page of `asked`
    narrowed to it."""
    pairs = counts.expected + counts.unknown
    if not pairs:
        return []

    def bar(name: str, count: int, tone: str, href: str = "") -> Bar:
        return Bar(name, count, 100 * count / pairs, tone, href)

    return [
        bar("delivered", counts.expected - counts.missing, "good"),
        *(
            bar(words.LOSS_CLASSES[of], count, "bad", address(replace(asked, loss=of, across=None)))
            for of, count in counts.losses.items()
        ),
        bar("unknown: the report is missing", counts.unknown, "unknown"),
    ]


def reason_rows(reasons: Iterable[LossReason]) -> list[ReasonRow]:
    """Why pairs are missing. `not_arrived` is left out, because nobody reports a reason for it. The
    row for other reasons says nothing by itself, so without another row there is none."""
    told = [one for one in reasons if one.of != LossClass.NOT_ARRIVED]
    if all(one.of is None for one in told):
        return []
    return [
        ReasonRow(
            "other reasons" if one.of is None else words.LOSS_CLASSES[LossClass(one.of)],
            words.visible(one.reason or "") or ("" if one.of is None else words.NOT_SAID),
            words.count(one.pairs),
        )
        for one in told
    ]


def choices(asked: PageState, timeframes: Sequence[Timeframe]) -> list[Choice]:
    """Links to the same page with other timeframes and spans."""
    windows = Choice(
        "Windows",
        [
            Link(one.name, address(_of_timeframe(asked, one)) + LINE, one == asked.timeframe)
            for one in timeframes
        ],
    )
    if asked.is_pair:  # it shows one window
        return [windows]
    return [
        windows,
        Choice(
            "Span",
            [
                Link(
                    texts.SPANS[name],
                    address(replace(asked, span=name, fixed=None, since=None)) + LINE,
                    name == asked.span,
                )
                for name, length in SPANS.items()
                if length >= 2 * asked.timeframe.length or name == asked.span
            ],
        ),
    ]


def _of_timeframe(asked: PageState, timeframe: Timeframe) -> PageState:
    """The state with this timeframe, and a span of at least two of its windows."""
    if asked.fixed is not None:
        return replace(asked, timeframe=timeframe)
    span = asked.span
    for name, length in SPANS.items():
        if SPANS[span] >= 2 * timeframe.length:
            break
        span = name if length >= 2 * timeframe.length else span
    return replace(asked, timeframe=timeframe, span=span)


def span_text(asked: PageState) -> str:
    """The span of the sums: `7 days`, from when to when, or since when."""
    bounds = asked.bounds(None)
    if bounds is None:
        return texts.SPANS[asked.span]
    summed = asked.summed(bounds)
    if asked.since is not None:
        return f"since {words.utc(summed.start)}, until {words.utc(summed.end)}"
    return f"{words.utc(summed.start)} to {words.utc(summed.end)}"


def span_of_line(asked: PageState) -> str:
    """The span of the sums, and the timeframe of the line."""
    return f"{span_text(asked)}; the line has windows of {asked.timeframe.name}"


def ratio_or(ratio: float | None, otherwise: str) -> str:
    return otherwise if ratio is None else words.percent(ratio)


def tone_of(found: Verdict | None) -> str:
    return "" if found is None or found.word is Word.CANNOT_TELL else found.word.value
