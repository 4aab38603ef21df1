"""Turns what shipped status-go clients post into samples. Pure: the clock is a parameter.

docs/protocol.md, "HTTP", has the fields and where they go; tests/data/README.md has the quirks of
the real client. Three rules always hold:

1.  A bad sample does not affect the other samples of its item, and a bad item does not affect the
    batch. The client sends a batch again as a whole until it gets an answer for all of it.
2.  What is refused is counted under a reason, never silently dropped.
3.  If the client sends items again, it repeats them byte for byte, and they give the same rows.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

import orjson

from devtelemetry.ingest.check import MAX_ID_BYTES, AgeLimits, check
from devtelemetry.model import EnvelopeEvent, Outcome, Reason, SaidOfEnvelope, Sample, Source
from devtelemetry.model.errors import DevTelemetryError

# The most items of one body. The client keeps 5,000 items and adds those of up to 80 s; 16 MiB hold
# 24,000 of its samples. Forged items have a few bytes each, and their values would fill the memory.
MAX_REPORTS = 25_000
MAX_ITEM_BYTES = 2**20  # if items are read one by one; enough for 1,500 messages of one envelope

_NO_ID = frozenset({"", "0x"})  # what the client writes if it could not decode an id
_GREATEST_SIZE = 2**32 - 1  # the protocol's uint32; a greater messageSize is ignored

# One step goes to the next bracket or comma outside of strings, or to the end. All quantifiers are
# possessive and a string may lack its end. So each step succeeds, and no byte is looked at twice.
_STRUCTURE = re.compile(
    rb'(?:[^"\[\]{},]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)*+([\[\]{},]|\Z)', re.DOTALL
)
# 16 MiB of the client's items take 400,000 steps. A forged body must not keep a core busy for long.
_MOST_STRUCTURE = 2_000_000
# 16 MiB of the client's items have 50,000 objects and arrays. An empty one has three bytes as JSON
# and a hundred in Python.
_MOST_CONTAINERS = 200_000


class Refused(StrEnum):
    """Reasons in addition to model.Reason. The values are labels in metrics."""

    NOT_JSON = "not_json"
    NOT_AN_ARRAY = "not_an_array"
    WRONG_SHAPE = "wrong_shape"  # JSON, but not in the form of its type
    TOO_LARGE = "too_large"  # the whole body, or one item if items are read one by one
    TOO_MANY = "too_many"


class Unreadable(DevTelemetryError):
    """The body has no items that could be accepted or refused."""

    def __init__(self, reason: Refused, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Report:
    """What one body brought.

    not_kept    how many items are of types that are not kept
    rejections  how many samples, envelopes and other items were refused, by reason; the keys are
                the labels of model.Reason and Refused
    """

    samples: list[Sample] = field(default_factory=list)
    said_of_envelopes: list[SaidOfEnvelope] = field(default_factory=list)
    not_kept: int = 0
    rejections: Counter[str] = field(default_factory=Counter)


_Add = Callable[[Report, dict[str, Any], AgeLimits, int], None]


def read_record_metrics(body: bytes, limits: AgeLimits, now_ms: int) -> Report:
    """The body of /record-metrics: an array of items of all kinds.

    now_ms  Unix ms; becomes created_at, and ages are counted from it

    Raises Unreadable if the body is not a JSON array.
    """
    report = Report()
    parts = _parts(_items(body, report), report)
    for item_type, data in islice(parts, MAX_REPORTS):
        if not item_type or not isinstance(data, dict):
            report.rejections[Refused.WRONG_SHAPE] += 1
        elif item_type in _ADD:
            _ADD[item_type](report, data, limits, now_ms)
        else:
            report.not_kept += 1
    surplus = sum(1 for _ in parts)
    if surplus:
        report.rejections[Refused.TOO_MANY] += surplus
    return report


def read_update_envelope(body: bytes, limits: AgeLimits, now_ms: int) -> Report:
    """The body of /update-envelope: an envelope that its receiver got and perhaps could not read.

    Raises Unreadable if the body is not a JSON object.
    """
    try:
        said = _loads(body)
    except ValueError as error:
        raise Unreadable(Refused.NOT_JSON, f"the body is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise Unreadable(Refused.WRONG_SHAPE, "the body is not a JSON object")
    why = _text(said.get("processingError"))
    if not why:
        return Report(not_kept=1)
    report = Report()
    sample = _sample(said, now_ms)._replace(outcome=Outcome.UNREADABLE, reason=_code(why))
    refusal = check(sample, limits, now_ms)
    if refusal is None:
        report.samples.append(sample)
    else:
        report.rejections[refusal.reason.label] += 1
    return report


def read_and_leave(body: bytes, limits: AgeLimits, now_ms: int) -> Report:  # noqa: ARG001
    """The body of the other paths. No figure uses it, so it is counted and not kept.

    Raises Unreadable if the body is not JSON.
    """
    try:
        _loads(body)
    except ValueError as error:
        raise Unreadable(Refused.NOT_JSON, f"the body is not JSON: {error}") from error
    return Report(not_kept=1)


# Kinds of items


def _parts(items: Iterable[Any], report: Report) -> Iterator[tuple[str, object]]:
    """(type, data) of each item, and of each message in ReceivedMessages. type: empty if none."""
    for item in items:
        if not isinstance(item, dict):
            report.rejections[Refused.WRONG_SHAPE] += 1
            continue
        item_type, data = _text(item.get("telemetry_type")), item.get("telemetry_data")
        if item_type != "ReceivedMessages":
            yield item_type, data
        elif isinstance(data, list):
            for entry in data:
                yield item_type, entry
        elif data is not None:  # the client's way to write an empty array
            report.rejections[Refused.WRONG_SHAPE] += 1


def _add_sample(report: Report, entry: dict[str, Any], limits: AgeLimits, now_ms: int) -> None:
    sample = _sample(entry, now_ms)
    refusal = check(sample, limits, now_ms)
    if refusal is None:
        report.samples.append(sample)
    else:
        report.rejections[refusal.reason.label] += 1


def _sample(entry: dict[str, Any], now_ms: int) -> Sample:
    """A value of the wrong type counts as not said; `check` refuses a sample that needs it."""
    get = entry.get
    return Sample(
        message_id=_id(get("messageId")),
        channel_id=_text(get("chatId")),
        receiver_public_key=_text(get("receiverKeyUID")),
        sent_at=_whole(get("sentAt")) * 1000,
        created_at=now_ms,
        installation_id=_text(get("peerId")),
        topics=_text(get("topic")).encode(),
        envelope_id=_id(get("messageHash")),
        message_type=_name(get("messageType")),
        message_size=_size(get("messageSize")),
        platform=_text(get("deviceType")),
        app_version=_text(get("statusVersion")),
        source=Source.STATUS_GO,
    )


def _add_said_of_envelope(
    event: EnvelopeEvent, report: Report, data: dict[str, Any], now_ms: int, *, reason: str = ""
) -> None:
    """Ignores the envelope's sentAt, because the client may write 0 or 1 there."""
    sender, envelope = _text(data.get("senderKeyUID")), _id(data.get("messageHash"))
    installation = _text(data.get("peerId"))
    ids = (sender, envelope, installation)
    is_missing = not envelope or not (sender if event is EnvelopeEvent.SENT else installation)
    if is_missing or any("\0" in text for text in ids):
        report.rejections[Reason.MISSING_FIELD.label] += 1
    elif any(_is_longer(text, MAX_ID_BYTES) for text in ids):
        report.rejections[Reason.TOO_LONG.label] += 1
    else:
        why = reason or _code(_text(data.get("error")))
        report.said_of_envelopes.append(
            SaidOfEnvelope(event, envelope, installation, now_ms, sender, why)
        )


def _adder(event: EnvelopeEvent, reason: str = "") -> _Add:
    def add(report: Report, data: dict[str, Any], _: AgeLimits, now_ms: int) -> None:
        _add_said_of_envelope(event, report, data, now_ms, reason=reason)

    return add


# How an item's data, or an entry of ReceivedMessages, is added, by type. Other types are not kept.
_ADD: Mapping[str, _Add] = {
    "ReceivedMessages": _add_sample,
    "SentEnvelope": _adder(EnvelopeEvent.SENT),
    "ErrorSendingEnvelope": _adder(EnvelopeEvent.SEND_FAILED),
    "MessageCheckFailure": _adder(EnvelopeEvent.SEND_FAILED, "not_in_store"),
    "MessageCheckSuccess": _adder(EnvelopeEvent.WENT_OUT),
    "MessageDeliveryConfirmed": _adder(EnvelopeEvent.WENT_OUT),
    "MissedRelevantMessages": _adder(EnvelopeEvent.FROM_STORE),
}


# Fields


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _code(error: str) -> str:
    """A client's error as a reason: its words with _ between them."""
    return re.sub("[^a-z0-9.-]+", "_", error[:MAX_ID_BYTES].lower()).strip("_")[:64]


def _id(value: object) -> str:
    text = _text(value)
    return "" if text in _NO_ID else text


def _name(value: object) -> str:
    # If the client has no name for a type, it sends a number. Its strings may be numbers, too.
    return _text(value) or (str(value) if _whole(value) else "")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _size(value: object) -> int:
    size = _whole(value)
    return size if 0 <= size <= _GREATEST_SIZE else 0


def _is_longer(text: str, limit: int) -> bool:
    # A character has at most four bytes, so short texts need not be encoded to measure them.
    return len(text) > limit // 4 and len(text.encode()) > limit


# JSON


def _begins(body: bytes, mark: bytes) -> bool:
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(mark)


def _items(body: bytes, report: Report) -> Iterable[Any]:
    """The items of an array; those that cannot be read are counted in `report`."""
    if body.count(b"{") + body.count(b"[") > _MOST_CONTAINERS and _begins(body, b"["):
        return _one_by_one(body, report)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not _begins(body, b"["):
            raise Unreadable(Refused.NOT_JSON, f"the body is not JSON: {error}") from error
        return _one_by_one(body, report)
    if value is None:  # Go's way to write an empty array
        return []
    if not isinstance(value, list):
        raise Unreadable(Refused.NOT_AN_ARRAY, "the body is JSON, but not an array of items")
    return value


def _one_by_one(body: bytes, report: Report) -> Iterator[Any]:
    """Those items of an unreadable array that can be read one by one.

    One bad string, a number beyond all bounds, or brackets nested a thousand times make a body
    unreadable. The other items are found by counting brackets.
    """
    for piece in _pieces(body):
        if len(piece) > MAX_ITEM_BYTES:
            report.rejections[Refused.TOO_LARGE] += 1
        elif piece.strip():
            try:
                yield _loads(piece)
            except ValueError:
                report.rejections[Refused.NOT_JSON] += 1


def _pieces(body: bytes) -> Iterator[bytes]:
    """The pieces between the outer brackets, split at their commas; then what follows the array."""
    depth = start = 0
    for match in islice(_STRUCTURE.finditer(body), _MOST_STRUCTURE):
        mark, here = match[1], match.end()
        if mark == b",":
            if depth == 1:
                yield body[start : here - 1]
                start = here
        elif mark in (b"[", b"{"):
            depth += 1
            if depth == 1:
                start = here
        elif mark:
            depth -= 1
            if depth == 0:
                yield body[start : here - 1]
                start = here
                break
    yield body[start:]
    if depth:
        yield b"["  # the array has no end; what is missing counts as one more unreadable item


def _loads(text: bytes) -> Any:
    """Reads JSON strictly; if that fails, leniently, so that a bad string or number affects nothing
    else.

    Bytes that are not UTF-8 and halves of surrogate pairs are replaced; NaN and infinite numbers
    are read as null. Raises ValueError.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        value = json.loads(
            text.decode("utf-8-sig", errors="replace"),
            strict=False,
            parse_int=_parse_int,
            parse_float=_parse_float,
            parse_constant=lambda _: None,
        )
        # Through orjson once more, so that orjson can write whatever this returns.
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _parse_int(digits: str) -> int | float | None:
    # int() refuses thousands of digits and is slow for many.
    return int(digits) if len(digits) <= 20 else _parse_float(digits)


def _parse_float(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None
