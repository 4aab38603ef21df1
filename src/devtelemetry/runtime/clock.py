"""The clock of this machine: the only place that reads it. Everything else is given the time."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def utc_now() -> datetime:
    """An aware datetime in UTC."""
    return datetime.now(UTC)
