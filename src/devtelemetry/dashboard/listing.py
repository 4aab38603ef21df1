"""Chooses the channels that a page of the list shows. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from devtelemetry.dashboard.channels_state import ChannelsState, Order
from devtelemetry.figures.derive import Totals, worst_first
from devtelemetry.model import Timeframe, Window

PAGE_CHANNELS = 50
HEAT_CHANNELS = 20
HEAT_WINDOWS = 24
MOST_SUMMED_OF_ALL = 48  # windows over which the spreads of all channels are summed

Row = tuple[str, Totals]


@dataclass(frozen=True, slots=True)
class Listed:
    """rows     the channels of the page
    worst    the worst of all found channels, the worst first; only those that lost something
    found    how many channels match the search
    channels how many channels there are
    page     the page that is shown: the last one if there are fewer than asked for
    """

    rows: Sequence[Row] = ()
    worst: Sequence[Row] = ()
    found: int = 0
    channels: int = 0
    page: int = 1

    @property
    def pages(self) -> int:
        return max(1, math.ceil(self.found / PAGE_CHANNELS))


@dataclass(frozen=True, slots=True)
class Listing:
    """timeframe  of the windows that are summed
    span       that they cover; None if there is no window
    heat       the timeframe of the heat map's windows, and the span that they cover
    cells      (missing, corroborated) by channel and start of these windows
    empty      if there is no window: whether there are samples
    """

    asked: ChannelsState
    timeframe: Timeframe
    span: Window | None
    listed: Listed = field(default_factory=Listed)
    heat: tuple[Timeframe, Window] | None = None
    cells: Mapping[tuple[str, datetime], tuple[int, int]] = field(default_factory=dict)
    empty: bool = False


def listed(asked: ChannelsState, sums: Sequence[Row]) -> Listed:
    """sums  the sums of all channels, in any order"""
    search = asked.search.casefold()
    found = [row for row in sums if search in row[0].casefold()] if search else list(sums)
    worst = sorted(found, key=worst_first)
    found.sort(key=_KEYS[asked.order])
    pages = max(1, math.ceil(len(found) / PAGE_CHANNELS))
    page = min(asked.page, pages)
    return Listed(
        found[(page - 1) * PAGE_CHANNELS : page * PAGE_CHANNELS],
        [row for row in worst[:HEAT_CHANNELS] if row[1].counts.missing],
        len(found),
        len(sums),
        page,
    )


def heat_span(timeframe: Timeframe, end: datetime) -> Window:
    return Window(end - HEAT_WINDOWS * timeframe.length, end)


def heat_channels(found: Listed) -> list[str]:
    return [name for name, _ in found.worst]


def _lower(row: Row) -> tuple[bool, float, str]:
    interval = row[1].interval
    return interval is None, 0.0 if interval is None else interval.lower, row[0]


_KEYS: Mapping[Order, Callable[[Row], Any]] = {
    Order.LOST: worst_first,
    Order.MISSING: lambda row: (-row[1].counts.missing, row[0]),
    Order.LOWER: _lower,
    Order.RECEIVERS: lambda row: (-row[1].counts.receivers, row[0]),
    Order.NAME: lambda row: (row[0].casefold(), row[0]),
}
