"""What this machine has."""

import os


def cores() -> int:
    """How many of them this process may use, as far as the system says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
