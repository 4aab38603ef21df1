"""This machine's run: which one it is, and how long it has lasted."""

import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """Differs after the machine was started anew; `?` where it cannot be told."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "?"


def uptime_ms() -> int:
    """How long the machine has run, asleep or not; where that cannot be told, only awake."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    nanoseconds = time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)
    return nanoseconds // 1_000_000
