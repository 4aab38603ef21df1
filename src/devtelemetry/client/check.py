"""Finds faults in an app's calls, such as a wrong unit or type. Pure.

A call with a fault does not affect other calls. It is set aside with a reason that names the field,
the value it had and what is allowed. Reasons stay on the device.
"""

import operator
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, TypeVar

from devtelemetry.client.lost import EARLIEST, LATEST
from devtelemetry.client.values import Recorded, SentAtClock, Via

_Known = TypeVar("_Known", bound=IntEnum)
_LARGEST = 2**32 - 1  # of a uint32 on the wire
_NO_TIME = 2**63
_MILLISECONDS = "an int, Unix milliseconds"


class Fault(NamedTuple):
    """kind: `not_milliseconds`, `wrong_type`, `wrong_value`"""

    kind: str
    field: str
    detail: str

    @property
    def name(self) -> str:
        """The name under which the fault is counted."""
        return f"{self.kind}: {self.field}"

    @property
    def reason(self) -> str:
        return f"{self.name}: {self.detail}"


class Faulty(ValueError):
    """An app's call has a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def checked(recorded: Recorded) -> Recorded:
    """`recorded` in plain types. Raises Faulty for the first field that a sample cannot have."""
    received_at = _integer("received_at", recorded.received_at, _MILLISECONDS)
    size = _integer("message_size", recorded.message_size, "an int, bytes")
    if not 0 <= size <= _LARGEST:
        raise _wrong_value("message_size", "out of range", f"0 to {_LARGEST}")
    if not isinstance(recorded.topics, bytes):
        raise _wrong_type("topics", recorded.topics, "bytes")
    return Recorded(
        consent=recorded.consent,
        recorded_at=_integer("clock", recorded.recorded_at, _MILLISECONDS),
        message_id=check_text("message_id", recorded.message_id),
        channel_id=check_text("channel_id", recorded.channel_id),
        sent_at=check_time("sent_at", recorded.sent_at),
        topics=bytes(recorded.topics),
        envelope_id=check_text("envelope_id", recorded.envelope_id),
        sent_by_receiver=recorded.sent_by_receiver,
        received_at=check_time("received_at", received_at) if received_at else 0,
        message_type=check_text("message_type", recorded.message_type),
        message_size=size,
        outcome=recorded.outcome,
        reason=check_text("reason", recorded.reason),
        via=_one_of(Via, "via", recorded.via),
        sent_at_clock=_one_of(SentAtClock, "sent_at_clock", recorded.sent_at_clock),
        app_version=check_text("app_version", recorded.app_version),
    )


def check_time(field: str, value: object) -> int:
    """`value` as Unix ms. Raises Faulty."""
    if isinstance(value, float):
        if EARLIEST <= value <= LATEST:
            raise _wrong_type(field, value, _MILLISECONDS)
        # NaN and infinity are not times either.
        time = int(value) if abs(value) < _NO_TIME else _NO_TIME
    else:
        time = _integer(field, value, _MILLISECONDS)
    if EARLIEST <= time <= LATEST:
        return time
    shown = str(value) if abs(time) < _NO_TIME else "a number far out of range"
    for unit, in_ms in (("seconds", 1e3), ("microseconds", 1e-3), ("nanoseconds", 1e-6)):
        if abs(time) < _NO_TIME and EARLIEST <= time * in_ms <= LATEST:
            shown += f", which looks like {unit}"
    raise Faulty(Fault("not_milliseconds", field, f"{shown}; allowed: {_MILLISECONDS}"))


def check_text(field: str, value: object) -> str:
    """`value` as text that can be sent. Raises Faulty."""
    if not isinstance(value, str):
        raise _wrong_type(field, value, "a str")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong_value(field, "half of a surrogate pair", "text") from None
    return value


def check_texts(field: str, value: object) -> tuple[str, ...]:
    """`value` as texts. Raises Faulty, also for a single text: it is not a list of letters."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise _wrong_type(field, value, "a list of str")
    return tuple(check_text(field, one) for one in value)


def _integer(field: str, value: object, allowed: str) -> int:
    """`value` as an int. It may be of another integer type, such as numpy's, but not a bool."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise _wrong_type(field, value, allowed)


def _one_of(known: type[_Known], field: str, value: object) -> _Known:
    number = _integer(field, value, f"a {known.__name__}")
    if number not in list(known):
        names = ", ".join(one.name for one in known)
        raise _wrong_value(field, "an unknown number", f"{known.__name__}: {names}")
    return known(number)


def _wrong_type(field: str, value: object, allowed: str) -> Faulty:
    return Faulty(Fault("wrong_type", field, f"{type(value).__name__}; allowed: {allowed}"))


def _wrong_value(field: str, was: str, allowed: str) -> Faulty:
    return Faulty(Fault("wrong_value", field, f"{was}; allowed: {allowed}"))
