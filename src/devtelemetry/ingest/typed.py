"""What samples say of a message's type, and which sample counts. Pure."""

from typing import NamedTuple

from devtelemetry.model import Source

# The createdAt of an author's mark, which is not a sample. Any sample of the message is earlier.
NEVER = 2**63 - 1

# The type by the interface of the least rank counts, whatever the times. So clients that need no
# token decide nothing about messages of clients that may need one.
_RANKS = {Source.GRPC: 0, Source.STATUS_GO: 1}


class Typed(NamedTuple):
    """A message's type as a sample says it, and the interface of the sample. The least one counts:
    by the better interface, the first that has a type.

    created_at  NEVER if no type is said, and so is sent_at
    """

    rank: int
    created_at: int
    sent_at: int
    message_type: str
    source: Source

    @property
    def at(self) -> tuple[int, int] | None:
        """createdAt and sentAt, as stored; None if no type is said."""
        return None if self.created_at == NEVER else (self.created_at, self.sent_at)


def typed_of(source: Source, message_type: str, at: tuple[int, int] | None) -> Typed:
    """at  createdAt and sentAt of the sample that has the type; None if no sample has one"""
    return Typed(_RANKS[source], *(at or (NEVER, NEVER)), message_type, source)
