"""What counts tell: ratios with their intervals, verdicts, delays, sums over windows. Pure."""

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
"""Within what the on-time delivery ratio is told: as it is written, and ms"""

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Which quantiles of the delay are told"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a window, a channel or a group has; of several windows the sums.

    windows  how many windows with pairs these are the sums of
    """

    counts: Counts = NO_COUNTS
    spreads: Spreads = NO_SPREADS
    delays: Delays = NO_DELAYS
    windows: int = 1

    @property
    def interval(self) -> Interval | None:
        """Of the delivery ratio, 95 %; None: too few clusters to say."""
        return self.interval_at(CONFIDENCE)

    def interval_at(self, confidence: float) -> Interval | None:
        if self.spreads.over_channels.clusters == 0:
            # Within one channel there is one way to cut.
            return interval_of(self.counts, self.spreads.over_receivers, self.windows, confidence)
        return window_interval(self.counts, self.spreads, self.windows, confidence)

    @property
    def surely_missing(self) -> int:
        """As many are missing at least, by the interval's upper bound; 0 where too few can say."""
        interval = self.interval
        return 0 if interval is None else int(self.counts.corroborated * (1 - interval.upper))

    @property
    def _has_spreads(self) -> bool:
        return self.spreads.over_memberships.clusters > 0 or not self.counts.corroborated

    @property
    def told_delays(self) -> DelayCounts:
        """Those of delivery; where none is known those of the reports, which are later."""
        return self.delays.delivery if any(self.delays.delivery) else self.delays.report

    def on_time(self, edge_ms: int) -> float | None:
        """Of the pairs that should have been delivered, the share within `edge_ms`."""
        return on_time_ratio(self.counts, self.told_delays, edge_ms)

    def quantile(self, share: float) -> int | Reach | None:
        """Within how many ms this share of them was delivered."""
        return delay_quantile(self.counts, self.told_delays, share)

    def plus(self, other: "Totals") -> "Totals":
        """Of two windows. Their receivers are mostly the same ones: the greater number.

        Where one was computed before spreads were kept, the sum has none either.
        """
        a, b = self.counts, other.counts
        has_spreads = self._has_spreads and other._has_spreads
        return Totals(
            sum_of_windows(a, b),
            self.spreads.plus(other.spreads) if has_spreads else NO_SPREADS,
            self.delays.plus(other.delays),
            # A window without pairs has no clusters either, and is none to share them with.
            max(1, (a.corroborated > 0) * self.windows + (b.corroborated > 0) * other.windows),
        )


def worst_first(channel: tuple[str, Totals]) -> tuple[int, int, str]:
    """Sorts channels by what they surely lost; where too few can say by what they lost. A low ratio
    of a few pairs may be chance."""
    channel_id, totals = channel
    return -totals.surely_missing, -totals.counts.missing, channel_id


def totals_of(result: Result) -> Totals:
    if isinstance(result, Group):
        return Totals(result.counts, result.spreads, result.delays)
    return Totals(result.counts, result.figures.spreads, result.figures.delays)


def sum_of(results: Iterable[Result]) -> Totals:
    """Of windows, or of one channel or group in each of them; nothing where there is none."""
    total: Totals | None = None
    for result in results:
        total = totals_of(result) if total is None else total.plus(totals_of(result))
    return total or Totals()


def reasons_of(results: Iterable[WindowReliability | ChannelReliability]) -> list[LossReason]:
    """Why pairs are missing, over several windows: the most frequent first, the rest last."""
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
    """Value → its sum over the windows, the greatest first; the rest (None) last."""
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
    """Beside which of a dimension's groups the others are judged: that one, or the greatest.

    values  as groups_of has them, the greatest first. None: there is nothing to judge by
    """
    if versus is not None:
        return versus if versus in values else None
    return next((value for value in values if value is not None), None)


def verdicts(
    groups: Mapping[str | None, Totals], versus: str | None = None
) -> dict[str | None, Verdict | None]:
    """Each group beside the reference, which has none itself."""
    beside = reference(list(groups), versus)
    if beside is None:
        return dict.fromkeys(groups)
    return {
        value: None if value == beside else compare(totals.interval, groups[beside].interval)
        for value, totals in groups.items()
    }
