"""A messenger in a process of its own, for tests that kill it: it reports messages until it ends.

    python node.py SETTINGS SERVER NAME FIRST RATE LOG [COUNT]

It writes `begun N` to LOG before it reports message NAME-N, and `done N` after. LOG survives
SIGKILL. RATE is messages a second. With COUNT it ends properly after so many.
"""

import os
import sys
import time

from devtelemetry.client import Settings, TelemetryClient, Timing

TIMING = Timing(flush=0.02, batch=0.05, first_retry=0.02, longest_retry=0.3, heartbeat=3600.0)


def main() -> None:
    path, server, name, first, rate, log_path = sys.argv[1:7]
    count = int(sys.argv[7]) if len(sys.argv) > 7 else 1_000_000
    shift_ms = int(os.environ.get("NODE_CLOCK_SHIFT_MS", "0"))
    settings = Settings(path, clock=lambda: time.time_ns() // 1_000_000 + shift_ms)
    client = TelemetryClient(
        settings,
        server,
        receiver_public_key="0x04aa",  # one user, however many processes the app has
        platform="desktop",
        timing=TIMING,
    )
    client.start()
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in range(int(first), int(first) + count):
        os.write(log, b"begun %d\n" % number)
        client.message_received(
            message_id=f"{name}-{number}",
            channel_id="c1",
            sent_at=time.time_ns() // 1_000_000 + 1000,
        )
        os.write(log, b"done %d\n" % number)
        time.sleep(1 / float(rate))
    client.close(timeout=20.0)


if __name__ == "__main__":
    main()
