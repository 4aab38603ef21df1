"""What samples say of a message's type, and which of them is believed. Pure."""

from typing import NamedTuple

from devtelemetry.model import Source

# The createdAt of an author's mark, which is no sample: any sample of the message comes before it.
NEVER = 2**63 - 1

# Of what interfaces say of a message's type the least counts, before all times: whoever is asked
# for no token decides nothing about a message of those who may be.
_RANKS = {Source.GRPC: 0, Source.STATUS_GO: 1}


class Typed(NamedTuple):
    """By which interface a message came, and what a sample of that says of its type. The least is
    believed: of the better interface the first one that says a type.

    created_at  NEVER, as sent_at is: it says none
    """

    rank: int
    created_at: int
    sent_at: int
    message_type: str
    source: Source

    @property
    def at(self) -> tuple[int, int] | None:
        """createdAt and sentAt, as stored; None: it says no type."""
        return None if self.created_at == NEVER else (self.created_at, self.sent_at)


def typed_of(source: Source, message_type: str, at: tuple[int, int] | None) -> Typed:
    """at  createdAt and sentAt of the sample that says it; None: none says a type"""
    return Typed(_RANKS[source], *(at or (NEVER, NEVER)), message_type, source)
