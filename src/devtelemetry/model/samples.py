"""What clients report, as it travels from ingest to the database. No I/O.

Times are Unix milliseconds, as on the wire.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Source(StrEnum):
    """The interface a sample came by. Each has its own rules of what is not measured."""

    GRPC = "grpc"  # the protocol of this product, and files written in its terms
    STATUS_GO = "status-go"  # the HTTP interface of shipped status-go clients


class Sample(NamedTuple):
    """One report that a receiver holds one message.

    A named tuple because ingest makes one per report: a frozen dataclass costs six times as much.
    """

    message_id: str
    channel_id: str
    receiver_public_key: str
    sent_at: int  # Unix ms, the sender's clock
    created_at: int | None  # Unix ms, the server's clock; None: an author's mark, not a receipt
    installation_id: str = ""
    sent_by_receiver: bool = False
    topics: bytes = b""
    envelope_id: str = ""
    received_at: int = 0  # Unix ms, the receiver's clock; 0: unknown
    message_type: str = ""
    message_size: int = 0  # bytes
    platform: str = ""
    app_version: str = ""
    source: Source = Source.GRPC


class ReportRun(NamedTuple):
    """Consecutive numbers of an installation's samples that arrived, the rejected ones too."""

    installation_id: str
    first_sequence: int  # an installation counts its samples from 1
    last_sequence: int
    first_sent_at: int | None  # Unix ms, of its first accepted sample; None: all were rejected
    last_sent_at: int | None  # of the last one
    source: Source = Source.GRPC


class ReportedMembership(NamedTuple):
    """When a receiver was in a channel, as it says by its clock. Unix ms.

    A `said_at` is the server's clock when it was told so; None: it was not.
    """

    channel_id: str
    receiver_public_key: str
    installation_id: str
    joined_at: int | None
    joined_said_at: int | None
    left_at: int | None  # None or 0: still in, if left_said_at is known
    left_said_at: int | None
    source: Source = Source.GRPC


class SentEnvelope(NamedTuple):
    """status-go's report that a node published an envelope: it wrote the messages inside."""

    sender_public_key: str
    installation_id: str
    envelope_id: str
    created_at: int  # Unix ms, the server's clock


class Reason(IntEnum):
    """Why a sample was refused. The numbers are the wire's; `label` is safe in a metric."""

    MISSING_FIELD = 1
    TOO_LONG = 2
    TOO_OLD = 3
    IN_THE_FUTURE = 4
    NOT_MILLISECONDS = 5

    @property
    def label(self) -> str:
        return self.name.lower()


class Rejection(NamedTuple):
    position: int  # in the samples of the request, from 0
    reason: Reason
    detail: str  # for a person: the field, what it was, what is allowed
