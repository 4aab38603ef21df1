"""What is computed of a window, a channel and a group. No I/O."""

import operator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from devtelemetry.model.samples import Via
from devtelemetry.model.times import Window


class MembershipPolicy(StrEnum):
    """Which receivers count, and what each is expected to hold. Source: docs/algorithm.md."""

    PRESENT = "present"
    WINDOW = "window"
    BRACKETED = "bracketed"


class WindowState(StrEnum):
    PROVISIONAL = "provisional"  # computed, and computed again when samples arrive
    SETTLED = "settled"  # computed for the last time


class LossClass(StrEnum):
    """What became of a missing pair. Source: docs/algorithm.md."""

    NOT_ARRIVED = "not_arrived"
    UNREADABLE = "unreadable"
    NOT_SENT = "not_sent"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Counts:
    """What the ratios are made of; counts add up, ratios never do.

    expected      (message, receiver) pairs in which the receiver should hold the message
    missing       those of them that the receiver does not hold
    corroborated  those of `expected` whose message another receiver reports or sent
    unknown       pairs of which nothing can be said, counted apart from `expected`
    unreadable    of `missing`: arrived and could not be read
    dropped       of `missing`: arrived, and the app threw it away
    not_sent      of `missing`: its author says that it could not be sent
    recovered     delivered pairs that were unreadable at first
    by_live       delivered pairs by how they came, as far as that is said; by_history, by_resend
                  likewise
    """

    messages: int
    receivers: int
    expected: int
    missing: int
    corroborated: int
    unknown: int = 0
    unreadable: int = 0
    dropped: int = 0
    not_sent: int = 0
    recovered: int = 0
    by_live: int = 0
    by_history: int = 0
    by_resend: int = 0

    @property
    def not_arrived(self) -> int:
        """What is missing for no reason that anyone gave."""
        return self.missing - self.unreadable - self.dropped - self.not_sent

    @property
    def losses(self) -> dict[LossClass, int]:
        """`missing` by class: they sum up to it."""
        return {of: getattr(self, of.value) for of in LossClass}

    @property
    def ways(self) -> dict[Via, int]:
        """Delivered pairs by how they came: they sum up to expected − missing."""
        said = {
            Via.LIVE: self.by_live,
            Via.HISTORY: self.by_history,
            Via.RESENT: self.by_resend,
        }
        return said | {Via.NOT_SAID: self.expected - self.missing - sum(said.values())}

    @property
    def reliability(self) -> float | None:
        """Rch = 1 − missing / expected; None where nothing was expected."""
        return (self.expected - self.missing) / self.expected if self.expected else None

    @property
    def delivery_ratio(self) -> float | None:
        """1 − missing / corroborated, unbiased for independent losses; None without any."""
        if not self.corroborated:
            return None
        return (self.corroborated - self.missing) / self.corroborated


NO_COUNTS = Counts(0, 0, 0, 0, 0)


class Spread(NamedTuple):
    """How unevenly losses fall on clusters: what an interval is made of. Adds up like counts.

    A cluster has x = missing and n = corroborated pairs; one with n = 0 is none.
    """

    clusters: int = 0
    missing_squared: int = 0  # Σ x²
    missing_corroborated: int = 0  # Σ x n
    corroborated_squared: int = 0  # Σ n²

    def plus(self, other: "Spread") -> "Spread":
        return Spread(*map(operator.add, self, other))


class Spreads(NamedTuple):
    """Over each way to cut the pairs into clusters that belong together."""

    over_channels: Spread = Spread()
    over_receivers: Spread = Spread()
    over_memberships: Spread = Spread()  # a receiver in a channel

    def plus(self, other: "Spreads") -> "Spreads":
        return Spreads(*(a.plus(b) for a, b in zip(self, other, strict=True)))


NO_SPREADS = Spreads()


DELAY_EDGES_MS = tuple(
    1000 * seconds
    for seconds in (1, 2, 5, 10, 30, 60, 5 * 60, 600, 30 * 60, 3600, 6 * 3600, 24 * 3600)
)
"""Upper edges, inclusive, of the delay classes from 2 on; the last class lies beyond them."""

DELAY_UNKNOWN = 0  # class: nobody said when; of no receipt that is counted
DELAY_NEGATIVE = 1  # class: more than a second before it was sent, so a clock is wrong
DELAY_CLASSES = len(DELAY_EDGES_MS) + 3

DelayCounts = tuple[int, ...]  # DELAY_CLASSES of them, one a class
_NONE: DelayCounts = (0,) * DELAY_CLASSES


@dataclass(frozen=True, slots=True)
class Delays:
    """Delivered pairs by class of delay; both together sum to expected − missing.

    delivery  from sentAt to receivedAt, both by the server's clock, where that is known
    report    from sentAt to createdAt, where it is not: the delivery was earlier
    """

    delivery: DelayCounts = _NONE
    report: DelayCounts = _NONE

    def plus(self, other: "Delays") -> "Delays":
        return Delays(
            tuple(map(operator.add, self.delivery, other.delivery)),
            tuple(map(operator.add, self.report, other.report)),
        )


NO_DELAYS = Delays()


class Captures(NamedTuple):
    """In how many hands the messages of a channel are: what is told of those that none holds.

    A capture is a receipt of a receiver that did not write the message. Over all measured messages,
    whatever quorum and cap make of them.
    """

    total: int = 0
    once: int = 0  # messages with one capture
    twice: int = 0  # messages with two
    once_squared: int = 0  # Σ over receivers of (messages that it alone captured)²


NO_CAPTURES = Captures()


class LossReason(NamedTuple):
    """How many pairs are missing for one reason.

    of      what became of them, a LossClass; None: reasons that are rare or concern few receivers,
            put together
    reason  a code of the app's; "": none was given; None as above
    """

    of: str | None
    reason: str | None
    pairs: int


class Dimension(StrEnum):
    """What figures are broken down by."""

    PLATFORM = "platform"
    APP_VERSION = "app_version"
    MESSAGE_TYPE = "message_type"
    AUTHOR_PLATFORM = "author_platform"
    AUTHOR_APP_VERSION = "author_app_version"
    PATH = "path"


PATH_ARROW = " → "
"""Between the author's server and the receiver's, in a value of Dimension.PATH"""


@dataclass(frozen=True, slots=True)
class Group:
    """The share of a window or a channel that belongs to one value of a dimension.

    value  as it was said; "": never said; None: groups too small to show, put together
    """

    dimension: Dimension
    value: str | None
    counts: Counts
    spreads: Spreads = NO_SPREADS
    delays: Delays = NO_DELAYS


@dataclass(frozen=True, slots=True)
class Figures:
    """What a window or a channel has beside its counts.

    median, trimmed  of the receivers' delivery ratios; trimmed: the mean of the middle 80 %
    influence        how far leaving out one installation, or all behind one network, can move R
                     (of a channel: Rch), at most
    reasons          of the missing pairs, the most frequent first, the rest last
    unconfirmed      messages shown apart: more than one alone is believed; of a window those of all
                     its channels but audits, comparable or not
    silent_members   likewise receivers that say that they are in, of whom nothing else is known
    one_in           of how many messages one was to be reported; of a window the most of its
                     channels. All counts are of those
    estimated_messages  how many were sent; exact where `one_in` is 1
    """

    spreads: Spreads = NO_SPREADS
    delays: Delays = NO_DELAYS
    captures: Captures = NO_CAPTURES
    median: float | None = None
    trimmed: float | None = None
    influence: float | None = None
    reasons: tuple[LossReason, ...] = ()
    unconfirmed: int = 0
    silent_members: int = 0
    one_in: int = 1
    estimated_messages: int = 0


NO_FIGURES = Figures()

OBJECTIVE = 0.99
"""The share of deliveries that should be made, unless the setting says otherwise"""

AUDIT_CHANNELS = "devtelemetry-audit/"
"""How the ids of channels begin whose losses are known: figures of their own, part of no total."""


@dataclass(frozen=True, slots=True)
class ChannelReliability:
    channel_id: str
    counts: Counts
    figures: Figures = NO_FIGURES
    groups: tuple[Group, ...] = ()

    @property
    def comparable(self) -> bool:
        """At least two receivers count and something was expected of them."""
        return self.counts.receivers >= 2 and self.counts.expected > 0

    @property
    def is_audit(self) -> bool:
        return self.channel_id.startswith(AUDIT_CHANNELS)


@dataclass(frozen=True, slots=True)
class WindowReliability:
    """One computed window. `counts` are sums over the comparable channels, less audits."""

    timeframe: str
    window: Window
    membership: MembershipPolicy
    state: WindowState
    reliability: float | None  # R: mean of Rch over the comparable channels
    counts: Counts
    revision: int  # goes up by one when a later computation changes a figure
    computed_at: datetime
    channels: tuple[ChannelReliability, ...]
    figures: Figures = NO_FIGURES  # without captures, which are a channel's
    groups: tuple[Group, ...] = ()
    unseen: float | None = None  # messages that nobody received, estimated: Σ over the channels
    sample_coverage: float | None = None  # share of deliveries that were of messages somebody holds
