"""What ingest remembers of committed rows, so that it need not read or write them again.

A job that changes such rows (repair, forget, clean) raises the epoch of the deployment. Then all of
this memory is void.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.ingest.batch import Batch, MembershipKey, MessageEnvelopeKey
from devtelemetry.ingest.caps import Named
from devtelemetry.ingest.merged import MessageKey
from devtelemetry.ingest.said import NOT_SAID, NOWHERE, Description, Origin
from devtelemetry.model import Source
from devtelemetry.store.database import Connection
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.recent import Memory, Recent


class KnownMessage(NamedTuple):
    """A message as it was stored. Another server may have lowered its times since.

    clock          as stored: merged.CLOCKS
    typed          createdAt and sentAt of the sample that `kind` is from; None if no sample has a
                   type
    author_offset  how many ms the author's clock is behind the server's; 0 if it is less than a
                   second or not known, or if sentAt is not by the author's clock
    """

    sent_at: int
    clock: int
    created_at: int
    kind: int
    typed: tuple[int, int] | None
    author_offset: int


class KnownReceiver(NamedTuple):
    """What is known of a receiver. The database has this, or something later."""

    platform: Description
    app_version: Description
    version_before: Description
    server: Description
    origin: Origin
    last_receipt_minute: int


UNKNOWN_RECEIVER = KnownReceiver(*(NOT_SAID,) * 4, NOWHERE, 0)


@dataclass(slots=True)
class Learned:
    """What one transaction writes; it is remembered after the commit."""

    channels: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, tuple[str, Source]] = field(default_factory=dict)
    messages: dict[MessageKey, KnownMessage] = field(default_factory=dict)
    message_envelopes: dict[MessageEnvelopeKey, None] = field(default_factory=dict)
    memberships: dict[MembershipKey, tuple[int, int]] = field(default_factory=dict)
    receivers: dict[int, KnownReceiver] = field(default_factory=dict)
    arrivals: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    names: dict[Named, None] = field(default_factory=dict)


class Known:
    """Committed rows, the latest ones of each kind.

    channels     channel_id
    kinds        message type and source, by kind
    memberships  the first sentAt and the last minute, Unix ms
    arrivals     arrived_at and arrived_on_time_at, by minute of event time
    names        names that are within the caps of their installations
    days         days that have a partition
    """

    def __init__(self, memory: Memory, epoch: int = -1) -> None:
        self.epoch = epoch
        self.channels: Recent[int, None] = Recent(memory)
        self.kinds: Recent[int, tuple[str, Source]] = Recent(memory)
        self.messages: Recent[MessageKey, KnownMessage] = Recent(memory)
        self.message_envelopes: Recent[MessageEnvelopeKey, None] = Recent(memory)
        self.memberships: Recent[MembershipKey, tuple[int, int]] = Recent(memory)
        self.receivers: Recent[int, KnownReceiver] = Recent(memory)
        self.arrivals: Recent[int, tuple[int, int | None]] = Recent(memory)
        self.names: Recent[Named, None] = Recent(memory)
        self.days: set[int] = set()

    def remember(self, learned: Learned) -> None:
        self.channels.remember(dict.fromkeys(learned.channels))
        self.kinds.remember(learned.kinds)
        self.messages.remember(learned.messages)
        self.message_envelopes.remember(learned.message_envelopes)
        self.memberships.remember(learned.memberships)
        self.receivers.remember(learned.receivers)
        self.arrivals.remember(learned.arrivals)
        self.names.remember(learned.names)


@dataclass(slots=True)
class Writing:
    """One transaction: what it writes, and what is known.

    new_messages  messages that were not stored before this transaction
    doubted       messages whose stored sentAt or type may be wrong; repair decides
    """

    connection: Connection
    keyring: Keyring
    batch: Batch
    known: Known
    learned: Learned = field(default_factory=Learned)
    new_messages: set[MessageKey] = field(default_factory=set)
    doubted: set[MessageKey] = field(default_factory=set)

    def message(self, key: MessageKey) -> KnownMessage:
        """What is stored of a message of the batch. Call this only after its row is written."""
        return self.learned.messages.get(key) or self.known.messages[key]
