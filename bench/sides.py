"""How often the side of a fault is found, and how often a side is named without a fault.

Worlds are drawn with a known fault in sending, in receiving or on a path, and given to the verdict
as the counts and spreads that a window would store. The clock measures nothing, so the figures are
the same on every machine. See docs/evidence/sides.md.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np  # comes with matplotlib
from numpy.random import Generator
from numpy.typing import NDArray

from bench.report import Result, Table
from devtelemetry.figures.sides import DIMENSIONS_OF_SIDES, Side, named, suspects
from devtelemetry.model import (
    Counts,
    Dimension,
    Group,
    MembershipPolicy,
    Spread,
    Spreads,
    Window,
    WindowReliability,
    WindowState,
)

Ints = NDArray[np.int64]

RECEIVERS = (20, 50, 200)
POINTS = (1, 2, 5)
MESSAGES = 200  # in a channel and day
LOSS = 0.02  # of all pairs; half of it in spans in which a receiver is offline
SERVERS = ("a", "b")
VERSIONS = ("1", "2", "3")
PLATFORMS = ("desktop", "android", "ios")


@dataclass(frozen=True)
class Layout:
    """The memberships, and how much channels and receivers differ.

    channels_of  number of receivers → number of channels
    members      the most members of a channel
    worst        further loss of everyone in a third of the channels
    offline      one receiver in five is offline so many times more often than others
    """

    name: str
    channels_of: Callable[[int], int]
    members: int
    worst: float
    offline: float


LAYOUTS = (
    Layout("channels of 10, each receiver in 3", lambda n: n * 3 // 10, 10, 0.0, 1.0),
    Layout("3 channels of all, one in three bad, some often offline", lambda _: 3, 1_000, 0.1, 5.0),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--worlds", type=int, default=1_000, help="worlds without a fault")
    parser.add_argument("--faults", type=int, default=100, help="worlds with each fault")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    tables = []
    figures = {}
    for place, layout in enumerate(LAYOUTS):
        rows = []
        for receivers in RECEIVERS:
            generator = np.random.default_rng([options.seed, place, receivers])
            for side, points, worlds in [
                (None, 0, options.worlds),
                *((side, points, options.faults) for side in Side for points in POINTS),
            ]:
                found = Counter(
                    verdict(world(generator, layout, receivers, side, points / 100))
                    for _ in range(worlds)
                )
                right, several = found[side], found["several"]
                wrong = worlds - right - several - (found[None] if side else 0)
                name = "none" if side is None else side.value
                rows.append(
                    (
                        f"{receivers}",
                        name,
                        f"{points}",
                        *(f"{one / worlds:.1%}" for one in (right, wrong, several)),
                    )
                )
                figures[f"{layout.name}, {receivers}, {name}, {points}"] = dict(found)
            print(f"sides: {layout.name}: {receivers} receivers", file=sys.stderr)
        tables.append(
            Table(
                f"Verdicts: {layout.name}",
                ("receivers", "fault", "points", "right", "wrong", "cannot tell which"),
                rows,
            )
        )
    return Result(
        "Sides",
        {},
        tables,
        notes=(
            f"{options.worlds} worlds without a fault, where no verdict is right",
            f"{options.faults} worlds with each fault",
            f"a day with {MESSAGES} messages of a channel; {LOSS:.0%} is lost anyway",
        ),
        figures=figures,
    )


def verdict(window: WindowReliability) -> Side | str | None:
    """The named side; `several` if it cannot be told which; None if no side is worse."""
    found = suspects([window])
    if not found:
        return None
    suspect = named(found)
    return "several" if suspect is None else suspect.side


@dataclass(frozen=True)
class _Pairs:
    """Arrays with an entry for each (message, receiver) pair, without authors' own."""

    channel: Ints
    author: Ints
    receiver: Ints
    is_missing: NDArray[np.bool_]


def world(
    generator: Generator, layout: Layout, receivers: int, fault: Side | None, points: float
) -> WindowReliability:
    """A day with one fault: in sending or receiving of version 2, or on the path a → b."""
    versions, platforms, servers = (
        generator.integers(0, len(values), receivers) for values in (VERSIONS, PLATFORMS, SERVERS)
    )
    pairs = _pairs(generator, layout, receivers)
    probability = np.full(len(pairs.channel), LOSS / 2)
    is_faulty = {
        None: np.zeros(len(pairs.channel), bool),
        Side.SENDER: versions[pairs.author] == 1,
        Side.RECEIVER: versions[pairs.receiver] == 1,
        Side.PATH: (servers[pairs.author] == 0) & (servers[pairs.receiver] == 1),
    }[fault]
    probability += points * is_faulty
    is_missing = pairs.is_missing | (generator.random(len(probability)) < probability)
    pairs = _Pairs(pairs.channel, pairs.author, pairs.receiver, is_missing)
    path = servers[pairs.author] * 2 + servers[pairs.receiver]
    names = [f"{a} → {b}" for a in SERVERS for b in SERVERS]
    values: Mapping[Dimension, tuple[Ints, Sequence[str]]] = {
        Dimension.AUTHOR_APP_VERSION: (versions[pairs.author], VERSIONS),
        Dimension.AUTHOR_PLATFORM: (platforms[pairs.author], PLATFORMS),
        Dimension.APP_VERSION: (versions[pairs.receiver], VERSIONS),
        Dimension.PLATFORM: (platforms[pairs.receiver], PLATFORMS),
        Dimension.PATH: (path, names),
    }
    assert values.keys() == DIMENSIONS_OF_SIDES.keys()
    groups = tuple(
        _group(dimension, name, pairs, of_pair == number)
        for dimension, (of_pair, of_values) in values.items()
        for number, name in enumerate(of_values)
    )
    start = datetime(2026, 3, 2, tzinfo=UTC)
    counts = _counts(pairs, np.ones(len(pairs.channel), bool))
    return WindowReliability(
        "1d",
        Window(start, start + timedelta(days=1)),
        MembershipPolicy.PRESENT,
        WindowState.SETTLED,
        counts.reliability,
        counts,
        1,
        start + timedelta(days=2),
        (),
        groups=groups,
    )


def _pairs(generator: Generator, layout: Layout, receivers: int) -> _Pairs:
    # A receiver that is offline loses all that is sent meanwhile.
    offline_from = generator.random(receivers)
    offline = np.full(receivers, LOSS / 2)
    offline[generator.random(receivers) < 0.2] *= layout.offline
    channel, author, receiver, is_missing = [], [], [], []
    for number in range(layout.channels_of(receivers)):
        members = generator.choice(receivers, min(layout.members, receivers), replace=False)
        authors = generator.choice(members, MESSAGES)
        sent_at = generator.random(MESSAGES)
        pair = authors[:, None] != members[None, :]
        shape = pair.shape
        is_offline = (sent_at[:, None] - offline_from[members]) % 1 < offline[members]
        is_lost = generator.random(shape) < generator.choice([0.0, 0.0, layout.worst])
        channel.append(np.full(shape, number)[pair])
        author.append(np.broadcast_to(authors[:, None], shape)[pair])
        receiver.append(np.broadcast_to(members[None, :], shape)[pair])
        is_missing.append((is_offline | is_lost)[pair])
    return _Pairs(*map(np.concatenate, (channel, author, receiver, is_missing)))


def _counts(pairs: _Pairs, chosen: NDArray[np.bool_]) -> Counts:
    expected = int(chosen.sum())
    return Counts(
        messages=0,
        receivers=len(np.unique(pairs.receiver[chosen])),
        expected=expected,
        missing=int((pairs.is_missing & chosen).sum()),
        corroborated=expected,
    )


def _group(dimension: Dimension, name: str, pairs: _Pairs, chosen: NDArray[np.bool_]) -> Group:
    is_of_authors = DIMENSIONS_OF_SIDES[dimension] is not Side.RECEIVER
    cluster = pairs.author if is_of_authors else pairs.receiver
    membership = pairs.channel * (int(cluster.max()) + 1) + cluster
    return Group(
        dimension,
        name,
        _counts(pairs, chosen),
        Spreads(*(_spread(pairs, chosen, of) for of in (pairs.channel, cluster, membership))),
    )


def _spread(pairs: _Pairs, chosen: NDArray[np.bool_], cluster: Ints) -> Spread:
    n = np.bincount(cluster[chosen])
    x = np.bincount(cluster[chosen & pairs.is_missing], minlength=len(n))
    n, x = n[n > 0], x[n > 0]
    return Spread(len(n), int((x * x).sum()), int((x * n).sum()), int((n * n).sum()))
