"""Which samples a server takes, and with which times (docs/protocol.md).

How the page is read where it leaves a choice:

- Only a time *by the author's clock* can be replaced. A time by a server's or a receiver's clock
  that is too far ahead is refused. The time that replaces an author's must itself be neither too
  old nor too far ahead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.samples import OracleSample

SECOND_MS = 1_000
HOUR_MS = 3_600 * SECOND_MS
DAY_MS = 24 * HOUR_MS
RETENTION_MS = 7 * DAY_MS
CLOCK_SKEW_MS = HOUR_MS

NO_ID = frozenset({"", "0x"})
"""What status-go's clients write if they could not decode an id."""


def rejection(sample: OracleSample) -> str | None:
    """Why a server refuses this receipt; None if it takes it.

    missing_field   it names no message, channel or receiver; `0x` names none. An unreadable
                    sample needs no message id if it has the id of an envelope
    too_old         the message was sent before the oldest UTC day that is kept
    in_the_future   the message was sent more than the clock skew after the sample arrived
    """
    assert sample.created_at is not None
    by_envelope = sample.outcome == "unreadable" and sample.envelope_id not in NO_ID
    if sample.message_id in NO_ID and not by_envelope:
        return "missing_field"
    if not sample.channel_id or not sample.receiver_public_key:
        return "missing_field"
    oldest = (sample.created_at - RETENTION_MS) // DAY_MS * DAY_MS
    if sample.sent_at < oldest:
        return "too_old"
    if sample.sent_at > sample.created_at + CLOCK_SKEW_MS:
        return "in_the_future"
    return None


def taken(sample: OracleSample, client_time: int | None) -> OracleSample | str:
    """The sample as a server stores it, or why the server refuses it.

    sample       as it was pushed: received_at is by the client's clock
    client_time  what that clock read at the push; None: not said

    If the author's time is too far ahead, received_at takes its place, if the sample has one.
    """
    assert sample.created_at is not None
    offset = None if client_time is None else sample.created_at - client_time

    def put_right(at: int, offset: int) -> int:
        return min(at + offset, sample.created_at or 0)

    received_at = sample.received_at
    if received_at is not None and offset is not None:
        received_at = put_right(received_at, offset)
    moment = received_at
    if sample.says_it_wrote_it:
        moment = None if offset is None else put_right(sample.sent_at, offset)

    stored = replace(sample, received_at=moment)
    is_no_time = sample.sent_at_clock == "author" and rejection(sample) == "in_the_future"
    if is_no_time and received_at is not None:
        stored = replace(stored, sent_at=received_at, sent_at_clock="receiver")
    return rejection(stored) or stored
