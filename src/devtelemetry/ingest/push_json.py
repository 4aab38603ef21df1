"""A push as JSON, by proto3's JSON mapping: names in either spelling, numbers in quotes or not,
bytes as base64, enums by name or number. null means not said; unknown names are ignored.

If a sample cannot be read, only that sample is refused. If anything else is wrong, the request is
refused, because a response has no field to report it. Why this is not json_format:
docs/adr/0033-a-door-for-browsers.md.
"""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from devtelemetry.ingest.check import Refusal
from devtelemetry.ingest.push import Decoded, Refused, check_count
from devtelemetry.model import Reason
from devtelemetry.v1 import telemetry_pb2

_MOMENTS = {"sent_at", "sentAt", "received_at", "receivedAt"}  # of a sample
_DIGITS = re.compile(r"[0-9]{1,20}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_URL_SAFE = str.maketrans("+/", "-_")
# Elements beyond the limits of check.py are ignored anyway. Elements beyond this are not even read,
# so that a forged body does not cost memory for nothing.
_MOST_ELEMENTS = 10_000
_SHOWN_LETTERS = 60  # of a wrong value, in the refusal

# A newer client may name members that this server does not know. In these enums an unknown name
# counts like an unknown number. In all others the name is refused, and the refusal quotes it.
_OPEN_ENUMS = {"Via", "Clock"}
_NOBODYS_NUMBER = 2**31 - 1


class _Fault(Exception):
    """A field cannot have this value. The text names the field, its value and what is allowed.

    path  of the field, from the message in which it is looked for
    """

    def __init__(self, value: object, allowed: str) -> None:
        super().__init__(allowed)
        text = orjson.dumps(value).decode()
        shown = text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"
        self.path = ""
        self._said = f"{shown}; allowed: {allowed}"

    def below(self, place: str) -> "_Fault":
        """Puts this field or element before the path; returns itself."""
        self.path = place + ("." if self.path and self.path[0] != "[" else "") + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self._said}"


def read_push(body: bytes) -> Decoded:
    """Raises Refused if `body` is not JSON, or if anything but single samples is wrong."""
    request = telemetry_pb2.PushRequest()
    try:
        said = _object(orjson.loads(body))
        samples = said.pop("samples", None)
        _fill(request, said)
        faults = {} if samples is None else _read_samples(samples, request)
    except orjson.JSONDecodeError as error:
        raise _refused(f"the request is not JSON: {error}") from error
    except _Fault as fault:
        raise _refused(str(fault if fault.path else fault.below("the request"))) from fault
    return Decoded(request, faults)


def write_response(response: telemetry_pb2.PushResponse) -> bytes:
    """Writes fields that are 0, too: a page without a library would read an `index` that is absent
    as undefined. `sampling` and `pushIntervalSeconds` are left out if they ask nothing of the
    client. The line break at the end is for people at a terminal."""
    said = json_format.MessageToDict(response, always_print_fields_with_no_presence=True)
    for name in ("sampling", "pushIntervalSeconds"):
        if not said[name]:
            del said[name]
    return json.dumps(said).encode() + b"\n"


def _refused(details: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, details)


def _read_samples(value: Any, request: telemetry_pb2.PushRequest) -> dict[int, Refusal]:
    """Adds samples to the request; returns why some could not be read, by position."""
    try:
        check_count(len(_array(value)))
    except _Fault as fault:
        raise fault.below("samples") from None
    faults = {}
    for position, said in enumerate(value):
        sample = request.samples.add()
        try:
            _fill(sample, said)
        except _Fault as fault:
            sample.Clear()
            reason = Reason.NOT_MILLISECONDS if fault.path in _MOMENTS else Reason.MISSING_FIELD
            faults[position] = Refusal(
                reason, str(fault if fault.path else fault.below("the sample"))
            )
    return faults


# ------------------------------------------------------------------------------ by the descriptors

_Put = Callable[[Any, Any], None]  # sets a field of a message to a value from JSON


def _fill(message: Message, said: Any) -> None:
    """Sets the fields of `message` that are in `said`. Raises _Fault."""
    puts = _PUTS[message.DESCRIPTOR.full_name]
    for name, value in _object(said).items():
        put = puts.get(name)
        if put is not None and value is not None:
            try:
                put(message, value)
            except _Fault as fault:
                raise fault.below(name) from None


def _put_of(field: FieldDescriptor) -> _Put:
    name = field.name
    if field.message_type is None:
        read = _reader_of(field)
        return lambda message, value: setattr(message, name, read(value))
    if not field.is_repeated:

        def put_one(message: Any, value: Any) -> None:
            part = getattr(message, name)
            part.SetInParent()  # the field counts as said, even if it is empty
            _fill(part, value)

        return put_one

    def put_all(message: Any, value: Any) -> None:
        elements = getattr(message, name)
        for position, said in enumerate(_array(value)[:_MOST_ELEMENTS]):
            try:
                _fill(elements.add(), said)
            except _Fault as fault:
                raise fault.below(f"[{position}]") from None

    return put_all


def _reader_of(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.enum_type is not None:
        return _enum_reader(field.enum_type)
    return {
        FieldDescriptor.TYPE_STRING: _text,
        FieldDescriptor.TYPE_BYTES: _bytes,
        FieldDescriptor.TYPE_BOOL: _flag,
        FieldDescriptor.TYPE_UINT32: _whole_number(2**32 - 1),
        FieldDescriptor.TYPE_UINT64: _whole_number(2**64 - 1),
    }[field.type]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Fault(value, "an object")
    return value


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Fault(value, "an array")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Fault(value, "text in quotes")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Fault(value, "true or false")
    return value


def _bytes(value: Any) -> bytes:
    """Standard or URL-safe, padded or not."""
    if isinstance(value, str) and _BASE64.fullmatch(value):
        digits = value.rstrip("=").translate(_URL_SAFE)
        with contextlib.suppress(binascii.Error):
            return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
    raise _Fault(value, "base64 in quotes")


def _whole_number(greatest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        is_digits = isinstance(value, str) and _DIGITS.fullmatch(value)
        is_whole = isinstance(value, float) and value.is_integer()
        number = int(value) if is_digits or is_whole else value
        if type(number) is not int or not 0 <= number <= greatest:  # a bool is an int, too
            raise _Fault(value, f"a whole number from 0 to {greatest}")
        return number

    return read


def _enum_reader(enum: EnumDescriptor) -> Callable[[Any], int]:
    numbers: Mapping[str, int] = {one.name: one.number for one in enum.values}
    allowed = ", ".join(numbers)

    def read(value: Any) -> int:
        if isinstance(value, str):
            number = numbers.get(value, _NOBODYS_NUMBER if enum.name in _OPEN_ENUMS else None)
        else:
            number = value if type(value) is int and -(2**31) <= value < 2**31 else None
        if number is None:
            raise _Fault(value, allowed)
        return number

    return read


def _puts_of(message: Descriptor) -> dict[str, Mapping[str, _Put]]:
    """How to set each field of a message, and of the messages in it, by both names of the field."""
    found: dict[str, Mapping[str, _Put]] = {}
    puts: dict[str, _Put] = {}
    for field in message.fields:
        puts[field.name] = puts[field.json_name] = _put_of(field)
        if field.message_type is not None:
            found |= _puts_of(field.message_type)
    return {**found, message.full_name: puts}


_PUTS = _puts_of(telemetry_pb2.PushRequest.DESCRIPTOR)
