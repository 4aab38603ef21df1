"""Rows of the tables of results, and the values made from them. Pure.

A column has the same name in every table and in the rows that the algorithm returns, so the same
functions read them all. NULL means that the window was computed before the column was kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
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
    LossReason,
    Spread,
    Spreads,
)
from devtelemetry.results.columns import (
    APART,
    COLUMNS,
    COUNTS,
    OF_RECEIVERS,
    Level,
    of_level,
)

OF_WINDOW = 0
"""In place of a channel's id in the groups of the window itself"""

Row = Mapping[str, Any]

CHANNEL_ROW = ("channel_id", *of_level(Level.CHANNEL))
GROUP_ROW = ("channel_id", "dimension", "is_rest", "value", *of_level(Level.GROUP))

_NOTHING = {
    "bigint": 0,
    "double precision": None,
    "numeric[]": [0, 0, 0, 0],
    "bigint[]": [],
    "jsonb": "[]",
}
NO_CHANNEL_TAKES_PART: Row = {
    column.name: _NOTHING[column.type] for column in COLUMNS if Level.WINDOW in column.levels
}
"""The row of a window without a comparable channel"""


@dataclass(frozen=True, slots=True)
class Computed:
    """What was computed for a window. Rows have the columns of the list, and may have others.

    window    the window's own row, from the channels that take part in it
    channels  rows that also have a channel_id, sorted by it
    groups    rows that also have channel_id (or OF_WINDOW), dimension, is_rest and value, sorted by
              these
    """

    window: Row
    channels: Sequence[Row]
    groups: Sequence[Row]


_counts = itemgetter(*(column.name for column in COUNTS))


def counts_of(row: Row) -> Counts:
    return Counts(*_counts(row))


def figures_of_window(row: Row) -> Figures:
    return Figures(_spreads(row), _delays(row), NO_CAPTURES, **_of_receivers(row))


def figures_of_channel(row: Row) -> Figures:
    captures = row["captures"]
    return Figures(
        spreads_within_channel(row),
        _delays(row),
        NO_CAPTURES if captures is None else Captures(*captures),
        **_of_receivers(row),
    )


def group_of(row: Row) -> Group:
    """A row of reliability_group."""
    return Group(
        Dimension(row["dimension"]),
        None if row["is_rest"] else row["value"],
        *pairs_of_group(row),
    )


def pairs_of_group(row: Row) -> tuple[Counts, Spreads, Delays]:
    """The values of a row of reliability_group, or of a similar row."""
    return (
        counts_of(row),
        _spreads(row) if row["channel_id"] == OF_WINDOW else spreads_within_channel(row),
        _delays(row),
    )


def spreads_within_channel(row: Row) -> Spreads:
    """Within a channel a receiver is one membership, so the spread over both is the same."""
    spread = _spread(row["over_memberships"])
    return Spreads(over_receivers=spread, over_memberships=spread)


def _spreads(row: Row) -> Spreads:
    if row["over_memberships"] is None:
        return NO_SPREADS
    return Spreads(
        _spread(row["over_channels"]),
        _spread(row["over_receivers"]),
        _spread(row["over_memberships"]),
    )


def _spread(sums: Sequence[Decimal] | None) -> Spread:
    return Spread() if sums is None else Spread(*map(int, sums))


def _delays(row: Row) -> Delays:
    if row["delivery_delays"] is None:
        return NO_DELAYS
    return Delays(_delay_counts(row["delivery_delays"]), _delay_counts(row["report_delays"]))


def _of_receivers(row: Row) -> dict[str, Any]:
    """The other fields of Figures, by name."""
    reasons = tuple(LossReason(*one) for one in json.loads(row["reasons"] or "[]"))
    return {
        **{column.name: row[column.name] for column in OF_RECEIVERS},
        **{column.name: row[column.name] or 0 for column in APART},
        # In windows that were computed before sampling, all messages were to be reported.
        "one_in": row["one_in"] or 1,
        "estimated_messages": row["estimated_messages"] or row["messages"],
        "reasons": reasons,
    }


def _delay_counts(stored: Sequence[int]) -> DelayCounts:
    return (*stored, *(0,) * (DELAY_CLASSES - len(stored)))
