"""What happens in a network of messengers, and what of it is lost. Pure.

`make_world` takes a Spec and gives the same World for it, always: all chance comes from the seed,
and each part has dice of its own, so that another loss model meets the same people and channels. At
another time the same happens, under other names.

Times are Unix milliseconds of the world's own clock unless they say otherwise: nobody in the world
has that clock. A node's clock is off by its skew.

What loses a message, and what does not:

    lost for good   the loss model says so: it never reaches the receiver
    late            the receiver's app is not running: it gets the message when it runs again
    held, untold    the receiver has it, and the report of that is lost on the device
"""

import math
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from devtelemetry.model import HOUR_MS, MINUTE_MS
from devtelemetry.simulator.loss import Trait
from devtelemetry.simulator.spec import (
    FAR_OFF,
    LONGEST_DELAY_MS,
    Action,
    Channel,
    Delivery,
    Interruption,
    Membership,
    Message,
    Node,
    Operation,
    Spec,
    World,
)

_NAMES = ("general", "support", "design", "random", "releases", "desktop", "mobile", "protocol")
_BUSIEST = 8.0  # times as many messages as in the quietest channel
_SECOND_COPY_MS = MINUTE_MS  # a message that the app is told of twice comes again within it
_WRONG_CLOCKS = 0.1  # share of the nodes
_BEFORE_A_CRASH_MS = 2_000  # nothing happens on a node so shortly before: see `_awake_at`


def make_world(spec: Spec) -> World:
    """The world of `spec`; equal specs have equal worlds."""
    tag = spec.fingerprint
    nodes, users = _make_nodes(spec, tag, _dice(spec, "nodes"))
    nodes = _set_clocks(spec, nodes, _dice(spec, "clocks"))
    channels = _make_channels(spec, tag if spec.label is None else spec.label)
    memberships = _make_memberships(spec, channels, users, _dice(spec, "memberships"))
    interruptions = _make_interruptions(spec, _dice(spec, "interruptions"))
    offline = _make_offline(spec, _dice(spec, "offline"))
    members = _by_channel(memberships)
    messages = _write_messages(
        spec,
        tag,
        nodes,
        channels,
        members,
        interruptions,
        offline,
        _dice(spec, "messages"),
        _dice(spec, "types"),
    )
    deliveries = _deliver(
        spec,
        nodes,
        members,
        interruptions,
        offline,
        messages,
        _dice(spec, "loss"),
        _dice(spec, "delays"),
    )
    operations = sorted(
        _operations(
            spec, memberships, interruptions, messages, deliveries, _dice(spec, "duplicates")
        ),
        key=lambda operation: operation.at_ms,
    )
    end_ms = operations[-1].at_ms + 1
    operations += [Operation(end_ms, node.number, Action.STOP) for node in nodes]
    return World(spec, nodes, channels, memberships, messages, deliveries, operations)


def _dice(spec: Spec, part: str) -> random.Random:
    return random.Random(f"{spec.seed} {part}")  # noqa: S311 - chance that can be repeated


# ------------------------------------------------------------------------- people and channels


def _make_nodes(spec: Spec, tag: str, dice: random.Random) -> tuple[list[Node], list[list[int]]]:
    """The nodes, and their numbers by user."""
    nodes: list[Node] = []
    users: list[list[int]] = []
    while len(nodes) < spec.nodes:
        has_two = dice.random() < spec.second_devices
        devices = range(len(nodes), min(len(nodes) + 1 + has_two, spec.nodes))
        key = "0x04" + _hex(tag, "user", len(users))
        nodes += [
            Node(
                number,
                key,
                _choose(spec.platforms, dice),
                _choose(spec.versions, dice),
                _skew(spec, dice),
            )
            for number in devices
        ]
        users.append(list(devices))
    return nodes, users


def _choose(shares: Sequence[Trait], dice: random.Random) -> str:
    (chosen,) = dice.choices(shares, [share.weight for share in shares])
    return chosen.name


def _skew(spec: Spec, dice: random.Random) -> int:
    skew_ms = dice.randint(-spec.skew_ms, spec.skew_ms)
    return skew_ms * FAR_OFF if dice.random() < _WRONG_CLOCKS else skew_ms


def _set_clocks(spec: Spec, nodes: Sequence[Node], dice: random.Random) -> list[Node]:
    wrong = dice.sample(range(spec.nodes), round(spec.nodes * spec.wrong_clocks))
    by_ms = {number: dice.choice((-1, 1)) * spec.wrong_by_ms for number in wrong}
    return [node._replace(skew_ms=by_ms.get(node.number, node.skew_ms)) for node in nodes]


def _make_channels(spec: Spec, label: str) -> list[Channel]:
    """From the busiest to the quietest."""
    steps = max(1, spec.channels - 1)
    weights = [_BUSIEST ** (-number / steps) for number in range(spec.channels)]
    mean = sum(weights) / len(weights)
    return [
        Channel(
            "-".join(filter(None, (_channel_name(number), label))),
            spec.messages_per_hour * weight / mean,
        )
        for number, weight in enumerate(weights)
    ]


def _channel_name(number: int) -> str:
    return _NAMES[number] if number < len(_NAMES) else f"room-{number + 1}"


def _make_memberships(
    spec: Spec, channels: Sequence[Channel], users: Sequence[list[int]], dice: random.Random
) -> list[Membership]:
    memberships = []
    for devices in users:
        for channel in dice.sample(channels, min(spec.channels_of_user, len(channels))):
            span_ms = spec.end_ms - spec.start_ms
            joined_ms, left_ms = spec.begin_ms, spec.until_ms
            if dice.random() < spec.joining:
                joined_ms = spec.start_ms + int(span_ms * dice.uniform(0.1, 0.5))
            if dice.random() < spec.leaving:
                left_ms = spec.start_ms + int(span_ms * dice.uniform(0.5, 0.9))
            memberships += [
                Membership(channel.channel_id, node, joined_ms, left_ms) for node in devices
            ]
    return memberships


def _by_channel(memberships: Sequence[Membership]) -> Mapping[str, list[Membership]]:
    members: defaultdict[str, list[Membership]] = defaultdict(list)
    for membership in memberships:
        members[membership.channel_id].append(membership)
    return members


# ------------------------------------------------------------------------ what happens to nodes


def _make_interruptions(spec: Spec, dice: random.Random) -> Mapping[int, Interruption]:
    """By node; somewhere in the middle of what is measured."""
    numbers = list(range(spec.nodes))
    dice.shuffle(numbers)
    kinds = [Action.CRASH] * spec.crashes
    kinds += [Action.STOP] * round(spec.nodes * spec.restarts)
    kinds += [Action.CUT] * round(spec.nodes * spec.cut_off)
    return {
        number: _interruption(spec, kind, dice)
        for number, kind in zip(numbers, kinds, strict=False)
    }


def _interruption(spec: Spec, begins: Action, dice: random.Random) -> Interruption:
    span_ms = spec.end_ms - spec.start_ms
    ends = Action.START
    lasts_ms = dice.randint(10_000, 40_000)
    if begins is Action.CUT:
        ends = Action.WIPE if dice.random() < spec.wiped else Action.MEND
        lasts_ms = int(span_ms * dice.uniform(0.15, 0.35))
    from_ms = spec.start_ms + int(span_ms * dice.uniform(0.2, 0.5))
    return Interruption(begins, from_ms, ends, from_ms + lasts_ms)


def _make_offline(spec: Spec, dice: random.Random) -> Sequence[list[int]]:
    """For each node the times at which it goes offline and comes back, in turn.

    An even number of them before a moment: it is online then.
    """
    return [_offline_times(spec, dice) for _ in range(spec.nodes)]


def _offline_times(spec: Spec, dice: random.Random) -> list[int]:
    share = spec.loss.offline
    if share <= 0:
        return []
    if share >= 1:
        return [spec.begin_ms]
    is_offline = dice.random() < share
    times = [spec.begin_ms] if is_offline else []
    after_ms = 0.0
    while after_ms < spec.until_ms - spec.begin_ms:
        # Spans without memory: the first one needs no rule of its own.
        mean_ms = spec.burst_ms if is_offline else spec.burst_ms * (1 - share) / share
        after_ms += dice.expovariate(1 / mean_ms)
        times.append(spec.begin_ms + int(after_ms))
        is_offline = not is_offline
    return times


def _is_offline(times: Sequence[int], at_ms: int) -> bool:
    return bisect_right(times, at_ms) % 2 == 1


def _awake_at(interruption: Interruption | None, at_ms: int) -> int:
    """When a node takes what would reach it at `at_ms`: when its app runs.

    A client that is killed loses what came in the moments before. How much is chance that no seed
    decides, so nothing comes then: the truth must be known.
    """
    if interruption is None or not interruption.is_down:
        return at_ms
    asleep_ms = interruption.from_ms - _BEFORE_A_CRASH_MS
    if not asleep_ms <= at_ms < interruption.to_ms:
        return at_ms
    return interruption.to_ms + 1 + (at_ms - asleep_ms) // 100  # in the order they came


# ------------------------------------------------------------------------------------ messages


def _write_messages(
    spec: Spec,
    tag: str,
    nodes: Sequence[Node],
    channels: Sequence[Channel],
    members: Mapping[str, list[Membership]],
    interruptions: Mapping[int, Interruption],
    offline: Sequence[list[int]],
    dice: random.Random,
    types_dice: random.Random,
) -> list[Message]:
    """By channel, then by time. Whoever is not there to write does not."""
    messages: list[Message] = []
    for channel in channels:
        after_ms = 0.0
        while True:
            after_ms += dice.expovariate(channel.messages_per_hour / HOUR_MS)
            sent_ms = spec.begin_ms + int(after_ms)
            if sent_ms >= spec.until_ms:
                break
            is_outsider = dice.random() < spec.outsiders
            able = [
                membership.node
                for membership in members.get(channel.channel_id, ())
                if membership.joined_ms <= sent_ms < membership.left_ms
                and _awake_at(interruptions.get(membership.node), sent_ms) == sent_ms
                and not _is_offline(offline[membership.node], sent_ms)
            ]
            if not able:
                continue
            author = dice.choice(able)  # drawn for an outsider too: what follows stays the same
            messages.append(
                Message(
                    "0x" + _hex(tag, channel.channel_id, len(messages)),
                    channel.channel_id,
                    sent_ms,
                    sent_ms + nodes[author].skew_ms,
                    None if is_outsider else author,
                    dice.randint(80, 2_000),
                    _choose(spec.message_types, types_dice),
                )
            )
    return messages


def _deliver(
    spec: Spec,
    nodes: Sequence[Node],
    members: Mapping[str, list[Membership]],
    interruptions: Mapping[int, Interruption],
    offline: Sequence[list[int]],
    messages: Sequence[Message],
    dice: random.Random,
    delays_dice: random.Random,
) -> list[Delivery]:
    deliveries = []
    for message in messages:
        reaches_nobody = dice.random() < spec.loss.everyone
        for membership in members[message.channel_id]:
            number = membership.node
            if number == message.author:
                continue
            if not membership.joined_ms <= message.at_ms < membership.left_ms:
                continue
            node = nodes[number]
            is_lost = dice.random() < spec.loss.of_pair(
                node.platform, node.app_version, message.message_type
            )
            delay_ms = dice.randint(50, LONGEST_DELAY_MS)
            if delays_dice.random() < spec.slow:
                longer = delays_dice.uniform(0, math.log(spec.slowest_ms / LONGEST_DELAY_MS))
                delay_ms = round(LONGEST_DELAY_MS * math.exp(longer))
            arrives_ms = None
            if not (is_lost or reaches_nobody or _is_offline(offline[number], message.at_ms)):
                arrives_ms = _awake_at(interruptions.get(number), message.at_ms + delay_ms)
            deliveries.append(Delivery(message, number, arrives_ms))
    return deliveries


# ---------------------------------------------------------------------------------- operations


def _operations(
    spec: Spec,
    memberships: Sequence[Membership],
    interruptions: Mapping[int, Interruption],
    messages: Sequence[Message],
    deliveries: Sequence[Delivery],
    dice: random.Random,
) -> Iterator[Operation]:
    """In no order; of one millisecond, in the order in which they must be done."""
    for number in range(spec.nodes):
        yield Operation(spec.opt_in_ms, number, Action.START)
    for number, interruption in interruptions.items():
        yield Operation(interruption.from_ms, number, interruption.begins)
        yield Operation(interruption.to_ms, number, interruption.ends)
    for channel_id, number, joined_ms, left_ms in memberships:
        disturbed = interruptions.get(number)
        told_ms = _awake_at(disturbed, joined_ms)
        yield Operation(told_ms, number, Action.JOIN, channel_id, since_ms=joined_ms)
        if left_ms < spec.until_ms:
            told_ms = _awake_at(disturbed, left_ms)
            yield Operation(told_ms, number, Action.LEAVE, channel_id, since_ms=left_ms - 1)
        if disturbed is not None and disturbed.ends is Action.WIPE:
            wiped_ms = disturbed.to_ms
            if joined_ms < wiped_ms < left_ms:
                # Whoever opts in anew says anew where it is.
                yield Operation(wiped_ms, number, Action.JOIN, channel_id, since_ms=joined_ms)
    for message in messages:
        if message.author is not None:
            yield Operation(message.at_ms, message.author, Action.WRITE, message=message)
    for message, number, arrives_ms in deliveries:
        if arrives_ms is None:
            continue
        yield Operation(arrives_ms, number, Action.HOLD, message=message)
        if dice.random() < spec.duplicates:
            again_ms = arrives_ms + dice.randint(1_000, _SECOND_COPY_MS)
            again_ms = _awake_at(interruptions.get(number), again_ms)
            yield Operation(again_ms, number, Action.HOLD, message=message)


def _hex(*parts: object) -> str:
    return sha256("/".join(map(str, parts)).encode()).hexdigest()[:32]
