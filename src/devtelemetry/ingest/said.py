"""What a request says and shows of its reporter. Pure."""

from typing import NamedTuple

from devtelemetry.model import Source


class Description(NamedTuple):
    """What a receiver says of itself. The greatest one counts, which is the latest."""

    minute: int  # of created_at
    name: str


NOT_SAID = Description(0, "")


def before(now: Description, *said: Description) -> Description:
    """The latest description whose name differs from that of `now`."""
    return max((one for one in said if one.name != now.name), default=NOT_SAID)


class Clock(NamedTuple):
    """How far a receiver's clock is off. The greatest one counts, which is the latest."""

    said_at: int  # created_at of the push
    offset: int  # how many ms it is behind the server's clock


class Origin(NamedTuple):
    """Where a receiver reports from. The greatest one counts, which is the latest."""

    minute: int  # of created_at
    bucket_id: int  # of its network; 0 if not known
    token: str  # the name of its token; empty if it has none


NOWHERE = Origin(0, 0, "")


class Heartbeat(NamedTuple):
    """A push without samples: the receiver still reports and has nothing new."""

    receiver_public_key: str
    installation_id: str
    platform: str
    app_version: str
    created_at: int
    server: str = ""
    source: Source = Source.GRPC


class ClockSaid(NamedTuple):
    """What a push shows of a receiver's clock; the fields are as in Clock."""

    receiver_public_key: str
    installation_id: str
    offset: int
    said_at: int


class OriginSaid(NamedTuple):
    """What a push shows of where a receiver reports from.

    network  as runtime/network.py names it; empty if not known
    """

    receiver_public_key: str
    installation_id: str
    network: str
    token: str
    created_at: int
    source: Source = Source.GRPC
