"""What this machine has."""

import os


def cores() -> int:
    """How many cores this process may use; all cores if the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
