"""Turns what rollup.sql returns into rows of results. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import dropwhile
from operator import itemgetter
from typing import Any

from devtelemetry.model import DELAY_CLASSES
from devtelemetry.results.columns import SPREADS
from devtelemetry.results.rows import NO_CHANNEL_TAKES_PART, OF_WINDOW, Computed, Row

_NO_CLUSTERS = [0, 0, 0, 0]


def computed(rollup: Iterable[Mapping[str, Any]]) -> Computed:
    """Sorts the rows of rollup.sql into the window, its channels and their groups."""
    window: Row = NO_CHANNEL_TAKES_PART
    channels: list[Row] = []
    groups: list[Row] = []
    for group in rollup:
        row = dict(group)
        for spread in SPREADS:
            row[spread.name] = row[spread.name] or _NO_CLUSTERS
        row["reasons"] = row["reasons"] or "[]"
        row["delivery_delays"], row["report_delays"] = _delays_by_kind(
            row["delays"] or (), row["delay_counts"] or ()
        )
        if row["dimension"]:
            # A channel whose messages are all left out of M (shown as unconfirmed) has no groups.
            groups += [row] if row["messages"] else []
        elif row["is_window"]:
            window = row
        else:
            channels.append(row)
    # If a channel is too small to be broken down, its only group would repeat the channel.
    siblings = Counter((row["channel_id"], row["dimension"]) for row in groups)
    shown = [
        row
        for row in groups
        if row["channel_id"] == OF_WINDOW
        or not row["is_rest"]
        or siblings[row["channel_id"], row["dimension"]] > 1
    ]
    # Sorted, because sums of floats depend on the order.
    return Computed(
        window,
        sorted(channels, key=itemgetter("channel_id")),
        sorted(shown, key=itemgetter("channel_id", "dimension", "is_rest", "value")),
    )


def _delays_by_kind(delays: Iterable[int], counts: Iterable[int]) -> tuple[list[int], list[int]]:
    """Counts by class of delay, of deliveries and of reports. A class of 16 or more is the class of
    a report, plus 16."""
    delivery = [0] * DELAY_CLASSES
    report = [0] * DELAY_CLASSES
    for delay, count in zip(delays, counts, strict=True):
        is_of_report, delay_class = divmod(delay, 16)
        (report if is_of_report else delivery)[delay_class] += count
    return _without_zeros(delivery), _without_zeros(report)


def _without_zeros(counts: Sequence[int]) -> list[int]:
    """Without the zeros at the end."""
    return list(dropwhile(lambda count: count == 0, reversed(counts)))[::-1]
