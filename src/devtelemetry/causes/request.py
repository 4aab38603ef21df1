"""A request to look into a channel, and the reasons to refuse it."""

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
    """The request would read more than the limits allow."""


@dataclass(frozen=True, slots=True)
class MissingRequest:
    """What to look into.

    start  of the window; None: the latest computed window in which the channel has figures
    burst  a run of losses is a burst if it has at least this many messages that others got
    """

    channel_id: str
    timeframe: Timeframe
    start: datetime | None = None
    burst: int = BURST_MESSAGES
