"""What is computed for a window, a channel and a group. No I/O."""

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
    PROVISIONAL = "provisional"  # computed, and will be computed again if samples arrive
    SETTLED = "settled"  # computed for the last time


class LossClass(StrEnum):
    """Why a pair is missing. Source: docs/algorithm.md."""

    NOT_ARRIVED = "not_arrived"
    UNREADABLE = "unreadable"
    NOT_SENT = "not_sent"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts from which ratios are computed. Counts can be added, ratios cannot.

    expected      (message, receiver) pairs in which the receiver should hold the message
    missing       expected pairs in which the receiver does not hold the message
    corroborated  expected pairs whose message another installation reports or sent
    unknown       pairs that cannot be judged; they are not in `expected`
    unreadable    missing pairs: the message arrived and could not be read
    dropped       missing pairs: the message arrived, and the app threw it away
    not_sent      missing pairs: the author says that the message could not be sent
    recovered     delivered pairs whose message was unreadable at first
    by_live, by_history, by_resend  delivered pairs by how the message came, if that is said
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
        """Missing pairs that are in no other class of loss."""
        return self.missing - self.unreadable - self.dropped - self.not_sent

    @property
    def losses(self) -> dict[LossClass, int]:
        """Missing pairs by class. Their sum is `missing`."""
        return {of: getattr(self, of.value) for of in LossClass}

    @property
    def ways(self) -> dict[Via, int]:
        """Delivered pairs by how the message came. Their sum is expected − missing."""
        said = {
            Via.LIVE: self.by_live,
            Via.HISTORY: self.by_history,
            Via.RESENT: self.by_resend,
        }
        return said | {Via.NOT_SAID: self.expected - self.missing - sum(said.values())}

    @property
    def reliability(self) -> float | None:
        """Rch = 1 − missing / expected; None if nothing was expected."""
        return (self.expected - self.missing) / self.expected if self.expected else None

    @property
    def delivery_ratio(self) -> float | None:
        """1 − missing / corroborated; None without corroborated pairs.

        Unbiased if losses are independent.
        """
        if not self.corroborated:
            return None
        return (self.corroborated - self.missing) / self.corroborated


NO_COUNTS = Counts(0, 0, 0, 0, 0)


class Spread(NamedTuple):
    """How unevenly losses are distributed over clusters. Intervals are computed from it. Spreads
    can be added like counts.

    A cluster has x missing and n corroborated pairs; a cluster with n = 0 does not count.
    """

    clusters: int = 0
    missing_squared: int = 0  # Σ x²
    missing_corroborated: int = 0  # Σ x n
    corroborated_squared: int = 0  # Σ n²

    def plus(self, other: "Spread") -> "Spread":
        return Spread(*map(operator.add, self, other))


class Spreads(NamedTuple):
    """One spread for each cut (way to divide pairs into clusters)."""

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
"""Inclusive upper edges of the delay classes from 2 on. The last class has the longer delays."""

DELAY_UNKNOWN = 0  # class: the delay is not known; no receipt that is counted has it
DELAY_NEGATIVE = 1  # class: received more than a second before it was sent, so a clock is wrong
DELAY_CLASSES = len(DELAY_EDGES_MS) + 3

DelayCounts = tuple[int, ...]  # one for each of the DELAY_CLASSES
_NONE: DelayCounts = (0,) * DELAY_CLASSES


@dataclass(frozen=True, slots=True)
class Delays:
    """Delivered pairs by class of delay. Together they sum to expected − missing.

    delivery  from sentAt to receivedAt, both by the server's clock, if receivedAt is known
    report    from sentAt to createdAt, if it is not; the delivery was earlier
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
    """How many receivers hold each message of a channel. Unseen messages are estimated from it.

    A capture is a receipt of a receiver that did not write the message. All measured messages
    count, also those that quorum or cap leave out.
    """

    total: int = 0  # captures
    once: int = 0  # messages with one capture
    twice: int = 0  # messages with two
    once_squared: int = 0  # Σ over receivers of (messages that it alone captured)²


NO_CAPTURES = Captures()


class LossReason(NamedTuple):
    """How many pairs are missing for one reason.

    of      the class of loss, a LossClass; None: all reasons that are rare or concern few
            receivers, put together
    reason  a code of the app's own; "": none was given; None if `of` is None
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
    """The pairs of a window or a channel that belong to one value of a dimension.

    value  as it was said; "": never said; None: groups that are too small to show, put together
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
    influence        how much R (for a channel Rch) could change if one installation, or all behind
                     one network, were left out
    reasons          of the missing pairs, the most frequent first, the others put together last
    unconfirmed      messages in no count, because one installation or network alone reports too
                     many; for a window those of all its channels except audits, comparable or not
    silent_members   likewise receivers in no count, because no other installation confirms theirs
    one_in           clients were to report one message in so many, and all counts are of those; for
                     a window the greatest of its channels
    estimated_messages  how many messages were sent; exact if `one_in` is 1
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
"""Ids of audits' channels begin with this. Their losses are known, and they are in no total."""


@dataclass(frozen=True, slots=True)
class ChannelReliability:
    channel_id: str
    counts: Counts
    figures: Figures = NO_FIGURES
    groups: tuple[Group, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether at least two receivers count and something was expected."""
        return self.counts.receivers >= 2 and self.counts.expected > 0

    @property
    def is_audit(self) -> bool:
        return self.channel_id.startswith(AUDIT_CHANNELS)


@dataclass(frozen=True, slots=True)
class WindowReliability:
    """One computed window. `counts` are sums over the comparable channels except audits."""

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
    unseen: float | None = None  # estimated messages that no reporter holds: Σ over the channels
    sample_coverage: float | None = None  # share of deliveries whose message a receiver reports
