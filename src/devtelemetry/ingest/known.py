"""What ingest remembers of committed rows, so that it need not ask or tell the database again.

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
    """A message as it is stored; what is the first of something may be stored with an earlier one.

    clock          as stored: merged.CLOCKS
    typed          createdAt and sentAt of the sample that `kind` is of; None: none says a type
    author_offset  ms: the server's clock less the author's; 0: less than a second, or not known,
                   or sentAt is not by the author's clock
    """

    sent_at: int
    clock: int
    created_at: int
    kind: int
    typed: tuple[int, int] | None
    author_offset: int


class KnownReceiver(NamedTuple):
    """What is stored of a receiver is this or later."""

    platform: Description
    app_version: Description
    version_before: Description
    server: Description
    origin: Origin
    last_receipt_minute: int


UNKNOWN_RECEIVER = KnownReceiver(*(NOT_SAID,) * 4, NOWHERE, 0)


@dataclass(slots=True)
class Learned:
    """What one transaction writes, to be remembered once it is committed."""

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
    names        that their installations may name
    days         those that have a partition
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

    new_messages  that were not stored before it
    doubted       messages whose sentAt or type may be another than is stored: repair decides
    """

    connection: Connection
    keyring: Keyring
    batch: Batch
    known: Known
    learned: Learned = field(default_factory=Learned)
    new_messages: set[MessageKey] = field(default_factory=set)
    doubted: set[MessageKey] = field(default_factory=set)

    def message(self, key: MessageKey) -> KnownMessage:
        """Of a message of the batch, once its row is written."""
        return self.learned.messages.get(key) or self.known.messages[key]
