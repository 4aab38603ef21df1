"""The truth of a world: the expected pairs and what became of them, by window. Pure.

The truth counts deliveries, whatever the reports say. A pair is expected if the node is a member
when the message is sent and did not write it. It is delivered if the node's app ever holds the
message, readable. As in the figures, a message belongs to the window of its `sent_at`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from devtelemetry.figures.document import iso
from devtelemetry.model import (
    Captures,
    Counts,
    Dimension,
    LossClass,
    Timeframe,
    Via,
    Window,
    from_unix_ms,
    window_at,
)
from devtelemetry.simulator.loss import path_of
from devtelemetry.simulator.reports import Part, Reports, report
from devtelemetry.simulator.spec import Delivery, Node, World

# The names of the groups of each dimension in the document.
_BREAKDOWNS = {
    Dimension.PLATFORM: "platforms",
    Dimension.APP_VERSION: "versions",
    Dimension.MESSAGE_TYPE: "types",
    Dimension.AUTHOR_PLATFORM: "author_platforms",
    Dimension.AUTHOR_APP_VERSION: "author_versions",
    Dimension.PATH: "paths",
}
SCHEMA = 1  # of the document; raised when a field changes its meaning


@dataclass(slots=True)
class Pairs:
    """Sums of expected (message, receiver) pairs.

    delivered  the expected pairs that were delivered
    missing    the other expected pairs, by class and the app's reason
    unsaid     missing pairs whose message was not sent and no app reports that
    recovered  delivered pairs that could not be read at first
    ways       delivered pairs by how the message came
    untold     delivered pairs whose report was lost
    invisible  expected pairs that no report can show, lost or not: nobody reports the message, or,
               as clocks differ, it was sent outside the receiver's stays as reported
    """

    expected: int = 0
    delivered: int = 0
    untold: int = 0
    invisible: int = 0
    unsaid: int = 0
    recovered: int = 0
    missing: Counter[tuple[LossClass, str]] = field(default_factory=Counter)
    ways: Counter[Via] = field(default_factory=Counter)

    def add(self, pair: Delivery, *, untold: bool = False, invisible: bool = False) -> None:
        self.expected += 1
        self.untold += untold
        self.invisible += invisible
        if pair.missing is None:
            self.delivered += 1
            self.recovered += pair.failed_ms is not None
            self.ways[pair.via] += 1
        else:
            self.missing[pair.missing, pair.reason] += 1
            self.unsaid += not pair.message.is_sent and pair.message.failure is None

    def lost(self, of: LossClass) -> int:
        """The missing pairs of a class."""
        return sum(number for (one, _), number in self.missing.items() if one is of)

    @property
    def delivery_ratio(self) -> float | None:
        return self.delivered / self.expected if self.expected else None


@dataclass(slots=True)
class Group(Pairs):
    """The sums of one channel, platform, version, path, message type or node."""

    messages: set[str] = field(default_factory=set)
    receivers: set[int] = field(default_factory=set)


@dataclass(slots=True)
class TrueWindow:
    """One window; the keys of its groups are channel ids, values of a dimension, node numbers."""

    timeframe: str
    window: Window
    total: Group = field(default_factory=Group)
    channels: defaultdict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    by: Mapping[Dimension, defaultdict[str, Group]] = field(
        default_factory=lambda: {dimension: defaultdict(Group) for dimension in Dimension}
    )
    nodes: defaultdict[int, Group] = field(default_factory=lambda: defaultdict(Group))

    @property
    def reliability(self) -> float | None:
        """R: the mean over the channels in which at least two receivers have expected pairs."""
        ratios = [
            group.delivered / group.expected
            for group in self.channels.values()
            if len(group.receivers) >= 2
        ]
        return sum(ratios) / len(ratios) if ratios else None


def values_of(pair: Delivery, nodes: Sequence[Node]) -> dict[Dimension, str]:
    """The value of a pair in each dimension; "" in those of authors if an outsider wrote it.

    nodes  all nodes of the world
    """
    message, receiver = pair.message, nodes[pair.node]
    author = None if message.author is None else nodes[message.author]
    return {
        Dimension.PLATFORM: receiver.platform,
        Dimension.APP_VERSION: receiver.app_version,
        Dimension.MESSAGE_TYPE: message.message_type,
        Dimension.AUTHOR_PLATFORM: "" if author is None else author.platform,
        Dimension.AUTHOR_APP_VERSION: "" if author is None else author.app_version,
        Dimension.PATH: "" if author is None else path_of(author.server, receiver.server),
    }


def true_windows(world: World, timeframe: Timeframe) -> list[TrueWindow]:
    """The windows with expected pairs, oldest first.

    The first and the last may be partly outside the world's span.
    """
    reports = report(world)
    visible = _Visible(reports)
    windows: dict[Window, TrueWindow] = {}
    for delivery in world.deliveries:
        message, number = delivery.message, delivery.node
        window = window_at(timeframe, from_unix_ms(message.sent_at))
        found = windows.setdefault(window, TrueWindow(timeframe.name, window))
        untold = (number, message.message_id) in reports.untold
        invisible = not visible(delivery)
        for group in (
            found.total,
            found.channels[message.channel_id],
            *(found.by[of][value] for of, value in values_of(delivery, world.nodes).items()),
            found.nodes[number],
        ):
            group.messages.add(message.message_id)
            group.receivers.add(number)
            group.add(delivery, untold=untold, invisible=invisible)
    return [windows[window] for window in sorted(windows)]


class _Visible:
    """Whether reports can show a pair."""

    def __init__(self, reports: Reports) -> None:
        self._reported = {one.message.message_id for one in reports.arrived}
        self._parts: defaultdict[tuple[str, int], list[Part]] = defaultdict(list)
        for part in reports.parts:
            self._parts[part.channel_id, part.node].append(part)

    def __call__(self, delivery: Delivery) -> bool:
        message = delivery.message
        return message.message_id in self._reported and any(
            part.joined_at <= message.sent_at
            and (part.left_at is None or message.sent_at <= part.left_at)
            for part in self._parts[message.channel_id, delivery.node]
        )


def captured(pairs: Sequence[Delivery]) -> tuple[Counts, Captures]:
    """The counts for an estimate of unseen messages, taken from the deliveries themselves.

    pairs  all expected pairs of one channel and window; none of their reports may be lost
    """
    hands: defaultdict[str, list[int]] = defaultdict(list)
    known = set()
    for pair in pairs:
        message_id = pair.message.message_id
        if pair.missing is None:
            hands[message_id].append(pair.node)
        if pair.missing is None or pair.failed_ms is not None or pair.message.author is not None:
            known.add(message_id)
    expected = sum(pair.message.message_id in known for pair in pairs)
    delivered = sum(map(len, hands.values()))
    alone = Counter(nodes[0] for nodes in hands.values() if len(nodes) == 1)
    return Counts(
        messages=len(known),
        receivers=len({pair.node for pair in pairs}),
        expected=expected,
        missing=expected - delivered,
        corroborated=expected,  # the estimate does not use it
    ), Captures(
        total=delivered,
        once=alone.total(),
        twice=sum(len(nodes) == 2 for nodes in hands.values()),
        once_squared=sum(count * count for count in alone.values()),
    )


# ---------------------------------------------------------------------------------------- JSON


def truth_document(world: World, timeframe: Timeframe) -> dict[str, Any]:
    """The truth as a value for json.dumps; docs/simulator.md has the fields.

    It has the windows that overlap the measured span.
    """
    spec = world.spec
    windows = [
        window
        for window in true_windows(world, timeframe)
        if window.window.end_ms > spec.start_ms and window.window.start_ms < spec.end_ms
    ]
    return {
        "schema": SCHEMA,
        "spec": asdict(spec),
        "nodes": [node._asdict() for node in world.nodes],
        "timeframe": timeframe.name,
        "windows": [window_document(window) for window in windows],
    }


def window_document(window: TrueWindow) -> dict[str, Any]:
    return {
        "start": iso(window.window.start),
        "end": iso(window.window.end),
        "reliability": window.reliability,
        **_group_document(window.total),
        "channels": _groups("channel_id", window.channels),
        **{name: _groups(of.value, window.by[of]) for of, name in _BREAKDOWNS.items()},
        "receivers": _groups("node", window.nodes),
    }


def _groups(name: str, groups: Mapping[Any, Group]) -> Sequence[dict[str, Any]]:
    return [{name: key, **_group_document(group)} for key, group in sorted(groups.items())]


def _group_document(group: Group) -> dict[str, Any]:
    return {
        "delivery_ratio": group.delivery_ratio,
        "messages": len(group.messages),
        "receivers": len(group.receivers),
        "expected": group.expected,
        "delivered": group.delivered,
        "untold": group.untold,
        "invisible": group.invisible,
        **{of.value: group.lost(of) for of in LossClass},
        "unsaid": group.unsaid,
        "recovered": group.recovered,
        "by_live": group.ways[Via.LIVE],
        "by_history": group.ways[Via.HISTORY],
        "by_resend": group.ways[Via.RESENT],
        "reasons": [
            {"class": of.value, "reason": reason, "pairs": number}
            for (of, reason), number in group.missing.most_common()
        ],
    }
