"""What one request brings to be stored. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devtelemetry.ingest.said import ClockSaid, Heartbeat, OriginSaid
from devtelemetry.model import (
    LostReports,
    ReportedMembership,
    ReportRun,
    SaidOfEnvelope,
    Sample,
)


@dataclass(frozen=True, slots=True)
class Submission:
    """What one request brought, checked. All of it is committed together."""

    samples: Sequence[Sample] = ()
    heartbeats: Sequence[Heartbeat] = ()
    said_of_envelopes: Sequence[SaidOfEnvelope] = ()
    memberships: Sequence[ReportedMembership] = ()
    runs: Sequence[ReportRun] = ()  # which numbers the samples have, where they are numbered
    lost: Sequence[LostReports] = ()
    clocks: Sequence[ClockSaid] = ()  # of receivers that have a sample or a heartbeat in it
    # By platform and app version, how many times were refused as they are no milliseconds.
    wrong_times: Mapping[tuple[str, str], int] = field(default_factory=dict)
    origins: Sequence[OriginSaid] = ()  # likewise
    one_in: int = 1  # under which sampling the samples were recorded
    size_bytes: int = 0  # of the request, as it was sent

    @property
    def weight(self) -> int:
        """In samples; what is no sample costs about as much."""
        return (
            # A run comes with its samples; what is left of it where all were rejected is a row.
            max(len(self.samples), len(self.runs))
            + len(self.heartbeats)
            + len(self.said_of_envelopes)
            + len(self.memberships)
            + len(self.lost)
        )
