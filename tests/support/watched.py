"""Measures how long a module for a messenger holds up the event loop, call by call.

Each call from the messenger makes one line in a file: ns of wall clock, ns of processor time, and
how often the thread waited (for a lock or the disk) and how often other processes displaced it.
"""

import functools
import os
import resource
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

_LINE = struct.Struct("<4q")


class Held(NamedTuple):
    wall_ns: int
    cpu_ns: int
    waits: int
    preemptions: int


def watch(module: type, path: str) -> None:
    """Times every function of `module` that `guarded` wraps, with all that it calls."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    depth = 0

    def timed(entry: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(entry)
        def call(*arguments: Any, **named: Any) -> None:
            nonlocal depth
            depth += 1
            before = _now()
            try:
                entry(*arguments, **named)
            finally:
                depth -= 1
                if not depth:
                    used = (now - then for now, then in zip(_now(), before, strict=True))
                    os.write(file, _LINE.pack(*used))

        return call

    for name, entry in list(vars(module).items()):
        if hasattr(entry, "__wrapped__"):
            setattr(module, name, timed(entry))


def held(path: Path) -> Iterator[Held]:
    if path.exists():
        for line in _LINE.iter_unpack(path.read_bytes()):
            yield Held(*line)


def _now() -> tuple[int, int, int, int]:
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return time.perf_counter_ns(), time.thread_time_ns(), used.ru_nvcsw, used.ru_nivcsw
