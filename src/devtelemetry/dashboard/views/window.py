"""A window's page: all its figures, and its channels. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from devtelemetry import words
from devtelemetry.aggregate.due import is_due
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.reading import WindowReading
from devtelemetry.dashboard.state import WindowPageState, address, around_window
from devtelemetry.dashboard.views.missing import missing_view
from devtelemetry.dashboard.views.parts import (
    count_facts,
    delay_bars,
    delay_facts,
    group_table,
    known_fact,
    loss_bars,
    mark_on,
    ratio_or,
    reason_rows,
    scale_of,
    why_no_ratio,
)
from devtelemetry.dashboard.views.values import ChannelRow, Fact, Link, WindowPage
from devtelemetry.figures.derive import Totals, totals_of, worst_first
from devtelemetry.figures.grid import grid_of
from devtelemetry.model import ChannelReliability, Dimension, Window, WindowReliability, WindowState

MOST_CHANNELS = 50  # on a window's page; its export has all


def window_page(
    reading: WindowReading,
    *,
    now: datetime,
    settle_time: timedelta,
    log_link: str | None = None,
) -> WindowPage:
    asked, window = reading.asked, reading.window
    bounds = Window(asked.start, asked.start + asked.timeframe.length)
    totals = Totals() if window is None else totals_of(window)
    counts = totals.counts
    ratio = counts.delivery_ratio
    facts = []
    around = around_window(asked)
    if window is not None:
        facts = [*count_facts(counts), known_fact(counts), *_middle_facts(window)]
    rows, rows_note = _channel_rows(window, asked) if asked.channel is None else ([], "")
    return WindowPage(
        asked,
        "" if asked.channel is None else words.visible(asked.channel),
        f"Window of {asked.timeframe.name}",
        bounds,
        _window_links(reading, bounds),
        "" if ratio is None else words.percent(ratio),
        words.interval(totals.interval),
        _why_no_window(asked, bounds, window, now),
        _state_of(window, bounds, settle_time),
        facts,
        delay_bars(totals),
        delay_facts(totals),
        loss_bars(counts, around),
        [] if window is None else reason_rows(window.figures.reasons),
        words.ways(counts),
        []
        if window is None or ratio is None
        else [group_table([window], by, around) for by in Dimension],
        rows,
        rows_note,
        None if reading.missing is None else missing_view(reading.missing, log_link),
        reading.missing_problem,
        None if reading.versions is None else grid_of(reading.versions),
        reading.versions_problem,
        "" if window is None or asked.versions else address(replace(asked, versions=True)),
        None if window is None else window.computed_at,
    )


def _why_no_window(
    asked: WindowPageState, bounds: Window, window: WindowReliability | None, now: datetime
) -> str:
    if window is not None:
        return why_no_ratio(window)
    if is_due(asked.timeframe, bounds, now):
        return f"{words.NOT_COMPUTED}: there is no such window, or it was never computed"
    due = bounds.end + asked.timeframe.allowed_lateness
    return f"{words.NOT_COMPUTED}: it is due at {words.utc(due)}"


def _state_of(window: WindowReliability | None, bounds: Window, settle_time: timedelta) -> str:
    if window is None:
        return ""
    if window.state is WindowState.SETTLED:
        return f"settled, revision {window.revision}"
    return (
        f"provisional, revision {window.revision}; will be settled at "
        f"{words.utc(bounds.end + settle_time)}"
    )


def _middle_facts(window: WindowReliability) -> list[Fact]:
    figures = window.figures
    facts = [
        Fact("Mean over channels (R)", ratio_or(window.reliability, words.NOT_COMPARABLE), "", "R")
    ]
    if figures.median is not None:
        facts.append(Fact("Median", words.percent(figures.median), "of the receivers", "median"))
    if figures.trimmed is not None:
        facts.append(
            Fact("Trimmed mean", words.percent(figures.trimmed), "of the receivers", "trimmed mean")
        )
    if figures.influence is not None:
        facts.append(
            Fact("Influence", words.percent(figures.influence), "of one installation", "influence")
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
    if figures.one_in > 1:
        facts.append(
            Fact("Reported", f"1 in {words.count(figures.one_in)}",
                 f"of ≈ {words.count(figures.estimated_messages)} messages", "one in")
        )  # fmt: skip
    if figures.unconfirmed:
        facts.append(
            Fact("Unconfirmed", words.count(figures.unconfirmed), "messages, not counted",
                 "unconfirmed")
        )  # fmt: skip
    if figures.silent_members:
        facts.append(
            Fact("Silent members", words.count(figures.silent_members), "not counted",
                 "silent members")
        )  # fmt: skip
    return facts


def _window_links(reading: WindowReading, bounds: Window) -> list[Link]:
    asked, length = reading.asked, reading.asked.timeframe.length
    stored = {one.window.start for one in reading.neighbours}
    links = []
    if bounds.start - length in stored:
        links.append(Link("← Window before", address(replace(asked, start=bounds.start - length))))
    if bounds.end in stored:
        links.append(Link("Window after →", address(replace(asked, start=bounds.end))))
    if asked.channel is not None:
        links.append(Link("All channels of this window", address(replace(asked, channel=None))))
    return links


def _channel_rows(
    window: WindowReliability | None, asked: WindowPageState
) -> tuple[list[ChannelRow], str]:
    """The worst channels first; channels without a ratio last, with the reason."""
    if window is None:
        return [], ""
    shares = [(channel, totals_of(channel)) for channel in window.channels]
    shares.sort(key=lambda one: _order(*one))
    shown = shares[:MOST_CHANNELS]
    scale = scale_of([totals for channel, totals in shown if channel.comparable])
    rows = []
    for channel, totals in shown:
        ratio = channel.counts.delivery_ratio if channel.comparable else None
        rows.append(
            ChannelRow(
                texts.short_identifier(channel.channel_id),
                address(replace(asked, channel=channel.channel_id)),
                ratio_or(ratio, _why_not(channel)),
                "" if ratio is None else words.interval(totals.interval),
                words.count(channel.counts.messages),
                words.count(channel.counts.receivers),
                words.count(channel.counts.expected),
                words.count(channel.counts.missing),
                "audit: its losses are made on purpose, so no total includes it"
                if channel.is_audit
                else "",
                mark_on(totals, scale) if ratio is not None else None,
            )
        )
    hidden = len(shares) - len(shown)
    return rows, f"{hidden:,} more are in the export." if hidden else ""


def _why_not(channel: ChannelReliability) -> str:
    return words.NOT_COMPARABLE if not channel.comparable else words.TOO_FEW


def _order(channel: ChannelReliability, totals: Totals) -> tuple[bool, int, int, str]:
    has_none = not channel.comparable or channel.counts.delivery_ratio is None
    return has_none, *worst_first((channel.channel_id, totals))
