"""The figures as tables for a person: newest window last, the worst channels under them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from devtelemetry.aggregate.windows import parse_timeframe
from devtelemetry.figures import (
    Selection,
    has_samples,
    read_windows,
    start_of_latest,
    stored_timeframes,
)
from devtelemetry.model import Counts, MembershipPolicy, WindowReliability, WindowState
from devtelemetry.store.database import Database

LATEST_WINDOWS = 24  # shown where no start is given: a day of hours, and they fit on a screen
WORST_CHANNELS = 5
NO_RATIO = "no comparable channel"

_WIDE_COLUMNS = 100  # from this width on there is room for two more counts
_ID_WIDTH = 34  # of a channel's id; longer ones are shortened in the middle
_NO_SAMPLES = (
    "There are no samples yet. `devtelemetry serve` takes those that clients push, "
    "`devtelemetry import FILE` those of a file."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the report is to show; None: everything, of the time: the latest windows."""

    timeframe: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    channel: str | None = None
    membership: MembershipPolicy | None = None


async def print_report(database: Database, console: Console, asked: Asked) -> None:
    """One section per timeframe and membership policy; what to do next where there is none."""
    timeframes = await stored_timeframes(database)
    shown = 0
    for timeframe in timeframes if asked.timeframe is None else [asked.timeframe]:
        selection = Selection(timeframe, asked.start, asked.end, asked.channel, asked.membership)
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
            for part in render(timeframe, membership, windows, asked.channel, console.width):
                console.print(part)
            if earlier:
                console.print(f"{earlier:,} earlier windows are stored; --from shows them.")
            shown += 1
    if not shown:
        console.print(await _what_next(database, timeframes))


def render(
    timeframe: str,
    membership: MembershipPolicy,
    windows: Sequence[WindowReliability],
    channel: str | None,
    width: int,
) -> Iterable[RenderableType]:
    """The parts of one section, for a console `width` columns wide."""
    of_channel = f" of {_shorten(channel)}" if channel is not None else ""
    yield Text(f"{timeframe} windows{of_channel}, membership {membership}, UTC", style="bold")
    yield _windows_table(timeframe, windows, wide=width >= _WIDE_COLUMNS)
    if channel is None:
        worst = _worst_channels(windows)
        if worst:
            yield Text("Worst channels of these windows", style="bold")
            yield _channels_table(worst)
    if any(window.state is WindowState.PROVISIONAL for window in windows):
        yield Text("A provisional window is computed again when samples come for it.", style="dim")


def percent(ratio: float | None) -> str:
    """`93.33 %`; what is not all never reads 100.00 %, and nothing reads as a dash."""
    if ratio is None:
        return "–"
    if ratio < 1:
        ratio = min(ratio, 0.9999)
    return f"{100 * ratio:.2f} %"


def _windows_table(timeframe: str, windows: Sequence[WindowReliability], *, wide: bool) -> Table:
    table = _table()
    table.add_column("window", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(f"{'delivery':>9}  {'R':>10}", justify="right", no_wrap=True)
    counts = (["channels", "messages"] if wide else []) + ["receivers", "expected", "missing"]
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
            _ratios(window.counts.delivery_ratio, window.reliability),
            *(_count(values[name]) for name in counts),
        )
    return table


def _ratios(delivery_ratio: float | None, reliability: float | None) -> Text:
    if reliability is None:
        return Text(NO_RATIO, style="dim")
    return Text(f"{percent(delivery_ratio):>9}  {percent(reliability):>10}")


def _worst_channels(windows: Sequence[WindowReliability]) -> list[tuple[str, Counts]]:
    """Those with the least delivery ratio, of the sums over the windows; without a loss, none."""
    sums: dict[str, Counts] = {}
    for window in windows:
        for channel in window.channels:
            if channel.comparable:
                before = sums.get(channel.channel_id)
                sums[channel.channel_id] = (
                    channel.counts if before is None else _add(before, channel.counts)
                )
    lossy = [(channel_id, counts) for channel_id, counts in sums.items() if counts.missing]
    return sorted(
        lossy, key=lambda item: (item[1].delivery_ratio or 0.0, -item[1].missing, item[0])
    )[:WORST_CHANNELS]


def _add(a: Counts, b: Counts) -> Counts:
    return Counts(
        messages=a.messages + b.messages,
        receivers=max(a.receivers, b.receivers),  # mostly the same ones
        expected=a.expected + b.expected,
        missing=a.missing + b.missing,
        corroborated=a.corroborated + b.corroborated,
        unknown=a.unknown + b.unknown,
    )


def _channels_table(channels: Sequence[tuple[str, Counts]]) -> Table:
    table = _table()
    table.add_column("channel", no_wrap=True)
    for name in ("delivery ratio", "messages", "expected", "missing"):
        table.add_column(name, justify="right", no_wrap=True)
    for channel_id, counts in channels:
        table.add_row(
            # A channel's id is what a client sent: never markup, never a control character.
            Text(_shorten(channel_id)),
            percent(counts.delivery_ratio),
            _count(counts.messages),
            _count(counts.expected),
            _count(counts.missing),
        )
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)


def _count(value: int) -> str:
    """Nine characters at most."""
    if value < 10_000_000:
        return f"{value:,}"
    return f"{value / 1e6:,.1f}M" if value < 10_000_000_000 else f"{value / 1e9:,.1f}G"


def _shorten(text: str) -> str:
    text = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    if len(text) <= _ID_WIDTH:
        return text
    half = (_ID_WIDTH - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


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
