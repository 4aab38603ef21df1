"""Valid reports spoilt at random: fields, structure and bytes. Pure: the dice decide everything."""

import json
import random
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

TEXTS = (
    "", " ", "\0", "a\0b", "x" * 128, "x" * 129, "é" * 256, "x" * 513, "x" * 100_000,
    "\ufeff", "\u202e", "\U0001f9ea", "\uffff", "a\nb\r\n\r\nc", "<script>",
    "'; drop table receipts; --", "%s%n", "{0.__class__}", "../../etc/passwd",
    "dt-receiver:05439f07ef259de1:1171956f116303a0:-", "null", "NaN", "-1", "1e400",
)  # fmt: skip
# Numbers at the bounds of types, of units of time, and of the protocol's ranges.
NUMBERS = (
    0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**53 + 1,
    2**63 - 1, 2**63, 2**64 - 1, 10**11 - 1, 10**11, 10**14, 10**14 + 1,
    253_402_300_799_999, 253_402_300_800_000,
)  # fmt: skip
_LOOSE: tuple[Any, ...] = (
    None, True, False, -1, 0.5, 1e308, float("inf"), float("nan"), 10**40,
    [], {}, [[]], [None], {"": ""}, "\ud800",
)  # fmt: skip
DEPTH = 20_000  # of nested brackets
_COPIES = (1, 1, 2, 30, 300, 5_001)


def spoil_message(dice: random.Random, message: Message) -> None:
    """Changes some fields of a protobuf message, or of messages in it."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        _spoil_one(dice, message)


def _spoil_one(dice: random.Random, message: Message) -> None:
    fields: Any = message.DESCRIPTOR.fields
    field: FieldDescriptor = dice.choice(fields)
    values: Any = getattr(message, field.name)
    if field.is_repeated:
        _spoil_list(dice, values)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if dice.random() < 0.1:
            message.ClearField(field.name)
        else:
            _spoil_one(dice, values)
    else:
        setattr(message, field.name, _value(dice, field))


def _spoil_list(dice: random.Random, values: Any) -> None:
    if not values or dice.random() < 0.1:
        values.add()
    elif dice.random() < 0.1:
        del values[dice.randrange(len(values)) :]
    elif dice.random() < 0.1:
        values.extend([dice.choice(values)] * dice.choice(_COPIES))
    else:
        _spoil_one(dice, dice.choice(values))


def _value(dice: random.Random, field: FieldDescriptor) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return dice.randbytes(dice.choice((0, 1, 4, 4096, 4097, 50_000)))
        case FieldDescriptor.CPPTYPE_STRING:
            return dice.choice(TEXTS)
        case FieldDescriptor.CPPTYPE_BOOL:
            return not dice.randrange(2)
        case FieldDescriptor.CPPTYPE_ENUM:
            return dice.choice((0, 1, 2, 3, 4, 99, 2**31 - 1, -1, -(2**31)))
        case FieldDescriptor.CPPTYPE_UINT32:
            return dice.choice(NUMBERS) % 2**32
        case _:
            return dice.choice(NUMBERS)


def spoil_document(dice: random.Random, document: Any) -> Any:
    """A copy of a JSON value with some parts replaced, removed or repeated."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        document = _spoil_part(dice, document)
    return document


def _spoil_part(dice: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        other = dict(value)
        kind = dice.random()
        if kind < 0.1:
            del other[key]
        elif kind < 0.2:
            other[dice.choice(TEXTS)] = other.pop(key)
        else:
            other[key] = _spoil_part(dice, value[key])
        return other
    if isinstance(value, list) and value and dice.random() < 0.9:
        place = dice.randrange(len(value))
        kind = dice.random()
        if kind < 0.1:
            return value[:place]
        if kind < 0.2:
            return value + [value[place]] * dice.choice(_COPIES)
        return [*value[:place], _spoil_part(dice, value[place]), *value[place + 1 :]]
    return dice.choice((dice.choice(TEXTS), dice.choice(NUMBERS), -1, dice.choice(_LOOSE)))


def written(dice: random.Random, document: Any) -> bytes:
    """The value as JSON, sometimes with bytes that no JSON writer makes."""
    text = json.dumps(document, ensure_ascii=dice.random() < 0.5)
    kind = dice.random()
    if kind < 0.02:
        text = text.replace("null", "[" * DEPTH, 1) if "null" in text else "[" * DEPTH
    elif kind < 0.04:
        text = '{"samples":' * DEPTH
    elif kind < 0.06:
        text = "\ufeff" + text
    elif kind < 0.08:
        text = text.replace(":", ":1" + "0" * 5000 + "1,", 1)
    return text.encode("utf-8", "surrogatepass")


def _flip(dice: random.Random, body: bytearray) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)


def _cut(dice: random.Random, body: bytearray) -> None:
    del body[dice.randrange(len(body)) :]


def _insert(dice: random.Random, body: bytearray) -> None:
    place = dice.randrange(len(body))
    body[place:place] = dice.randbytes(dice.choice((1, 2, 16, 1000)))


def _drop(dice: random.Random, body: bytearray) -> None:
    place = dice.randrange(len(body))
    del body[place : place + dice.randrange(1, 30)]


def _repeat(dice: random.Random, body: bytearray) -> None:
    place = dice.randrange(len(body))
    body[place:place] = body[place : place + dice.randrange(1, 200)] * dice.randrange(1, 50)


def _group(dice: random.Random, body: bytearray) -> None:
    # Nested groups of an unknown field, on which a recursive reader would overflow its stack.
    body.extend(b"\xfb\x7f" * dice.choice((10, 1_000, DEPTH)))


def _long_number(dice: random.Random, body: bytearray) -> None:
    body.extend(b"\x20" + b"\xff" * dice.randrange(1, 20))


def _noise(dice: random.Random, body: bytearray) -> None:
    body[:] = dice.randbytes(dice.choice((1, 5, 100, 10_000)))


_SPOILERS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _flip, _flip, _cut, _insert, _drop, _repeat, _group, _long_number, _noise,
)  # fmt: skip


def spoil_bytes(dice: random.Random, body: bytes) -> bytes:
    found = bytearray(body or b"\0")
    for _ in range(dice.choice((1, 1, 2))):
        dice.choice(_SPOILERS)(dice, found)
        if not found:
            break
    return bytes(found)
