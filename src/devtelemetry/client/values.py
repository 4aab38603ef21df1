"""What an app says about a message."""

from enum import IntEnum
from typing import NamedTuple


class Outcome(IntEnum):
    """What became of a message on this device."""

    HELD = 0  # the app has the message and can read it
    UNREADABLE = 1  # the message arrived but could not be decrypted or decoded
    DROPPED = 2  # the message arrived readable, and the app threw it away
    SEND_FAILED = 3  # the app gave up sending the message


class Via(IntEnum):
    """How a message came."""

    NOT_SAID = 0
    LIVE = 1
    HISTORY = 2  # from an archive, a store, a sync gap or a backfill
    RESENT = 3  # this device asked for the message, or its author sent it again


class SentAtClock(IntEnum):
    """Which clock a message's sent_at is from."""

    AUTHOR = 0
    SERVER = 1  # the messenger's server or log stamped the message: one time for all
    RECEIVER = 2  # the message carries no time; this device used its own


class Recorded(NamedTuple):
    """One call of the app about a message, as it was made."""

    consent: int
    recorded_at: int  # Unix ms, this device's clock
    message_id: str
    channel_id: str
    sent_at: int  # Unix ms, by sent_at_clock
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
