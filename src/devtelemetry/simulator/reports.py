"""What the clients of a world report, and which reports are lost on the devices. Pure.

It models the client: samples are numbered as they are recorded, a full outbox drops the oldest
sample, and a wipe of the app's data loses all that was not sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.model import Outcome, SentAtClock, Via
from devtelemetry.simulator.spec import (
    SMALL_OUTBOX,
    Action,
    Message,
    Node,
    Operation,
    World,
    said_sent_at,
)

OUTCOMES: Mapping[Action, Outcome] = {
    Action.WRITE: Outcome.HELD,
    Action.HOLD: Outcome.HELD,
    Action.FAIL: Outcome.SEND_FAILED,
    Action.FAIL_TO_READ: Outcome.UNREADABLE,
    Action.DROP: Outcome.DROPPED,
}
"""The outcome that a client records for each action on a message"""


class Report(NamedTuple):
    """A sample that a client recorded.

    installation  the node's count of wipes of its device, from 0
    number        in the installation's own count, from 1
    sent_at       of the message, as the sample says
    """

    at_ms: int
    node: int
    installation: int
    number: int
    message: Message
    is_author: bool
    sent_at: int
    sent_at_clock: SentAtClock
    outcome: Outcome
    reason: str
    via: Via

    @property
    def message_type(self) -> str:
        """Empty for an unreadable sample, because a type is inside the encrypted message."""
        return "" if self.outcome is Outcome.UNREADABLE else self.message.message_type


class Part(NamedTuple):
    """A stay in a channel as a node reports it, by its own clock, and when it reported it.

    left_at  None: it is still in
    """

    node: int
    installation: int
    channel_id: str
    joined_at: int
    joined_said_ms: int
    left_at: int | None = None
    left_said_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports that reach a server in the end, and those that do not.

    arrived     in the order in which they were recorded
    parts       reports of joining and leaving
    untold      (node, message id) of messages that a node held and no report shows
    overflowed  node → how many samples its outbox had no room for
    lost        those of them that the client reports as lost, if its device was not wiped
    """

    arrived: Sequence[Report]
    parts: Sequence[Part]
    untold: frozenset[tuple[int, str]]
    overflowed: Mapping[int, int]
    lost: Sequence[Report]


def report(world: World) -> Reports:
    """The reports of the nodes of `world`."""
    clients = {node.number: _Client(node) for node in world.nodes}
    for operation in world.operations:
        clients[operation.node].take(operation)
    arrived = sorted(
        report
        for client in clients.values()
        for position, report in enumerate(client.recorded)
        if position not in client.lost
    )
    told = {
        (report.node, report.message.message_id)
        for report in arrived
        if report.outcome is Outcome.HELD
    }
    held = {
        (operation.node, operation.message.message_id)
        for operation in world.operations
        if operation.message is not None and OUTCOMES[operation.action] is Outcome.HELD
    }
    return Reports(
        arrived,
        [part for client in clients.values() for part in (*client.gone, *client.parts)],
        frozenset(held - told),
        {number: client.overflowed for number, client in clients.items() if client.overflowed},
        [report for client in clients.values() for report in client.said_lost],
    )


@dataclass(slots=True)
class _Client:
    node: Node
    installation: int = 0
    number: int = 0
    opted_in_at: int | None = None
    recorded: list[Report] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)  # positions in `recorded`
    parts: list[Part] = field(default_factory=list)
    gone: list[Part] = field(default_factory=list)  # of earlier installations
    overflowed: int = 0
    said_lost: list[Report] = field(default_factory=list)
    # While it is cut off: how much it had recorded, and which stays it had reported, before.
    cut_at: int | None = None
    said_before: list[Part] = field(default_factory=list)

    def take(self, operation: Operation) -> None:
        at_ms, channel_id = operation.at_ms, operation.channel_id
        if operation.message is not None:
            self._record(operation, operation.message)
        elif operation.action is Action.START and self.opted_in_at is None:
            self.opted_in_at = at_ms + self.node.skew_ms
        elif operation.action is Action.JOIN:
            self._join(at_ms, channel_id, operation.since_ms + self.node.skew_ms)
        elif operation.action is Action.LEAVE:
            self._leave(at_ms, channel_id, operation.since_ms + self.node.skew_ms)
        elif operation.action is Action.CUT:
            self.cut_at = len(self.recorded)
            self.said_before = list(self.parts)
        elif operation.action is Action.MEND:
            self.said_lost += [self.recorded[position] for position in self._lose_what_overflowed()]
        elif operation.action is Action.WIPE:
            self._lose_what_overflowed()
            self._lose_all(at_ms)

    def _record(self, operation: Operation, message: Message) -> None:
        assert self.opted_in_at is not None, "it was never started"
        sent_at, sent_at_clock = said_sent_at(message, self.node, operation.at_ms)
        if sent_at < self.opted_in_at:
            return  # a client records nothing of before its opt-in, and gives it no number
        self.number += 1
        self.recorded.append(
            Report(
                operation.at_ms,
                self.node.number,
                self.installation,
                self.number,
                message,
                operation.action in (Action.WRITE, Action.FAIL),
                sent_at,
                sent_at_clock,
                OUTCOMES[operation.action],
                operation.reason,
                operation.via,
            )
        )

    def _open_part(self, channel_id: str) -> int | None:
        """The position of the open stay in a channel."""
        return next(
            (
                position
                for position, part in enumerate(self.parts)
                if part.channel_id == channel_id and part.left_at is None
            ),
            None,
        )

    def _join(self, at_ms: int, channel_id: str, joined_at: int) -> None:
        assert self.opted_in_at is not None, "it was never started"
        if self._open_part(channel_id) is None:  # else it is known already
            since = max(joined_at, self.opted_in_at)
            self.parts.append(Part(self.node.number, self.installation, channel_id, since, at_ms))

    def _leave(self, at_ms: int, channel_id: str, left_at: int) -> None:
        position = self._open_part(channel_id)
        assert position is not None, "it leaves where it is not"
        self.parts[position] = self.parts[position]._replace(left_at=left_at, left_said_ms=at_ms)

    def _lose_what_overflowed(self) -> range:
        assert self.cut_at is not None, "it was not cut off"
        dropped = range(self.cut_at, max(self.cut_at, len(self.recorded) - SMALL_OUTBOX))
        self.lost.update(dropped)
        self.overflowed += len(dropped)
        return dropped

    def _lose_all(self, at_ms: int) -> None:
        assert self.cut_at is not None, "it was not cut off"
        self.lost.update(range(self.cut_at, len(self.recorded)))
        self.gone += self.said_before
        self.installation += 1
        self.number = 0
        self.opted_in_at = at_ms + self.node.skew_ms
        self.parts = []
