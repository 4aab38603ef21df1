"""True and measured figures: breakdowns, verdicts, delays, unseen messages, liars.

Worlds are made from seeds. Their clients' pushes go through the code of ingest into a real
PostgreSQL. Windows are computed, and read back as a report reads them. The clock measures nothing,
so the figures are the same on every machine. See docs/evidence/truth.md.
"""

import argparse
import asyncio
import math
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from bench.colluders import colluders
from bench.lab import RULES, Lab, spec_of, truth_of
from bench.liars import LIARS
from bench.postgres import fresh_database, temporary_server
from bench.pushes import Push, pushes
from bench.report import Result, Table
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.estimate.delay import Reach, negative_share
from devtelemetry.estimate.interval import Interval
from devtelemetry.estimate.unseen import unseen_messages
from devtelemetry.estimate.verdict import Word
from devtelemetry.figures.derive import (
    ON_TIME_MS,
    QUANTILES,
    Totals,
    groups_of,
    totals_of,
    verdicts,
)
from devtelemetry.model import (
    HOUR_MS,
    MINUTE_MS,
    Dimension,
    WindowReliability,
)
from devtelemetry.settings.settings import Settings
from devtelemetry.simulator.loss import BAD_LINK, LossModel, Trait
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import Delivery, Node, World
from devtelemetry.simulator.truth import Group, TrueWindow, captured, values_of
from devtelemetry.simulator.world import make_world


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument(
        "--seeds",
        type=int,
        default=40,
        help="worlds for each row of verdicts and of unseen messages",
    )
    parser.add_argument(
        "--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="the tables to make"
    )


def run(options: argparse.Namespace) -> Result:
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    with temporary_server() as url:
        for name in options.parts:
            printed, figures[name] = asyncio.run(_part(url, name, options))
            tables += printed
            print(f"truth: {name}", file=sys.stderr, flush=True)
    return Result(
        "True beside measured",
        {},
        tables,
        notes=(
            f"seed {options.seed}",
            f"verdicts, unseen messages: {options.seeds} seeds a row from it on",
        ),
        figures=figures,
    )


Printed = tuple[list[Table], Any]


async def _part(url: str, name: str, options: argparse.Namespace) -> Printed:
    async with fresh_database(url, f"truth_{name}") as database:
        return await _PARTS[name](Lab(database), options)


def _pairs(world: World) -> list[Delivery]:
    """The expected pairs of the measured window."""
    spec = world.spec
    return [one for one in world.deliveries if spec.start_ms <= one.message.sent_at < spec.end_ms]


def _chance(world: World, one: Delivery) -> float:
    """The probability with which this pair would be delivered."""
    of = values_of(one, world.nodes)
    return world.spec.loss.delivers(
        of[Dimension.PLATFORM],
        of[Dimension.APP_VERSION],
        of[Dimension.MESSAGE_TYPE],
        of[Dimension.AUTHOR_APP_VERSION],
        of[Dimension.PATH],
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}".replace("-", "−")


# --- breakdowns -----------------------------------------------------------------------------------

PLATFORMS = (
    Trait("desktop", 40),
    Trait("android", 34),
    Trait("ios", 20),
    Trait("", 5),
    Trait("web", 1),
)
VERSIONS = (
    Trait("2.35.1", 56),
    Trait("2.36.0", 37),
    Trait("2.34.2", 6),
    Trait("2.37.0-beta", 1),
)
TYPES = (Trait("CHAT_MESSAGE", 75), Trait("EMOJI_REACTION", 15), Trait("IMAGE", 10))
UNEVEN = LossModel(
    independent=0.01,
    by_platform={"ios": 0.04, "web": 0.1},
    by_version={"2.36.0": 0.02},
    by_type={"IMAGE": 0.06},
    by_author_version={"2.36.0": 0.03},
    by_path={BAD_LINK[0]: 0.05},
    offline=0.01,
    everyone=0.005,
)


@dataclass(frozen=True, slots=True)
class _Broken:
    """A row: a group, or all pairs (dimension None)."""

    dimension: Dimension | None
    value: str | None
    receivers: int
    expected: int
    measured_expected: int
    chance: float
    true: float
    measured: float
    interval: Interval | None


async def _breakdowns(lab: Lab, options: argparse.Namespace) -> Printed:
    world = make_world(
        spec_of(
            lab,
            options.seed,
            loss=UNEVEN,
            messages_per_hour=60,
            platforms=PLATFORMS,
            versions=VERSIONS,
            message_types=TYPES,
        )
    )
    await lab.take_in(pushes(world))
    window = await lab.window(world)
    rows = _broken_down(world, window)
    shown = [
        (
            _named(row),
            f"{row.receivers:,}",
            f"{row.expected:,}",
            f"{row.measured_expected:,}",
            _percent(row.chance),
            _percent(row.true),
            _percent(row.measured),
            _points(row.measured - row.true),
            "too few to say"
            if row.interval is None
            else f"{_percent(row.interval.lower)}–{_percent(row.interval.upper)}",
            "–" if row.interval is None else "yes" if _holds(row.interval, row.chance) else "no",
        )
        for row in rows
    ]
    sums = [
        (
            dimension.value,
            *(
                "yes" if total == _of_window(window, name) else "no"
                for name, total in _sums(window, dimension).items()
            ),
        )
        for dimension in Dimension
    ]
    return [
        Table(
            "Delivery ratio by each dimension, %",
            (
                "group", "receivers", "expected", "counted", "drawn with", "true", "measured",
                "error", "95 % interval", "drawn with lies in it",
            ),
            shown,
        ),
        Table(
            "Whether the groups of a dimension add up to the window",
            ("dimension", *_sums(window, Dimension.PLATFORM)),
            sums,
        ),
    ], rows  # fmt: skip


def _named(row: _Broken) -> str:
    if row.dimension is None:
        return "all"
    value = "other" if row.value is None else row.value or "not said"
    return f"{row.dimension.value}: {value}"


def _broken_down(world: World, window: WindowReliability) -> list[_Broken]:
    truth, pairs = truth_of(world), _pairs(world)
    rows = [_broken(None, None, [truth.total], totals_of(window), _chances(world, pairs))]
    for dimension in Dimension:
        groups = groups_of([window], dimension)
        of_value = truth.by[dimension]
        for value, share in groups.items():
            # "other" has the values that are not shown.
            values = {value} if value is not None else set(of_value) - set(groups)
            of_group = (p for p in pairs if values_of(p, world.nodes)[dimension] in values)
            chances = _chances(world, of_group)
            parts = [of_value[name] for name in sorted(values)]
            rows.append(_broken(dimension, value, parts, share, chances))
    return rows


def _chances(world: World, pairs: Iterable[Delivery]) -> float:
    return fmean(_chance(world, pair) for pair in pairs)


def _broken(
    dimension: Dimension | None,
    value: str | None,
    true: Sequence[Group],
    share: Totals,
    chance: float,
) -> _Broken:
    measured = share.counts.delivery_ratio
    assert measured is not None
    expected = sum(group.expected for group in true)
    return _Broken(
        dimension,
        value,
        len(set().union(*(group.receivers for group in true))),
        expected,
        share.counts.expected,
        chance,
        sum(group.delivered for group in true) / expected,
        measured,
        share.interval,
    )


def _sums(window: WindowReliability, dimension: Dimension) -> dict[str, Any]:
    groups = [group for group in window.groups if group.dimension is dimension]
    names = ("expected", "missing", "corroborated", "unknown")
    sums: dict[str, Any] = {
        name: sum(getattr(group.counts, name) for group in groups) for name in names
    }
    sums["delays"] = tuple(
        sum(counts) for counts in zip(*(group.delays.delivery for group in groups), strict=True)
    )
    return sums


def _of_window(window: WindowReliability, name: str) -> Any:
    return window.figures.delays.delivery if name == "delays" else getattr(window.counts, name)


def _holds(interval: Interval, chance: float) -> bool:
    return interval.lower <= chance <= interval.upper


# --- verdicts -------------------------------------------------------------------------------------

DIFFERENCES = (0.0, 0.01, 0.03)
_BASE = 0.03
_WORDS = (Word.BETTER.value, Word.WORSE.value, Word.CANNOT_TELL.value)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A row: verdicts on ios compared with desktop, and intervals of all three platforms."""

    losses: str
    difference: float
    words: Mapping[str, int]
    intervals: int
    right: int
    errors: float  # the greatest of a platform: measured minus true, as a share


async def _verdicts(lab: Lab, options: argparse.Namespace) -> Printed:
    rows = []
    for name, offline in (("each pair by itself", 0.0), ("nodes are offline too", 0.03)):
        for difference in DIFFERENCES:
            loss = LossModel(
                by_platform={"desktop": _BASE, "android": _BASE, "ios": _BASE + difference},
                offline=offline,
            )
            rows.append(await _judged(lab, options, name, difference, loss))
            print(f"truth: {name}, {difference}", file=sys.stderr, flush=True)
    return [
        Table(
            "ios beside desktop: how often the verdict says what, %",
            ("losses", "truly worse by, points", *_WORDS, "none", "interval holds the truth"),
            [
                (
                    row.losses,
                    f"{100 * row.difference:.0f}",
                    *(
                        f"{100 * row.words.get(word, 0) / options.seeds:.0f}"
                        for word in (*_WORDS, "none")
                    ),
                    f"{100 * row.right / row.intervals:.1f}",
                )
                for row in rows
            ],
        )
    ], rows


async def _judged(
    lab: Lab, options: argparse.Namespace, name: str, difference: float, loss: LossModel
) -> _Judged:
    words: Counter[str] = Counter()
    intervals = right = 0
    errors = 0.0
    for seed in range(options.seed, options.seed + options.seeds):
        world = make_world(
            spec_of(lab, seed, loss=loss, nodes=100, messages_per_hour=20, lead_ms=5 * MINUTE_MS)
        )
        await lab.take_in(pushes(world, push_ms=10 * MINUTE_MS))
        window = await lab.window(world)
        groups = groups_of([window], Dimension.PLATFORM)
        verdict = verdicts(groups, versus="desktop")["ios"]
        words["none" if verdict is None else verdict.word.value] += 1
        pairs = _pairs(world)
        for value, share in groups.items():
            of_group = [p for p in pairs if world.nodes[p.node].platform == value]
            if share.interval is not None:
                intervals += 1
                right += _holds(share.interval, _chances(world, of_group))
            true = fmean(pair.arrives_ms is not None for pair in of_group)
            assert share.counts.delivery_ratio is not None
            errors = max(errors, abs(share.counts.delivery_ratio - true))
    return _Judged(name, difference, dict(words), intervals, right, errors)


# --- delays ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Clocks:
    name: str
    loss: float = 0.03
    wrong_by_ms: int = 0
    is_told: bool = True


CLOCKS = (
    _Clocks("all right; 0.5 % lost", loss=0.005),
    _Clocks("all right"),
    _Clocks("10 % off by 20 s, told", wrong_by_ms=20_000),
    _Clocks("10 % off by 20 s, not told", wrong_by_ms=20_000, is_told=False),
    _Clocks("10 % off by 5 min, told", wrong_by_ms=5 * MINUTE_MS),
    _Clocks("10 % off by 5 min, not told", wrong_by_ms=5 * MINUTE_MS, is_told=False),
    _Clocks("10 % off by 50 min, told", wrong_by_ms=50 * MINUTE_MS),
    _Clocks("10 % off by 50 min, not told", wrong_by_ms=50 * MINUTE_MS, is_told=False),
    _Clocks("10 % off by 3 h, told", wrong_by_ms=3 * HOUR_MS),
    _Clocks("10 % off by 3 h, not told", wrong_by_ms=3 * HOUR_MS, is_told=False),
)


@dataclass(frozen=True, slots=True)
class _Delayed:
    """A row, in ms. True quantiles are exact, measured ones are class edges. math.inf: never."""

    clocks: str
    true_ratio: float
    ratio: float | None
    true_on_time: Mapping[str, float]
    on_time: Mapping[str, float | None]
    true_quantiles: Mapping[str, float]
    quantiles: Mapping[str, float | None]
    negative: float | None
    refused: int


async def _delays(lab: Lab, options: argparse.Namespace) -> Printed:
    rows = [await _delayed(lab, options.seed, clocks) for clocks in CLOCKS]
    return [
        Table(
            "On-time ratio within 1 min, 10 min and 1 h, %: true / measured",
            ("clocks", "delivery ratio", *ON_TIME_MS, "before it was sent", "samples refused"),
            [
                (
                    row.clocks,
                    f"{_percent(row.true_ratio)} / {_percent(row.ratio)}",
                    *(
                        f"{_percent(row.true_on_time[name])} / {_percent(row.on_time[name])}"
                        for name in ON_TIME_MS
                    ),
                    "–" if row.negative is None else f"{100 * row.negative:.2f} %",
                    f"{row.refused:,}",
                )
                for row in rows
            ],
        ),
        Table(
            "Quantiles of the delay: true / measured, an edge",
            ("clocks", *QUANTILES),
            [
                (
                    row.clocks,
                    *(
                        f"{_time(row.true_quantiles[name])} / {_time(row.quantiles[name])}"
                        for name in QUANTILES
                    ),
                )
                for row in rows
            ],
        ),
    ], rows


async def _delayed(lab: Lab, seed: int, clocks: _Clocks) -> _Delayed:
    spec = spec_of(
        lab,
        seed,
        loss=LossModel(independent=clocks.loss),
        nodes=100,
        channels_of_user=3,
        messages_per_hour=30,
        joining=0.0,
        leaving=0.0,
        restarts=0.0,
        crashes=0,
        skew_ms=0,
        slow=0.1,
        slowest_ms=3 * HOUR_MS,
        wrong_clocks=0.1 if clocks.wrong_by_ms else 0.0,
        wrong_by_ms=clocks.wrong_by_ms,
        lead_ms=clocks.wrong_by_ms + 15 * MINUTE_MS,
    )
    world = make_world(spec)

    def is_told(node: Node) -> bool:
        return clocks.is_told or node.skew_ms == 0

    refused = await lab.take_in(pushes(world, tells_clock=is_told))
    window = await lab.window(world)
    share = totals_of(window)
    delays = sorted(
        math.inf if pair.arrives_ms is None else pair.arrives_ms - pair.message.at_ms
        for pair in _pairs(world)
    )
    return _Delayed(
        clocks.name,
        sum(delay < math.inf for delay in delays) / len(delays),
        share.counts.delivery_ratio,
        {name: bisect_right(delays, edge) / len(delays) for name, edge in ON_TIME_MS.items()},
        {name: share.on_time(edge) for name, edge in ON_TIME_MS.items()},
        {name: delays[math.ceil(of * len(delays)) - 1] for name, of in QUANTILES.items()},
        {name: _reach(share.quantile(of)) for name, of in QUANTILES.items()},
        negative_share(share.delays.delivery),
        refused.total(),
    )


def _reach(reach: int | Reach | None) -> float | None:
    return math.inf if isinstance(reach, Reach) else reach


def _time(ms: float | None) -> str:
    if ms is None:
        return "–"
    if ms == math.inf:
        return "not reached"
    for unit_ms, unit in ((HOUR_MS, "h"), (MINUTE_MS, "min")):
        if ms >= unit_ms:
            return f"{ms / unit_ms:.3g} {unit}"
    return f"{ms / 1000:.2g} s"


# --- what nobody received -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Estimated:
    """A row: means over the seeds."""

    name: str
    messages: float  # all that were sent
    nobody: float  # messages that no receiver got
    reported: float  # those of them that their authors report
    unseen: float  # the window's estimate
    by_hand: float  # the estimate from the world's own counts
    covered: float
    coverage: float


async def _unseen(lab: Lab, options: argparse.Namespace) -> Printed:
    rows = []
    for receivers, outsiders, loss in (
        (3, 0.0, LossModel(independent=0.2)),
        (3, 1.0, LossModel(independent=0.2)),
        (3, 1.0, LossModel(independent=0.5)),
        (5, 0.5, LossModel(independent=0.5)),
        (10, 1.0, LossModel(independent=0.5)),
        (5, 1.0, LossModel(independent=0.05, everyone=0.02)),
    ):
        cause = f"{100 * loss.independent:.0f} % lost"
        if loss.everyone:
            cause = f"{100 * loss.everyone:.0f} % for all, {100 * loss.independent:.0f} % each"
        name = f"{cause}, {receivers} members, {100 * (1 - outsiders):.0f} % of the authors report"
        seeds = range(options.seed, options.seed + options.seeds)
        found = [await _one_unseen(lab, seed, receivers, outsiders, loss) for seed in seeds]
        rows.append(_Estimated(name, *map(fmean, zip(*found, strict=True))))
    return [
        Table(
            "Messages that nobody received: the mean of the worlds",
            (
                "losses", "messages", "nobody received", "of them reported", "`unseen`",
                "by hand", "true coverage, %", "`sample_coverage`, %",
            ),
            [
                (
                    row.name,
                    *(
                        f"{value:.1f}"
                        for value in (
                            row.messages, row.nobody, row.reported, row.unseen, row.by_hand
                        )
                    ),
                    _percent(row.covered),
                    _percent(row.coverage),
                )
                for row in rows
            ],
        )
    ], rows  # fmt: skip


async def _one_unseen(
    lab: Lab, seed: int, receivers: int, outsiders: float, loss: LossModel
) -> tuple[float, ...]:
    channels = 12
    world = make_world(
        spec_of(
            lab,
            seed,
            loss=loss,
            nodes=receivers * channels,
            second_devices=0.0,
            channels=channels,
            channels_of_user=1,
            messages_per_hour=100,
            lead_ms=5 * MINUTE_MS,
            joining=0.0,
            leaving=0.0,
            outsiders=outsiders,
            skew_ms=0,
        )
    )
    await lab.take_in(pushes(world, push_ms=10 * MINUTE_MS))
    window = await lab.window(world)
    # A channel in which two receivers could not capture a message has no estimate to compare.
    estimated = {
        channel.channel_id
        for channel in window.channels
        if channel.comparable
        and unseen_messages(channel.counts, channel.figures.captures) is not None
    }
    pairs = [pair for pair in _pairs(world) if pair.message.channel_id in estimated]
    got = {pair.message for pair in pairs if pair.arrives_ms is not None}
    sent = {pair.message for pair in pairs}
    by_hand = [
        unseen_messages(*captured([p for p in pairs if p.message.channel_id == channel_id]))
        for channel_id in estimated
    ]
    assert window.unseen is not None
    assert window.sample_coverage is not None
    return (
        len(sent),
        len(sent - got),
        sum(message.author is not None for message in sent - got),
        window.unseen,
        sum(messages or 0.0 for messages in by_hand),
        sum(pair.message in got for pair in pairs) / len(pairs),
        window.sample_coverage,
    )


# --- liars ----------------------------------------------------------------------------------------

DEFENCES: Mapping[str, AggregateRules] = {
    "none": RULES,
    "weight_cap 0.1": replace(RULES, weight_cap=0.1),
    "quorum 2": replace(RULES, quorum=2),
}
_NOBODY = "nobody lies"


@dataclass(frozen=True, slots=True)
class _Told:
    """A row: the figures of a window under one defence."""

    who: str
    defence: str
    messages: int
    delivery_ratio: float
    reliability: float
    worst: float  # the least Rch of a channel
    median: float
    trimmed: float
    influence: float


def _told(who: str, defence: str, window: WindowReliability) -> _Told:
    figures = window.figures
    assert window.counts.delivery_ratio is not None
    assert window.reliability is not None
    assert figures.median is not None
    assert figures.trimmed is not None
    assert figures.influence is not None
    return _Told(
        who,
        defence,
        window.counts.messages,
        window.counts.delivery_ratio,
        window.reliability,
        min(c.counts.reliability or 0.0 for c in window.channels if c.comparable),
        figures.median,
        figures.trimmed,
        figures.influence,
    )


@dataclass(frozen=True, slots=True)
class _Cost:
    """A row: what the defences cost when nobody lies."""

    name: str
    true: float
    held_by_one: float  # share of the messages with one receiver as their only voucher
    measured: Mapping[str, float | None]


async def _liars(lab: Lab, options: argparse.Namespace) -> Printed:
    rows: list[_Told] = []
    truth: TrueWindow | None = None
    for who, lies in ((_NOBODY, None), *LIARS.items()):
        world = make_world(
            spec_of(
                lab,
                options.seed,
                loss=LossModel(independent=0.03, everyone=0.02),
                messages_per_hour=60,
            )
        )
        honest = pushes(world, push_ms=5 * MINUTE_MS)
        await lab.take_in(sorted([*honest, *(lies(world) if lies else ())], key=_at))
        rows += [
            _told(who, defence, await lab.window(world, rules))
            for defence, rules in DEFENCES.items()
        ]
        if lies is None:
            truth = truth_of(world)
        print(f"truth: {who}", file=sys.stderr, flush=True)
    costs = [await _cost(lab, options, *case) for case in _COSTS]
    assert truth is not None
    true, true_r = truth.total.delivery_ratio, truth.reliability
    assert true is not None
    assert true_r is not None
    true_worst = min(group.delivery_ratio or 0.0 for group in truth.channels.values())
    sent = len(truth.total.messages)
    by_liar = {who: [row for row in rows if row.who == who] for who in (_NOBODY, *LIARS)}
    limit: float = Settings.model_fields["influence_limit"].default

    def beside(measured: float, true: float) -> str:
        return f"{_percent(measured)} ({_points(measured - true)})"

    return [
        Table(
            "One installation beside 200: how far it moves what is measured from the truth, in "
            f"points: {' / '.join(DEFENCES)}",
            ("what it does", "delivery ratio", "R", "worst channel", "messages that count"),
            [
                ("the truth", _percent(true), _percent(true_r), _percent(true_worst), f"{sent:,}"),
                *(
                    (
                        who,
                        " / ".join(_points(row.delivery_ratio - true) for row in of_one),
                        " / ".join(_points(row.reliability - true_r) for row in of_one),
                        " / ".join(_points(row.worst - true_worst) for row in of_one),
                        " / ".join(f"{row.messages:,}" for row in of_one),
                    )
                    for who, of_one in by_liar.items()
                ),
            ],
        ),
        Table(
            "What else a window says of it, without a defence",
            (
                "what it does", "delivery ratio", "R", "median", "trimmed mean", "influence",
                "marked",
            ),
            [
                (
                    who,
                    _percent(of_one[0].delivery_ratio),
                    _percent(of_one[0].reliability),
                    _percent(of_one[0].median),
                    _percent(of_one[0].trimmed),
                    f"{of_one[0].influence:.4f}",
                    "yes" if of_one[0].influence > limit else "no",
                )
                for who, of_one in by_liar.items()
            ],
        ),
        Table(
            "What the defences cost where nobody lies: delivery ratio, %",
            ("losses", "known by one only", "true", *DEFENCES),
            [
                (
                    cost.name, f"{100 * cost.held_by_one:.1f} %", _percent(cost.true),
                    *(
                        "–" if measured is None else beside(measured, cost.true)
                        for measured in cost.measured.values()
                    ),
                )
                for cost in costs
            ],
        ),
    ], {"liars": rows, "costs": costs}  # fmt: skip


def _at(push: Push) -> int:
    return push.at_ms


_COSTS = (
    ("3 % each", 50, 0.0, LossModel(independent=0.03)),
    ("3 % each, 2 % for all", 50, 0.0, LossModel(independent=0.03, everyone=0.02)),
    ("3 % each", 5, 0.0, LossModel(independent=0.03)),
    ("20 % each", 5, 0.0, LossModel(independent=0.2)),
    ("20 % each, nobody reports what it writes", 5, 1.0, LossModel(independent=0.2)),
    ("20 % each, nobody reports what it writes", 3, 1.0, LossModel(independent=0.2)),
    ("50 % each, nobody reports what it writes", 5, 1.0, LossModel(independent=0.5)),
)


async def _cost(
    lab: Lab,
    options: argparse.Namespace,
    name: str,
    members: int,
    outsiders: float,
    loss: LossModel,
) -> _Cost:
    channels = 12
    world = make_world(
        spec_of(
            lab,
            options.seed,
            loss=loss,
            nodes=members * channels // 3,
            channels=channels,
            messages_per_hour=60,
            outsiders=outsiders,
        )
    )
    await lab.take_in(pushes(world, push_ms=5 * MINUTE_MS))
    vouchers: Counter[str] = Counter()
    for one in report(world).arrived:
        if world.spec.start_ms <= one.message.sent_at < world.spec.end_ms:
            vouchers[one.message.message_id] += 1
    true = truth_of(world).total.delivery_ratio
    assert true is not None
    return _Cost(
        f"{name}, {members} members",
        true,
        sum(count == 1 for count in vouchers.values()) / len(vouchers),
        {
            defence: (await lab.window(world, rules)).counts.delivery_ratio
            for defence, rules in DEFENCES.items()
        },
    )


_PARTS: Mapping[str, Callable[[Lab, argparse.Namespace], Awaitable[Printed]]] = {
    "breakdowns": _breakdowns,
    "verdicts": _verdicts,
    "delays": _delays,
    "unseen": _unseen,
    "liars": _liars,
    "colluders": colluders,
}
