"""The clock of this machine: the only place that reads it. Everything else is given the time."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

Hear: TypeAlias = Callable[[str, str, int, int], Awaitable[None]]
"""Is told a client's public key, its installation, its time and its newest sentAt (Unix ms; 0: not
said), where the server does not know the time"""


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def elapsed() -> float:
    """Seconds since some moment, those in which the machine slept too. Nobody can set it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def utc_now() -> datetime:
    """An aware datetime in UTC."""
    return datetime.now(UTC)
