"""What a store's answer to a write means. Pure.

The protocol says that any 4xx but 429 is final. That is right if the store has looked at the
points. A token that expired, a wrong path or a receiver that is switched off say nothing about the
points and must not cost a week of them: they wait until a person has mended it.
"""

import email.utils
import re
from datetime import UTC, datetime
from enum import Enum, auto

from devtelemetry.model.errors import DevTelemetryError


class Meaning(Enum):
    TAKEN = auto()
    REFUSED = auto()  # for what is in it: to send it again would change nothing
    LATER = auto()  # it may be taken later
    MISDIRECTED = auto()  # the address or the login is wrong: a person must mend it


class Rejected(Enum):
    """Why points were refused. Values are safe in a metric."""

    OUT_OF_ORDER = "out_of_order"  # the store has a later point of the series
    DUPLICATE = "duplicate"  # it has another value at that time
    TOO_OLD = "too_old"  # older than it takes
    OTHER = "other"


class Failed(Enum):
    """Why a request has to be sent again. Values are safe in a metric."""

    NETWORK = "network"  # no connection, or no answer in time
    BUSY = "busy"  # 429
    SERVER_ERROR = "server_error"  # 5xx
    MISDIRECTED = "misdirected"  # any other status, or headers that cannot be read


class StoreAway(DevTelemetryError):
    """The store did not take the points now; they wait.

    retry_after_seconds  as the store says; None: it does not
    """

    def __init__(
        self, message: str, failed: Failed, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.failed = failed
        self.retry_after_seconds = retry_after_seconds


# Bad Request; Conflict, as Thanos has it; Content Too Large; Unprocessable Content.
_LOOKED_AT = frozenset({400, 409, 413, 422})

# As Prometheus says it, and stores that are made of it: err-mimir-sample-out-of-order, …
_REASONS = (
    (re.compile(r"out[ -]of[ -]order"), Rejected.OUT_OF_ORDER),
    (re.compile(r"duplicate"), Rejected.DUPLICATE),
    (re.compile(r"out[ -]of[ -]bounds|too[ -]old"), Rejected.TOO_OLD),
)


def meaning_of(status: int, text: str) -> Meaning:
    if 200 <= status < 300:
        return Meaning.TAKEN
    # Prometheus up to 2.49 says 500 where a point is older than its window for such points. Taken
    # at its word that point would hold up all others for ever.
    if status in _LOOKED_AT or (status == 500 and "too old sample" in text):
        return Meaning.REFUSED
    if status in (408, 429) or status >= 500:
        return Meaning.LATER
    return Meaning.MISDIRECTED


def rejected_for(text: str) -> Rejected:
    """The reason, of a refusal's text."""
    lowered = text.lower()
    return next((reason for said, reason in _REASONS if said.search(lowered)), Rejected.OTHER)


def is_of_the_time_alone(text: str) -> bool:
    """Whether the refusal holds for every series at that time: Prometheus' "out of bounds" does.

    "too old sample" does not, where its window for such points is short: the first point of a
    series may be older.
    """
    return "out of bounds" in text


def failed_for(status: int) -> Failed:
    """Of an answer that is neither taken nor refused."""
    if status == 429:
        return Failed.BUSY
    return Failed.SERVER_ERROR if status == 408 or status >= 500 else Failed.MISDIRECTED


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Of a Retry-After header: seconds, or a date. None: there is none that can be read.

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
