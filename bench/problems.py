"""How often a problem is found where there is none, and whether a planted fault is named.

Worlds of weeks are drawn from a known truth, as the counts and spreads that windows would store,
and searched for problems each hour. The clock measures nothing, so the figures are the same on
every machine. See docs/evidence/problems.md.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np  # comes with matplotlib
from numpy.random import Generator
from numpy.typing import NDArray

from bench.report import Result, Table
from devtelemetry.model import Spread, Spreads
from devtelemetry.problems.explain import EVERYTHING, REPORTS, Cause, Kind, Unit, find_causes
from devtelemetry.problems.line import Line, Part
from devtelemetry.problems.read import part_of_reports

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY = 24
PLATFORMS = ("desktop", "android", "ios")
VERSIONS = ("2.35.1", "2.36.0")
SERVERS = ("a", "b")
CHANNELS = 12
CHANNELS_OF_RECEIVER = 3


@dataclass(frozen=True)
class Layout:
    """How a world loses without a fault.

    receivers  their number; each is in three of the twelve channels
    messages   in a channel and hour, on average over the day
    offline    share of the time that receivers are offline, an hour and a half at a time
    uneven     a third of the receivers are offline so many times more often
    everyone   share of the messages that all receivers lose
    night      at night so many times more is lost by chance
    """

    name: str
    receivers: int
    messages: float
    offline: float = 0.01
    uneven: float = 1.0
    everyone: float = 0.001
    night: float = 1.0
    loss: float = 0.01


LAYOUTS = (
    Layout("losses by chance", 120, 10, offline=0.0, everyone=0.0),
    Layout("many receivers", 120, 10),
    Layout("few receivers, often offline", 40, 5, offline=0.05, uneven=4.0),
    Layout("messages lost by all, bad nights", 120, 10, everyone=0.01, night=4.0),
)


FAULTY = Layout("with a fault", 300, 10)


@dataclass(frozen=True)
class Fault:
    """From `hour` on, pairs of the unit are also lost with this probability."""

    name: str
    unit: Unit | None
    hour: int
    loss: float = 0.1


def faults(hour: int) -> Sequence[Fault]:
    return (
        Fault("a version", Unit(Kind.APP_VERSION, VERSIONS[1]), hour),
        Fault("a platform", Unit(Kind.PLATFORM, "ios"), hour),
        Fault(
            "a version on one platform", Unit(Kind.PLATFORM_VERSION, "ios", VERSIONS[1]), hour, 0.2
        ),
        Fault("an author's version", Unit(Kind.AUTHOR_APP_VERSION, VERSIONS[1]), hour),
        Fault("a path", Unit(Kind.PATH, "a → b"), hour),
        Fault("a channel", Unit(Kind.CHANNEL, "channel 3"), hour, 0.2),
        Fault("an outage of the server", EVERYTHING, hour, 0.5),
        Fault("reports are lost", REPORTS, hour, 0.2),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--worlds", type=int, default=100, help="worlds of each layout without a fault"
    )
    parser.add_argument("--faults", type=int, default=20, help="worlds with each fault")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    tables = []
    figures: dict[str, object] = {}
    with ProcessPoolExecutor(options.processes) as pool:
        rows: list[tuple[str, ...]] = []
        for place, layout in enumerate(LAYOUTS):
            seeds = [[options.seed, place, number] for number in range(options.worlds)]
            alarms = list(pool.map(partial(first_alarm, layout), seeds, chunksize=2))
            wrong = sum(one is not None for one in alarms)
            figures[layout.name] = wrong
            rows.append(
                (layout.name, f"{options.worlds}", f"{wrong}", f"{wrong / options.worlds:.1%}")
            )
            print(f"problems: {layout.name}: {wrong} of {options.worlds}", file=sys.stderr)
        tables.append(
            Table(
                "Without a fault, looked at each hour of four weeks",
                ("losses", "worlds", "with a problem at any look", "share"),
                rows,
            )
        )
        rows = []
        for place, fault in enumerate(faults(14 * DAY + 9)):
            seeds = [[options.seed, 100 + place, number] for number in range(options.faults)]
            found = list(pool.map(partial(first_named, FAULTY, fault), seeds, chunksize=2))
            rows.append(_row(fault, found))
            figures[fault.name] = rows[-1]
            print(f"problems: {rows[-1]}", file=sys.stderr)
        tables.append(
            Table(
                "With a fault: what is listed when it is first listed, and 12 hours after it began",
                (
                    "fault", "worlds", "hours to the first", "named at 12 h", "something else too",
                    "onset within one window",
                ),
                rows,
            )
        )  # fmt: skip
    return Result("Problems", {}, tables, notes=(f"seed {options.seed}",), figures=figures)


def first_alarm(layout: Layout, seed: Sequence[int]) -> int | None:
    """The hour of the first look, of four weeks after a first one, that finds a problem."""
    lines = world(layout, np.random.default_rng(seed), 35 * DAY)
    for end in range(7 * DAY, 35 * DAY):
        if find_causes(lines, end + 1):
            return end
    return None


@dataclass(frozen=True)
class Named:
    """How a fault was named.

    hours          from its onset to when it was first listed; None: not within a day
    right, others  what is listed after 12 hours
    """

    hours: int | None
    right: bool
    others: Sequence[Cause]
    off_by: int | None


def first_named(layout: Layout, fault: Fault, seed: Sequence[int]) -> Named:
    lines = world(layout, np.random.default_rng(seed), fault.hour + 24, fault)
    hours = next(
        (
            end - fault.hour
            for end in range(fault.hour + 1, fault.hour + 25)
            if find_causes(lines, end)
        ),
        None,
    )
    causes = find_causes(lines, fault.hour + 12)
    named = [one for one in causes if one.unit == fault.unit]
    others = [one for one in causes if one.unit != fault.unit]
    off_by = abs(named[0].onset.start - fault.hour) if named else None
    return Named(hours, bool(named), others, off_by)


def _row(fault: Fault, found: Sequence[Named]) -> tuple[str, ...]:
    hours = [one.hours for one in found if one.hours is not None]
    right = [one for one in found if one.right]
    near = sum(one.off_by is not None and one.off_by <= 1 for one in right)
    return (
        fault.name,
        f"{len(found)}",
        f"{median(hours):g} (at most {max(hours)})" if hours else "–",
        f"{len(right)}",
        f"{sum(bool(one.others) for one in found)}",
        f"{near} of {len(right)}",
    )


# ------------------------------------------------------------------------------------ the worlds


def world(
    layout: Layout, random: Generator, hours: int, fault: Fault | None = None
) -> dict[Unit, Line]:
    """The lines of a world. Authors are members like all others; each hour they are drawn again."""
    receivers = layout.receivers
    platform = random.integers(0, len(PLATFORMS), receivers)
    version = (random.random(receivers) < 0.4).astype(int)
    server = random.integers(0, len(SERVERS), receivers)
    member = np.repeat(np.arange(receivers), CHANNELS_OF_RECEIVER)
    channel = np.concatenate(
        [random.permutation(CHANNELS)[:CHANNELS_OF_RECEIVER] for _ in range(receivers)]
    )
    hour_of_day = np.arange(hours) % DAY
    busy = 1 + 0.8 * np.sin((hour_of_day - 8) / DAY * 2 * np.pi)
    worse = np.where(hour_of_day < 6, layout.night, 1.0)
    weight = 8.0 ** (-np.arange(CHANNELS) / (CHANNELS - 1))
    weight /= weight.mean()
    # Messages by hour, channel and side: the version and the server of their authors.
    sides = [(v, s) for v in range(2) for s in range(2)]
    side_of = [(version == v) & (server == s) for v, s in sides]
    writers = np.array(
        [[(side_of[i][member[channel == c]]).mean() for i in range(4)] for c in range(CHANNELS)]
    )
    messages = random.poisson(layout.messages * busy[:, None, None] * (weight[:, None] * writers))
    by_all = random.binomial(messages, layout.everyone)
    offline = _offline(layout, random, hours)[:, member]

    pairs = np.empty((hours, len(member), 4), np.int64)
    missing = np.empty_like(pairs)
    active = np.arange(hours) >= (fault.hour if fault else hours)
    for side, (author_version, author_server) in enumerate(sides):
        n = messages[:, channel, side]
        lost = by_all[:, channel, side]
        chance = np.minimum(layout.loss * worse[:, None] + offline, 1.0)
        if fault is not None:
            hit = _is_hit(
                fault.unit, platform[member], version[member], server[member], channel,
                author_version, author_server,
            )  # fmt: skip
            chance = np.where(
                active[:, None] & hit[None, :], np.minimum(1.0, chance + fault.loss), chance
            )
        pairs[:, :, side] = n
        missing[:, :, side] = lost + random.binomial(n - lost, chance)
    unknown = _unknown(random, pairs.sum(axis=2), member, receivers, active, fault)
    names = _Names(member, channel, platform, version, server)
    return _lines(names, pairs, missing, unknown, messages)


def _offline(layout: Layout, random: Generator, hours: int) -> Floats:
    """For each hour and receiver, the share of the hour in which the receiver is offline."""
    shape = (hours * 4, layout.receivers)  # quarters of an hour; a span has six on average
    often = np.full(layout.receivers, layout.offline)
    often[random.random(layout.receivers) < 1 / 3] *= layout.uneven
    ends, begins = 1 / 6, often / (1 - often) / 6
    state = random.random(layout.receivers) < often
    chance = random.random(shape)
    away = np.empty(shape, bool)
    for at in range(shape[0]):
        state = np.where(state, chance[at] >= ends, chance[at] < begins)
        away[at] = state
    share: Floats = away.reshape(hours, 4, -1).mean(axis=1)
    return share


def _is_hit(
    unit: Unit | None,
    platform: Ints,
    version: Ints,
    server: Ints,
    channel: Ints,
    author_version: int,
    author_server: int,
) -> Flags:
    """Which memberships a fault of the unit hits, for messages of an author on this side."""
    hit = np.full(len(platform), unit not in {None, REPORTS})
    match unit:
        case Unit(Kind.APP_VERSION, value):
            hit &= version == VERSIONS.index(value)
        case Unit(Kind.PLATFORM, value):
            hit &= platform == PLATFORMS.index(value)
        case Unit(Kind.PLATFORM_VERSION, value, other):
            hit &= (platform == PLATFORMS.index(value)) & (version == VERSIONS.index(other))
        case Unit(Kind.AUTHOR_APP_VERSION, value):
            hit &= author_version == VERSIONS.index(value)
        case Unit(Kind.PATH, value):
            hit &= (server == SERVERS.index(value[-1])) & (author_server == SERVERS.index(value[0]))
        case Unit(Kind.CHANNEL, value):
            hit &= channel == int(value.split()[-1])
    return hit


def _unknown(
    random: Generator, pairs: Ints, member: Ints, receivers: int, active: Flags, fault: Fault | None
) -> Ints:
    """Pairs of receivers whose reports of that hour are lost; that is one receiver in a hundred."""
    share = np.full(len(pairs), 0.01)
    if fault is not None and fault.unit == REPORTS:
        share = np.where(active, fault.loss, share)
    lost = random.random((len(pairs), receivers)) < share[:, None]
    found: Ints = np.where(lost[:, member], pairs, 0)
    return found


@dataclass(frozen=True)
class _Names:
    member: Ints
    channel: Ints
    platform: Ints
    version: Ints
    server: Ints


def _lines(
    names: _Names, pairs: Ints, missing: Ints, unknown: Ints, messages: Ints
) -> dict[Unit, Line]:
    known = unknown == 0
    pairs, missing = pairs * known[:, :, None], missing * known[:, :, None]
    n, x = pairs.sum(axis=2), missing.sum(axis=2)
    sent = messages.sum(axis=(1, 2))
    every = np.ones(len(names.member), bool)

    def line(chosen: Flags, n: Ints = n, x: Ints = x, sent: Ints = sent) -> Line:
        return Line(list(_parts(names, n * chosen, x * chosen, sent)), DAY)

    lines = {EVERYTHING: line(every)}
    for value, name in enumerate(VERSIONS):
        lines[Unit(Kind.APP_VERSION, name)] = line(names.version[names.member] == value)
    for value, name in enumerate(PLATFORMS):
        lines[Unit(Kind.PLATFORM, name)] = line(names.platform[names.member] == value)
    for author, name in enumerate(VERSIONS):
        of = slice(2 * author, 2 * author + 2)
        by = messages[:, :, of].sum(axis=(1, 2))
        lines[Unit(Kind.AUTHOR_APP_VERSION, name)] = line(
            every, pairs[:, :, of].sum(axis=2), missing[:, :, of].sum(axis=2), by
        )
    for a, b in ((a, b) for a in range(2) for b in range(2)):
        of = slice(a, None, 2)
        by = messages[:, :, of].sum(axis=(1, 2))
        lines[Unit(Kind.PATH, f"{SERVERS[a]} → {SERVERS[b]}")] = line(
            names.server[names.member] == b,
            pairs[:, :, of].sum(axis=2),
            missing[:, :, of].sum(axis=2),
            by,
        )
    for value in range(CHANNELS):
        by = messages[:, value, :].sum(axis=1)
        lines[Unit(Kind.CHANNEL, f"channel {value}")] = line(names.channel == value, sent=by)
    lines[REPORTS] = Line(list(_reports(lines[EVERYTHING], unknown.sum(axis=1))), DAY)
    return lines


def _parts(names: _Names, n: Ints, x: Ints, sent: Ints) -> Iterator[Part]:
    by_channel = np.argsort(names.channel, kind="stable")
    cuts = [
        _sums(
            *(
                np.add.reduceat(of[:, by_channel], _starts(names.channel[by_channel]), axis=1)
                for of in (n, x)
            )
        ),
        _sums(*(np.add.reduceat(of, _starts(names.member), axis=1) for of in (n, x))),
        _sums(n, x),
    ]
    for at, (lost, of, messages) in enumerate(
        zip(x.sum(axis=1).tolist(), n.sum(axis=1).tolist(), sent.tolist(), strict=True)
    ):
        spreads = Spreads(*(Spread(*cut[at]) for cut in cuts))
        yield Part(lost, of, messages, (lost, 0, 0, 0), spreads.over_receivers.clusters, spreads)


def _starts(ascending: Ints) -> Ints:
    """The position at which each value begins."""
    starts: Ints = np.flatnonzero(np.diff(ascending, prepend=-1))
    return starts


def _sums(n: Ints, x: Ints) -> list[list[int]]:
    """For each hour: the number of clusters, and the three sums of squares."""
    found: list[list[int]] = np.stack(
        [(n > 0).sum(axis=1), (x * x).sum(axis=1), (x * n).sum(axis=1), (n * n).sum(axis=1)], axis=1
    ).tolist()
    return found


def _reports(whole: Line, unknown: Ints) -> Iterator[Part]:
    for part, pairs in zip(whole.parts, unknown.tolist(), strict=True):
        yield part_of_reports(pairs, part.pairs + pairs, part.messages, part.spreads)
