"""This machine's properties, and what its processes use, read from /proc (Linux)."""

import os
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """The memory of some processes together, in MiB. Shared pages count in each process."""

    resident: float
    peak: float


def memory(pids: Iterable[int]) -> Memory:
    sums = {"VmRSS": 0, "VmHWM": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in sums:
                sums[name] += int(value.split()[0])
    return Memory(sums["VmRSS"] / 1024, sums["VmHWM"] / 1024)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and of their children that have ended."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / _TICKS


def family(pid: int) -> list[int]:
    """`pid` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdecimal() else []
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return list(_descend(pid, children))


def conditions(server_version: str | None = None) -> dict[str, str]:
    """The conditions on which figures depend. server_version: PostgreSQL's own text."""
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Cores": f"{len(os.sched_getaffinity(0))} ({_processor()})",
        "Memory": f"{total_kib / 2**20:.0f} GiB",
        "System": f"Linux {platform.release().partition('-')[0]} {platform.machine()}",
        "Load average before": load,
        "Python": platform.python_version(),
        **({} if server_version is None else {"PostgreSQL": server_version}),
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from `state` on; empty: the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _descend(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _descend(child, children)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
