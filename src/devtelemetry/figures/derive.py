"""Figures derived from counts: ratios and their intervals, verdicts, delays, sums. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from devtelemetry.estimate.delay import Reach, delay_quantile, on_time_ratio
from devtelemetry.estimate.interval import CONFIDENCE, Interval, interval_of, window_interval
from devtelemetry.estimate.verdict import Verdict, compare
from devtelemetry.model import (
    NO_COUNTS,
    NO_DELAYS,
    NO_SPREADS,
    ChannelReliability,
    Counts,
    DelayCounts,
    Delays,
    Dimension,
    Group,
    LossReason,
    Spreads,
    WindowReliability,
)
from devtelemetry.results.sums import sum_of_windows

Result: TypeAlias = WindowReliability | ChannelReliability | Group

ON_TIME_MS: Mapping[str, int] = {"1m": 60_000, "10m": 600_000, "1h": 3_600_000}
"""The times for which there is an on-time ratio: name and ms"""

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""The quantiles of the delay that are shown"""


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a window, a channel or a group, or their sums over several windows.

    windows  how many windows with pairs are in the sums
    """

    counts: Counts = NO_COUNTS
    spreads: Spreads = NO_SPREADS
    delays: Delays = NO_DELAYS
    windows: int = 1

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the delivery ratio; None if there are too few clusters to say."""
        return self.interval_at(CONFIDENCE)

    def interval_at(self, confidence: float) -> Interval | None:
        if self.spreads.over_channels.clusters == 0:
            # Within one channel, receivers are the only clusters.
            return interval_of(self.counts, self.spreads.over_receivers, self.windows, confidence)
        return window_interval(self.counts, self.spreads, self.windows, confidence)

    @property
    def surely_missing(self) -> int:
        """The pairs that are missing even at the interval's upper bound; 0 without an interval."""
        interval = self.interval
        return 0 if interval is None else int(self.counts.corroborated * (1 - interval.upper))

    @property
    def _has_spreads(self) -> bool:
        return self.spreads.over_memberships.clusters > 0 or not self.counts.corroborated

    @property
    def told_delays(self) -> DelayCounts:
        """The delays of deliveries or, if none is known, those of the reports, which are later."""
        return self.delays.delivery if any(self.delays.delivery) else self.delays.report

    def on_time(self, edge_ms: int) -> float | None:
        """The share of corroborated pairs that were delivered within `edge_ms`."""
        return on_time_ratio(self.counts, self.told_delays, edge_ms)

    def quantile(self, share: float) -> int | Reach | None:
        """The time in ms within which this share of the corroborated pairs was delivered."""
        return delay_quantile(self.counts, self.told_delays, share)

    def plus(self, other: "Totals") -> "Totals":
        """The sum of two windows. `receivers` is the greater number, as most are in both.

        If one window was computed before spreads were kept, the sum has no spreads either.
        """
        a, b = self.counts, other.counts
        has_spreads = self._has_spreads and other._has_spreads
        return Totals(
            sum_of_windows(a, b),
            self.spreads.plus(other.spreads) if has_spreads else NO_SPREADS,
            self.delays.plus(other.delays),
            # A window without pairs has no clusters, so it does not count.
            max(1, (a.corroborated > 0) * self.windows + (b.corroborated > 0) * other.windows),
        )


def worst_first(channel: tuple[str, Totals]) -> tuple[int, int, str]:
    """Sorts channels by surely missing pairs, then by missing pairs. Not by ratio: a low ratio of a
    few pairs may be chance."""
    channel_id, totals = channel
    return -totals.surely_missing, -totals.counts.missing, channel_id


def totals_of(result: Result) -> Totals:
    if isinstance(result, Group):
        return Totals(result.counts, result.spreads, result.delays)
    return Totals(result.counts, result.figures.spreads, result.figures.delays)


def sum_of(results: Iterable[Result]) -> Totals:
    """The sum over windows, or over one channel or group in several windows; zeros if empty."""
    total: Totals | None = None
    for result in results:
        total = totals_of(result) if total is None else total.plus(totals_of(result))
    return total or Totals()


def reasons_of(results: Iterable[WindowReliability | ChannelReliability]) -> list[LossReason]:
    """Why pairs are missing, summed over several windows: most frequent first, the rest last."""
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for result in results:
        for one in result.figures.reasons:
            pairs[one.of, one.reason] += one.pairs
    return sorted(
        (LossReason(*key, number) for key, number in pairs.items()),
        key=lambda one: (one.of is None, -one.pairs, one.of or "", one.reason or ""),
    )


def groups_of(
    windows: Iterable[WindowReliability], dimension: Dimension
) -> dict[str | None, Totals]:
    """Value → the sum of its groups over the windows, the largest first; other (None) last."""
    found: dict[str | None, list[Group]] = defaultdict(list)
    for window in windows:
        for group in window.groups:
            if group.dimension is dimension:
                found[group.value].append(group)
    sums = {value: sum_of(groups) for value, groups in found.items()}
    return dict(
        sorted(
            sums.items(),
            key=lambda item: (item[0] is None, -item[1].counts.corroborated, item[0] or ""),
        )
    )


def reference(values: Sequence[str | None], versus: str | None = None) -> str | None:
    """The group that the other groups are compared with: `versus`, or else the largest group.

    values  as groups_of returns them, the largest first

    None if `versus` is not among them, or no group has a value.
    """
    if versus is not None:
        return versus if versus in values else None
    return next((value for value in values if value is not None), None)


def verdicts(
    groups: Mapping[str | None, Totals], versus: str | None = None
) -> dict[str | None, Verdict | None]:
    """The verdict on each group beside the reference; None for the reference itself."""
    beside = reference(list(groups), versus)
    if beside is None:
        return dict.fromkeys(groups)
    return {
        value: None if value == beside else compare(totals.interval, groups[beside].interval)
        for value, totals in groups.items()
    }
