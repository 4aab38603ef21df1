"""Reads the line of an ordinary sample in one step, for speed. Pure.

Nearly all lines of a file are ordinary. Every other line goes to `parse`. A line that is read here
means the same there (tests/test_transfer.py).
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, TypeVar

import msgspec

from devtelemetry.ingest.check import (
    GREATEST_MILLISECONDS,
    LEAST_MILLISECONDS,
    MAX_SEQUENCE,
    AgeLimits,
    check,
    is_numbered,
    is_reason,
)
from devtelemetry.model import Outcome, ReportRun, Sample, SentAtClock, Source, Via
from devtelemetry.transfer.fields import GREATEST_SIZE, NAMES
from devtelemetry.v1.sampling import is_rate

_Time = Annotated[int, msgspec.Meta(ge=LEAST_MILLISECONDS, le=GREATEST_MILLISECONDS)]
_Named = TypeVar("_Named", bound=IntEnum)


class _Line(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    rename={**NAMES, "sequence": "sequence", "one_in": "oneIn"},
):
    """The fields of Sample in their order, and two more fields of a line."""

    message_id: str
    channel_id: str
    receiver_public_key: str
    sent_at: _Time
    created_at: _Time
    installation_id: str = ""
    sent_by_receiver: bool = False
    topics: bytes = b""
    envelope_id: str = ""
    received_at: int = 0
    message_type: str = ""
    message_size: Annotated[int, msgspec.Meta(ge=0, le=GREATEST_SIZE)] = 0
    platform: str = ""
    app_version: str = ""
    source: Source = Source.GRPC
    outcome: str = "held"
    reason: str = ""
    via: str = "not_said"
    sent_at_clock: str = "author"
    server: str = ""
    sequence: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)] = 0
    one_in: int = 1


def _by_name(names: type[_Named]) -> Mapping[str, _Named]:
    return {member.name.lower(): member for member in names}


_OUTCOMES, _VIAS, _CLOCKS = _by_name(Outcome), _by_name(Via), _by_name(SentAtClock)

_decode = msgspec.json.Decoder(_Line).decode
_values = msgspec.structs.astuple


def plain_line(line: bytes, limits: AgeLimits) -> tuple[Sample, ReportRun | None, int] | None:
    """The sample of a line, its number if it has one, and `oneIn`.

    None if the line is not ordinary; then call `parse_line`.
    """
    try:
        values = _values(_decode(line))
        outcome, reason, via, clock, server, number, one_in = values[15:]
        sample = Sample._make(
            (*values[:15], _OUTCOMES[outcome], reason, _VIAS[via], _CLOCKS[clock], server)
        )
    except (ValueError, KeyError, RecursionError):
        return None
    if (reason and not is_reason(reason)) or (one_in != 1 and not is_rate(one_in)):
        return None
    if check(sample, limits, values[4]) is not None:
        return None
    if not number:
        return sample, None, one_in
    installation, sent_at = sample.installation_id, sample.sent_at
    if not is_numbered(installation, number):
        return None
    return sample, ReportRun(installation, number, number, sent_at, sent_at, sample.source), one_in
