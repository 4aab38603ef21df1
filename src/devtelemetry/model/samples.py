"""What clients report, as it travels from ingest to the database. No I/O.

Times are Unix milliseconds, as on the wire.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Source(StrEnum):
    """The interface that a sample came by. Each has its own rules for what is not measured."""

    GRPC = "grpc"  # the protocol of this product, and files in its terms
    STATUS_GO = "status-go"  # the HTTP interface of shipped status-go clients

    # Many dictionary keys have a Source. The hash of Enum is a Python call; this one is faster.
    __hash__ = str.__hash__


class Outcome(IntEnum):
    """What became of a message at a receiver. The numbers are the wire's."""

    HELD = 0  # the app has it, readable
    UNREADABLE = 1  # it arrived, and could not be decrypted or decoded
    DROPPED = 2  # it arrived readable, and the app threw it away
    SEND_FAILED = 3  # its author's app gave up sending it


class Via(IntEnum):
    """How a message came. The numbers are the wire's."""

    NOT_SAID = 0
    LIVE = 1
    HISTORY = 2  # from an archive or a store
    RESENT = 3  # asked for, or sent again by its author


class SentAtClock(IntEnum):
    """The clock that a sentAt is by. The numbers are the wire's."""

    AUTHOR = 0
    SERVER = 1  # the messenger's server: the same for all
    RECEIVER = 2  # the message carries no time


class Hand(StrEnum):
    """Which receivers belong together: one alone, those of an installation, or of a network."""

    RECEIVER = "receiver"
    INSTALLATION = "installation"
    NETWORK = "network"


class Sample(NamedTuple):
    """One report of what became of one message at one receiver.

    A named tuple because ingest makes one per report: a frozen dataclass costs six times as much.
    """

    message_id: str
    channel_id: str
    receiver_public_key: str
    sent_at: int  # Unix ms, by sent_at_clock
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
    outcome: Outcome = Outcome.HELD
    reason: str = ""  # a code of the app's own, for an outcome other than HELD
    via: Via = Via.NOT_SAID
    sent_at_clock: SentAtClock = SentAtClock.AUTHOR
    server: str = ""  # the one that the reporter's app talks to; empty: not said

    @property
    def says_it_wrote_it(self) -> bool:
        return self.sent_by_receiver or self.outcome is Outcome.SEND_FAILED


class ReportRun(NamedTuple):
    """Consecutive numbers of an installation's samples that arrived, the rejected ones too."""

    installation_id: str
    first_sequence: int  # an installation counts its samples from 1
    last_sequence: int
    first_sent_at: int | None  # Unix ms, of its first accepted sample; None: all were rejected
    last_sent_at: int | None  # of the last one
    source: Source = Source.GRPC


class LostReports(NamedTuple):
    """Numbers of samples that an installation lost, as it says, and when the messages were sent."""

    installation_id: str
    first_sequence: int
    last_sequence: int
    first_sent_at: int  # Unix ms; both are included
    last_sent_at: int
    source: Source = Source.GRPC


class ReportedMembership(NamedTuple):
    """One report of a receiver on its membership. Unix ms; both times 0: it is in the channel."""

    channel_id: str
    receiver_public_key: str
    installation_id: str
    created_at: int  # the server's clock
    joined_at: int = 0  # the receiver's clock; 0: not said
    left_at: int = 0  # likewise
    source: Source = Source.GRPC


class MembershipReport(NamedTuple):
    """A report of a known receiver in a known channel. Replayed in the order of these values."""

    created_at: int
    joined_at: int
    left_at: int


class EnvelopeEvent(IntEnum):
    """What is said of an envelope, and so of the messages in it."""

    SENT = 0  # the reporter wrote the messages in it
    SEND_FAILED = 1  # the reporter wrote them and could not send them
    WENT_OUT = 2  # it was seen in the network
    FROM_STORE = 3  # the installation got it from a store


class SaidOfEnvelope(NamedTuple):
    """status-go's report of an envelope, which comes apart from the messages in it."""

    event: EnvelopeEvent
    envelope_id: str
    installation_id: str
    created_at: int  # Unix ms, the server's clock
    receiver_public_key: str = ""  # empty: not said
    reason: str = ""  # why it was not sent


class Reason(IntEnum):
    """Why a sample was rejected. The numbers are the wire's; `label` is for metrics."""

    MISSING_FIELD = 1
    TOO_LONG = 2
    TOO_OLD = 3
    IN_THE_FUTURE = 4
    NOT_MILLISECONDS = 5
    TOO_MANY = 6

    @property
    def label(self) -> str:
        return self.name.lower()


class Rejection(NamedTuple):
    position: int  # in the samples of the request, from 0
    reason: Reason
    detail: str  # for a person: the field, what it was, what is allowed
