"""The page of a subject, which can have a problem: a channel, group or class of losses. Pure."""

from collections.abc import ItemsView, Sequence
from dataclasses import replace

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.state import (
    PageState,
    WindowPageState,
    address,
    widen,
)
from devtelemetry.dashboard.subjects import (
    MOST_LOOKED_AT,
    MOST_SUMMED,
    LossyChannels,
    SubjectReading,
)
from devtelemetry.dashboard.views.missing import missing_view
from devtelemetry.dashboard.views.parts import (
    BREAKDOWN,
    channel_rows,
    choices,
    clusters,
    count_facts,
    delay_bars,
    delay_facts,
    empty,
    group_table,
    known_fact,
    line_beside,
    loss_bars,
    points_of,
    reason_rows,
    span_text,
    table_of,
    tone_of,
    two_groups,
    verdict_text,
    why_not_comparable,
)
from devtelemetry.dashboard.views.values import (
    Choice,
    Fact,
    Filter,
    GroupTable,
    Link,
    Missing,
    ProblemRow,
    SubjectPage,
)
from devtelemetry.figures.derive import Totals, reasons_of, sum_of
from devtelemetry.figures.narrow import of_loss, rest_of
from devtelemetry.model import Dimension, Timeframe, WindowReliability
from devtelemetry.problems.problem import Problem, Problems, subject_of

_OF_AUTHORS = {Dimension.AUTHOR_PLATFORM, Dimension.AUTHOR_APP_VERSION, Dimension.PATH}


def subject_page(
    reading: SubjectReading,
    timeframes: Sequence[Timeframe],
    *,
    objective: float,
    log_link: str | None = None,
) -> SubjectPage:
    asked, loss = reading.asked, reading.asked.loss
    windows, tiles = (
        found if loss is None else [of_loss(one, loss) for one in found]
        for found in (reading.windows, reading.tiles)
    )
    compared = [one for one in tiles if one.reliability is not None]
    total, all_losses = sum_of(compared), sum_of(reading.tiles)
    ratio = total.counts.delivery_ratio
    rest, rest_tone = _rest(reading, compared)
    found, no_problem = _problems(reading.problems, asked)
    points = [] if asked.is_pair else points_of(windows, asked, reading.anchor)
    return SubjectPage(
        asked,
        filters_of(asked),
        choices(asked, timeframes),
        "" if ratio is None else words.percent(ratio),
        words.interval(total.interval) if loss is None else "",
        _of_what(reading),
        _relation(reading, ratio),
        _latest(reading, windows),
        "" if ratio is not None else _why_never(reading),
        rest,
        rest_tone,
        found,
        no_problem,
        reading.problems.until,
        _facts(reading, total),
        _not_stored(reading),
        points,
        line_beside(points, asked, reading.beside, objective if loss is None else None),
        delay_bars(all_losses),
        delay_facts(all_losses),
        loss_bars(all_losses.counts, asked),
        reason_rows(reasons_of(compared)),
        words.ways(all_losses.counts),
        channel_rows(
            reading.channels.found,
            asked,
            () if reading.channels.of is None else (reading.channels.of,),
        ),
        _channels_title(reading.channels),
        _channels_note(reading),
        _missing(reading, log_link),
        reading.missing_problem,
        _groups(reading),
        _across(asked),
        "" if reading.table is None else reading.table.problem,
        "" if reading.around else empty(reading.has_samples),
    )


def filters_of(asked: PageState) -> list[Filter]:
    """The filters of a page: its channel, groups and class of losses."""
    found = []
    if asked.channel is not None:
        without = address(replace(asked, channel=None))
        found.append(
            Filter("Channel", words.visible(asked.channel), asked.channel, "All channels", without)
        )
    for dimension, value in asked.where:
        label = words.DIMENSIONS[dimension].capitalize()
        without = address(widen(asked, dimension))
        wider = f"All {words.DIMENSIONS[dimension]}s"
        found.append(Filter(label, words.group(value), value, wider, without))
    if asked.loss is not None:
        name = words.LOSS_CLASSES[asked.loss]
        without = address(replace(asked, loss=None))
        found.append(Filter("Losses", name, name, "All losses", without))
    return found


def name_of(asked: PageState) -> str:
    """The name of the subject, short enough for a title."""
    return " · ".join(
        texts.short_identifier(one.name)
        if one.label == "Channel"
        else f"{one.label} {texts.short_identifier(one.name, 40)}"
        for one in filters_of(asked)
    )


def way_to(asked: PageState) -> list[Link]:
    """Breadcrumbs: the page of each wider subject, then the page itself."""
    parts = [
        *([replace(asked, where=(), loss=None)] if asked.channel is not None else []),
        *(replace(asked, channel=None, loss=None, where=(one,)) for one in asked.where),
    ]
    wider = [replace(one, across=None) for one in parts if one != asked]
    return [*(Link(name_of(one), address(one)) for one in wider), Link(name_of(asked), "")]


def _of_what(reading: SubjectReading) -> str:
    """What the headline is about: `in 7 days`"""
    asked = reading.asked
    if not asked.is_pair:
        return span_text(asked) if asked.since is not None else f"in {span_text(asked)}"
    window = None if reading.table is None else reading.table.window
    start = "" if window is None else f" of {words.utc(window.start)}"
    return f"in the {asked.timeframe.name} window{start}"


def _latest(reading: SubjectReading, windows: Sequence[WindowReliability]) -> str:
    if reading.asked.is_pair or len(windows) < _SEVERAL:
        return ""
    last = windows[-1]
    ratio = last.counts.delivery_ratio
    if ratio is None:
        return ""
    interval = sum_of([last]).interval
    sure = "" if interval is None else f", 95 % interval {words.interval(interval)}"
    of = f"the last window of {reading.asked.timeframe.name}"
    return f"{words.percent(ratio)} in {of}, until {words.utc(last.window.end)}{sure}"


_SEVERAL = 2


def _relation(reading: SubjectReading, ratio: float | None) -> str:
    """Why the headline is not the problem's number, if they differ: other receivers may count in a
    day than in its hours."""
    asked, problems = reading.asked, reading.problems
    if asked.is_pair or ratio is None or asked.fixed is None or problems.timeframe is None:
        return ""
    by = problems.timeframe.name
    for one in problems.found:
        is_its = subject_of(one.unit).items() == _subject(asked) and one.began == asked.since
        if is_its and asked.fixed.end == problems.until and round(one.now - ratio, 4):
            return (
                f"{words.percent(one.now)} by windows of {by}, which problems are judged by. The "
                "sum is over the longest windows, in which other receivers may count."
            )
    return ""


def _rest(reading: SubjectReading, compared: Sequence[WindowReliability]) -> tuple[str, str]:
    if reading.asked.loss is not None:
        return "", ""
    rest = rest_of(compared, reading.whole)
    if rest.ratio is None:
        return "", ""
    said = verdict_text(rest.verdict, compared)
    return (
        f"compared with the rest, {words.percent(rest.ratio)}: {said}",
        tone_of(rest.verdict),
    )


def _problems(problems: Problems, asked: PageState) -> tuple[list[ProblemRow], str]:
    """The problems of the subject, then those of subjects that contain it or are parts of it."""
    mine = _subject(asked)
    own, others = [], []
    for one in problems.found:
        its = subject_of(one.unit).items()
        if its == mine:
            own.append(_row(one, ""))
        elif its <= mine or mine <= its:
            others.append(_row(one, one.page))
    if own or others:
        return [*own, *others], ""
    return [], problems.nothing or "No change of its own beyond chance."


def _subject(asked: PageState) -> ItemsView[str, str]:
    """The page's subject, in the form of `subject_of`."""
    return {
        **({"channel": asked.channel} if asked.channel is not None else {}),
        **{dimension.value: value for dimension, value in asked.where},
        **({"loss_class": asked.loss.value} if asked.loss is not None else {}),
    }.items()


def _row(problem: Problem, href: str) -> ProblemRow:
    return ProblemRow(problem.name, href, problem.what, problem.how_sure)


def _facts(reading: SubjectReading, total: Totals) -> list[Fact]:
    asked = reading.asked
    windows = asked.summed_of(reading.windows)
    facts = count_facts(total.counts)
    facts[1] = _who(reading)
    if asked.loss is not None:
        name = words.LOSS_CLASSES[asked.loss].capitalize()
        facts[-1] = replace(facts[-1], label=name, term="loss classes")
    facts.append(known_fact(total.counts))
    if not asked.is_pair:
        facts.append(
            Fact(
                "Windows with a ratio",
                words.count(sum(one.reliability is not None for one in windows)),
                f"of {words.count(len(windows))} computed",
                "comparable",
            )
        )
    return facts


def _who(reading: SubjectReading) -> Fact:
    """Distinct receivers are known for each window, not for several windows together."""
    asked = reading.asked
    windows = asked.summed_of(reading.windows)
    found = clusters(windows, lambda one: one.figures.spreads.over_receivers.clusters)
    number = words.count(max(found, default=0))
    note = "" if asked.is_pair else "the most in a window"
    if any(dimension in _OF_AUTHORS for dimension, _ in asked.where):
        return Fact("Authors", number, note)
    return Fact("Receivers", number, note, "receivers")


def _why_never(reading: SubjectReading) -> str:
    asked = reading.asked
    if not reading.around:
        return words.NOT_COMPUTED
    if asked.is_pair and reading.table is not None and reading.table.problem:
        return f"{words.NOT_COMPUTED}: {reading.table.problem}"
    if asked.where:
        where = "the window has" if asked.is_pair else "no window of the span has"
        less = "no such deliveries" if asked.is_pair else "such deliveries"
        return (
            f"{words.NOTHING_TO_COMPARE}: {where} {less}, or too few receivers or authors are "
            "in the group"
        )
    if asked.channel is None:
        return f"{words.NOTHING_TO_COMPARE}: no window of the span has a ratio"
    rows = [channel for one in reading.around for channel in one.channels]
    if not rows:
        return f"{words.NOTHING_TO_COMPARE}: no window of the span has a message of this channel"
    return f"{words.NOT_COMPARABLE}: {why_not_comparable(rows)}"


def _not_stored(reading: SubjectReading) -> str:
    asked = reading.asked
    if not asked.is_pair:
        return ""
    table = reading.table
    when = (
        f"one {asked.timeframe.name} window, {words.utc(table.window.start)} to "
        f"{words.utc(table.window.end)}, computed now from the samples"
        if table is not None and table.window is not None
        else f"one {asked.timeframe.name} window, computed from the samples"
    )
    return (
        f"Figures are stored for one group at a time. For both together there is {when}, and no "
        "line. The page of each group has one."
    )


def _channels_title(channels: LossyChannels) -> str:
    if channels.of is None:
        return "Channels that lose most"
    dimension, value = channels.of
    return f"Channels in which {words.DIMENSIONS[dimension]} {words.group(value, 40)} loses most"


def _channels_note(reading: SubjectReading) -> str:
    asked, channels = reading.asked, reading.channels
    if not channels.found:
        return ""
    summed = asked.summed_of(reading.around)[-MOST_SUMMED:]
    said = (
        f"Sums from {words.utc(summed[0].window.start)} to {words.utc(summed[-1].window.end)}, of "
        f"the {MOST_LOOKED_AT} channels that lost most then."
    )
    if channels.of is not None:
        return (
            f"{said} Windows in which it has too few receivers in a channel are left out, so the "
            "channel's own page may have more."
        )
    if asked.where:
        return f"{said} The sums are of all receivers: the group has too few in every channel."
    return said


def _missing(reading: SubjectReading, log_link: str | None) -> Missing | None:
    found, asked = reading.missing, reading.asked
    if found is None:
        return None
    of = WindowPageState(asked.timeframe, found.window.start, asked.membership, asked.channel)
    messages_of = f"Of the {asked.timeframe.name} window of {words.utc(found.window.start)}."
    if asked.where:
        messages_of += " Each message is counted at all receivers of the channel."
    return missing_view(found, log_link, address(of), messages_of)


def _groups(reading: SubjectReading) -> list[GroupTable]:
    asked = reading.asked
    if asked.across is not None:
        return [*_table_of_across(reading), *_siblings(reading)]
    if asked.is_pair:
        return []
    return _siblings(reading) if asked.where else two_groups(reading.tiles_around, asked)


def _siblings(reading: SubjectReading) -> list[GroupTable]:
    """A table of all groups of the group's dimension."""
    ((dimension, _),) = reading.asked.where
    return [group_table(reading.tiles_around, dimension, reading.asked)]


def _table_of_across(reading: SubjectReading) -> list[GroupTable]:
    """The group broken down by another dimension, in the window of the table."""
    asked, table = reading.asked, reading.table
    if table is None or table.found is None or table.window is None or asked.across is None:
        return []
    ((_, value),) = asked.where
    groups: dict[str | None, Totals] = {
        cell.column: Totals(cell.counts, cell.spreads, cell.delays)
        for cell in table.found.cells
        if cell.row == value
    }
    ordered = dict(
        sorted(
            groups.items(),
            key=lambda one: (one[0] is None, -one[1].counts.corroborated, one[0] or ""),
        )
    )
    found = table_of(ordered, asked.across, asked)
    return [
        replace(
            found,
            title=f"{found.title} within it",
            about=f"Of the {asked.timeframe.name} window {words.utc(table.window.start)} to "
            f"{words.utc(table.window.end)}, computed now from the samples.",
        )
    ]


def _across(asked: PageState) -> Choice | None:
    if len(asked.where) != 1:
        return None
    ((own, _),) = asked.where
    return Choice(
        "Break it down by",
        [
            Link(
                words.DIMENSIONS[by].capitalize(),
                address(replace(asked, across=by)) + BREAKDOWN,
                by is asked.across,
            )
            for by in Dimension
            if by is not own
        ],
    )
