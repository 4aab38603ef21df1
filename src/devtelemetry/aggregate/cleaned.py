"""Days whose samples are gone. A window that overlaps such a day is not computed any more."""

from collections.abc import Set

from devtelemetry.model import DAY_MS, Window
from devtelemetry.store.database import Connection
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__)


async def cleaned_days_of(connection: Connection) -> Set[int]:
    """The days whose samples were cleaned: Unix ms of their midnights."""
    return {row["day_start"] for row in await connection.fetch(_QUERIES["cleaned_days"])}


def is_cleaned(window: Window, cleaned_days: Set[int]) -> bool:
    """Whether samples of the window are gone for good."""
    days = range(window.start_ms // DAY_MS * DAY_MS, window.end_ms, DAY_MS)
    return not cleaned_days.isdisjoint(days)
