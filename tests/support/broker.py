"""A real MQTT broker on loopback: a mosquitto process with its own configuration."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from support.ci import missing_part
from support.ports import free_port

START_SECONDS = 20.0
_ATTEMPTS = 5  # another process may take the port between our look and the broker's start


@contextlib.contextmanager
def mqtt_broker(directory: Path) -> Iterator[str]:
    """HOST:PORT of a broker that everyone on this machine may use; its files are in `directory`."""
    # Debian puts it into a directory that only root's PATH names.
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing_part("no MQTT broker (Debian: apt-get install mosquitto)")
    configuration, log = directory / "broker.conf", directory / "broker.log"
    for _ in range(_ATTEMPTS):
        port = free_port()
        configuration.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\n"
        )
        with log.open("wb") as written:
            process = subprocess.Popen([program, "-c", configuration], stderr=written)
        try:
            if _runs(process, log):
                yield f"127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)
    raise AssertionError(f"no broker\n{log.read_text()}")


def _runs(process: subprocess.Popen[bytes], log: Path) -> bool:
    """Waits until it listens, or has ended because it cannot; whether it listens."""
    deadline = time.monotonic() + START_SECONDS
    while b" running\n" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
