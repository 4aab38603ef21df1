"""Which two versions to compare, and where. In a module of its own, so that a command can use it
before it loads the rest."""

from dataclasses import dataclass
from datetime import datetime

from devtelemetry.releases.decide import MARGIN


@dataclass(frozen=True, slots=True)
class Asked:
    """Which two versions to compare, and where.

    platform    only receivers on this platform; None: on any
    start, end  windows that overlap [start, end); None: the latest day that can be computed
    margin      how much lower the candidate's delivery ratio may be before it is held
    """

    baseline: str
    candidate: str
    platform: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    margin: float = MARGIN
