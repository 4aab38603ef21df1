"""What must stay true of a server under attack."""

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.machine import memory
from support.program import command
from support.server import ServerProcess

GROWTH_MIB = 60  # the most that resident memory may grow after the first tenth of the time
_WARM = 60  # seconds in which a server may grow, however short the run
LEFT_OPEN = 8  # the most descriptors that may stay open: connections to the database
HONEST = "honest-"  # ids of honest messages begin so; those acknowledged must be stored


class Watched(NamedTuple):
    """A process at one time."""

    resident_mib: float
    descriptors: int


@contextmanager
def watching(pid: int) -> Iterator[list[Watched]]:
    """Yields a list that gets one entry a second."""
    watched: list[Watched] = []
    is_over = threading.Event()
    watcher = threading.Thread(target=_keep_watching, args=(pid, watched, is_over))
    watcher.start()
    try:
        yield watched
    finally:
        is_over.set()
        watcher.join()


def watch(pid: int) -> Watched:
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Watched(memory([pid]).resident, descriptors)


def _keep_watching(pid: int, watched: list[Watched], is_over: threading.Event) -> None:
    while not is_over.wait(1.0):
        watched.append(watch(pid))


def grown(before: Watched, after: Watched, watched: Sequence[Watched]) -> Iterator[str]:
    settled = max(_WARM, len(watched) // 10)
    if len(watched) > settled:
        by_mib = after.resident_mib - watched[settled].resident_mib
        if by_mib > GROWTH_MIB:
            yield f"resident memory grew by {by_mib:.0f} MiB"
    if after.descriptors > before.descriptors + LEFT_OPEN:
        yield f"descriptors: {before.descriptors} before, {after.descriptors} after"


def lost(server: ServerProcess, acknowledged: set[str]) -> Iterator[str]:
    with subprocess.Popen(command("export", server.where), stdout=subprocess.PIPE) as export:
        assert export.stdout is not None
        lines = (json.loads(line) for line in export.stdout)
        ids = (line.get("messageId", "") for line in lines)
        stored = Counter(one for one in ids if one.startswith(HONEST))
    if export.returncode:
        yield f"export ended with status {export.returncode}"
    if gone := acknowledged - set(stored):
        yield f"acknowledged and not stored: {len(gone)}, such as {sorted(gone)[:5]}"
    if twice := [one for one, count in stored.items() if count > 1]:
        yield f"stored twice: {len(twice)}, such as {sorted(twice)[:5]}"


def failures(server: ServerProcess) -> Iterator[str]:
    ready = httpx.get(f"http://{server.http}/readyz", timeout=30)
    if ready.status_code != 200:
        yield f"not ready: {ready.text}"
    for line in httpx.get(f"http://{server.http}/metrics", timeout=30).text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith(_OF_FAILURES) and "_created" not in name and float(value):
            yield line


_OF_FAILURES = ("devtelemetry_windows_failed_total", "devtelemetry_job_failures_total")


def in_log(lines: list[str]) -> Iterator[str]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            yield f"in the log, and not JSON: {line[:500]}"
            continue
        if entry.get("level") in ("error", "critical") or "exception" in entry:
            yield f"in the log: {line[:2000]}"
