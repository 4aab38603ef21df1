"""The figures as tables: windows, groups, the worst channels. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from devtelemetry import words
from devtelemetry.aggregate.table import CrossTable
from devtelemetry.estimate.interval import Interval
from devtelemetry.estimate.verdict import Word
from devtelemetry.figures.derive import (
    ON_TIME_MS,
    groups_of,
    reference,
    sum_of,
    totals_of,
    verdicts,
    worst_first,
)
from devtelemetry.figures.grid import grid_of
from devtelemetry.model import (
    ChannelReliability,
    Dimension,
    WindowReliability,
    WindowState,
    parse_timeframe,
)
from devtelemetry.words.tables import ID_WIDTH, bare_table, narrow_count

WORST_CHANNELS = 5

_STYLES = {Word.BETTER.value: "green", Word.WORSE.value: "red"}
_WIDE_COLUMNS = 110  # from this width on there is room for three more counts


def windows_table(timeframe: str, windows: Sequence[WindowReliability], width: int) -> Table:
    """A table with a row per window, for a console `width` columns wide."""
    table = bare_table()
    table.add_column("window", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(f"{'delivery':>8} {'R':>8}", justify="right", no_wrap=True)
    _add_interval(table)
    counts = ["expected", "missing"]
    if width >= _WIDE_COLUMNS:
        counts = ["channels", "messages", "receivers", *counts]
    if any(window.counts.unknown for window in windows):
        # It replaces the first count, because a terminal has no room for one more.
        counts = [*counts[1:], "unknown"]
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True)
    whole_days = parse_timeframe(timeframe).length % timedelta(days=1) == timedelta(0)
    for window in windows:
        is_provisional = window.state is WindowState.PROVISIONAL
        values = {
            "channels": sum(channel.comparable for channel in window.channels),
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
            *(narrow_count(values[name]) for name in counts),
        )
    return table


def groups_table(
    windows: Sequence[WindowReliability], by: Dimension, versus: str | None
) -> Iterable[RenderableType]:
    """A table of the windows' groups, compared with one of them; or why there are no groups."""
    title = f"These windows by {words.DIMENSIONS[by]}"
    groups = groups_of(windows, by)
    other = reference(list(groups), versus)
    if other is not None:
        title += f", compared with {words.group(other, ID_WIDTH)}"
    yield Text(title, style="bold")
    if not groups:
        yield Text(words.NO_GROUPS)
        return
    if versus is not None and other is None:
        known = ", ".join(sorted(words.group(value) for value in groups if value))
        yield Text(
            f"There is no {words.DIMENSIONS[by]} {versus!r} here; there are {known}.",
            style="yellow",
        )
    judged = verdicts(groups, versus)
    table = bare_table()
    table.add_column(words.DIMENSIONS[by])  # gets narrower if the console is narrow
    table.add_column("delivery", justify="right", no_wrap=True)
    _add_interval(table)
    within = f"within {words.duration(ON_TIME_MS['1m'])}"
    for name in ("expected", "missing", within):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("" if other is None else "verdict", no_wrap=True)
    for value, totals in groups.items():
        verdict = judged[value]
        word = "" if value == other or other is None else words.TOO_FEW
        if verdict is not None:
            word = verdict.word.value
        table.add_row(
            Text(words.group(value, ID_WIDTH), no_wrap=True, overflow="ellipsis"),
            words.percent(totals.counts.delivery_ratio),
            _interval(totals.interval),
            narrow_count(totals.counts.expected),
            narrow_count(totals.counts.missing),
            words.percent(totals.on_time(ON_TIME_MS["1m"])),
            Text(word, style=_STYLES.get(word, "dim")),
        )
    yield table


def print_table(console: Console, table: CrossTable) -> None:
    """Prints a window by two dimensions: the delivery ratio of each pair of values."""
    of_channel = f" of {words.shorten(table.channel_id, ID_WIDTH)}" if table.channel_id else ""
    rows, columns = words.DIMENSIONS[table.rows], words.DIMENSIONS[table.columns]
    console.print(
        Text(
            f"{table.timeframe} window of {table.window.start:%Y-%m-%d %H:%M} UTC{of_channel}: "
            f"{rows} × {columns}",
            style="bold",
        )
    )
    grid = grid_of(table)
    if not grid.rows:
        console.print(words.NO_TABLE)
        return
    shown = bare_table()
    shown.add_column(f"{rows} \\ {columns}")
    for name in grid.columns:
        shown.add_column(Text(name), justify="right")
    for name, cells in grid.rows:
        shown.add_row(Text(name), *cells)
    console.print(shown)
    if grid.rest:
        console.print(Text(grid.rest))


def worst_channels_table(windows: Sequence[WindowReliability]) -> Table | None:
    """The channels that surely lost most, by sums over the windows; None without losses."""
    of_channel: dict[str, list[ChannelReliability]] = defaultdict(list)
    for window in windows:
        for channel in window.channels:
            if channel.comparable and not channel.is_audit:
                of_channel[channel.channel_id].append(channel)
    sums = {channel_id: sum_of(channels) for channel_id, channels in of_channel.items()}
    lossy = [(channel_id, totals) for channel_id, totals in sums.items() if totals.counts.missing]
    if not lossy:
        return None
    table = bare_table()
    table.add_column("channel", no_wrap=True)
    table.add_column("delivery", justify="right", no_wrap=True)
    _add_interval(table)
    for name in ("messages", "expected", "missing"):
        table.add_column(name, justify="right", no_wrap=True)
    for channel_id, totals in sorted(lossy, key=worst_first)[:WORST_CHANNELS]:
        counts = totals.counts
        table.add_row(
            # Clients choose ids, so they are shown without markup and control characters.
            Text(words.shorten(channel_id, ID_WIDTH)),
            words.percent(counts.delivery_ratio),
            _interval(totals.interval),
            narrow_count(counts.messages),
            narrow_count(counts.expected),
            narrow_count(counts.missing),
        )
    return table


def _ratios(window: WindowReliability) -> Text:
    if window.reliability is None:
        return Text(words.without_ratio(window), style="dim")
    ratio, reliability = (
        words.percent(window.counts.delivery_ratio),
        words.percent(window.reliability),
    )
    return Text(f"{ratio:>8} {reliability:>8}")


def _add_interval(table: Table) -> None:
    # If the figures are too long for 80 columns, `too few to say` takes two lines.
    table.add_column("95 % interval", justify="right", min_width=13)


def _interval(interval: Interval | None) -> str:
    return words.interval(interval).removesuffix(" %")  # the column's head has the sign
