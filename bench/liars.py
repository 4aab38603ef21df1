"""Installations that lie, in a world of honest ones. Pure.

Each claims to be in every channel since before the measured span, and keeps reporting. Its reports
are numbered and in time, so only their content differs from honest reports.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from bench.pushes import MOST_SAMPLES, PUSH_MS, Push
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import Message, World
from devtelemetry.v1 import telemetry_pb2

_HELD_AFTER_MS = 500


class Hand(NamedTuple):
    """One liar.

    name          its key
    installation  the installation that it claims to be; empty: one of its own
    address       from which it reports; empty: not known
    """

    name: str
    installation: str = ""
    address: str = ""


_CLAIMS, _INVENTS = Hand("claims everything"), Hand("invents")


def claims_nothing(world: World) -> list[Push]:
    """One that is in every channel and holds nothing."""
    return _liar(world, Hand("claims nothing"), {})


def claims_everything(world: World, hand: Hand = _CLAIMS) -> list[Push]:
    """One that claims to hold every message that anybody reports, and to have written none."""
    return _liar(world, hand, _known(world))


def invents(
    world: World, times: float = 1.0, hands: Sequence[Hand] = (_INVENTS,), tag: str = ""
) -> list[Push]:
    """Liars that claim to hold all messages, and made-up ones in every channel.

    times  made-up messages for each real one in the measured span
    hands  the liars, which all report the same
    tag    for the ids of made-up messages; other tags make other messages
    """
    held = _known(world)
    for channel_id, count in _measured(world, held).items():
        held[channel_id].extend(_made_up(world, channel_id, int(times * count), tag))
    return _together(_liar(world, hand, held) for hand in hands)


def invents_a_tenth(world: World, hands: Sequence[Hand] = (_INVENTS,)) -> list[Push]:
    """The same, but only a tenth of all messages of each channel are made up."""
    return invents(world, 1 / 9, hands)


def floods(world: World) -> list[Push]:
    """Claims to hold all messages, and as many made-up ones in the quietest channel."""
    held = _known(world)
    counts = _measured(world, held)
    quietest = min(counts, key=lambda channel_id: (counts[channel_id], channel_id))
    held[quietest].extend(_made_up(world, quietest, sum(counts.values())))
    return _liar(world, Hand("floods"), held)


def colludes(world: World) -> list[Push]:
    """Two liars that invent the same messages."""
    return invents(world, hands=(Hand("one of two"), Hand("the other of two")))


def are_silent(world: World, hands: Sequence[Hand]) -> list[Push]:
    """Liars that are in every channel, and never held anything."""
    return _together(_liar(world, hand, {}) for hand in hands)


def held_once(world: World, hands: Sequence[Hand]) -> list[Push]:
    """Liars that are in every channel, and held the first real message of the measured span."""
    known = [message for found in _known(world).values() for message in found]
    one = min(
        (message for message in known if message.sent_at >= world.spec.start_ms),
        key=lambda message: message.sent_at,
    )
    return _together(_liar(world, hand, {one.channel_id: [one]}) for hand in hands)


def _together(of_each: Iterable[list[Push]]) -> list[Push]:
    return sorted((push for pushes in of_each for push in pushes), key=lambda push: push.at_ms)


LIARS: Mapping[str, Callable[[World], list[Push]]] = {
    "invents as many messages as there are": invents,
    "invents a tenth": invents_a_tenth,
    "claims to hold everything": claims_everything,
    "claims to hold nothing": claims_nothing,
    "floods the quietest channel": floods,
    "two invent the same, as many as there are": colludes,
}
"""What the liars do → their pushes"""


def _known(world: World) -> dict[str, list[Message]]:
    """Channel → the messages that somebody reports, for every channel."""
    reported = {one.message.message_id for one in report(world).arrived}
    found: dict[str, list[Message]] = {channel.channel_id: [] for channel in world.channels}
    for message in world.messages:
        if message.message_id in reported:
            found[message.channel_id].append(message)
    return found


def _measured(world: World, held: Mapping[str, list[Message]]) -> dict[str, int]:
    """Channel → how many of these messages are sent in the measured span."""
    start_ms, end_ms = world.spec.start_ms, world.spec.end_ms
    return {
        channel_id: sum(start_ms <= message.sent_at < end_ms for message in messages)
        for channel_id, messages in held.items()
    }


def _made_up(world: World, channel_id: str, count: int, tag: str = "") -> Iterable[Message]:
    """So many made-up messages, anywhere in the measured span."""
    spec = world.spec
    dice = random.Random(f"{spec.seed} made up {channel_id}")
    for number in range(count):
        at_ms = dice.randrange(spec.start_ms, spec.end_ms)
        digest = sha256(
            f"{spec.fingerprint} made up{tag} {channel_id} {number}".encode()
        ).hexdigest()
        yield Message(
            f"0x{digest[:32]}",
            channel_id,
            at_ms,
            at_ms,
            None,
            dice.randint(80, 2_000),
            dice.choice(spec.message_types).name,
        )


def _liar(world: World, hand: Hand, held: Mapping[str, list[Message]]) -> list[Push]:
    spec = world.spec
    reporter = telemetry_pb2.Reporter(
        receiver_public_key="0x04" + sha256(f"{spec.fingerprint} {hand.name}".encode()).hexdigest(),
        installation_id=f"{spec.fingerprint}-{hand.installation or hand.name}",
        platform=world.nodes[0].platform,
        app_version=world.nodes[0].app_version,
    )
    joined = [
        telemetry_pb2.Membership(channel_id=channel.channel_id, joined_at=spec.begin_ms)
        for channel in world.channels
    ]
    messages = sorted(
        (message for of_channel in held.values() for message in of_channel),
        key=lambda message: message.at_ms,
    )
    found = [_push(reporter, spec.begin_ms, memberships=joined)]
    for first in range(0, len(messages), MOST_SAMPLES):
        batch = messages[first : first + MOST_SAMPLES]
        at_ms = batch[-1].at_ms + PUSH_MS
        found.append(_push(reporter, at_ms, [_sample(one) for one in batch], first + 1))
    found.append(_push(reporter, spec.until_ms + PUSH_MS))
    return [push._replace(address=hand.address) for push in found]


def _push(
    reporter: telemetry_pb2.Reporter,
    at_ms: int,
    samples: Iterable[telemetry_pb2.Sample] = (),
    first_sequence: int = 0,
    *,
    memberships: Iterable[telemetry_pb2.Membership] = (),
) -> Push:
    request = telemetry_pb2.PushRequest(
        samples=samples,
        reporter=reporter,
        first_sequence=first_sequence,
        client_time=at_ms,
        memberships=memberships,
    )
    return Push(at_ms, request)


def _sample(message: Message) -> telemetry_pb2.Sample:
    return telemetry_pb2.Sample(
        message_id=message.message_id,
        channel_id=message.channel_id,
        sent_at=message.sent_at,
        received_at=message.at_ms + _HELD_AFTER_MS,
        message_type=message.message_type,
        message_size=message.size_bytes,
    )
