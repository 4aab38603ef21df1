"""What a report should show."""

from dataclasses import dataclass
from datetime import datetime

from devtelemetry.model import OBJECTIVE, Dimension, MembershipPolicy


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """The options of a report. None means everything; for start and end, the latest windows.

    by      dimensions, with a table each
    versus  the group that the others are compared with; only with one dimension in `by`
    policy  the configured policy, for problems if no `membership` is asked for
    """

    timeframe: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    channel: str | None = None
    membership: MembershipPolicy | None = None
    by: tuple[Dimension, ...] = ()
    versus: str | None = None
    influence_limit: float = 0.01  # windows with more influence are reported
    policy: MembershipPolicy = MembershipPolicy.PRESENT
    objective: float = OBJECTIVE
