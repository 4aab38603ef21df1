"""The oracle's figures beside the counts: of the pairs of one channel, or of several together.

`oracle.model` finds the pairs. Every figure is a plain function of pairs or of channels, in exact
fractions.

How the page is read where it leaves a choice:

- *Influence*: an installation or network without a receiver that counts in a channel changes
  nothing there, unless it alone vouches for a message of the channel.
- *What nobody received*: `unseen` and `coverage` are estimates for receivers that could all hold
  every message. docs/evidence/unseen.md has the program's, which are more careful.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from oracle.messages import Hand, installation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from oracle.messages import Described
    from oracle.samples import Receiver, Via
    from oracle.window import OracleChannel

MissingClass = Literal["unreadable", "dropped", "not_sent", "not_arrived"]
MISSING_CLASSES: tuple[MissingClass, ...] = ("unreadable", "dropped", "not_sent", "not_arrived")

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE

DELAY_CLASSES = 15


class Traits(NamedTuple):
    """The properties of a message that decide its groups."""

    message_type: str
    author: Receiver | None
    author_said: Described


class Pair(NamedTuple):
    """A receiver that counts, and a message that it should hold."""

    channel_id: str
    receiver: Receiver
    said: Described
    """what the receiver reported of itself"""
    message: Traits
    is_unknown: bool
    """it cannot be judged, and is in no other count"""
    missing: MissingClass | None
    """why it is missing; None: it is delivered or unknown"""
    reason: str
    """of a missing pair"""
    is_corroborated: bool
    is_recovered: bool
    """delivered, and unreadable at first"""
    via: Via
    """of a delivered pair"""
    delivery_delay: int | None
    """class of the time until the receiver got it; None: the pair is not delivered"""
    report_delay: int | None
    """class of the time until the report; None: the pair is not delivered"""

    @property
    def is_delivered(self) -> bool:
        return not self.is_unknown and self.missing is None


class Spread(NamedTuple):
    clusters: int
    missing_squared: int
    missing_corroborated: int
    corroborated_squared: int


class Captures(NamedTuple):
    """Counts of captures: receipts of receivers that hold the message and did not write it."""

    total: int
    once: int
    """messages with one capture"""
    twice: int
    """messages with two"""
    once_squared: int
    """Σ over receivers of (messages that it alone captured)²"""


class Delays(NamedTuple):
    """Delivered pairs by class of delay: of the delivery if that is known, else of the report."""

    delivery: tuple[int, ...]
    report: tuple[int, ...]


class PairCounts(NamedTuple):
    expected: int
    missing: int
    corroborated: int
    unknown: int
    unreadable: int
    dropped: int
    not_sent: int
    not_arrived: int
    recovered: int
    by_live: int
    by_history: int
    by_resend: int


# Pairs


def count_pairs(pairs: Iterable[Pair]) -> PairCounts:
    all_pairs = list(pairs)
    classes = Counter(pair.missing for pair in all_pairs if pair.missing is not None)
    ways = Counter(pair.via for pair in all_pairs if pair.is_delivered)
    return PairCounts(
        expected=sum(not pair.is_unknown for pair in all_pairs),
        missing=classes.total(),
        corroborated=sum(pair.is_corroborated for pair in all_pairs),
        unknown=sum(pair.is_unknown for pair in all_pairs),
        unreadable=classes["unreadable"],
        dropped=classes["dropped"],
        not_sent=classes["not_sent"],
        not_arrived=classes["not_arrived"],
        recovered=sum(pair.is_recovered for pair in all_pairs),
        by_live=ways["live"],
        by_history=ways["history"],
        by_resend=ways["resent"],
    )


def spread(pairs: Iterable[Pair], cluster: Callable[[Pair], Hashable]) -> Spread:
    clusters: defaultdict[Hashable, list[Pair]] = defaultdict(list)
    for pair in pairs:
        clusters[cluster(pair)].append(pair)
    counted = [count_pairs(of_one) for of_one in clusters.values()]
    sizes = [(c.missing, c.corroborated) for c in counted if c.corroborated > 0]
    return Spread(
        len(sizes),
        sum(x * x for x, _ in sizes),
        sum(x * n for x, n in sizes),
        sum(n * n for _, n in sizes),
    )


def over_channels(pairs: Iterable[Pair]) -> Spread:
    return spread(pairs, lambda pair: pair.channel_id)


def over_receivers(pairs: Iterable[Pair]) -> Spread:
    return spread(pairs, lambda pair: pair.receiver)


def over_memberships(pairs: Iterable[Pair]) -> Spread:
    return spread(pairs, lambda pair: (pair.channel_id, pair.receiver))


def delay_class(delay: int | None) -> int:
    """The class of a delay in ms; None: not known."""
    if delay is None:
        return 0
    if delay < -_SECOND:
        return 1
    edges = [_SECOND, 2 * _SECOND, 5 * _SECOND, 10 * _SECOND, 30 * _SECOND]
    edges += [_MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, _HOUR, 6 * _HOUR, 24 * _HOUR]
    for number, edge in enumerate(edges, start=2):
        if delay <= edge:
            return number
    return DELAY_CLASSES - 1


def delays(pairs: Iterable[Pair]) -> Delays:
    delivered = [pair for pair in pairs if pair.is_delivered]
    delivery = Counter(pair.delivery_delay for pair in delivered if pair.delivery_delay)
    report = Counter(pair.report_delay for pair in delivered if not pair.delivery_delay)
    classes = range(DELAY_CLASSES)
    return Delays(
        tuple(delivery[number] for number in classes), tuple(report[number] for number in classes)
    )


# Middle values


def receiver_ratios(pairs: Iterable[Pair]) -> list[Fraction]:
    """The delivery ratio of each receiver that has one, ascending."""
    of_receiver: defaultdict[Receiver, list[Pair]] = defaultdict(list)
    for pair in pairs:
        of_receiver[pair.receiver].append(pair)
    counted = [count_pairs(of_one) for of_one in of_receiver.values()]
    return sorted(1 - Fraction(c.missing, c.corroborated) for c in counted if c.corroborated > 0)


def median(ratios: Sequence[Fraction]) -> Fraction | None:
    """The median of ascending ratios; the mean of the middle two if their number is even."""
    if not ratios:
        return None
    middle = len(ratios) // 2
    return ratios[middle] if len(ratios) % 2 else (ratios[middle - 1] + ratios[middle]) / 2


def trimmed(ratios: Sequence[Fraction]) -> Fraction | None:
    """The mean of ascending ratios without the lowest and the highest tenth."""
    if not ratios:
        return None
    off = len(ratios) // 10
    kept = ratios[off : len(ratios) - off]
    return sum(kept, Fraction(0)) / len(kept)


# Influence


def moves(channel: OracleChannel) -> dict[Hand, Fraction]:
    """How far the channel's Rch moves if an installation, or a network, is left out.

    It has no entry if less than two receivers, or no expected pair, would be left.
    """
    if not channel.comparable:
        return {}
    installations: dict[Receiver, Hand] = {one: installation_of(one) for one in channel.members}
    networks: dict[Receiver, Hand] = {
        one: ("network", channel.networks[one])
        for one in channel.members
        if one in channel.networks
    }
    by_network = Counter(
        hand
        for message in channel.believed
        if len(message.networks) == 1
        for hand in message.networks & set(networks.values())
    )
    found = {}
    for hands, lone in ((installations, channel.lone_vouchers), (networks, by_network)):
        for hand in set(hands.values()) | lone.keys():
            own = count_pairs(pair for pair in channel.pairs if hands.get(pair.receiver) == hand)
            others = sum(hands.get(receiver) != hand for receiver in channel.members)
            gone = min(lone[hand] * others, channel.missing - own.missing)
            expected = channel.expected - own.expected - gone
            if others < 2 or expected <= 0:
                continue
            without = 1 - Fraction(channel.missing - own.missing - gone, expected)
            found[hand] = without - (1 - Fraction(channel.missing, channel.expected))
    return found


def influence(channels: Sequence[OracleChannel]) -> Fraction | None:
    """How far the mean of the Rch of these channels moves at most if one is left out."""
    sums: defaultdict[Hand, Fraction] = defaultdict(Fraction)
    for channel in channels:
        for hand, move in moves(channel).items():
            sums[hand] += move
    return max(abs(moved) for moved in sums.values()) / len(channels) if sums else None


# What nobody received


def captures(capturers: Iterable[frozenset[Receiver]]) -> Captures:
    """capturers  of each message"""
    sets = list(capturers)
    sole = Counter(receiver for of_one in sets if len(of_one) == 1 for receiver in of_one)
    return Captures(
        total=sum(len(of_one) for of_one in sets),
        once=sum(len(of_one) == 1 for of_one in sets),
        twice=sum(len(of_one) == 2 for of_one in sets),
        once_squared=sum(number * number for number in sole.values()),
    )


def unseen(capturers: Sequence[frozenset[Receiver]], receivers: int) -> Fraction | None:
    """How many messages nobody captured: Chao2's estimate, or Chapman's for two receivers."""
    found = captures(capturers)
    if receivers < 2:
        return None
    if receivers == 2:
        sole = Counter(next(iter(of_one)) for of_one in capturers if len(of_one) == 1)
        products = sum(a * b for a, b in combinations(sole.values(), 2))
        return Fraction(products, found.twice + 1)
    shrink = Fraction(receivers - 1, receivers)
    return shrink * Fraction(found.once * (found.once - 1), 2 * (found.twice + 1))


def coverage(found: Captures, receivers: int) -> Fraction | None:
    """The share of further captures that would be of known messages (Good and Turing)."""
    if receivers < 2 or found.total == 0:
        return None
    if found.once == 0:
        return Fraction(1)
    others = (receivers - 1) * found.once
    return 1 - Fraction(found.once, found.total) * Fraction(others, others + 2 * found.twice)


def coverage_of_all(channels: Sequence[OracleChannel]) -> Fraction | None:
    """The mean over channels, weighted by their captures."""
    known = [
        (channel.coverage, channel.captures.total)
        for channel in channels
        if channel.coverage is not None
    ]
    total = sum(weight for _, weight in known)
    lacking = sum(((1 - share) * weight for share, weight in known), Fraction(0))
    return 1 - lacking / total if total else None
