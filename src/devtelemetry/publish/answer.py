"""What a store's answer to a write means. Pure.

The protocol says that any 4xx except 429 is final. That is right if the store has looked at the
points. But an expired token, a wrong path or a receiver that is switched off say nothing about the
points, and must not cost a week of them. So the points wait until a person has corrected the fault.
"""

import email.utils
import re
from datetime import UTC, datetime
from enum import Enum, auto

from devtelemetry.model.errors import DevTelemetryError


class Meaning(Enum):
    TAKEN = auto()
    REFUSED = auto()  # because of the points, so sending them again would not help
    LATER = auto()  # the store may take the points later
    MISDIRECTED = auto()  # the address or the login is wrong; a person must correct it


class Rejected(Enum):
    """Why points were refused. Values are safe in a metric."""

    OUT_OF_ORDER = "out_of_order"  # the store has a later point of the series
    DUPLICATE = "duplicate"  # the store has another value at that time
    TOO_OLD = "too_old"  # the store does not take points so old
    OTHER = "other"


class Failed(Enum):
    """Why a request has to be sent again. Values are safe in a metric."""

    NETWORK = "network"  # no connection, or no answer in time
    BUSY = "busy"  # 429
    SERVER_ERROR = "server_error"  # 5xx
    MISDIRECTED = "misdirected"  # any other status, or headers that cannot be read


class StoreAway(DevTelemetryError):
    """The store did not take the points now, so they wait.

    retry_after_seconds  as the store's answer says; None if it does not
    """

    def __init__(
        self, message: str, failed: Failed, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.failed = failed
        self.retry_after_seconds = retry_after_seconds


# Bad Request; Conflict, as Thanos has it; Content Too Large; Unprocessable Content.
_LOOKED_AT = frozenset({400, 409, 413, 422})

# The texts of Prometheus, and of stores built on it: err-mimir-sample-out-of-order, …
_REASONS = (
    (re.compile(r"out[ -]of[ -]order"), Rejected.OUT_OF_ORDER),
    (re.compile(r"duplicate"), Rejected.DUPLICATE),
    (re.compile(r"out[ -]of[ -]bounds|too[ -]old"), Rejected.TOO_OLD),
)


def meaning_of(status: int, text: str) -> Meaning:
    if 200 <= status < 300:
        return Meaning.TAKEN
    # Prometheus up to 2.49 answers 500 if a point is older than its window for out-of-order points.
    # If that counted as LATER, this point would hold up all others for ever.
    if status in _LOOKED_AT or (status == 500 and "too old sample" in text):
        return Meaning.REFUSED
    if status in (408, 429) or status >= 500:
        return Meaning.LATER
    return Meaning.MISDIRECTED


def rejected_for(text: str) -> Rejected:
    """The reason in the text of a refusal."""
    lowered = text.lower()
    return next((reason for said, reason in _REASONS if said.search(lowered)), Rejected.OTHER)


def is_of_the_time_alone(text: str) -> bool:
    """Whether the refusal applies to every series at that time, as Prometheus' "out of bounds".

    "too old sample" does not: if the store's window for out-of-order points is short, the first
    point of another series may still be that old.
    """
    return "out of bounds" in text


def failed_for(status: int) -> Failed:
    """Why to send again after an answer that is neither TAKEN nor REFUSED."""
    if status == 429:
        return Failed.BUSY
    return Failed.SERVER_ERROR if status == 408 or status >= 500 else Failed.MISDIRECTED


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """The seconds in a Retry-After header, which has a number or a date; None if unreadable.

    now  aware
    """
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
