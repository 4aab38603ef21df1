"""What an app says of a message."""

from enum import IntEnum
from typing import NamedTuple


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
    app_version: str  # of the app that recorded it
