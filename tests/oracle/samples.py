"""The oracle's input: samples, and other reports of clients. Times are Unix milliseconds."""

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
"""In the order of their numbers on the wire; empty: not said"""

Clock = Literal["server", "author", "receiver"]
CLOCKS: tuple[Clock, ...] = ("server", "author", "receiver")
"""The best first"""

Membership = Literal["present", "window", "bracketed"]
MEMBERSHIPS: tuple[Membership, ...] = ("present", "window", "bracketed")

Numbers = Mapping[int, int | None]
"""The numbers of one installation that arrived → sentAt in the sample; None: it was rejected"""

Joining = tuple[int, int | None, int | None]
"""One report of a membership: createdAt of the push; joined_at and left_at (None or 0: not said)"""

Memberships = Mapping[tuple[Receiver, str], Iterable[Joining]]
"""(receiver, channel id) → all its reports"""

Descriptions = Mapping[Receiver, Iterable[tuple[int, str, str] | tuple[int, str, str, str]]]
"""receiver → what it reported of itself: createdAt, platform, app version, server; "": not said"""


class Lost(NamedTuple):
    """Numbers that an installation reports as lost, and when their messages were sent."""

    first_sequence: int
    last_sequence: int
    first_sent_at: int
    last_sent_at: int


@dataclass(frozen=True)
class OracleSample:
    """What became of one message at one receiver; without created_at an author's mark."""

    message_id: str
    """empty: the message is unreadable, and known by its envelope only"""
    channel_id: str
    """empty: every channel of its envelope; only if the message id is empty too"""
    receiver_public_key: str
    sent_at: int
    """ms, by the clock that sent_at_clock names"""
    created_at: int | None
    """ms, by the server's clock; None: an author's mark, not a receipt"""
    installation_id: str = ""
    sent_by_receiver: bool = False
    message_type: str = ""
    envelope_id: str = ""
    received_at: int | None = None
    """ms, by the server's clock; for the author's sample when it was sent; None: not known"""
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
    """What an installation reports of an envelope, not of a message, as status-go does.

    sent         the receiver wrote the messages in it
    send_failed  the receiver wrote them and could not send them
    went_out     the envelope was seen in the network
    from_store   the installation got it from a store
    """

    kind: EventKind
    envelope_id: str
    installation_id: str
    created_at: int
    receiver_public_key: str = ""
    """empty: not said"""
    reason: str = ""
