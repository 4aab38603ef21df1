"""The list of all channels by their losses, and the worst channels window by window. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.channels_state import (
    CHANNEL_SPANS,
    ChannelsState,
    Order,
    address_of_channels,
)
from devtelemetry.dashboard.listing import PAGE_CHANNELS, Listing, Row
from devtelemetry.dashboard.state import PageState, WindowPageState, address
from devtelemetry.dashboard.views.parts import empty, mark_on, scale_of
from devtelemetry.dashboard.views.values import Choice, Link, Mark
from devtelemetry.model import Timeframe

ORDERS = {
    Order.LOST: "Surely missing",
    Order.MISSING: "Missing",
    Order.LOWER: "Lower bound",
    Order.RECEIVERS: "Receivers",
    Order.NAME: "Name",
}
_STEPS = (0.0, 0.002, 0.01, 0.02, 0.05, 0.1, 0.3)
"""The shares of lost deliveries at which the next colour begins"""


@dataclass(frozen=True, slots=True)
class ListedRow:
    name: str
    href: str
    surely: str
    missing: str
    judged: str
    ratio: str
    interval: str
    messages: str
    receivers: str
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Cell:
    """step  its colour; None if there is nothing to compare. said: the hint"""

    text: str
    step: int | None
    href: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class HeatRow:
    name: str
    href: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Heat:
    """columns  when each window starts"""

    length: str
    columns: Sequence[datetime]
    is_of_days: bool
    rows: Sequence[HeatRow]


@dataclass(frozen=True, slots=True)
class ChannelsPage:
    asked: ChannelsState
    choices: Sequence[Choice]
    title: str
    of: str
    rows: Sequence[ListedRow]
    order: str  # the column that the list is sorted by
    pages: Sequence[Link]
    heat: Heat | None
    empty: str


def channels_page(listing: Listing) -> ChannelsPage:
    asked, found = listing.asked, listing.listed
    if listing.span is None:
        return ChannelsPage(asked, [], "", "", [], "", [], None, empty(listing.empty))
    first = (found.page - 1) * PAGE_CHANNELS
    shown = f", {first + 1:,} to {first + len(found.rows):,}" if found.pages > 1 else ""
    of_all = f" of {found.channels:,}" if asked.search else ""
    plural = "comparable channel" if found.found == 1 else "comparable channels"
    return ChannelsPage(
        asked,
        [_spans(asked), _orders(asked)],
        f"{found.found:,}{of_all} {plural}{shown}",
        f"Sums over the {listing.timeframe.name} windows from {words.utc(listing.span.start)} to "
        f"{words.utc(listing.span.end)}, where a channel is comparable",
        _rows(found.rows, listing),
        ORDERS[asked.order],
        _pages(asked, found.page, found.pages),
        _heat(listing),
        "",
    )


def _spans(asked: ChannelsState) -> Choice:
    return Choice(
        "Span",
        [
            Link(
                texts.SPANS[name],
                address_of_channels(replace(asked, span=name, page=1)),
                name == asked.span,
            )
            for name in CHANNEL_SPANS
        ],
    )


def _orders(asked: ChannelsState) -> Choice:
    return Choice(
        "Sort by",
        [
            Link(
                name,
                address_of_channels(replace(asked, order=order, page=1)),
                order is asked.order,
            )
            for order, name in ORDERS.items()
        ],
    )


def _pages(asked: ChannelsState, page: int, pages: int) -> list[Link]:
    links = []
    if page > 1:
        links.append(Link("← Page before", address_of_channels(replace(asked, page=page - 1))))
    if page < pages:
        links.append(Link("Next page →", address_of_channels(replace(asked, page=page + 1))))
    return links


def _of_channel(listing: Listing, timeframe: Timeframe, channel: str) -> str:
    asked = listing.asked
    return address(PageState(timeframe, asked.span, asked.membership, channel=channel))


def _rows(rows: Sequence[Row], listing: Listing) -> list[ListedRow]:
    scale = scale_of([totals for _, totals in rows])
    return [
        ListedRow(
            texts.short_identifier(channel_id),
            _of_channel(listing, listing.timeframe, channel_id),
            words.TOO_FEW if totals.interval is None else words.count(totals.surely_missing),
            words.count(totals.counts.missing),
            words.count(totals.counts.corroborated),
            words.percent(totals.counts.delivery_ratio),
            words.interval(totals.interval),
            words.count(totals.counts.messages),
            words.count(totals.counts.receivers),
            mark_on(totals, scale),
        )
        for channel_id, totals in rows
    ]


def _heat(listing: Listing) -> Heat | None:
    if listing.heat is None or not listing.listed.worst:
        return None
    timeframe, span = listing.heat
    starts = [
        span.start + number * timeframe.length
        for number in range((span.end - span.start) // timeframe.length)
    ]
    return Heat(
        timeframe.name,
        starts,
        timeframe.length.days > 0,
        [
            HeatRow(
                texts.short_identifier(channel_id, 28),
                _of_channel(listing, timeframe, channel_id),
                [_cell(listing, timeframe, channel_id, start) for start in starts],
            )
            for channel_id, _ in listing.listed.worst
        ],
    )


def _cell(listing: Listing, timeframe: Timeframe, channel: str, start: datetime) -> Cell:
    missing, judged = listing.cells.get((channel, start), (0, 0))
    if not judged:
        return Cell("", None)
    share = missing / judged
    step = sum(share >= edge for edge in _STEPS[1:]) if missing else 0
    return Cell(
        _short(share),
        step,
        address(WindowPageState(timeframe, start, listing.asked.membership, channel)),
        f"{words.utc(start)}: {words.count(missing)} of {words.count(judged)} missing",
    )


def _short(share: float) -> str:
    """`0`, `.4`, `12`: the percentage in three letters at most."""
    percent = 100 * share
    if percent >= 0.95 or not percent:
        return f"{percent:.0f}"
    return f"{max(0.1, percent):.1f}".removeprefix("0")
