"""The fields of a line: their names in a file, and what each may hold. Pure.

Reading and writing both take the names of a sample's fields from here.
"""

import binascii
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

import orjson

from devtelemetry.ingest.check import MAX_SEQUENCE, is_milliseconds, is_reason
from devtelemetry.model import Outcome, ReportRun, SentAtClock, Source, Via
from devtelemetry.v1.sampling import MOST_ONE_IN, is_rate

GREATEST_SIZE = 2**32 - 1  # the wire's uint32
_Named = TypeVar("_Named", bound=IntEnum)
_SHOWN = 60  # characters of a bad value in an error


class BadLine(ValueError):
    """A line cannot be read or is refused. The text has the field, its value, and what is allowed.

    run  the number of a refused sample, because the number did arrive
    """

    def __init__(self, why: str, run: ReportRun | None = None) -> None:
        super().__init__(why)
        self.run = run


def _text(value: object) -> str:
    if type(value) is not str:
        raise BadLine(f"{show(value)} is not text; allowed: text")
    return value


def _whole_number(value: object) -> int:
    # type(), not isinstance(), because true is an int in Python but not a number in a file.
    if type(value) is not int:
        raise BadLine(f"{show(value)} is not a whole number; allowed: Unix milliseconds")
    return value


def _created_at(value: object) -> int | None:
    return None if value is None else _time(value)


def _time(value: object) -> int:
    number = _whole_number(value)
    if not is_milliseconds(number):
        raise BadLine(f"{number} is not a time in Unix milliseconds; allowed: Unix milliseconds")
    return number


def sequence(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SEQUENCE:
        raise BadLine(f"{show(value)} is not the number of a sample; allowed: 1 to {MAX_SEQUENCE}")
    return value


def one_in(value: object) -> int:
    if type(value) is not int or not is_rate(value):
        raise BadLine(f"{show(value)}; allowed: a power of two up to {MOST_ONE_IN}")
    return value


def _left_at(value: object) -> int:
    return 0 if type(value) is int and value == 0 else _time(value)


def _size(value: object) -> int:
    if type(value) is not int or not 0 <= value <= GREATEST_SIZE:
        raise BadLine(f"{show(value)} is not a size; allowed: 0 to {GREATEST_SIZE} bytes")
    return value


def _yes_or_no(value: object) -> bool:
    if type(value) is not bool:
        raise BadLine(f"{show(value)} is neither true nor false; allowed: true or false")
    return value


def _bytes(value: object) -> bytes:
    text = _text(value)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one, and so is a letter beyond ASCII
        raise BadLine(f"{show(value)} is not base64; allowed: base64 with padding") from None


def _source(value: object) -> Source:
    try:
        return Source(_text(value))
    except ValueError:
        allowed = " or ".join(Source)
        raise BadLine(f"{show(value)} is not a source; allowed: {allowed}") from None


def _named(names: type[_Named]) -> Callable[[object], _Named]:
    """A function that finds a member by its name in lower case."""
    by_name = {member.name.lower(): member for member in names}

    def take(value: object) -> _Named:
        if type(value) is not str or value not in by_name:
            raise BadLine(f"{show(value)}; allowed: {', '.join(by_name)}")
        return by_name[value]

    return take


def _reason(value: object) -> str:
    text = _text(value)
    if text and not is_reason(text):
        raise BadLine(f"{show(value)} is not a code; allowed: up to 64 of a-z, 0-9, _ . -")
    return text


def show(value: object) -> str:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        return "something nested too deeply"  # orjson reads deeper nesting than it writes
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# If a value has this type, the function would return it unchanged. So the call is left out, which
# saves ten calls for each line.
PLAIN: Mapping[Callable[[object], Any], type] = {
    _text: str,
    _whole_number: int,
    _yes_or_no: bool,
}
# By the name in a file: the field of Sample, and the function that reads its value.
FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "messageId": ("message_id", _text),
    "channelId": ("channel_id", _text),
    "receiverPublicKey": ("receiver_public_key", _text),
    "sentAt": ("sent_at", _whole_number),
    "createdAt": ("created_at", _created_at),
    "installationId": ("installation_id", _text),
    "sentByReceiver": ("sent_by_receiver", _yes_or_no),
    "topics": ("topics", _bytes),
    "envelopeId": ("envelope_id", _text),
    "platform": ("platform", _text),
    "appVersion": ("app_version", _text),
    "receivedAt": ("received_at", _whole_number),
    "messageType": ("message_type", _text),
    "messageSize": ("message_size", _size),
    "source": ("source", _source),
    "outcome": ("outcome", _named(Outcome)),
    "reason": ("reason", _reason),
    "via": ("via", _named(Via)),
    "sentAtClock": ("sent_at_clock", _named(SentAtClock)),
    "server": ("server", _text),
}
# A line with a rule of sampling: clients were to report one of how many messages, from when on.
RULE_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "samplingSalt": ("salt", _bytes),
    "oneIn": ("one_in", one_in),
    "from": ("from_ms", _time),
    "channelId": ("channel_id", _text),
}
RULE_REQUIRED = ("samplingSalt", "oneIn", "from")
# A line with the numbers of an installation's samples that arrived, or are lost.
RUN_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "installationId": ("installation_id", _text),
    "firstSequence": ("first_sequence", sequence),
    "lastSequence": ("last_sequence", sequence),
    "firstSentAt": ("first_sent_at", _time),
    "lastSentAt": ("last_sent_at", _time),
    "lost": ("lost", _yes_or_no),
}
# A line with the time when a receiver joined or left a channel.
MEMBERSHIP_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "channelId": ("channel_id", _text),
    "receiverPublicKey": ("receiver_public_key", _text),
    "installationId": ("installation_id", _text),
    "joinedAt": ("joined_at", _time),
    "joinedSaidAt": ("joined_said_at", _time),
    "leftAt": ("left_at", _left_at),
    "leftSaidAt": ("left_said_at", _time),
}
MEMBERSHIP_REQUIRED = ("channelId", "receiverPublicKey")
RUN_REQUIRED = ("installationId", "firstSequence", "lastSequence")
REQUIRED = ("channelId", "receiverPublicKey", "sentAt", "createdAt")
NAMES = {attribute: name for name, (attribute, _) in FIELDS.items()}
SPELLINGS = {
    name.lower(): name
    for name in (*FIELDS, *RUN_FIELDS, *MEMBERSHIP_FIELDS, *RULE_FIELDS, "sequence")
}
