"""What one request brings to be stored."""

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
    runs: Sequence[ReportRun] = ()  # the numbers of the samples, if they are numbered
    lost: Sequence[LostReports] = ()
    clocks: Sequence[ClockSaid] = ()  # of receivers with a sample or heartbeat in the request
    # How many times were refused because they are not milliseconds, by platform and app version.
    wrong_times: Mapping[tuple[str, str], int] = field(default_factory=dict)
    origins: Sequence[OriginSaid] = ()  # of receivers as for `clocks`
    one_in: int = 1  # one of so many messages was recorded
    size_bytes: int = 0  # of the request, as it was sent

    @property
    def weight(self) -> int:
        """The cost of storing this, in samples. Anything else costs about as much as a sample."""
        return (
            # A run's row is cheap beside its samples. It counts only if all samples were rejected.
            max(len(self.samples), len(self.runs))
            + len(self.heartbeats)
            + len(self.said_of_envelopes)
            + len(self.memberships)
            + len(self.lost)
        )
