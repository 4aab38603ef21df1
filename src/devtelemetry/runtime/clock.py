"""The clock of this machine. Only this module reads it; all others get the time as a value."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

Hear: TypeAlias = Callable[[str, str, int, int], Awaitable[None]]
"""Is called while the server's clock is in doubt, with a client's public key, its installation, its
time and its newest sentAt (Unix ms; 0 if not said)"""


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def elapsed() -> float:
    """Seconds since some moment, including those in which the machine slept. Nobody can set it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def utc_now() -> datetime:
    """An aware datetime in UTC."""
    return datetime.now(UTC)
