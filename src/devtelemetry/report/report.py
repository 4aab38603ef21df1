"""The figures as tables for a person: newest window last, the worst channels under them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from devtelemetry.estimate.delay import Reach
from devtelemetry.estimate.interval import Interval
from devtelemetry.estimate.verdict import Word
from devtelemetry.figures.clocks import Clocks, read_clocks
from devtelemetry.figures.derive import (
    ON_TIME_MS,
    QUANTILES,
    Totals,
    groups_of,
    reference,
    sum_of,
    totals_of,
    verdicts,
)
from devtelemetry.figures.read import (
    Selection,
    has_samples,
    read_windows,
    start_of_latest,
    stored_timeframes,
)
from devtelemetry.figures.series import NOT_SAID, OTHER
from devtelemetry.model import (
    ChannelReliability,
    Dimension,
    MembershipPolicy,
    WindowReliability,
    WindowState,
    parse_timeframe,
    write_duration,
)
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.database import Database
from devtelemetry.words.texts import shorten

LATEST_WINDOWS = 24  # shown where no start is given: a day of hours, and they fit on a screen
WORST_CHANNELS = 5
NOT_COMPARABLE = "not comparable"
NOTHING_TO_COMPARE = "nothing to compare"
TOO_FEW = "too few"  # clusters to say

_BARS = "▁▂▃▄▅▆▇█"
_NAMES = {
    Dimension.PLATFORM: "platform",
    Dimension.APP_VERSION: "app version",
    Dimension.MESSAGE_TYPE: "message type",
}
_STYLES = {Word.BETTER.value: "green", Word.WORSE.value: "red"}

_WIDE_COLUMNS = 110  # from this width on there is room for three more counts
ID_WIDTH = 27  # of a channel's id; longer ones are shortened in the middle
_NO_SAMPLES = (
    "There are no samples yet. `devtelemetry serve` takes those that clients push, "
    "`devtelemetry import FILE` those of a file."
)


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What the report is to show; None: everything, of the time: the latest windows."""

    timeframe: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    channel: str | None = None
    membership: MembershipPolicy | None = None
    by: Dimension | None = None
    versus: str | None = None
    influence_limit: float = 0.01  # a window is marked beyond


async def print_report(database: Database, console: Console, asked: ReportRequest) -> None:
    """One section per timeframe and membership policy; what to do next where there is none."""
    timeframes = await stored_timeframes(database)
    shown = 0
    for timeframe in timeframes if asked.timeframe is None else [asked.timeframe]:
        selection = Selection(
            timeframe,
            asked.start,
            asked.end,
            asked.channel,
            asked.membership,
            () if asked.by is None else (asked.by,),
        )
        earlier = 0
        if asked.start is None:
            start, stored = await start_of_latest(database, selection, LATEST_WINDOWS)
            if start is None:
                continue
            selection = replace(selection, start=start)
            earlier = max(0, stored - LATEST_WINDOWS)
        sections: dict[MembershipPolicy, list[WindowReliability]] = defaultdict(list)
        async for window in read_windows(database, selection):
            sections[window.membership].append(window)
        for membership, windows in sections.items():
            if shown:
                console.print()
            for part in render(timeframe, membership, windows, asked, console.width):
                console.print(part)
            if earlier:
                console.print(f"{earlier:,} earlier windows are stored; --from shows them.")
            shown += 1
    if not shown:
        console.print(await _what_next(database, timeframes))
        return
    clocks = await read_clocks(database, now_ms=now_ms())
    if clocks.told:
        console.print(of_clocks(clocks))


def of_clocks(clocks: Clocks) -> Text:
    """How many of the clocks that were told are off."""
    told = f"{clocks.told:,} {'receiver' if clocks.told == 1 else 'receivers'} that told"
    off = clocks.off_by_more["1s"]
    if not off:
        return Text(f"Clocks: all of {told} theirs are right to a second.", style="dim")
    by_more = ", ".join(
        f"{number:,} by more than {name}"
        for name, number in clocks.off_by_more.items()
        if number and name != "1s"
    )
    return Text(
        f"Clocks: of {told} theirs {off:,} are off by more than a second"
        + (f" ({by_more})" if by_more else "")
        + f": {clocks.ahead:,} ahead, {clocks.behind:,} behind. Delays are put right by it.",
        style="dim",
    )


def render(
    timeframe: str,
    membership: MembershipPolicy,
    windows: Sequence[WindowReliability],
    asked: ReportRequest,
    width: int,
) -> Iterable[RenderableType]:
    """The parts of one section, for a console `width` columns wide."""
    of_channel = f" of {shorten(asked.channel, ID_WIDTH)}" if asked.channel is not None else ""
    yield Text(f"{timeframe} windows{of_channel}, membership {membership}, UTC", style="bold")
    yield _windows_table(timeframe, windows, wide=width >= _WIDE_COLUMNS)
    yield from _in_words(windows, asked.influence_limit)
    if asked.by is not None:
        yield Text(f"These windows by {_NAMES[asked.by]}", style="bold")
        yield from _groups(windows, asked.by, asked.versus)
    if asked.channel is None:
        worst = _worst_channels(windows)
        if worst:
            yield Text("Worst channels of these windows", style="bold")
            yield _channels_table(worst)
    if any(window.state is WindowState.PROVISIONAL for window in windows):
        yield Text("A provisional window is computed again when samples come for it.", style="dim")


def _in_words(windows: Sequence[WindowReliability], influence_limit: float) -> Iterable[Text]:
    """What the windows come to together; nothing where none has a ratio."""
    total = sum_of(windows)
    if total.counts.delivery_ratio is None:
        return
    said = f"Together {percent(total.counts.delivery_ratio)} delivered"
    yield Text(f"{said}, {_in_brackets(total.interval)}.")
    ratios = [window.counts.delivery_ratio for window in windows]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) > 1:
        span = f"from {percent(min(known))} to {percent(max(known))}"
        yield Text(f"Delivery {sparkline(ratios)} {span}")
    on_time = {name: total.on_time(edge) for name, edge in ON_TIME_MS.items()}
    if any(ratio is not None for ratio in on_time.values()):
        within = ", ".join(f"{percent(ratio)} within {name}" for name, ratio in on_time.items())
        reached = ", ".join(
            f"{name} {_delay(total.quantile(share))}" for name, share in QUANTILES.items()
        )
        yield Text(f"{within}. Delay: {reached}.")
    unseen = [window.unseen for window in windows if window.unseen is not None]
    if round(sum(unseen)):
        yield Text(
            f"About {sum(unseen):,.0f} more messages reached nobody who reports (estimated)."
        )
    moved = [
        influence
        for window in windows
        if (influence := window.figures.influence or 0.0) > influence_limit
    ]
    if moved:
        yield Text(
            f"In {len(moved)} of these windows one receiver alone could move R by more than "
            f"{percent(influence_limit)}, at most by {percent(max(moved))}.",
            style="yellow",
        )


def _groups(
    windows: Sequence[WindowReliability], by: Dimension, versus: str | None
) -> Iterable[RenderableType]:
    groups = groups_of(windows, by)
    if not groups:
        yield Text("No window has been broken down: they are older, or too few receivers report.")
        return
    beside = reference(list(groups), versus)
    if versus is not None and beside is None:
        known = ", ".join(sorted(value for value in groups if value))
        yield Text(f"There is no {_NAMES[by]} {versus!r} here; there are {known}.", style="yellow")
    judged = verdicts(groups, versus)
    table = bare_table()
    table.add_column(_NAMES[by], no_wrap=True)
    for name in ("delivery", "95 % interval", "expected", "missing", "within 1m"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("" if beside is None else f"beside {_value(beside)}", no_wrap=True)
    for value, totals in groups.items():
        verdict = judged[value]
        word = "" if value == beside or beside is None else "too few to say"
        if verdict is not None:
            word = verdict.word.value
        table.add_row(
            Text(_value(value)),
            percent(totals.counts.delivery_ratio),
            _interval(totals.interval),
            count(totals.counts.expected),
            count(totals.counts.missing),
            percent(totals.on_time(ON_TIME_MS["1m"])),
            Text(word, style=_STYLES.get(word, "dim")),
        )
    yield table


def percent(ratio: float | None) -> str:
    """`93.33 %`; what is not all never reads 100.00 %, and nothing reads as a dash."""
    if ratio is None:
        return "–"
    if ratio < 1:
        ratio = min(ratio, 0.9999)
    return f"{100 * ratio:.2f} %"


def sparkline(ratios: Sequence[float | None]) -> str:
    """A bar each, from the least to the greatest of them; a dot where there is none.

    One height for all of them is half of the way up: nothing changed.
    """
    known = [ratio for ratio in ratios if ratio is not None]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    middle = len(_BARS) // 2
    return "".join(
        "·"
        if ratio is None
        else _BARS[round((ratio - low) / span * (len(_BARS) - 1)) if span else middle]
        for ratio in ratios
    )


def _interval(interval: Interval | None) -> str:
    """`91.02–95.10`; never a false precision."""
    if interval is None:
        return TOO_FEW
    return f"{percent(interval.lower)[:-2]}–{percent(interval.upper)[:-2]}"


def _in_brackets(interval: Interval | None) -> str:
    if interval is None:
        return "too few receivers or channels to say how sure that is"
    return f"95 % interval {_interval(interval)} %"


def _delay(reach: int | Reach | None) -> str:
    if reach is None:
        return "–"
    if isinstance(reach, Reach):
        return str(reach.value)
    return f"≤ {write_duration(timedelta(milliseconds=reach))}"


def _value(value: str | None) -> str:
    """A group's. What a client sent is never markup, never a control character."""
    return OTHER if value is None else shorten(value, ID_WIDTH) or NOT_SAID


def _windows_table(timeframe: str, windows: Sequence[WindowReliability], *, wide: bool) -> Table:
    table = bare_table()
    table.add_column("window", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(f"{'delivery':>8} {'R':>8}", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    counts = (["channels", "messages", "receivers"] if wide else []) + ["expected", "missing"]
    if any(window.counts.unknown for window in windows):
        # In the place of the first of them: a terminal has no room for one more.
        counts = [*counts[1:], "unknown"]
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True)
    whole_days = parse_timeframe(timeframe).length % timedelta(days=1) == timedelta(0)
    for window in windows:
        is_provisional = window.state is WindowState.PROVISIONAL
        comparable = sum(channel.comparable for channel in window.channels)
        values = {
            "channels": comparable,
            "messages": window.counts.messages,
            "receivers": window.counts.receivers,
            "expected": window.counts.expected,
            "missing": window.counts.missing,
            "unknown": window.counts.unknown,
        }
        table.add_row(
            f"{window.window.start:%Y-%m-%d}"
            if whole_days
            else f"{window.window.start:%Y-%m-%d %H:%M}",
            Text(window.state, style="yellow" if is_provisional else ""),
            _ratios(window),
            _interval(totals_of(window).interval) if window.reliability is not None else "",
            *(count(values[name]) for name in counts),
        )
    return table


def _ratios(window: WindowReliability) -> Text:
    if window.reliability is None:
        return Text(without_ratio(window), style="dim")
    return Text(f"{percent(window.counts.delivery_ratio):>8} {percent(window.reliability):>8}")


def without_ratio(window: WindowReliability) -> str:
    """What a window is, read with its channels, of which none is comparable.

    A channel has a row where a receiver that counts was in it when something was sent.
    """
    return NOT_COMPARABLE if window.channels else NOTHING_TO_COMPARE


def _worst_channels(windows: Sequence[WindowReliability]) -> list[tuple[str, Totals]]:
    """Those with the least delivery ratio, of the sums over the windows; without a loss, none."""
    of_channel: dict[str, list[ChannelReliability]] = defaultdict(list)
    for window in windows:
        for channel in window.channels:
            if channel.comparable and not channel.is_audit:
                of_channel[channel.channel_id].append(channel)
    sums = {channel_id: sum_of(channels) for channel_id, channels in of_channel.items()}
    lossy = [(channel_id, totals) for channel_id, totals in sums.items() if totals.counts.missing]
    return sorted(
        lossy,
        key=lambda item: (
            item[1].counts.delivery_ratio or 0.0,
            -item[1].counts.missing,
            item[0],
        ),
    )[:WORST_CHANNELS]


def _channels_table(channels: Sequence[tuple[str, Totals]]) -> Table:
    table = bare_table()
    table.add_column("channel", no_wrap=True)
    for name in ("delivery", "95 % interval", "messages", "expected", "missing"):
        table.add_column(name, justify="right", no_wrap=True)
    for channel_id, totals in channels:
        counts = totals.counts
        table.add_row(
            # A channel's id is what a client sent: never markup, never a control character.
            Text(shorten(channel_id, ID_WIDTH)),
            percent(counts.delivery_ratio),
            _interval(totals.interval),
            count(counts.messages),
            count(counts.expected),
            count(counts.missing),
        )
    return table


def bare_table() -> Table:
    """Without lines but the one under its head."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)


def count(value: int) -> str:
    """Nine characters at most."""
    if value < 10_000_000:
        return f"{value:,}"
    return f"{value / 1e6:,.1f}M" if value < 10_000_000_000 else f"{value / 1e9:,.1f}G"


async def _what_next(database: Database, timeframes: Sequence[str]) -> str:
    if timeframes:
        return f"No window matches. There are windows of {', '.join(timeframes)}."
    if not await has_samples(database):
        return _NO_SAMPLES
    return (
        "There are samples, but no window has been computed yet. `devtelemetry aggregate` computes "
        "those that are due; `devtelemetry aggregate --timeframe 1h --window-start TIME` computes "
        "the one that starts then at once."
    )
