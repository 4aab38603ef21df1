"""How often intervals are right, verdicts wrong, and how far estimates of unseen messages are off.

For each row, losses are drawn from a known truth thousands of times, and given to the estimators as
the counts and spreads that a window would store. The clock measures nothing, so the figures are the
same on every machine. See docs/evidence/intervals.md and unseen.md.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, product
from statistics import NormalDist, fmean, median

import numpy as np  # comes with matplotlib
from numpy.random import Generator
from numpy.typing import NDArray

from bench.report import Result, Table
from devtelemetry.estimate.interval import (
    CONFIDENCE,
    Interval,
    design_effect,
    interval_of,
    wilson,
    window_interval,
)
from devtelemetry.estimate.student import t_quantile
from devtelemetry.estimate.unseen import sample_coverage, unseen_messages
from devtelemetry.estimate.verdict import Word, compare
from devtelemetry.model import Captures, Counts, Spread, Spreads

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PAIRS = 500  # in a cluster, on average
FEW_AND_MANY = (10, 12, 20, 50, 200)
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--replications", type=int, default=10_000, help="draws for each row")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    seeds = count()

    def generator() -> Generator:
        # Each row has its own generator, so that an added row changes no other row.
        return np.random.default_rng([options.seed, next(seeds)])

    tables: list[Table] = []
    figures = {}
    for name, part in (
        ("intervals", _intervals),
        ("common causes", _common_causes),
        ("windows", _windows),
        ("spans", _spans),
        ("verdicts", _verdicts),
        ("unseen", _unseen),
    ):
        printed, rows = part(generator, options.replications)
        tables += printed
        figures[name] = [asdict(row) for row in rows]
        print(f"intervals: {name}", file=sys.stderr)
    return Result(
        "Intervals",
        {},
        tables,
        notes=(f"{options.replications:,} replications a row, seed {options.seed}",),
        figures=figures,
    )


# --- how losses fall on clusters: each returns missing pairs, one row for each replication --------


@dataclass(frozen=True, slots=True)
class Losses:
    """A way to lose pairs: `draw` returns the missing pairs of clusters of given sizes."""

    name: str
    truth: float  # the expected loss ratio of every cluster
    draw: Callable[[Generator, Ints], Ints]


def _independent(loss: float) -> Losses:
    return Losses(
        f"independent, {_share(loss)}", loss, lambda random, sizes: random.binomial(sizes, loss)
    )


def _uneven(loss: float, correlation: float) -> Losses:
    """Every receiver has a rate of its own, from a beta distribution."""
    scale = 1 / correlation - 1

    def draw(random: Generator, sizes: Ints) -> Ints:
        rates = random.beta(loss * scale, (1 - loss) * scale, sizes.shape)
        return random.binomial(sizes, rates)

    return Losses(f"receivers differ, {_share(loss)}, correlation {correlation}", loss, draw)


def _offline(often: float, share: float) -> Losses:
    """A receiver is offline with probability `often`, for `share` of the window on average."""

    def draw(random: Generator, sizes: Ints) -> Ints:
        away = np.minimum(random.exponential(share, sizes.shape), 1.0)
        return random.binomial(sizes, away * (random.random(sizes.shape) < often))

    truth = often * share * (1 - math.exp(-1 / share))
    return Losses(f"{_share(often)} are offline, {_share(truth)}", truth, draw)


def _share(share: float) -> str:
    return f"{100 * share:.2g} %"


def _equal(clusters: int) -> Ints:
    return np.full(clusters, PAIRS)


def _zipf(clusters: int) -> Ints:
    """Sizes of clusters: the k-th has 1/k of the pairs of the first."""
    weights = 1 / np.arange(1, clusters + 1)
    return _whole(weights / weights.sum() * PAIRS * clusters, least=1)


def _whole(values: Floats, *, least: int) -> Ints:
    rounded: Ints = np.maximum(least, np.round(values)).astype(np.int64)
    return rounded


# --- from pairs to the sums that a window stores --------------------------------------------------


def _counts(missing: int, pairs: int) -> Counts:
    return Counts(messages=1, receivers=2, expected=pairs, missing=missing, corroborated=pairs)


def _spreads(missing: Ints, pairs: Ints) -> Iterator[Spread]:
    """One spread for each row; both arguments have the shape (replications, clusters)."""
    clusters = (pairs > 0).sum(axis=1)
    squares = [
        (a * b).sum(axis=1) for a, b in ((missing, missing), (missing, pairs), (pairs, pairs))
    ]
    for row in zip(clusters, *squares, strict=True):
        yield Spread(*map(int, row))


def _samples(missing: Ints, pairs: Ints) -> Iterator[tuple[Counts, Spread]]:
    for lost, of, spread in zip(
        missing.sum(axis=1), pairs.sum(axis=1), _spreads(missing, pairs), strict=True
    ):
        yield _counts(int(lost), int(of)), spread


def _ratio(counts: Counts) -> float:
    assert counts.delivery_ratio is not None
    return counts.delivery_ratio


def _plain(counts: Counts) -> Interval:
    """As if all pairs were independent."""
    return wilson(_ratio(counts), counts.corroborated, _Z)


def _by_clusters_less_one(counts: Counts, spread: Spread) -> Interval:
    """With t at K − 1 degrees of freedom, however few clusters have the losses and the pairs."""
    if counts.missing in {0, counts.corroborated}:
        return _plain(counts) if (whole := interval_of(counts, spread)) is None else whole
    t = t_quantile((1 + CONFIDENCE) / 2, spread.clusters - 1)
    return wilson(_ratio(counts), counts.corroborated / max(1.0, design_effect(counts, spread)), t)


# --- how often intervals are right ----------------------------------------------------------------


class Tally:
    """How often intervals contained the truth, and on which side it was when they did not."""

    def __init__(self, truth: float) -> None:
        self._truth = truth
        self._below = self._above = self._none = 0
        self._widths: list[float] = []

    def add(self, interval: Interval | None) -> None:
        if interval is None:
            self._none += 1
            return
        self._below += self._truth < interval.lower
        self._above += self._truth > interval.upper
        self._widths.append(interval.upper - interval.lower)

    @property
    def right(self) -> float:
        return 1 - (self._below + self._above) / len(self._widths) if self._widths else math.nan

    @property
    def too_good(self) -> float:
        """How often the truth was below the interval, so that the interval promised too much."""
        return self._below / len(self._widths) if self._widths else math.nan

    @property
    def width(self) -> float:
        return median(self._widths) if self._widths else math.nan

    @property
    def none(self) -> float:
        return self._none / (self._none + len(self._widths))


@dataclass(frozen=True, slots=True)
class Covered:
    """A row: how often each of several intervals was right."""

    losses: str
    clusters: str
    right: Mapping[str, float]
    too_good: float  # of the last interval
    width: float  # the median, of the last interval
    none: float  # how often the last interval did not exist


def _covered(losses: str, clusters: str, tallies: Mapping[str, Tally]) -> Covered:
    shown = list(tallies.values())[-1]
    return Covered(
        losses,
        clusters,
        {name: tally.right for name, tally in tallies.items()},
        shown.too_good,
        shown.width,
        shown.none,
    )


def _coverage_table(title: str, clusters: str, rows: Sequence[Covered]) -> Table:
    cells = [
        (
            row.losses,
            row.clusters,
            *(_percent(right) for right in row.right.values()),
            _percent(row.too_good),
            f"{row.width:.4f}",
            _percent(row.none) if row.none else "",
        )
        for row in rows
    ]
    return Table(
        title,
        ("losses", clusters, *rows[0].right, "promise too much", "median width", "no interval"),
        cells,
    )


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


SeededBy = Callable[[], Generator]


def _tallied(
    name: str, clusters: str, truth: float, samples: Iterable[tuple[Counts, Spread]]
) -> Covered:
    plain, less_one, given = (Tally(truth) for _ in range(3))
    for counts, spread in samples:
        plain.add(_plain(counts))
        less_one.add(_by_clusters_less_one(counts, spread))
        given.add(interval_of(counts, spread))
    return _covered(
        name, clusters, {"Wilson on all pairs": plain, "t at K − 1": less_one, "as given": given}
    )


def _intervals(generator: SeededBy, replications: int) -> tuple[list[Table], list[Covered]]:
    ways = (
        _independent(0.05),
        _independent(0.001),
        _uneven(0.05, 0.05),
        _uneven(0.05, 0.2),
        _uneven(0.01, 0.05),
        _uneven(0.001, 0.01),
        _offline(0.1, 0.3),
    )
    rows = []
    coverage, error = [], []
    for losses, (shape, size) in product(ways, (("equal", _equal), ("Zipf", _zipf))):
        of_sizes = []
        for clusters in FEW_AND_MANY:
            pairs = np.broadcast_to(size(clusters), (replications, clusters))
            samples = _samples(losses.draw(generator(), pairs), pairs)
            of_sizes.append(_tallied(losses.name, f"{clusters} {shape}", 1 - losses.truth, samples))
        rows += of_sizes
        label = f"{losses.name}; {shape}"
        coverage.append(
            (
                label,
                *(" / ".join(f"{100 * r:.1f}" for r in row.right.values()) for row in of_sizes),
            )
        )
        error.append(
            (label, *(f"{100 * row.too_good:.1f}; {100 * row.width:.2f}" for row in of_sizes))
        )
    columns = ("losses; receivers", *map(str, FEW_AND_MANY))
    title = "One channel, by its number of receivers"
    return [
        Table(
            f"{title}: how often the truth lies in it, %: {' / '.join(rows[0].right)}",
            columns,
            coverage,
        ),
        Table(
            f"{title}, as given: how often the truth lies below it, %; median width, "
            "percentage points",
            columns,
            error,
        ),
    ], rows


def _common_causes(generator: SeededBy, replications: int) -> tuple[list[Table], list[Covered]]:
    """Causes that strike messages of a channel at many of its receivers at once."""
    messages, receivers = 500, 20
    rows = []
    for name, spans, length in (
        ("single messages are hard to get, 5 %", 0.1 * messages, 1),
        ("outages of 5 messages for all, 5 %", 0.1 * messages / 5, 5),
        ("outages of 25 messages for all, 5 %", 0.1 * messages / 25, 25),
    ):
        # Half of the receivers lose a message that is struck, so somebody holds it.
        random = generator()
        struck = np.minimum(length * random.poisson(spans, replications), messages)
        missing = random.binomial(struck[:, None], np.full((replications, receivers), 0.5))
        pairs = np.full((replications, receivers), messages)
        truth = 1 - _mean_struck(spans, length, messages) / messages / 2
        rows.append(_tallied(name, f"{receivers} equal", truth, _samples(missing, pairs)))
    return [
        _coverage_table("One channel, losses for all at once: it fails", "receivers", rows)
    ], rows


def _mean_struck(spans: float, length: int, messages: int) -> float:
    """E min(length · Poisson(spans), messages)."""
    total, probability = 0.0, math.exp(-spans)
    for number in range(int(spans + 20 * math.sqrt(spans) + 20)):
        total += probability * min(length * number, messages)
        probability *= spans / (number + 1)
    return total


# --- windows: receivers in several channels -------------------------------------------------------


_LOSS = 0.03  # in a window and in a span


@dataclass(frozen=True, slots=True)
class Effects:
    """How much receivers and channels differ: the variances of factors with the mean 1.

    struck    share of a channel's messages that half of its receivers lose; drawn for each channel
    outages   in how many of 25 parts of the window, on average, half of the receivers lose all
    """

    name: str
    receivers: float = 0.0
    channels: float = 0.0
    struck: float = 0.0
    outages: float = 0.0


def _windows(generator: SeededBy, replications: int) -> tuple[list[Table], list[Covered]]:
    ways = (
        Effects("independent"),
        Effects("receivers differ", receivers=1),
        Effects("channels differ", channels=1),
        Effects("both differ", receivers=1, channels=1),
        Effects("both differ much", receivers=2, channels=2),
        Effects("single messages are hard to get", struck=2 * _LOSS),
        Effects("outages of all channels", outages=2 * _LOSS * 25),
    )
    rows = [
        _window_row(generator(), effects, receivers, channels, replications)
        for effects, (receivers, channels) in product(ways, ((20, 12), (40, 40), (200, 40)))
    ]
    title = f"A window: receivers in several channels, {_share(_LOSS)} lost"
    return [_coverage_table(title, "receivers × channels", rows)], rows


def _factors(random: Generator, shape: tuple[int, ...], variance: float) -> Floats:
    """The factors of receivers or channels on the loss: gamma distributed with mean 1."""
    if not variance:
        return np.ones(shape)
    return random.gamma(1 / variance, variance, shape)


def _in_channels(receivers: int, channels: int) -> Ints:
    """Pairs of receivers in channels; each receiver is in a third of the channels.

    The k-th channel has 1/√k of the messages of the first.
    """
    messages = _whole(200 / np.sqrt(np.arange(1, channels + 1)), least=1)
    is_in = np.random.default_rng(channels).random((receivers, channels)) < 1 / 3
    pairs: Ints = is_in * messages
    return pairs


def _window_row(
    random: Generator, effects: Effects, receivers: int, channels: int, replications: int
) -> Covered:
    pairs = _in_channels(receivers, channels)
    messages, is_in = pairs.max(axis=0), pairs > 0
    tallies = {
        name: Tally(1 - _LOSS)
        for name in ("Wilson on all pairs", "over receivers", "over channels", "as given")
    }
    for _ in range(replications):
        if effects.struck or effects.outages:
            share = effects.struck or min(25, random.poisson(effects.outages)) / 25
            missing = random.binomial(is_in * random.binomial(messages, share), 0.5)
        else:
            rates = (
                _LOSS
                * _factors(random, (receivers, 1), effects.receivers)
                * _factors(random, (1, channels), effects.channels)
            )
            missing = random.binomial(pairs, np.minimum(rates, 1.0))
        counts, spreads = _window(missing, pairs)
        tallies["Wilson on all pairs"].add(_plain(counts))
        tallies["over receivers"].add(interval_of(counts, spreads.over_receivers))
        tallies["over channels"].add(interval_of(counts, spreads.over_channels))
        tallies["as given"].add(window_interval(counts, spreads))
    return _covered(effects.name, f"{receivers} × {channels}", tallies)


def _window(missing: Ints, pairs: Ints) -> tuple[Counts, Spreads]:
    """Counts and spreads of one window; both arguments have the shape (receivers, channels)."""

    def spread(x: Ints, n: Ints) -> Spread:
        return Spread(
            int(np.count_nonzero(n)), int((x * x).sum()), int((x * n).sum()), int((n * n).sum())
        )

    return (
        _counts(int(missing.sum()), int(pairs.sum())),
        Spreads(
            over_channels=spread(missing.sum(axis=0), pairs.sum(axis=0)),
            over_receivers=spread(missing.sum(axis=1), pairs.sum(axis=1)),
            over_memberships=spread(missing, pairs),
        ),
    )


# --- spans of several windows ---------------------------------------------------------------------


def _spans(generator: SeededBy, replications: int) -> tuple[list[Table], list[Covered]]:
    receivers, pairs_an_hour = 20, 25
    rows = []
    for name, persists in (
        ("who loses changes by the hour", False),
        ("who loses stays the same", True),
    ):
        for hours in (6, 24):
            random = generator()
            tallies = {
                column: Tally(1 - _LOSS)
                for column in ("spreads added", "the whole span as one window", "as given")
            }
            pairs = np.full((hours, receivers), pairs_an_hour)
            for _ in range(replications):
                scale = 1 / 0.05 - 1
                shape = (1 if persists else hours, receivers)
                rates = random.beta(_LOSS * scale, (1 - _LOSS) * scale, shape)
                missing = random.binomial(pairs, np.broadcast_to(rates, pairs.shape))
                counts = _counts(int(missing.sum()), int(pairs.sum()))
                of_hours = list(_spreads(missing, pairs))
                added = Spread()
                for spread in of_hours:
                    added = added.plus(spread)
                (known,) = _spreads(missing.sum(axis=0)[None], pairs.sum(axis=0)[None])
                tallies["spreads added"].add(interval_of(counts, added))
                tallies["the whole span as one window"].add(interval_of(counts, known))
                tallies["as given"].add(interval_of(counts, added, windows=hours))
            rows.append(_covered(name, f"{receivers} × {hours}", tallies))
    return [_coverage_table("A span of hourly windows", "receivers × hours", rows)], rows


# --- verdicts -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """A row: how often each method told two groups apart."""

    losses: str
    clusters: str
    loss_a: float
    loss_b: float
    told_apart: Mapping[str, float]  # by method; the last is the verdict
    wrong_way: float  # verdicts that called the better group worse
    none: float  # no verdict


@dataclass(frozen=True, slots=True)
class Side:
    """One of two groups in one draw: its counts, and its intervals."""

    counts: Counts
    given: Interval | None
    by_receivers: Interval | None
    over_receivers: Spread


def _verdicts(generator: SeededBy, replications: int) -> tuple[list[Table], list[Judged]]:
    ways: tuple[tuple[str, Callable[[float], Losses]], ...] = (
        ("independent", _independent),
        ("receivers differ, correlation 0.05", partial(_uneven, correlation=0.05)),
        ("offline", lambda loss: _offline(loss / (0.3 * (1 - math.exp(-1 / 0.3))), 0.3)),
    )
    numbers = ((12, 12), (50, 50), (200, 200), (12, 200), (50, 200))
    rows, cells = [], []
    for (name, way), ((shape, size), losses) in product(
        ways,
        (
            (("equal", _equal), (0.03, 0.03)),
            (("Zipf", _zipf), (0.03, 0.03)),
            (("equal", _equal), (0.03, 0.05)),
            (("equal", _equal), (0.03, 0.12)),
            (("equal", _equal), (0.12, 0.03)),
        ),
    ):
        of_numbers = []
        for both in numbers:
            random = generator()
            sides = []
            for clusters, loss in zip(both, losses, strict=True):
                pairs = np.broadcast_to(size(clusters), (replications, clusters))
                sides.append(
                    [
                        Side(counts, (interval := interval_of(counts, spread)), interval, spread)
                        for counts, spread in _samples(way(loss).draw(random, pairs), pairs)
                    ]
                )
            label = f"{both[0]}, {both[1]} {shape}"
            columns = {
                "Wilson on all pairs": _differ_plainly,
                "Welch’s t": _differ_by_welch,
            }
            of_numbers.append(_judged(name, label, losses, sides, columns))
        rows += of_numbers
        cells.append(
            (
                f"{name}; {shape}",
                f"{_share(losses[0])}, {_share(losses[1])}",
                *(
                    " / ".join(f"{100 * v:.1f}" for v in row.told_apart.values())
                    for row in of_numbers
                ),
            )
        )
    title = f"Two groups: how often told apart, %: {' / '.join(rows[0].told_apart)}"
    header = ("losses; receivers", "lost by a, b", *(f"{a}, {b}" for a, b in numbers))
    shared, of_shared = _verdicts_in_windows(generator, replications)
    return [Table(title, header, cells), shared], rows + of_shared


def _verdicts_in_windows(generator: SeededBy, replications: int) -> tuple[Table, list[Judged]]:
    """Groups by platform: different receivers in the same channels."""
    receivers, channels = 40, 40
    rows = []
    for effects, losses in product(
        (
            Effects("independent"),
            Effects("channels differ", channels=1),
            Effects("both differ", receivers=1, channels=1),
        ),
        ((0.03, 0.03), (0.03, 0.05), (0.03, 0.12)),
    ):
        random = generator()
        pairs = _in_channels(2 * receivers, channels)
        sides: tuple[list[Side], list[Side]] = ([], [])
        for _ in range(replications):
            of_channel = _factors(random, (1, channels), effects.channels)
            for side, loss, theirs in zip(sides, losses, np.split(pairs, 2), strict=True):
                rates = loss * of_channel * _factors(random, (receivers, 1), effects.receivers)
                counts, spreads = _window(random.binomial(theirs, np.minimum(rates, 1)), theirs)
                side.append(
                    Side(
                        counts,
                        window_interval(counts, spreads),
                        interval_of(counts, spreads.over_receivers),
                        spreads.over_receivers,
                    )
                )
        columns = {
            "Wilson on all pairs": _differ_plainly,
            "over receivers": lambda a, b: _told_apart(a.by_receivers, b.by_receivers),
        }
        label = f"{receivers}, {receivers} in {channels}"
        rows.append(_judged(effects.name, label, losses, sides, columns))
    cells = [
        (
            row.losses,
            f"{_share(row.loss_a)}, {_share(row.loss_b)}",
            *(_percent(share) for share in row.told_apart.values()),
        )
        for row in rows
    ]
    return Table(
        f"Two groups of {receivers} receivers in {channels} channels of both: how often told apart",
        ("losses", "lost by a, b", *rows[0].told_apart),
        cells,
    ), rows


def _judged(
    name: str,
    clusters: str,
    losses: tuple[float, float],
    sides: Sequence[Sequence[Side]],
    others: Mapping[str, Callable[[Side, Side], bool]],
) -> Judged:
    pairs = list(zip(*sides, strict=True))
    verdicts = [compare(a.given, b.given) for a, b in pairs]
    words: list[Word] = [verdict.word for verdict in verdicts if verdict is not None]
    told: list[Word] = [word for word in words if word is not Word.CANNOT_TELL]
    a_is_better = losses[0] < losses[1]
    wrong = Word.WORSE if a_is_better else Word.BETTER
    shares = {
        other: sum(differ(a, b) for a, b in pairs) / len(pairs) for other, differ in others.items()
    }
    return Judged(
        name,
        clusters,
        *losses,
        told_apart={**shares, "verdict": len(told) / max(1, len(words))},
        wrong_way=0.0 if losses[0] == losses[1] else told.count(wrong) / max(1, len(words)),
        none=1 - len(words) / len(pairs),
    )


def _told_apart(a: Interval | None, b: Interval | None) -> bool:
    verdict = compare(a, b)
    return verdict is not None and verdict.word is not Word.CANNOT_TELL


def _differ_plainly(a: Side, b: Side) -> bool:
    """As if all pairs were independent."""
    return _told_apart(_plain(a.counts), _plain(b.counts))


def _differ_by_welch(a: Side, b: Side) -> bool:
    """Whether Welch's t test tells the ratios apart, with the variances between clusters."""
    variances, degrees = [], []
    for side in (a, b):
        ratio = _ratio(side.counts)
        effect = design_effect(side.counts, side.over_receivers) if 0 < ratio < 1 else 1.0
        variances.append(max(1.0, effect) * ratio * (1 - ratio) / side.counts.corroborated)
        degrees.append(side.over_receivers.clusters - 1)
    variance = sum(variances)
    difference = abs(_ratio(a.counts) - _ratio(b.counts))
    if not variance:
        return difference > 0
    df = variance**2 / sum(v * v / d for v, d in zip(variances, degrees, strict=True))
    return difference > t_quantile((1 + CONFIDENCE) / 2, int(df)) * math.sqrt(variance)


# --- what nobody received -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimated:
    """A row: how many of a thousand messages nobody received, and the estimates of that."""

    losses: str
    receivers: int
    unseen: float
    estimated: float | None  # the mean; None: there is no estimate
    low: float  # nine of ten estimates are between low
    high: float  # and high
    covered: float  # the share of deliveries whose message somebody holds
    coverage: float | None  # the mean of its estimates


Holding = Callable[[Generator, int, int], Floats]
"""(random, messages, receivers) → the probability of each pair to be held; below 0: its author"""


def _each_alike(loss: float) -> Holding:
    def holding(_: Generator, messages: int, receivers: int) -> Floats:
        return np.full((messages, receivers), 1 - loss)

    return holding


def _one_of_them_writes(loss: float) -> Holding:
    def holding(random: Generator, messages: int, receivers: int) -> Floats:
        chances = np.full((messages, receivers), 1 - loss)
        chances[np.arange(messages), random.integers(receivers, size=messages)] = -1
        return chances

    return holding


def _receivers_differ(loss: float) -> Holding:
    """Receivers lose between half of the loss and one and a half times it."""

    def holding(_: Generator, messages: int, receivers: int) -> Floats:
        return np.tile(1 - loss * np.linspace(0.5, 1.5, receivers), (messages, 1))

    return holding


def _messages_differ(loss: float) -> Holding:
    """Each message has its own rate of loss, from 0 to twice the loss."""

    def holding(random: Generator, messages: int, receivers: int) -> Floats:
        return np.tile(1 - random.uniform(0, 2 * loss, (messages, 1)), receivers)

    return holding


def _lost_for_all(share: float, loss: float) -> Holding:
    def holding(random: Generator, messages: int, receivers: int) -> Floats:
        return np.tile((1 - loss) * (random.random((messages, 1)) >= share), receivers)

    return holding


def _unseen(generator: SeededBy, replications: int) -> tuple[list[Table], list[Estimated]]:
    few = max(50, replications // 10)  # fewer, because each has a thousand messages
    ways = (
        ("independent, 5 %", _each_alike(0.05), (2, 3, 5)),
        ("independent, 20 %", _each_alike(0.2), (2, 3, 5, 10)),
        ("independent, 50 %", _each_alike(0.5), (2, 3, 5, 10, 20)),
        ("20 %, each writes its share", _one_of_them_writes(0.2), (2, 3, 5, 10)),
        ("receivers differ, 50 %", _receivers_differ(0.5), (2, 3, 5, 10)),
        ("messages differ, 50 %", _messages_differ(0.5), (2, 3, 5, 10)),
        ("2 % for all, 5 % each", _lost_for_all(0.02, 0.05), (2, 3, 5, 20)),
        ("2 % for all, 50 % each", _lost_for_all(0.02, 0.5), (5, 20)),
    )
    rows = [
        _unseen_row(generator(), name, holding, receivers, few)
        for name, holding, several in ways
        for receivers in several
    ]
    cells = [
        (
            row.losses,
            str(row.receivers),
            f"{row.unseen:.1f}",
            *(
                ("–", "–")
                if row.estimated is None
                else (f"{row.estimated:.1f}", f"{row.low:.1f}–{row.high:.1f}")
            ),
            f"{100 * row.covered:.2f} %",
            "–" if row.coverage is None else f"{100 * row.coverage:.2f} %",
        )
        for row in rows
    ]
    columns = (
        "losses", "receivers", "nobody received", "estimated", "nine of ten",
        "true coverage", "estimated coverage",
    )  # fmt: skip
    return [Table("Of a thousand messages, those that nobody received", columns, cells)], rows


def _unseen_row(
    random: Generator, name: str, holding: Holding, receivers: int, replications: int
) -> Estimated:
    messages = 1000
    unseen, covered = [], []
    estimates: list[float | None] = []
    coverages: list[float | None] = []
    for _ in range(replications):
        chances = holding(random, messages, receivers)
        is_author = chances < 0
        chances = np.maximum(chances, 0.0)
        held = random.random((messages, receivers)) < chances
        captures = held.sum(axis=1)
        alone = held[captures == 1].sum(axis=0)
        found = Captures(
            total=int(captures.sum()),
            once=int((captures == 1).sum()),
            twice=int((captures == 2).sum()),
            once_squared=int((alone * alone).sum()),
        )
        # A message is known if somebody holds it or its author reports it.
        known = (captures > 0) | is_author.any(axis=1)
        expected = int((~is_author[known]).sum())
        counts = Counts(int(known.sum()), receivers, expected, expected - found.total, expected)
        unseen.append(int((captures == 0).sum()))
        covered.append(float(chances[captures > 0].sum() / chances.sum()))
        estimates.append(unseen_messages(counts, found))
        coverages.append(sample_coverage(counts, found))
    values = sorted(value for value in estimates if value is not None)
    shares = [value for value in coverages if value is not None]
    return Estimated(
        name,
        receivers,
        fmean(unseen),
        fmean(values) if values else None,
        values[len(values) // 20] if values else math.nan,
        values[-1 - len(values) // 20] if values else math.nan,
        fmean(covered),
        fmean(shares) if shares else None,
    )
