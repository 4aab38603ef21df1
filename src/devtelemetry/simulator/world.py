"""What happens in a network of messengers, and which messages are lost. Pure.

`make_world` always makes the same World of a Spec: all chance comes from the seed. Each part has
dice of its own, so another loss model meets the same people and channels. A Spec for another time
makes the same events under other names.

Times are Unix milliseconds of the world's own clock, if nothing else is said. Nobody in the world
has that clock: a node's clock is off by its skew.

What can become of a message at a receiver that should get it:

    lost for good   the loss model decides so: the message is not sent, does not reach the receiver,
                    or cannot be used by its app
    late            the app does not run, or the receiver is offline and there is a history, and it
                    gets the message afterwards; or the message is sent again, or its key is late
    held, untold    the receiver holds it, and the report is lost on the device
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from devtelemetry.model import HOUR_MS, MINUTE_MS, LossClass
from devtelemetry.simulator.away import awake_at, is_offline, make_interruptions, make_offline
from devtelemetry.simulator.chance import choose, dice_of
from devtelemetry.simulator.deliver import deliver, send, stamp
from devtelemetry.simulator.spec import (
    FAR_OFF,
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
_SECOND_COPY_MS = MINUTE_MS  # a second copy of a message comes within this time
_WRONG_CLOCKS = 0.1  # share of the nodes
_FAILS_MS = (1_000, 10_000)  # from writing a message until the app gives up sending it


def make_world(spec: Spec) -> World:
    """The world of `spec`; equal specs have equal worlds."""
    tag = spec.fingerprint
    nodes, users = _make_nodes(spec, tag, dice_of(spec, "nodes"))
    nodes = _set_clocks(spec, nodes, dice_of(spec, "clocks"))
    nodes = _choose_servers(spec, nodes, dice_of(spec, "servers"))
    channels = _make_channels(spec, tag if spec.label is None else spec.label)
    memberships = _let_return(
        spec,
        _make_memberships(spec, channels, users, dice_of(spec, "memberships")),
        dice_of(spec, "returns"),
    )
    interruptions = make_interruptions(spec, dice_of(spec, "interruptions"))
    offline = make_offline(spec, dice_of(spec, "offline"))
    members = _by_channel(memberships)
    messages = _write_messages(
        spec,
        tag,
        nodes,
        channels,
        members,
        interruptions,
        offline,
        dice_of(spec, "messages"),
        dice_of(spec, "types"),
    )
    stamps_dice, sending_dice = dice_of(spec, "stamps"), dice_of(spec, "sending")
    messages = [
        send(spec, nodes, stamp(spec, message, interruptions, stamps_dice), sending_dice)
        for message in messages
    ]
    deliveries = deliver(
        spec,
        nodes,
        members,
        interruptions,
        offline,
        messages,
        dice_of(spec, "loss"),
        dice_of(spec, "delays"),
        dice_of(spec, "stages"),
    )
    operations = sorted(
        _operations(
            spec,
            memberships,
            interruptions,
            messages,
            deliveries,
            dice_of(spec, "duplicates"),
            dice_of(spec, "failures"),
        ),
        key=lambda operation: operation.at_ms,
    )
    end_ms = operations[-1].at_ms + 1
    operations += [Operation(end_ms, node.number, Action.STOP) for node in nodes]
    return World(spec, nodes, channels, memberships, messages, deliveries, operations)


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
                choose(spec.platforms, dice),
                choose(spec.versions, dice),
                "",
                _skew(spec, dice),
            )
            for number in devices
        ]
        users.append(list(devices))
    return nodes, users


def _skew(spec: Spec, dice: random.Random) -> int:
    skew_ms = dice.randint(-spec.skew_ms, spec.skew_ms)
    return skew_ms * FAR_OFF if dice.random() < _WRONG_CLOCKS else skew_ms


def _set_clocks(spec: Spec, nodes: Sequence[Node], dice: random.Random) -> list[Node]:
    wrong = dice.sample(range(spec.nodes), round(spec.nodes * spec.wrong_clocks))
    by_ms = {number: dice.choice((-1, 1)) * spec.wrong_by_ms for number in wrong}
    return [node._replace(skew_ms=by_ms.get(node.number, node.skew_ms)) for node in nodes]


def _choose_servers(spec: Spec, nodes: Sequence[Node], dice: random.Random) -> list[Node]:
    """Gives each user a server."""
    keys = dict.fromkeys(node.public_key for node in nodes)
    of_user = {key: choose(spec.servers, dice) for key in keys}
    return [node._replace(server=of_user[node.public_key]) for node in nodes]


def _make_channels(spec: Spec, label: str) -> list[Channel]:
    """The channels, from the busiest to the quietest."""
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


def _let_return(
    spec: Spec, memberships: Sequence[Membership], dice: random.Random
) -> list[Membership]:
    """Lets some users leave a channel in the middle of their time there, and come back."""
    found = []
    for membership in memberships:
        channel_id, node, joined_ms, left_ms = membership
        gone_ms, back_ms = (
            joined_ms + int((left_ms - joined_ms) * dice.uniform(*within))
            for within in ((0.35, 0.5), (0.55, 0.7))
        )
        if dice.random() < spec.returning:
            found += [
                Membership(channel_id, node, joined_ms, gone_ms),
                Membership(channel_id, node, back_ms, left_ms),
            ]
        else:
            found.append(membership)
    return found


def _by_channel(memberships: Sequence[Membership]) -> Mapping[str, list[Membership]]:
    members: defaultdict[str, list[Membership]] = defaultdict(list)
    for membership in memberships:
        members[membership.channel_id].append(membership)
    return members


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
    """The messages, by channel and then by time. Only a member who is awake and online writes."""
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
                and awake_at(interruptions.get(membership.node), sent_ms) == sent_ms
                and not is_offline(offline[membership.node], sent_ms)
            ]
            if not able:
                continue
            author = dice.choice(able)  # drawn for outsiders too, so later dice stay the same
            messages.append(
                Message(
                    "0x" + _hex(tag, channel.channel_id, len(messages)),
                    channel.channel_id,
                    sent_ms,
                    sent_ms + nodes[author].skew_ms,
                    None if is_outsider else author,
                    dice.randint(80, 2_000),
                    choose(spec.message_types, types_dice),
                )
            )
    return messages


# ---------------------------------------------------------------------------------- operations


def _operations(
    spec: Spec,
    memberships: Sequence[Membership],
    interruptions: Mapping[int, Interruption],
    messages: Sequence[Message],
    deliveries: Sequence[Delivery],
    dice: random.Random,
    failures_dice: random.Random,
) -> Iterator[Operation]:
    """All operations, not sorted by time. Those of one millisecond come in the order to do them."""
    for number in range(spec.nodes):
        yield Operation(spec.opt_in_ms, number, Action.START)
    for number, interruption in interruptions.items():
        yield Operation(interruption.from_ms, number, interruption.begins)
        yield Operation(interruption.to_ms, number, interruption.ends)
    for membership in memberships:
        yield from _stay(spec, membership, interruptions.get(membership.node))
    for message in messages:
        fails_ms = message.at_ms + failures_dice.randint(*_FAILS_MS)
        if message.author is None:
            continue
        yield Operation(message.at_ms, message.author, Action.WRITE, message=message)
        if message.failure is not None:
            fails_ms = awake_at(interruptions.get(message.author), fails_ms)
            yield Operation(
                fails_ms, message.author, Action.FAIL, message=message, reason=message.failure
            )
    for message, number, arrives_ms, via, missing, reason, failed_ms in deliveries:
        if failed_ms is not None:
            action = Action.DROP if missing is LossClass.DROPPED else Action.FAIL_TO_READ
            yield Operation(failed_ms, number, action, message=message, reason=reason, via=via)
        if arrives_ms is None:
            continue
        yield Operation(arrives_ms, number, Action.HOLD, message=message, via=via)
        if dice.random() < spec.duplicates:
            again_ms = arrives_ms + dice.randint(1_000, _SECOND_COPY_MS)
            again_ms = awake_at(interruptions.get(number), again_ms)
            yield Operation(again_ms, number, Action.HOLD, message=message, via=via)


def _stay(
    spec: Spec, membership: Membership, disturbed: Interruption | None
) -> Iterator[Operation]:
    """What an app reports of one stay in a channel."""
    channel_id, number, joined_ms, left_ms = membership
    joined_said_ms = awake_at(disturbed, joined_ms)
    left_said_ms = awake_at(disturbed, left_ms)
    yield Operation(joined_said_ms, number, Action.JOIN, channel_id, since_ms=joined_ms)
    if left_ms < spec.until_ms:
        yield Operation(left_said_ms, number, Action.LEAVE, channel_id, since_ms=left_ms - 1)
    if disturbed is not None and joined_said_ms < disturbed.to_ms < left_said_ms:
        # An app that connects again reports the channel as joined now. After a new opt-in it
        # reports when the user really joined.
        is_new = disturbed.ends is Action.WIPE
        since_ms = joined_ms if is_new else disturbed.to_ms
        yield Operation(disturbed.to_ms, number, Action.JOIN, channel_id, since_ms=since_ms)


def _hex(*parts: object) -> str:
    return sha256("/".join(map(str, parts)).encode()).hexdigest()[:32]
