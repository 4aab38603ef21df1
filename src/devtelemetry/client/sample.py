"""Makes a sample from a call about a message, and the other messages of the wire. Pure."""

import logging
import re
from typing import NamedTuple

from devtelemetry.client.blind import blind_channel, blind_envelope, blind_message, short_id
from devtelemetry.client.check import Fault, Faulty
from devtelemetry.client.identity import Identity
from devtelemetry.client.lost import LostNumbers
from devtelemetry.client.outbox import NewSample
from devtelemetry.client.record import MAX_SAMPLE_BYTES
from devtelemetry.client.stays import Joined, Left, Present, Said, Stay
from devtelemetry.client.values import Recorded
from devtelemetry.v1 import telemetry_pb2

_REASON = re.compile(r"[a-z0-9_.-]{1,64}")
_TIDY_LETTERS = 300
_LOG = logging.getLogger("devtelemetry.client")


class Ids(NamedTuple):
    """The ids of a message, as they are sent."""

    channel_id: str
    message_id: str
    envelope_id: str


def ids_of(recorded: Recorded, identity: Identity) -> Ids:
    channel_id, message_id = recorded.channel_id, recorded.message_id
    if not identity.blind_ids:
        return Ids(short_id(channel_id), short_id(message_id), short_id(recorded.envelope_id))
    # An empty id stays empty, so that the server can report it as missing.
    return Ids(
        blind_channel(channel_id) if channel_id else "",
        blind_message(channel_id, message_id) if message_id else "",
        blind_envelope(channel_id, recorded.envelope_id),
    )


def to_sample(recorded: Recorded, identity: Identity, ids: Ids, one_in: int) -> NewSample:
    """The sample, encoded as it is sent. Raises Faulty if it is too large.

    one_in  the sampling under which it is recorded
    """
    sample = telemetry_pb2.Sample(**ids._asdict())
    if not identity.blind_ids:  # topics would reveal the channel to people who know the messenger
        sample.topics = recorded.topics
    sample.sent_at = recorded.sent_at
    sample.sent_by_receiver = recorded.sent_by_receiver
    sample.received_at = recorded.received_at
    sample.message_type = recorded.message_type
    sample.message_size = recorded.message_size
    sample.outcome = telemetry_pb2.Sample.Outcome.ValueType(recorded.outcome)
    sample.reason = _code(recorded.reason)
    sample.via = telemetry_pb2.Sample.Via.ValueType(recorded.via)
    sample.sent_at_clock = telemetry_pb2.Sample.Clock.ValueType(recorded.sent_at_clock)
    encoded = sample.SerializeToString()
    if len(encoded) > MAX_SAMPLE_BYTES:
        allowed = f"{len(encoded)} bytes; allowed: up to {MAX_SAMPLE_BYTES}"
        raise Faulty(Fault("wrong_value", "sample", allowed))
    return NewSample(
        encoded, recorded.sent_at, recorded.recorded_at, recorded.app_version, one_in=one_in
    )


def to_said(said: Said, identity: Identity) -> Said:
    """`said` with the channels' ids as they are sent."""

    def as_sent(channel_id: str) -> str:
        return blind_channel(channel_id) if identity.blind_ids else short_id(channel_id)

    match said:
        case Joined(channel_id, at):
            return Joined(as_sent(channel_id), at)
        case Left(channel_id, at):
            return Left(as_sent(channel_id), at)
        case Present(channel_ids, at):
            return Present(tuple(map(as_sent, channel_ids)), at)


def to_membership(stay: Stay) -> telemetry_pb2.Membership:
    return telemetry_pb2.Membership(
        channel_id=stay.channel_id, joined_at=stay.joined_at, left_at=stay.left_at
    )


def to_lost(numbers: LostNumbers) -> telemetry_pb2.Lost:
    return telemetry_pb2.Lost(**numbers._asdict())


def _code(reason: str) -> str:
    """`reason` if it is a code, else empty: other text might be private."""
    if not reason or _REASON.fullmatch(reason):
        return reason
    _LOG.warning(
        "a reason is left out, because it is not a code; allowed: 1 to 64 of a-z, 0-9, _ . -"
    )
    return ""


def tidy(text: str) -> str:
    """`text` from elsewhere, safe to show: not too long, and no control characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:_TIDY_LETTERS])
    return shown if len(text) <= _TIDY_LETTERS else f"{shown}…"
