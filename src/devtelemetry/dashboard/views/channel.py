"""A channel's page: its history. Pure."""

from collections.abc import Sequence

from devtelemetry import words
from devtelemetry.dashboard.reading import ChannelReading
from devtelemetry.dashboard.views.parts import (
    choices,
    count_facts,
    delay_bars,
    delay_facts,
    empty,
    influence_notes,
    known_fact,
    loss_bars,
    points_of,
    reason_rows,
    two_groups,
    why_not_comparable,
)
from devtelemetry.dashboard.views.values import ChannelPage, Fact
from devtelemetry.figures.derive import reasons_of, sum_of
from devtelemetry.model import Timeframe, WindowReliability


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
        words.visible(asked.channel),
        choices(asked, timeframes),
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
        reason_rows(reasons_of(compared)),
        words.ways(total.counts),
        two_groups(compared, asked),
        "" if reading.windows else empty(reading.has_samples),
    )


def _why_never(reading: ChannelReading) -> str:
    rows = [channel for one in reading.windows for channel in one.channels]
    if not reading.windows:
        return words.NOT_COMPUTED
    if not rows:
        return f"{words.NOTHING_TO_COMPARE}: no window of the span has a message of this channel"
    return f"{words.NOT_COMPARABLE}: {why_not_comparable(rows)}"


def _windows_fact(
    windows: Sequence[WindowReliability], compared: Sequence[WindowReliability]
) -> Fact:
    return Fact(
        "Comparable windows", f"{len(compared):,}", f"of {len(windows):,} computed", "comparable"
    )
