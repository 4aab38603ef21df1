"""What the clients of a world report, and what of it is lost on the devices. Pure.

It follows what a client does with what it is told: samples are numbered as they are recorded, an
outbox that is full drops the oldest, and with the data of an app all goes that was not sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.simulator.spec import SMALL_OUTBOX, Action, Message, Node, Operation, World


class Report(NamedTuple):
    """A sample that a client recorded.

    installation  of the node: 0, and one more each time its device was wiped
    number        in the installation's own count, from 1
    """

    at_ms: int
    node: int
    installation: int
    number: int
    message: Message
    is_author: bool


class Part(NamedTuple):
    """When a node says that it was in a channel, by its own clock, and when it said so.

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
    """What comes to a server, whenever that is.

    arrived     in the order in which they were recorded
    parts       what was said of joining and leaving
    untold      (node, message id) of what a node held and no report says
    overflowed  by node, how many samples its outbox had no room for
    lost        those of them of which the client says so: the device was not wiped
    """

    arrived: Sequence[Report]
    parts: Sequence[Part]
    untold: frozenset[tuple[int, str]]
    overflowed: Mapping[int, int]
    lost: Sequence[Report]


def report(world: World) -> Reports:
    """What the nodes of `world` report of it."""
    clients = {node.number: _Client(node) for node in world.nodes}
    for operation in world.operations:
        clients[operation.node].take(operation)
    arrived = sorted(
        report
        for client in clients.values()
        for position, report in enumerate(client.recorded)
        if position not in client.lost
    )
    told = {(report.node, report.message.message_id) for report in arrived}
    held = {
        (operation.node, operation.message.message_id)
        for operation in world.operations
        if operation.message is not None
    }
    return Reports(
        arrived,
        [part for client in clients.values() for part in (*client.gone, *client.parts.values())],
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
    parts: dict[str, Part] = field(default_factory=dict)  # by channel
    gone: list[Part] = field(default_factory=list)  # of installations that are no more
    overflowed: int = 0
    said_lost: list[Report] = field(default_factory=list)
    # While it is cut off: what it had recorded and said before.
    cut_at: int | None = None
    said_before: dict[str, Part] = field(default_factory=dict)

    def take(self, operation: Operation) -> None:
        at_ms, _, action, channel_id, message, since_ms = operation
        if message is not None:
            self._record(at_ms, message, is_author=action is Action.WRITE)
        elif action is Action.START and self.opted_in_at is None:
            self.opted_in_at = at_ms + self.node.skew_ms
        elif action is Action.JOIN:
            self._join(at_ms, channel_id, since_ms + self.node.skew_ms)
        elif action is Action.LEAVE:
            self.parts[channel_id] = self.parts[channel_id]._replace(
                left_at=since_ms + self.node.skew_ms, left_said_ms=at_ms
            )
        elif action is Action.CUT:
            self.cut_at = len(self.recorded)
            self.said_before = dict(self.parts)
        elif action is Action.MEND:
            self.said_lost += [self.recorded[position] for position in self._lose_what_overflowed()]
        elif action is Action.WIPE:
            self._lose_what_overflowed()
            self._lose_all(at_ms)

    def _record(self, at_ms: int, message: Message, *, is_author: bool) -> None:
        assert self.opted_in_at is not None, "it was never started"
        if message.sent_at < self.opted_in_at:
            return  # whoever opts in speaks of what comes: it gets no number
        self.number += 1
        self.recorded.append(
            Report(at_ms, self.node.number, self.installation, self.number, message, is_author)
        )

    def _join(self, at_ms: int, channel_id: str, joined_at: int) -> None:
        assert self.opted_in_at is not None, "it was never started"
        self.parts[channel_id] = Part(
            self.node.number,
            self.installation,
            channel_id,
            max(joined_at, self.opted_in_at),
            at_ms,
        )

    def _lose_what_overflowed(self) -> range:
        assert self.cut_at is not None, "it was not cut off"
        dropped = range(self.cut_at, max(self.cut_at, len(self.recorded) - SMALL_OUTBOX))
        self.lost.update(dropped)
        self.overflowed += len(dropped)
        return dropped

    def _lose_all(self, at_ms: int) -> None:
        assert self.cut_at is not None, "it was not cut off"
        self.lost.update(range(self.cut_at, len(self.recorded)))
        self.gone += self.said_before.values()
        self.installation += 1
        self.number = 0
        self.opted_in_at = at_ms + self.node.skew_ms
        self.parts = {}
