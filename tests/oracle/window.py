"""The oracle's result for a window and its channels: counts of pairs, and figures of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Protocol

from oracle import figures
from oracle.figures import Captures, Delays, Pair, PairCounts, Spread, Traits
from oracle.groups import Dimension, Groups, Reason, Table, groups, reasons, table
from oracle.messages import Described, Hand, Installation
from oracle.samples import Receiver

AUDIT = "devtelemetry-audit/"
"""Channels whose ids begin so take part in no figure but their own"""


class Vouched(Protocol):
    @property
    def installations(self) -> frozenset[Installation]: ...


class Seen(NamedTuple):
    """What the figures of a window need to know of a message."""

    traits: Traits
    installations: frozenset[Installation]
    """the installations that vouch for it"""
    networks: frozenset[Hand]
    capturers: frozenset[Receiver]


@dataclass(frozen=True)
class OracleChannel:
    """One channel in one window."""

    channel_id: str
    believed: tuple[Seen, ...]
    """M"""
    measured: tuple[Seen, ...]
    """M before quorum and cap"""
    members: Mapping[Receiver, Described]
    """the receivers that count"""
    pairs: tuple[Pair, ...]
    smallest_group: int
    silent: frozenset[Receiver] = frozenset()
    """silent members, which do not count"""
    networks: Mapping[Receiver, str] = field(default_factory=dict)
    """receiver → its network; empty unless the members are behind enough networks"""

    @property
    def unconfirmed(self) -> int:
        """How many messages quorum and cap leave out."""
        return len(self.measured) - len(self.believed)

    @property
    def messages(self) -> int:
        return len(self.believed)

    @property
    def receivers(self) -> int:
        return len(self.members)

    @cached_property
    def counts(self) -> PairCounts:
        return figures.count_pairs(self.pairs)

    @property
    def expected(self) -> int:
        return self.counts.expected

    @property
    def missing(self) -> int:
        return self.counts.missing

    @property
    def corroborated(self) -> int:
        return self.counts.corroborated

    @property
    def unknown(self) -> int:
        return self.counts.unknown

    @property
    def comparable(self) -> bool:
        return self.receivers >= 2 and self.expected > 0

    @property
    def is_audit(self) -> bool:
        return self.channel_id.startswith(AUDIT)

    @property
    def reliability(self) -> Fraction | None:
        return 1 - Fraction(self.missing, self.expected) if self.comparable else None

    @property
    def delivery_ratio(self) -> Fraction | None:
        if not self.comparable or self.corroborated == 0:
            return None
        return 1 - Fraction(self.missing, self.corroborated)

    @property
    def lone_vouchers(self) -> Counter[Installation]:
        """How many messages of M each installation alone vouches for."""
        return lone_vouchers(self.believed)

    @property
    def over_receivers(self) -> Spread:
        return figures.over_receivers(self.pairs)

    @property
    def delays(self) -> Delays:
        return figures.delays(self.pairs)

    @property
    def median(self) -> Fraction | None:
        return figures.median(figures.receiver_ratios(self.pairs))

    @property
    def trimmed(self) -> Fraction | None:
        return figures.trimmed(figures.receiver_ratios(self.pairs))

    @property
    def influence(self) -> Fraction | None:
        return figures.influence([self])

    @property
    def captures(self) -> Captures:
        return figures.captures(message.capturers for message in self.measured)

    @property
    def unseen(self) -> Fraction | None:
        return figures.unseen([message.capturers for message in self.measured], self.receivers)

    @property
    def coverage(self) -> Fraction | None:
        return figures.coverage(self.captures, self.receivers)

    @property
    def reasons(self) -> list[Reason]:
        return reasons(self.pairs, self.smallest_group)

    def groups(self, dimension: Dimension) -> Groups:
        """Empty if all groups would be put together."""
        found = groups([self], dimension, self.smallest_group)
        return {} if found.keys() == {None} else found

    def table(self, rows: Dimension, columns: Dimension) -> Table:
        """Empty if all groups would be put together."""
        found = table([self], (rows, columns), self.smallest_group)
        return {} if found.keys() == {None} else found


@dataclass(frozen=True)
class OracleWindow:
    """One window. Totals are sums over the comparable channels, R is the mean of their Rch.

    Channels of audits take no part.
    """

    channels: Mapping[str, OracleChannel] = field(default_factory=dict)
    smallest_group: int = 3

    @property
    def comparable_channels(self) -> list[OracleChannel]:
        return [c for c in self.channels.values() if c.comparable and not c.is_audit]

    @property
    def pairs(self) -> list[Pair]:
        return [pair for channel in self.comparable_channels for pair in channel.pairs]

    @property
    def unconfirmed(self) -> int:
        return sum(c.unconfirmed for c in self.channels.values() if not c.is_audit)

    @property
    def silent_members(self) -> int:
        return sum(len(c.silent) for c in self.channels.values() if not c.is_audit)

    @property
    def messages(self) -> int:
        return sum(channel.messages for channel in self.comparable_channels)

    @property
    def receivers(self) -> int:
        return sum(channel.receivers for channel in self.comparable_channels)

    @cached_property
    def counts(self) -> PairCounts:
        return figures.count_pairs(self.pairs)

    @property
    def expected(self) -> int:
        return self.counts.expected

    @property
    def missing(self) -> int:
        return self.counts.missing

    @property
    def corroborated(self) -> int:
        return self.counts.corroborated

    @property
    def unknown(self) -> int:
        return self.counts.unknown

    @property
    def reliability(self) -> Fraction | None:
        ratios = [channel.reliability for channel in self.comparable_channels]
        known = [ratio for ratio in ratios if ratio is not None]
        return sum(known, Fraction(0)) / len(known) if known else None

    @property
    def delivery_ratio(self) -> Fraction | None:
        if self.corroborated == 0:
            return None
        return 1 - Fraction(self.missing, self.corroborated)

    @property
    def over_channels(self) -> Spread:
        return figures.over_channels(self.pairs)

    @property
    def over_receivers(self) -> Spread:
        return figures.over_receivers(self.pairs)

    @property
    def over_memberships(self) -> Spread:
        return figures.over_memberships(self.pairs)

    @property
    def delays(self) -> Delays:
        return figures.delays(self.pairs)

    @property
    def median(self) -> Fraction | None:
        return figures.median(figures.receiver_ratios(self.pairs))

    @property
    def trimmed(self) -> Fraction | None:
        return figures.trimmed(figures.receiver_ratios(self.pairs))

    @property
    def influence(self) -> Fraction | None:
        return figures.influence(self.comparable_channels)

    @property
    def unseen(self) -> Fraction | None:
        known = [channel.unseen for channel in self.comparable_channels]
        return (
            sum((of_one for of_one in known if of_one is not None), Fraction(0)) if known else None
        )

    @property
    def coverage(self) -> Fraction | None:
        return figures.coverage_of_all(self.comparable_channels)

    @property
    def reasons(self) -> list[Reason]:
        return reasons(self.pairs, self.smallest_group)

    def groups(self, dimension: Dimension) -> Groups:
        return groups(self.comparable_channels, dimension, self.smallest_group)

    def table(self, rows: Dimension, columns: Dimension) -> Table:
        return table(self.comparable_channels, (rows, columns), self.smallest_group)


def lone_vouchers(messages: Iterable[Vouched]) -> Counter[Installation]:
    """How many of the messages each installation alone vouches for."""
    return Counter(
        installation
        for message in messages
        if len(message.installations) == 1
        for installation in message.installations
    )
