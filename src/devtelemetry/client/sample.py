"""What the app said of a message, and the sample that is made of it. Pure."""

from typing import NamedTuple

from devtelemetry.client.blind import blind_channel, blind_envelope, blind_message
from devtelemetry.client.outbox import Identity, NewMembership, NewSample
from devtelemetry.v1 import telemetry_pb2

MAX_SAMPLE_BYTES = 64 * 1024  # many would not fit one push; the server takes 512 bytes an id
MAX_ID_BYTES = 512  # the server's
LATEST = 10**14  # Unix ms, the server's: whatever is above is no time (and fits no column)
_TIDY_LETTERS = 300


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
        encoded = sample.SerializeToString()
    except (TypeError, ValueError, AttributeError) as error:
        return _unsendable(recorded, f"not a sample: {tidy(str(error))}")
    if sample.sent_at > LATEST:
        return _unsendable(recorded, f"sent_at: {sample.sent_at}; allowed: up to {LATEST}")
    if len(encoded) > MAX_SAMPLE_BYTES:
        return _unsendable(recorded, f"{len(encoded)} bytes; allowed: up to {MAX_SAMPLE_BYTES}")
    # As it was encoded: the app may have said it in a type of its own.
    return NewSample(encoded, sample.sent_at, recorded.recorded_at)


def to_membership(said: NewMembership, identity: Identity, since: int) -> NewMembership | None:
    """What may be said of a membership: nothing of before the opt-in. None: nothing at all.

    since  the opt-in, Unix ms

    Raises ValueError if the app said what no server takes.
    """
    channel_id, joined_at, left_at = said
    if not isinstance(channel_id, str) or not 0 < len(channel_id.encode()) <= MAX_ID_BYTES:
        raise ValueError(f"a channel's id is a text of 1 to {MAX_ID_BYTES} bytes")
    for at in (joined_at, left_at):
        if at is not None and (not isinstance(at, int) or not 0 <= at <= LATEST):
            raise ValueError(f"{at!r} is no time in Unix milliseconds")
    if left_at is not None and left_at < since:
        return None
    if joined_at is not None:
        joined_at = max(joined_at, since)
    return NewMembership(
        blind_channel(channel_id) if identity.blind_ids else channel_id, joined_at, left_at
    )


def tidy(text: str) -> str:
    """`text` from elsewhere as a person may see it: not too long, no letter that moves a cursor."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:_TIDY_LETTERS])
    return shown if len(text) <= _TIDY_LETTERS else f"{shown}…"


def _unsendable(recorded: Recorded, reason: str) -> NewSample:
    return NewSample(b"", recorded.recorded_at, recorded.recorded_at, reason)
