"""What was found, for a person: a summary, the messages, the receivers. 80 columns are enough."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from devtelemetry.causes.classify import LossClass, LossPattern, Run, loss_pattern, runs_of
from devtelemetry.causes.read import DrillDown, LossyReceiver, MissingMessage
from devtelemetry.model import from_unix_ms
from devtelemetry.report.report import ID_WIDTH, bare_table, count, percent
from devtelemetry.words.texts import shorten

WORST = 20  # messages and receivers, if it is not said how many

_WORDS: Mapping[LossClass, str] = {
    LossClass.EVERYONE: "everyone",
    LossClass.BURST: "burst",
    LossClass.ONE: "one",
    LossClass.SCATTERED: "scattered",
}
_NARROW = 12  # columns of a type, a platform or a version


async def print_missing(
    console: Console, found: DrillDown, *, only: int | None = None, limit: int = WORST
) -> None:
    """Raises UnknownName if `only` does not count in the window."""
    positions = found.missing_messages(only)
    receivers = found.lossy_receivers(only)
    for line in _summary(found):
        console.print(line)
    if positions:
        console.print(_title("Messages that somebody lacks", len(positions), limit))
        shown = [message async for message in found.details(positions[:limit])]
        console.print(_messages_table(found, shown))
        console.print(_title("Receivers that lack something", len(receivers), limit))
        console.print(_receivers_table(found, receivers[:limit]))


def _summary(found: DrillDown) -> Iterable[Text]:
    counts, name = found.counts, found.asked.timeframe.name
    yield Text(
        f"{shorten(found.asked.channel_id, ID_WIDTH)}, {name} window of "
        f"{found.window.start:%Y-%m-%d %H:%M} UTC, membership {found.membership}",
        style="bold",
    )
    if not counts.receivers or not counts.messages:
        yield Text("Nothing of it counts: no message, or no receiver that still reports.")
        return
    lost = counts.missing / counts.expected if counts.expected else None
    yield Text(
        f"{counts.messages:,} messages, {counts.receivers:,} receivers: {counts.missing:,} of "
        f"{counts.expected:,} pairs missing ({percent(lost)}), {counts.unknown:,} unknown."
    )
    if counts.missing:
        yield Text(
            "Lost by everyone {:,}, in a burst {:,}, by one {:,}, scattered {:,}.".format(
                *found.classes.values()
            )
        )
    stored = found.stored
    if stored is not None and stored != counts:
        yield Text(
            f"The window as computed has {stored.missing:,} of {stored.expected:,} missing and "
            f"{stored.unknown:,} unknown: samples or settings have changed since.",
            style="yellow",
        )


def _title(what: str, total: int, limit: int) -> Text:
    more = f", the worst {limit:,} of {total:,}" if total > limit else ""
    return Text(f"{what}{more}", style="bold")


def _messages_table(found: DrillDown, messages: Sequence[MissingMessage]) -> Table:
    table = bare_table()
    for name in ("sent", "message", "type", "from", "held", "lost by"):
        is_number = name == "held"
        # The id gives way where it is narrow; exports have it whole.
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name != "message")
    for message in messages:
        platforms = {author.platform for author in message.authors if author.platform}
        table.add_row(
            _clock(found, message.sent_at),
            Text(shorten(message.message_id, ID_WIDTH), no_wrap=True, overflow="ellipsis"),
            Text(shorten(message.message_type, _NARROW)),
            Text(shorten(", ".join(sorted(platforms)), _NARROW)),
            f"{count(message.pairs.held)} of {count(message.pairs.expected)}",
            "+".join(_WORDS[of] for of, number in message.classes.items() if number),
        )
    return table


def _receivers_table(found: DrillDown, receivers: Sequence[LossyReceiver]) -> Table:
    table = bare_table()
    table.add_column("receiver", no_wrap=True)
    table.add_column("on")  # gives way, as the id of a message does
    for name in ("missing", "burst", "runs", "mean", "longest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the longest", no_wrap=True)
    for lossy in receivers:
        receiver, pairs, pattern = lossy.receiver, lossy.pairs, loss_pattern(lossy.sequence)
        on = " ".join(filter(None, (receiver.platform, receiver.app_version)))
        table.add_row(
            receiver.name,
            Text(shorten(on, ID_WIDTH), no_wrap=True, overflow="ellipsis"),
            f"{count(pairs.missing)} of {count(pairs.expected)}",
            count(lossy.classes[LossClass.BURST]),
            *_lengths(pattern),
            _longest(found, runs_of(lossy.sequence)),
        )
    return table


def _lengths(pattern: LossPattern) -> Iterable[str]:
    yield count(pattern.periods)
    yield "–" if pattern.mean_length is None else f"{pattern.mean_length:.1f}"
    yield count(pattern.max_length)


def _longest(found: DrillDown, runs: Sequence[Run]) -> str:
    """From when to when the first of the longest ones was."""
    for run in islice(sorted(runs, key=lambda run: (-run.length, run.first)), 1):
        first, last = found.times[run.first], found.times[run.last]
        if run.first == run.last:
            return _clock(found, first)
        return f"{_clock(found, first)}–{_clock(found, last)}"
    return ""


def _clock(found: DrillDown, at_ms: int) -> str:
    is_one_day = found.window.end - found.window.start <= timedelta(days=1)
    return f"{from_unix_ms(at_ms):{'%H:%M:%S' if is_one_day else '%m-%d %H:%M'}}"
