"""Clients with short intervals, a clock that tests move, and waiting."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devtelemetry.client import Limits, Settings, TelemetryClient, Timing

QUICK = Timing(
    batch=0.1, heartbeat=3600.0, flush=0.005, first_retry=0.02, longest_retry=0.2, rare_retry=60.0
)


@dataclass
class Clock:
    """A clock in Unix ms that a test moves."""

    now_ms: int = 1_772_445_600_000

    def __call__(self) -> int:
        return self.now_ms


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def running_client(
    settings: Settings,
    server: str,
    *,
    timing: Timing = QUICK,
    limits: Limits | None = None,
    token: str | None = None,
    tls: bool | Path | None = None,
) -> Iterator[TelemetryClient]:
    client = TelemetryClient(
        settings,
        server,
        token,
        tls,
        receiver_public_key="0x04aa",
        platform="desktop",
        app_version="2.31.0",
        messenger_server="relay.example",
        timing=timing,
        limits=limits,
    )
    client.start()
    try:
        yield client
    finally:
        client.close()


def eventually(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits until `holds` is true by the work of another thread or process."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not in {seconds} s"
        time.sleep(0.01)


def receive(client: TelemetryClient, message_id: str, sent_at: int, channel_id: str = "c1") -> None:
    client.message_received(message_id=message_id, channel_id=channel_id, sent_at=sent_at)
