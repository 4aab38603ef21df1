"""What the oracle is given: samples, and what is said beside them. Times are Unix milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Receiver = tuple[str, str]
"""(receiver public key, installation id)"""

MessageKey = tuple[str, str]
"""(channel id, message id)"""

Outcome = Literal["held", "unreadable", "dropped", "send_failed"]
OUTCOMES: tuple[Outcome, ...] = ("held", "unreadable", "dropped", "send_failed")

Via = Literal["", "live", "history", "resent"]
VIAS: tuple[Via, ...] = ("", "live", "history", "resent")
"""In the order of the wire's numbers; empty: not said"""

Clock = Literal["server", "author", "receiver"]
CLOCKS: tuple[Clock, ...] = ("server", "author", "receiver")
"""The best first"""

Membership = Literal["present", "window", "bracketed"]
MEMBERSHIPS: tuple[Membership, ...] = ("present", "window", "bracketed")

Numbers = Mapping[int, int | None]
"""What arrived of one installation's count: number → sentAt as its sample said; None: rejected"""

Joining = tuple[int, int | None, int | None]
"""One report of a membership: createdAt of the push; joined_at and left_at (None or 0: not said)"""

Memberships = Mapping[tuple[Receiver, str], Iterable[Joining]]
"""(receiver, channel id) → all that it said"""

Descriptions = Mapping[Receiver, Iterable[tuple[int, str, str] | tuple[int, str, str, str]]]
"""receiver → all that it said of itself: createdAt, platform, app version, server; empty: not
said"""


class Lost(NamedTuple):
    """Numbers that an installation says it lost, and when their messages were sent."""

    first_sequence: int
    last_sequence: int
    first_sent_at: int
    last_sent_at: int


@dataclass(frozen=True)
class OracleSample:
    """What became of one message at one receiver, or (no created_at) only that it wrote it."""

    message_id: str
    """empty: an unreadable one that is known by its envelope"""
    channel_id: str
    """empty: whichever its envelope came in; only where the message id is empty too"""
    receiver_public_key: str
    sent_at: int
    """ms, by the clock that sent_at_clock names"""
    created_at: int | None
    """ms, the server's clock; None: an author mark, no receipt"""
    installation_id: str = ""
    sent_by_receiver: bool = False
    message_type: str = ""
    envelope_id: str = ""
    received_at: int | None = None
    """ms, by the server's clock; of who wrote it when it sent it; None: not known"""
    platform: str = ""
    app_version: str = ""
    outcome: Outcome = "held"
    reason: str = ""
    via: Via = ""
    sent_at_clock: Clock = "author"
    server: str = ""

    @property
    def receiver(self) -> Receiver:
        return (self.receiver_public_key, self.installation_id)

    @property
    def message(self) -> MessageKey:
        return (self.channel_id, self.message_id)

    @property
    def is_nameless(self) -> bool:
        return not self.message_id

    @property
    def says_it_wrote_it(self) -> bool:
        return self.created_at is None or self.sent_by_receiver or self.outcome == "send_failed"


EventKind = Literal["sent", "send_failed", "went_out", "from_store"]
EVENT_KINDS: tuple[EventKind, ...] = ("sent", "send_failed", "went_out", "from_store")


@dataclass(frozen=True)
class EnvelopeEvent:
    """What an installation says of an envelope, not of a message, as status-go does.

    sent         its receiver wrote what is in it
    send_failed  likewise, and could not send it
    went_out     it was seen in the network
    from_store   its installation got it by asking a store
    """

    kind: EventKind
    envelope_id: str
    installation_id: str
    created_at: int
    receiver_public_key: str = ""
    """empty: not said"""
    reason: str = ""
