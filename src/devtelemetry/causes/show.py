"""The results for a person: a summary, the messages, the receivers. 80 columns are enough."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from devtelemetry import words
from devtelemetry.causes.classify import LossPattern, LossPeriods, Run, loss_periods, runs_of
from devtelemetry.causes.found import LossyReceiver, MissingMessage
from devtelemetry.causes.read import DrillDown
from devtelemetry.model import LossClass, from_unix_ms
from devtelemetry.words.tables import ID_WIDTH, bare_table, narrow_count

WORST = 20  # how many messages and receivers are shown by default

_NARROW = 12  # the width of a type, a platform or a version


async def print_missing(
    console: Console,
    found: DrillDown,
    *,
    only: int | None = None,
    limit: int = WORST,
    id_width: int = ID_WIDTH,
) -> None:
    """Raises UnknownName if `only` does not count in the window.

    id_width  longest id of a channel or message; longer ones are shortened in the middle
    """
    positions = found.missing_messages(only)
    receivers = found.lossy_receivers(only)
    for line in _summary(found, id_width):
        console.print(line)
    if positions:
        console.print(_title(words.MISSING_MESSAGES, len(positions), limit))
        shown = [message async for message in found.details(positions[:limit])]
        console.print(_messages_table(found, shown, id_width))
        console.print(_title(words.LOSSY_RECEIVERS, len(receivers), limit))
        console.print(_receivers_table(found, receivers[:limit]))


def _summary(found: DrillDown, id_width: int) -> Iterable[Text]:
    counts, name = found.counts, found.asked.timeframe.name
    yield Text(
        f"{words.shorten(found.asked.channel_id, id_width)}, {name} window of "
        f"{words.utc(found.window.start)}, membership {found.membership}",
        style="bold",
    )
    if not counts.receivers or not counts.messages:
        yield Text(
            "Nothing in it counts: it has no message, or no receiver reported after its end."
        )
        return
    lost = counts.missing / counts.expected if counts.expected else None
    yield Text(
        f"{counts.messages:,} messages, {counts.receivers:,} receivers: {counts.missing:,} of "
        f"{counts.expected:,} pairs missing ({words.percent(lost)}), {counts.unknown:,} unknown."
    )
    if counts.missing:
        by_pattern = ", ".join(
            f"{words.LOSS_PATTERNS[of]} {number:,}" for of, number in found.patterns.items()
        )
        yield Text(words.losses(counts))
        yield Text(f"Lost {by_pattern}.")
    if ways := words.ways(counts):
        yield Text(ways)
    stored = found.stored
    if stored is not None and stored != counts:
        yield Text(
            f"When the window was computed, {stored.missing:,} of {stored.expected:,} pairs were "
            f"missing and {stored.unknown:,} unknown. Samples or settings have changed since.",
            style="yellow",
        )


def _title(what: str, total: int, limit: int) -> Text:
    more = f", the worst {limit:,} of {total:,}" if total > limit else ""
    return Text(f"{what}{more}", style="bold")


def _messages_table(found: DrillDown, messages: Sequence[MissingMessage], id_width: int) -> Table:
    table = bare_table()
    for name in ("sent", "message", "type", "written on", "held by", "lost", "loss class"):
        is_number = name == "held by"
        # These columns shrink on a narrow terminal; exports have them in full.
        gives_way = name in ("message", "loss class")
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=not gives_way, min_width=8
        )
    for message in messages:
        platforms = {author.platform for author in message.authors if author.platform}
        table.add_row(
            _clock(found, message.sent_at),
            Text(words.shorten(message.message_id, id_width), no_wrap=True, overflow="ellipsis"),
            Text(words.shorten(message.message_type, _NARROW)),
            Text(words.shorten(", ".join(sorted(platforms)), _NARROW)),
            f"{narrow_count(message.pairs.held)} of {narrow_count(message.pairs.expected)}",
            ", ".join(words.LOSS_PATTERNS[of] for of, number in message.patterns.items() if number),
            Text(_became(message)),
        )
    return table


def _became(message: MissingMessage) -> str:
    """`not sent: timeout`"""
    reasons = message.reasons
    return ", ".join(
        ": ".join(
            filter(None, (words.LOSS_CLASSES[of], words.shorten(_first(reasons, of), ID_WIDTH)))
        )
        for of, number in message.losses.items()
        if number
    )


def _first(reasons: "Counter[tuple[LossClass, str]]", of: LossClass) -> str:
    """The most frequent reason of the class."""
    return next((reason for (of_it, reason), _ in reasons.most_common() if of_it is of), "")


def _receivers_table(found: DrillDown, receivers: Sequence[LossyReceiver]) -> Table:
    table = bare_table()
    table.add_column("receiver", no_wrap=True)
    table.add_column("on")  # shrinks, as the id of a message does
    for name in ("missing", "burst", "runs", "mean", "longest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    for lossy in receivers:
        receiver, pairs, periods = lossy.receiver, lossy.pairs, loss_periods(lossy.sequence)
        on = " ".join(filter(None, (receiver.platform, receiver.app_version)))
        table.add_row(
            receiver.name,
            Text(words.shorten(on, ID_WIDTH), no_wrap=True, overflow="ellipsis"),
            f"{narrow_count(pairs.missing)} of {narrow_count(pairs.expected)}",
            narrow_count(lossy.patterns[LossPattern.BURST]),
            *_lengths(periods),
            _longest(found, runs_of(lossy.sequence)),
        )
    return table


def _lengths(periods: LossPeriods) -> Iterable[str]:
    yield narrow_count(periods.periods)
    yield words.mean(periods.mean_length)
    yield narrow_count(periods.max_length)


def _longest(found: DrillDown, runs: Sequence[Run]) -> str:
    """When the longest run began and ended; the first if several are as long."""
    for run in islice(sorted(runs, key=lambda run: (-run.length, run.first)), 1):
        first, last = found.times[run.first], found.times[run.last]
        if run.first == run.last:
            return _clock(found, first)
        return f"{_clock(found, first)}–{_clock(found, last)}"
    return ""


def _clock(found: DrillDown, at_ms: int) -> str:
    is_one_day = found.window.end - found.window.start <= timedelta(days=1)
    return f"{from_unix_ms(at_ms):{'%H:%M:%S' if is_one_day else '%m-%d %H:%M'}}"
