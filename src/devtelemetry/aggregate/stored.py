"""Figures as rows: what the algorithm says of a window, and what the tables keep of it.

Columns have the same names wherever they stand, so that one reading serves all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import dropwhile
from typing import Any

from devtelemetry.model import (
    DELAY_CLASSES,
    NO_CAPTURES,
    NO_DELAYS,
    NO_SPREADS,
    Captures,
    Counts,
    DelayCounts,
    Delays,
    Dimension,
    Figures,
    Group,
    Spread,
    Spreads,
)

OF_WINDOW = 0
"""In the place of a channel's id: the groups of the window"""

CHANNEL_COLUMNS = (
    "channel_id",
    "messages",
    "receivers",
    "expected",
    "missing",
    "corroborated",
    "unknown",
    "over_parts",
    "delivery_delays",
    "report_delays",
    "captures",
    "median",
    "trimmed",
    "influence",
)

GROUP_COLUMNS = (
    "channel_id",
    "dimension",
    "is_rest",
    "value",
    "messages",
    "receivers",
    "expected",
    "missing",
    "corroborated",
    "unknown",
    "over_channels",
    "over_receivers",
    "over_parts",
    "delivery_delays",
    "report_delays",
)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """What the algorithm says of a window. Rows have the columns above, and are sorted."""

    figures: Figures
    channels: list[Row]
    groups: list[Row]


def computed(rollup: Iterable[Mapping[str, Any]]) -> Computed:
    """Of the rows of rollup.sql."""
    figures = Figures()
    channels: list[Row] = []
    groups: list[Row] = []
    groups_of: dict[tuple[int, str], int] = {}
    for row in rollup:
        channel_id = OF_WINDOW if row["is_window"] else row["level"]
        delays = _delays_by_kind(row["delays"] or (), row["delay_counts"] or ())
        if row["dimension"]:
            value = "" if row["is_rest"] else row["value"]
            groups.append(
                (
                    channel_id,
                    row["dimension"],
                    row["is_rest"],
                    value,
                    *_counts_row(row),
                    *(
                        _spread_row(row[name])
                        for name in ("over_channels", "over_receivers", "over_parts")
                    ),
                    *delays,
                )
            )
            of_dimension = channel_id, row["dimension"]
            groups_of[of_dimension] = groups_of.get(of_dimension, 0) + 1
        elif row["is_window"]:
            figures = Figures(
                _spreads(row),
                Delays(*(_delay_counts(counts) for counts in delays)),
                NO_CAPTURES,
                row["median"],
                row["trimmed"],
                row["influence"],
            )
        else:
            channels.append(
                (
                    channel_id,
                    *_counts_row(row),
                    _spread_row(row["over_parts"]),
                    *delays,
                    [
                        row["captures"],
                        row["captured_once"],
                        row["captured_twice"],
                        row["captured_once_squared"],
                    ],
                    row["median"],
                    row["trimmed"],
                    row["influence"],
                )
            )
    # Where a channel is too small to be broken down, the rest is the channel once more.
    shown = [
        row for row in groups if row[0] == OF_WINDOW or not row[2] or groups_of[row[0], row[1]] > 1
    ]
    return Computed(figures, sorted(channels), sorted(shown))


def window_row(figures: Figures) -> Row:
    """over_channels, over_receivers, over_parts, delivery_delays, report_delays, median, trimmed,
    influence."""
    return (
        *(list(spread) for spread in figures.spreads),
        _without_zeros(figures.delays.delivery),
        _without_zeros(figures.delays.report),
        figures.median,
        figures.trimmed,
        figures.influence,
    )


def counts_of(row: Mapping[str, Any]) -> Counts:
    return Counts(
        messages=row["messages"],
        receivers=row["receivers"],
        expected=row["expected"],
        missing=row["missing"],
        corroborated=row["corroborated"],
        unknown=row["unknown"],
    )


def figures_of_window(row: Mapping[str, Any]) -> Figures:
    return Figures(
        _spreads(row), _delays(row), NO_CAPTURES, row["median"], row["trimmed"], row["influence"]
    )


def figures_of_channel(row: Mapping[str, Any]) -> Figures:
    captures = row["captures"]
    return Figures(
        spreads_within_channel(row),
        _delays(row),
        NO_CAPTURES if captures is None else Captures(*captures),
        row["median"],
        row["trimmed"],
        row["influence"],
    )


def group_of(row: Mapping[str, Any]) -> Group:
    """A row of reliability_group."""
    spreads = spreads_within_channel(row) if row["channel_id"] != OF_WINDOW else _spreads(row)
    return Group(
        Dimension(row["dimension"]),
        None if row["is_rest"] else row["value"],
        counts_of(row),
        spreads,
        _delays(row),
    )


def _counts_row(row: Mapping[str, Any]) -> Iterator[int]:
    for name in ("messages", "receivers", "expected", "missing", "corroborated", "unknown"):
        yield row[name]


def _spread_row(sums: Sequence[Decimal | None] | None) -> list[int]:
    """A spread that is not there has no clusters."""
    return list(_spread(sums))


def _spread(sums: Sequence[Decimal | None] | None) -> Spread:
    return Spread() if sums is None else Spread(*(int(one or 0) for one in sums))


def _spreads(row: Mapping[str, Any]) -> Spreads:
    if row["over_parts"] is None:
        return NO_SPREADS
    return Spreads(
        _spread(row["over_channels"]), _spread(row["over_receivers"]), _spread(row["over_parts"])
    )


def spreads_within_channel(row: Mapping[str, Any]) -> Spreads:
    """A receiver is one part of a channel: what is over the ones is over the others."""
    spread = _spread(row["over_parts"])
    return Spreads(over_receivers=spread, over_parts=spread)


def _delays(row: Mapping[str, Any]) -> Delays:
    if row["delivery_delays"] is None:
        return NO_DELAYS
    return Delays(_delay_counts(row["delivery_delays"]), _delay_counts(row["report_delays"]))


def _delays_by_kind(delays: Iterable[int], counts: Iterable[int]) -> tuple[list[int], list[int]]:
    """From receipt.delay, which is of either, to delivery_delays and report_delays."""
    delivery = [0] * DELAY_CLASSES
    report = [0] * DELAY_CLASSES
    for delay, count in zip(delays, counts, strict=True):
        is_of_report, delay_class = divmod(delay, 16)
        (report if is_of_report else delivery)[delay_class] += count
    return _without_zeros(delivery), _without_zeros(report)


def _delay_counts(stored: Sequence[int]) -> DelayCounts:
    return (*stored, *(0,) * (DELAY_CLASSES - len(stored)))


def _without_zeros(counts: Sequence[int]) -> list[int]:
    return list(dropwhile(lambda count: count == 0, reversed(counts)))[::-1]
