"""How often the comparison of two releases is right, in worlds whose truth is known.

A day of hours is drawn. A new version comes to one platform first, and to ever more receivers.
Platforms and channels lose differently, and for two hours everyone loses more. The clock measures
nothing, so the figures are the same on every machine. See docs/evidence/releases.md.
"""

import argparse
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median

import numpy as np  # comes with matplotlib
from numpy.random import Generator
from numpy.typing import NDArray

from bench.report import Result, Table
from devtelemetry.estimate.matched import Compared, Matched, Pairs
from devtelemetry.releases.decide import MARGIN, Decision, decide

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOURS = 24
MEMBERS = 30
CHANNELS_OF_RECEIVER = 3
PLATFORM_LOSS = np.array([0.01, 0.05, 0.02])
ADOPTED = np.array([0.2, 0.8, 0.5])  # share of each platform's receivers by the end of the day
OUTAGE = (3, 5, 0.2)  # from hour, to hour, further loss of everyone
RECEIVERS = (60, 300, 1_000)
LOSSES = (0.0, MARGIN, 4 * MARGIN)  # further loss of the new version


@dataclass(frozen=True)
class Layout:
    """How receivers lose, apart from platform and channel.

    uneven    each receiver has its own loss, beta distributed with this correlation; 0: all alike
    offline   one receiver in ten loses everything for a third of the day
    affected  share of the receivers that have the further loss of the new version
    """

    name: str
    uneven: float = 0.0
    offline: bool = False
    affected: float = 1.0


LAYOUTS = (
    Layout("receivers alike"),
    Layout("receivers differ", uneven=0.02),
    Layout("one in ten is offline for a third of the day", offline=True),
    Layout("one receiver in five has the fault", uneven=0.02, affected=0.2),
)


@dataclass(frozen=True)
class World:
    """naive: the difference over all deliveries, not matched. truth: over matched deliveries."""

    found: Compared
    naive: float
    truth: float


def world(generator: Generator, layout: Layout, receivers: int, more: float) -> World:
    """A day in which the new version also loses a share `more` of what is not lost anyway."""
    platform = generator.integers(0, len(PLATFORM_LOSS), receivers)
    channels = max(CHANNELS_OF_RECEIVER, receivers * CHANNELS_OF_RECEIVER // MEMBERS)
    members = np.argsort(generator.random((receivers, channels)), axis=1)
    channel = members[:, :CHANNELS_OF_RECEIVER].ravel()
    receiver = np.repeat(np.arange(receivers), CHANNELS_OF_RECEIVER)
    # The receivers that take the new version, and from which hour on.
    takes_it = generator.random(receivers) < ADOPTED[platform]
    since = np.where(takes_it, generator.integers(-HOURS // 2, HOURS, receivers), HOURS)

    of_receiver = PLATFORM_LOSS[platform]
    if layout.uneven:
        each = 1 / layout.uneven - 1
        of_receiver = generator.beta(of_receiver * each, (1 - of_receiver) * each)
    of_channel = np.where(generator.random(channels) < 0.1, 0.05, 0.0)
    hour = np.arange(HOURS)
    of_hour = np.where((hour >= OUTAGE[0]) & (hour < OUTAGE[1]), OUTAGE[2], 0.0)
    gone = np.zeros((receivers, HOURS))
    if layout.offline:
        begins = generator.integers(0, HOURS, receivers)
        is_gone = (hour[None, :] - begins[:, None]) % HOURS < HOURS // 3
        gone[is_gone & (generator.random(receivers) < 0.1)[:, None]] = 1.0
    kept = (
        (1 - of_receiver[receiver])[:, None]
        * (1 - of_channel[channel])[:, None]
        * (1 - of_hour)[None, :]
        * (1 - gone[receiver])
    )
    faulty = (generator.random(receivers) < layout.affected) * more / layout.affected
    is_new = hour[None, :] > since[receiver][:, None]
    is_old = hour[None, :] < since[receiver][:, None]
    fault = kept * faulty[receiver][:, None] * is_new
    sent = generator.poisson(generator.uniform(1, 8, channels)[:, None], (channels, HOURS))
    pairs = sent[channel]
    missing = generator.binomial(pairs, np.clip(1 - kept + fault, 0, 1))
    return _compared(receiver, channel, platform, is_old, is_new, pairs, missing, fault)


def _compared(
    receiver: Ints,
    channel: Ints,
    platform: Ints,
    is_old: NDArray[np.bool_],
    is_new: NDArray[np.bool_],
    pairs: Ints,
    missing: Ints,
    fault: Floats,
) -> World:
    strata: defaultdict[tuple[int, int, int], tuple[dict[int, Pairs], dict[int, Pairs]]] = (
        defaultdict(lambda: ({}, {}))
    )
    faults: defaultdict[tuple[int, int, int], float] = defaultdict(float)
    rows, hours = np.nonzero((is_old | is_new) & (pairs > 0))
    for row, hour in zip(rows.tolist(), hours.tolist(), strict=True):
        who = int(receiver[row])
        stratum = (hour, int(channel[row]), int(platform[who]))
        found = Pairs(int(missing[row, hour]), int(pairs[row, hour]))
        strata[stratum][bool(is_new[row, hour])][who] = found
        faults[stratum] += fault[row, hour] * found.pairs
    matched = Matched()
    weights = more = 0.0
    for stratum, (old, new) in strata.items():
        if old and new:
            matched.add(old, new)
            of_old, of_new = (sum(one.pairs for one in side.values()) for side in (old, new))
            weight = of_old * of_new / (of_old + of_new)
            weights += weight
            more += weight * faults[stratum] / of_new
    old_ratio, new_ratio = (missing[side].sum() / pairs[side].sum() for side in (is_old, is_new))
    return World(matched.compared(), float(old_ratio - new_ratio), -more / weights)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--worlds", type=int, default=20, help="worlds for each row")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    rows = []
    figures = {}
    for place, layout in enumerate(LAYOUTS):
        for receivers in RECEIVERS:
            for more in LOSSES:
                seed = [options.seed, place, receivers, round(1e4 * more)]
                generator = np.random.default_rng(seed)
                found = [world(generator, layout, receivers, more) for _ in range(options.worlds)]
                row = _row(found)
                more_receivers = row.pop("more")
                figures[f"{layout.name}, {receivers}, {more}"] = row
                rows.append(
                    (
                        layout.name,
                        f"{receivers:,}",
                        f"{0 - 100 * more:.1f}",
                        f"{100 * row['naive']:+.2f}",
                        f"{100 * row['error']:+.2f}",
                        f"{row['covered']:.1%}",
                        *(f"{row[name]:.1%}" for name in Decision),
                        "" if not more_receivers else f"{more_receivers:,.0f}",
                    )
                )
            print(f"releases: {layout.name}: {receivers} receivers", file=sys.stderr)
    return Result(
        "Releases",
        {},
        [
            Table(
                "A new version beside the old one, on the same day",
                (
                    "world",
                    "receivers",
                    "truth, points",
                    "not matched, off by",
                    "matched, off by",
                    "interval has the truth",
                    "ship",
                    "hold",
                    "needs more",
                    "more receivers, median",
                ),
                rows,
            )
        ],
        notes=(f"{options.worlds} worlds a row; the margin is {100 * MARGIN} points",),
        figures=figures,
    )


def _row(found: list[World]) -> dict[str, float]:
    known = [(one.found.difference, one.truth) for one in found if one.found.difference is not None]
    decided = [decide(one.found) for one in found]
    counts = Counter(one.decision for one in decided)
    more = [one.more_receivers for one in decided if one.more_receivers is not None]
    return {
        "naive": sum(one.naive - one.truth for one in found) / len(found),
        "error": sum(of.estimate - truth for of, truth in known) / max(1, len(known)),
        "covered": sum(of.lower <= truth <= of.upper for of, truth in known) / max(1, len(known)),
        **{name.value: counts[name] / len(found) for name in Decision},
        "more": median(more) if more else 0.0,
    }
