"""What is looked into, and why it may not be."""

from dataclasses import dataclass
from datetime import datetime

from devtelemetry.causes.classify import BURST_MESSAGES
from devtelemetry.model import Timeframe
from devtelemetry.model.errors import DevTelemetryError


class DrillDownError(DevTelemetryError):
    """A channel cannot be looked into."""


class BadWindow(DrillDownError):
    """No window begins there, or it has not ended."""


class SamplesCleaned(DrillDownError):
    """Only the figures of the window are left."""


class TooMuch(DrillDownError):
    """More than is looked at at once."""


@dataclass(frozen=True, slots=True)
class MissingRequest:
    """What to look into.

    start  of the window; None: the latest computed one in which the channel has figures
    burst  from how many messages on, which others got, a run of losses is a burst
    """

    channel_id: str
    timeframe: Timeframe
    start: datetime | None = None
    burst: int = BURST_MESSAGES
