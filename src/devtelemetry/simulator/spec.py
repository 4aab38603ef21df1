"""What to simulate, and what a world consists of. No chance is in this module.

Times are Unix milliseconds of the world's own clock, if nothing else is said. Nobody in the world
has that clock: a node's clock is off by its skew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from devtelemetry.model import HOUR_MS, MINUTE_MS, LossClass, SentAtClock, Via
from devtelemetry.simulator.loss import (
    MESSAGE_TYPES,
    NO_LOSS,
    PLATFORMS,
    SERVERS,
    VERSIONS,
    LossModel,
    Trait,
)

SMALL_OUTBOX = 10  # samples in the outbox of a device that is cut off
OPT_IN_MS = 2 * MINUTE_MS  # before the first message; clients report nothing older than the opt-in
# After the last message. Late messages and second copies are there by then, slow messages are not.
WIND_DOWN_MS = 2 * MINUTE_MS
LONGEST_DELAY_MS = 3_000  # of a message that is neither late nor slow
FAR_OFF = 15  # a wrong clock is off by so many times more than the others
CLOCK_SKEW_MS = OPT_IN_MS // (2 * FAR_OFF)  # the most: no sentAt may lie before an opt-in


@dataclass(frozen=True, slots=True)
class Spec:
    """What to simulate. Shares and probabilities are from 0 to 1.

    seed               decides all chance
    start_ms, end_ms   the measured span
    lead_ms            people also write for so long before and after that span, as real ones do
    loss               why messages get lost
    fault              replaces `loss` from `fault_from_ms` on, for sending and for single pairs
    burst_ms           how long a node is offline at a time, on average
    nodes              devices; each is a receiver
    second_devices     share of the users with two devices
    channels           each user is in `channels_of_user` of them
    messages_per_hour  of a channel, on average; some channels are busy and some quiet
    joining, leaving   shares of the users' memberships that begin or end in the middle
    returning          share of the memberships in which the user leaves and comes back
    outsiders          share of the messages whose author has not opted in, and so reports nothing
    restarts           share of the nodes whose app is closed and opened again
    crashes            number of nodes whose app is killed and opened again
    cut_off            share of the nodes that cannot reach the server for a while; their outbox
                       has room for a few samples only
    wiped              share of these nodes that lose all data of the app in the end
    duplicates         share of the deliveries that the app gets twice
    skew_ms            how far most clocks are off at most; some are off much more
    server_stamped     share of the messages whose time is by the messenger's server, which is right
    receiver_stamped   share of the messages without a time: each receiver takes its own
    platforms, versions, message_types, servers  the values, and how common each is; "": not said
    slow               share of the deliveries that take from three seconds to `slowest_ms`; each
                       factor of ten is equally common
    wrong_clocks       share of the nodes whose clock is off by `wrong_by_ms`, ahead or behind
    label              ends the names of the channels; None: made from the rest of the Spec, so that
                       no two simulations share a channel
    """

    seed: int
    start_ms: int
    end_ms: int
    loss: LossModel = NO_LOSS
    fault: LossModel = NO_LOSS
    fault_from_ms: int | None = None
    lead_ms: int = 15 * MINUTE_MS
    burst_ms: int = 5 * MINUTE_MS
    nodes: int = 200
    second_devices: float = 0.2
    channels: int = 12
    channels_of_user: int = 3
    messages_per_hour: float = 30.0
    joining: float = 0.1
    leaving: float = 0.1
    returning: float = 0.1
    outsiders: float = 0.0
    restarts: float = 0.05
    crashes: int = 3
    cut_off: float = 0.0
    wiped: float = 0.0
    duplicates: float = 0.02
    skew_ms: int = 2_000
    server_stamped: float = 0.2
    receiver_stamped: float = 0.1
    label: str | None = None
    platforms: tuple[Trait, ...] = PLATFORMS
    versions: tuple[Trait, ...] = VERSIONS
    message_types: tuple[Trait, ...] = MESSAGE_TYPES
    servers: tuple[Trait, ...] = SERVERS
    slow: float = 0.0
    slowest_ms: int = HOUR_MS
    wrong_clocks: float = 0.0
    wrong_by_ms: int = 0

    def __post_init__(self) -> None:
        assert self.start_ms < self.end_ms, "an empty span"
        assert self.skew_ms <= CLOCK_SKEW_MS, "a sentAt could lie before an opt-in"
        assert self.wrong_by_ms <= self.lead_ms, "what is measured could lie before an opt-in"
        assert self.slowest_ms >= LONGEST_DELAY_MS, "what is slow takes longer than the rest"

    def loss_at(self, at_ms: int) -> LossModel:
        """The model for a message sent then: whether it leaves, and which single pairs are lost."""
        is_faulty = self.fault_from_ms is not None and at_ms >= self.fault_from_ms
        return self.fault if is_faulty else self.loss

    @property
    def opt_in_ms(self) -> int:
        return self.begin_ms - OPT_IN_MS

    @property
    def begin_ms(self) -> int:
        """The first message is not before it."""
        return self.start_ms - self.lead_ms

    @property
    def until_ms(self) -> int:
        """The last message is before it."""
        return self.end_ms + self.lead_ms

    @property
    def fingerprint(self) -> str:
        """8 hex digits that differ between specs."""
        return sha256(repr(self).encode()).hexdigest()[:8]


class Node(NamedTuple):
    """One device of a user, which is a receiver. Both devices of a user have the user's key."""

    number: int
    public_key: str
    platform: str
    app_version: str
    server: str  # the messenger's server that its app talks to
    skew_ms: int  # by how much its clock is ahead


class Channel(NamedTuple):
    channel_id: str
    messages_per_hour: float


class Membership(NamedTuple):
    """`node` is in the channel in [joined_ms, left_ms). A node that comes back has two."""

    channel_id: str
    node: int
    joined_ms: int
    left_ms: int


class Message(NamedTuple):
    """A message that a user writes.

    sent_at        event time: by the server's clock if the server stamps it, else by the author's
    author         None: an outsider, who has not opted in
    sent_at_clock  the clock of the sentAt that receivers report
    is_sent        False: it never leaves its author's device
    failure        the reason with which its author's app reports that; None: it does not
    """

    message_id: str
    channel_id: str
    at_ms: int
    sent_at: int
    author: int | None
    size_bytes: int
    message_type: str
    sent_at_clock: SentAtClock = SentAtClock.AUTHOR
    is_sent: bool = True
    failure: str | None = None


class Delivery(NamedTuple):
    """An expected pair: the node was a member when the message was sent, and did not write it.

    arrives_ms  when the app holds it, readable; None: never
    via         how it came
    missing     why the app does not hold it; None: it does
    reason      given by the receiver's app or, for an unsent message, by the author's; "": none
    failed_ms   when the app could not read it, or threw it away; None: it did neither
    """

    message: Message
    node: int
    arrives_ms: int | None
    via: Via = Via.NOT_SAID
    missing: LossClass | None = None
    reason: str = ""
    failed_ms: int | None = None


class Action(StrEnum):
    """What the host of a node has to do."""

    START = "start"  # run the app; opt in first, if the user has not yet
    STOP = "stop"  # close it properly
    CRASH = "crash"  # kill it
    JOIN = "join"  # the app reports that the user is in the channel, which may be known already
    LEAVE = "leave"
    WRITE = "write"  # the user writes the message
    FAIL = "fail"  # the app gives up sending it
    HOLD = "hold"  # the app gets the message
    FAIL_TO_READ = "fail to read"  # the app gets the message, and cannot decrypt it
    DROP = "drop"  # the app gets the message, and throws it away
    CUT = "cut"  # from now on the server is out of reach, and the outbox has SMALL_OUTBOX
    MEND = "mend"  # the end of CUT
    WIPE = "wipe"  # the end of CUT; all data of the app is gone, and the user opts in again


class Operation(NamedTuple):
    """One thing to do.

    since_ms  of JOIN and LEAVE: the user's first or last moment in the channel
    reason    of FAIL, FAIL_TO_READ and DROP
    via       of HOLD
    """

    at_ms: int
    node: int
    action: Action
    channel_id: str = ""
    message: Message | None = None
    since_ms: int = 0
    reason: str = ""
    via: Via = Via.NOT_SAID


def said_sent_at(message: Message, node: Node, at_ms: int) -> tuple[int, SentAtClock]:
    """The sentAt, and its clock, that an app reports if it gets the message at `at_ms`."""
    if message.sent_at_clock is not SentAtClock.RECEIVER:
        return message.sent_at, message.sent_at_clock
    if message.author == node.number:
        return message.sent_at, SentAtClock.AUTHOR
    return at_ms + node.skew_ms, SentAtClock.RECEIVER


class Interruption(NamedTuple):
    """A node's app is down or cut off in [from_ms, to_ms). A node has at most one."""

    begins: Action  # STOP, CRASH or CUT
    from_ms: int
    ends: Action  # START, MEND or WIPE
    to_ms: int

    @property
    def is_down(self) -> bool:
        return self.begins is not Action.CUT


@dataclass(frozen=True, slots=True)
class World:
    """All that happens.

    deliveries  the expected pairs: the truth
    operations  what nodes do, in order; a node learns nothing else of the world
    """

    spec: Spec
    nodes: Sequence[Node]
    channels: Sequence[Channel]
    memberships: Sequence[Membership]
    messages: Sequence[Message]
    deliveries: Sequence[Delivery]
    operations: Sequence[Operation]
