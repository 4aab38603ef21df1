"""What the app said of a message, and the sample that is made of it. Pure."""

import logging
import re
from enum import IntEnum
from typing import NamedTuple

from devtelemetry.client.blind import blind_channel, blind_envelope, blind_message
from devtelemetry.client.lost import LATEST, LostNumbers
from devtelemetry.client.outbox import Identity, NewSample
from devtelemetry.client.stays import Joined, Left, Present, Said, Stay
from devtelemetry.v1 import telemetry_pb2

MAX_SAMPLE_BYTES = 64 * 1024  # many would not fit one push; the server takes 512 bytes an id
MAX_ID_BYTES = 512  # the server's
_REASON = re.compile(r"[a-z0-9_.-]{1,64}")
_TIDY_LETTERS = 300
_LOG = logging.getLogger("devtelemetry.client")


class Outcome(IntEnum):
    """What became of a message on this device."""

    HELD = 0  # the app has it, readable
    UNREADABLE = 1  # it arrived, and could not be decrypted or decoded
    DROPPED = 2  # it arrived readable, and the app threw it away
    SEND_FAILED = 3  # the app gave up sending it


class Via(IntEnum):
    """How a message came."""

    NOT_SAID = 0
    LIVE = 1
    HISTORY = 2  # from an archive, a store, a sync gap, a backfill
    RESENT = 3  # asked for, or sent again by its author


class SentAtClock(IntEnum):
    """Whose clock a message's sent_at is by."""

    AUTHOR = 0
    SERVER = 1  # the messenger's server or log stamped it, the same for all
    RECEIVER = 2  # the message carries no time, this device took its own


class Recorded(NamedTuple):
    """One call of the app's, as it was made."""

    consent: int
    recorded_at: int  # Unix ms, this device's clock
    message_id: str
    channel_id: str
    sent_at: int  # Unix ms, the sender's clock
    topics: bytes
    envelope_id: str
    sent_by_receiver: bool
    received_at: int  # Unix ms, this device's clock; 0: unknown
    message_type: str
    message_size: int  # bytes
    outcome: Outcome
    reason: str
    via: Via
    sent_at_clock: SentAtClock


def to_sample(recorded: Recorded, identity: Identity) -> NewSample:
    """The sample as it is sent. One that cannot be sent says why instead."""
    sample = telemetry_pb2.Sample()
    try:
        if identity.blind_ids:
            channel_id = recorded.channel_id
            # What is empty stays empty: the server says what is missing.
            sample.channel_id = blind_channel(channel_id) if channel_id else ""
            if recorded.message_id:
                sample.message_id = blind_message(channel_id, recorded.message_id)
            sample.envelope_id = blind_envelope(channel_id, recorded.envelope_id)
            # Topics name the channel to whoever knows the messenger.
        else:
            sample.channel_id = recorded.channel_id
            sample.message_id = recorded.message_id
            sample.envelope_id = recorded.envelope_id
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
    except (TypeError, ValueError, AttributeError) as error:
        return _unsendable(recorded, f"not a sample: {tidy(str(error))}")
    if sample.sent_at > LATEST:
        return _unsendable(recorded, f"sent_at: {sample.sent_at}; allowed: up to {LATEST}")
    if len(encoded) > MAX_SAMPLE_BYTES:
        return _unsendable(recorded, f"{len(encoded)} bytes; allowed: up to {MAX_SAMPLE_BYTES}")
    # As it was encoded: the app may have said it in a type of its own.
    return NewSample(encoded, sample.sent_at, recorded.recorded_at)


def to_said(said: Said, identity: Identity) -> Said:
    """As it is sent. Raises ValueError if the app said what no server takes."""
    if type(said.at) is not int or not 0 <= said.at <= LATEST:
        raise ValueError(f"{said.at!r} is no time in Unix milliseconds")

    def as_sent(channel_id: str) -> str:
        if type(channel_id) is not str or not 0 < len(channel_id.encode()) <= MAX_ID_BYTES:
            raise ValueError(f"a channel's id is a text of 1 to {MAX_ID_BYTES} bytes")
        return blind_channel(channel_id) if identity.blind_ids else channel_id

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
    """A reason is sent as a code or not at all: other text might be somebody's."""
    if not reason or _REASON.fullmatch(reason):
        return reason
    _LOG.warning("a reason is left out that is no code: allowed are 1 to 64 of a-z, 0-9, _ . -")
    return ""


def tidy(text: str) -> str:
    """`text` from elsewhere as a person may see it: not too long, no letter that moves a cursor."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:_TIDY_LETTERS])
    return shown if len(text) <= _TIDY_LETTERS else f"{shown}…"


def _unsendable(recorded: Recorded, reason: str) -> NewSample:
    return NewSample(b"", recorded.recorded_at, recorded.recorded_at, reason)
