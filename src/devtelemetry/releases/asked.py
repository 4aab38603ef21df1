"""Which two versions are compared, and where. A command names them before it loads the rest."""

from dataclasses import dataclass
from datetime import datetime

from devtelemetry.releases.decide import MARGIN


@dataclass(frozen=True, slots=True)
class Asked:
    """Which two versions, and where.

    platform    receivers of this one alone; None: of all
    start, end  windows that overlap [start, end); None: the latest day that can be computed
    margin      of the delivery ratio: so much less would be held for
    """

    baseline: str
    candidate: str
    platform: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    margin: float = MARGIN
