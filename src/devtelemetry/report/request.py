"""What a report is to show."""

from dataclasses import dataclass
from datetime import datetime

from devtelemetry.model import OBJECTIVE, Dimension, MembershipPolicy


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """None: everything; of the time: the latest windows.

    by      a table of each
    versus  of one dimension: beside which group the others are judged
    policy  what is configured: of problems where none is asked for
    """

    timeframe: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    channel: str | None = None
    membership: MembershipPolicy | None = None
    by: tuple[Dimension, ...] = ()
    versus: str | None = None
    influence_limit: float = 0.01  # a window is marked beyond
    policy: MembershipPolicy = MembershipPolicy.PRESENT
    objective: float = OBJECTIVE
