"""The machine's current run, from start to shutdown: its id, and how long it has lasted."""

import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """The id of this run; another one after each restart. `?` if the system does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "?"


def uptime_ms() -> int:
    """How long the machine has run, with the time asleep if the system counts that too."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    nanoseconds = time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)
    return nanoseconds // 1_000_000
