"""Records: an app's calls as bytes, written before a call returns, read by the background thread.

Faults of a call are found here. So a record holds either values that can be sent, or a fault.
"""

import logging
import struct
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from devtelemetry.client.check import Fault, Faulty, check_text, check_texts, check_time, checked
from devtelemetry.client.lost import EARLIEST, LATEST
from devtelemetry.client.stays import Joined, Left, Present, Said
from devtelemetry.client.values import Outcome, Recorded, SentAtClock, Via

MAX_SAMPLE_BYTES = 64 * 1024  # of larger ones, too few would fit into one push
_MAX_RECORD_BYTES = 4 * MAX_SAMPLE_BYTES

# Each record begins with its kind and its consent.
_MESSAGE = struct.Struct("<BQqqq4BI7I")
_FAULT = struct.Struct("<BQqB3I")
_CHANNELS = struct.Struct("<BQqBI")
_IS_MESSAGE, _IS_FAULT, _IS_CHANNELS = 1, 2, 3
_SENT_AT = struct.Struct("<q")
_SENT_AT_OFFSET = 17
_AT_ONCE = 32  # records, about a millisecond
_ASIDE_SECONDS = 0.0001
_LOG = logging.getLogger("devtelemetry.client")
_SAYS: tuple[type[Said], ...] = (Joined, Left, Present)


class ChannelsSaid(NamedTuple):
    consent: int
    said: Said


class Faulted(NamedTuple):
    """A call that cannot be used.

    is_sample  whether it was about a message; else it was about channels
    """

    consent: int
    recorded_at: int
    is_sample: bool
    fault: Fault


Item = Recorded | ChannelsSaid | Faulted


def pack_message(
    consent: int,
    recorded_at: int,
    message_id: str,
    channel_id: str,
    sent_at: int,
    topics: bytes,
    envelope_id: str,
    sent_by_receiver: bool,
    received_at: int,
    message_type: str,
    message_size: int,
    outcome: Outcome,
    reason: str,
    via: Via,
    sent_at_clock: SentAtClock,
    app_version: str,
) -> bytes:
    """The record of a message (values.Recorded), or of its fault."""
    try:
        # The fast path, for calls without a fault: nearly all. It is written out because an app
        # waits for it. If anything here raises, the slow path below looks at the call closely.
        if not (
            type(sent_at) is type(received_at) is type(message_size) is int
            and EARLIEST <= sent_at <= LATEST
            and (not received_at or EARLIEST <= received_at <= LATEST)
            and type(via) is Via
            and type(sent_at_clock) is SentAtClock
            and type(topics) is bytes
        ):
            raise ValueError  # noqa: TRY301 - a second function would cost the app a tenth
        texts = message_id + channel_id + envelope_id + message_type + reason + app_version
        record = (
            _MESSAGE.pack(
                _IS_MESSAGE,
                consent,
                recorded_at,
                sent_at,
                received_at,
                sent_by_receiver,
                outcome,
                via,
                sent_at_clock,
                message_size,
                len(message_id),
                len(channel_id),
                len(envelope_id),
                len(message_type),
                len(reason),
                len(app_version),
                len(topics),
            )
            + topics
            + texts.encode()
        )
    except (TypeError, ValueError, struct.error):
        said = Recorded(
            consent,
            recorded_at,
            message_id,
            channel_id,
            sent_at,
            topics,
            envelope_id,
            sent_by_receiver,
            received_at,
            message_type,
            message_size,
            outcome,
            reason,
            via,
            sent_at_clock,
            app_version,
        )
        try:
            # Perhaps the app only used types of its own. If so, plain values are packed.
            return pack_message(*checked(said))
        except Faulty as error:
            return pack_fault(consent, recorded_at, error.fault, is_sample=True)
    if len(record) > _MAX_RECORD_BYTES:
        detail = f"{len(record)} bytes; allowed: up to {MAX_SAMPLE_BYTES}"
        fault = Fault("wrong_value", "sample", detail)
        return pack_fault(consent, recorded_at, fault, is_sample=True)
    return record


def pack_channels(consent: int, recorded_at: int, said: Said) -> bytes:
    """The record of a call about channels, or of its fault."""
    try:
        at, ids = _checked_said(said)
    except Faulty as error:
        return pack_fault(consent, recorded_at, error.fault, is_sample=False)
    lengths = struct.pack(f"<{len(ids)}I", *map(len, ids))
    head = _CHANNELS.pack(_IS_CHANNELS, consent, at, _SAYS.index(type(said)), len(ids))
    return head + lengths + "".join(ids).encode()


def _checked_said(said: Said) -> tuple[int, tuple[str, ...]]:
    at = check_time("at", said.at)
    if isinstance(said, Present):
        ids = check_texts("channel_ids", said.channel_ids)
    else:
        ids = (check_text("channel_id", said.channel_id),)
    if not all(ids):
        raise Faulty(Fault("wrong_value", "channel_id", "empty; allowed: a channel's id"))
    return at, ids


def pack_fault(consent: int, recorded_at: int, fault: Fault, *, is_sample: bool) -> bytes:
    head = _FAULT.pack(_IS_FAULT, consent, recorded_at, is_sample, *map(len, fault))
    return head + "".join(fault).encode(errors="replace")


def unpack(record: bytes) -> Item:
    """What was packed. Raises ValueError, struct.error or IndexError if it is not our record."""
    kind = record[0]
    if kind == _IS_MESSAGE:
        _, consent, recorded_at, sent_at, received_at, *rest = _MESSAGE.unpack_from(record)
        is_own, outcome, via, clock, size, *lengths, topics_bytes = rest
        topics_end = _MESSAGE.size + topics_bytes
        message_id, channel_id, envelope_id, message_type, reason, app_version = _cut(
            record[topics_end:], lengths
        )
        return Recorded(
            consent,
            recorded_at,
            message_id,
            channel_id,
            sent_at,
            record[_MESSAGE.size : topics_end],
            envelope_id,
            bool(is_own),
            received_at,
            message_type,
            size,
            Outcome(outcome),
            reason,
            Via(via),
            SentAtClock(clock),
            app_version,
        )
    if kind == _IS_CHANNELS:
        _, consent, at, which, number = _CHANNELS.unpack_from(record)
        texts_start = _CHANNELS.size + 4 * number
        of_ids = struct.unpack_from(f"<{number}I", record, _CHANNELS.size)
        ids = _cut(record[texts_start:], of_ids)
        return ChannelsSaid(
            consent, Present(tuple(ids), at) if which == 2 else (Joined, Left)[which](ids[0], at)
        )
    if kind != _IS_FAULT:
        raise ValueError(f"a record of kind {kind}")
    _, consent, recorded_at, is_sample, *lengths = _FAULT.unpack_from(record)
    fault = Fault(*_cut(record[_FAULT.size :], lengths))
    return Faulted(consent, recorded_at, bool(is_sample), fault)


def unpack_all(records: Iterable[bytes]) -> Iterator[Item]:
    """Unpacks records in the background. Pauses now and then to let the app's threads run."""
    for number, record in enumerate(records, 1):
        try:
            yield unpack(record)
        except (ValueError, struct.error, IndexError):
            # Its checksum is right, so it is not damaged: another version of the app wrote it.
            _LOG.warning("a record of another version of the app is left out")
        if number % _AT_ONCE == 0:
            # Otherwise the app's threads wait 5 ms for Python's lock, again and again.
            time.sleep(_ASIDE_SECONDS)


def sample_of(record: bytes) -> tuple[int, int] | None:
    """Consent and sentAt (0: not known) of a record about a message; None if about channels."""
    kind = record[0]
    if kind == _IS_CHANNELS or (kind == _IS_FAULT and not record[_SENT_AT_OFFSET]):
        return None
    consent = int.from_bytes(record[1:9], "little")
    if kind == _IS_FAULT:
        return consent, 0
    return consent, _SENT_AT.unpack_from(record, _SENT_AT_OFFSET)[0]


def _cut(encoded: bytes, lengths: Iterable[int]) -> list[str]:
    """Cuts joined texts apart, by their lengths in characters."""
    text = encoded.decode()
    texts, start = [], 0
    for length in lengths:
        texts.append(text[start : start + length])
        start += length
    return texts
