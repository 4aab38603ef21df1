"""Runs `devtelemetry serve` in a process and on a data directory of its own, as a user does."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.settings.names import ENVIRONMENT_PREFIX

STOP_SECONDS = 90.0
_SHOWN_BYTES = 300  # of the end of its log


class ServerFailed(DevTelemetryError):
    """The server did not start, or ended by itself; the text has the end of its log."""


class ServeProcess:
    """Starts on construction; `wait_until_ready` returns when it listens. `with` stops it.

    It gets no settings from the environment, because they may name a database that is in use.
    """

    def __init__(self, data_dir: Path, *options: str, http_listen: str = "127.0.0.1:0") -> None:
        self.data_dir = data_dir
        self.grpc = ""
        self.http = ""
        self._log_path = data_dir.parent / f"{data_dir.name}.log"
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable,
                    "-m",
                    "devtelemetry",
                    "serve",
                    f"--data-dir={data_dir}",
                    "--grpc-listen=127.0.0.1:0",
                    f"--http-listen={http_listen}",
                    *options,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(ENVIRONMENT_PREFIX)
                },
                # Ctrl-C must not reach the server: its clients are stopped first.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Waits until it listens. Raises ServerFailed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            self.stop()
            words = self._log_path.read_text(errors="replace").strip().rpartition("\n")[2]
            raise ServerFailed(f"the server did not start: {words[-_SHOWN_BYTES:]}")
        places = dict(part.split("=", 1) for part in line.split()[1:])
        self.grpc, self.http = places["grpc"], places["http"]

    def stop(self) -> None:
        """Sends SIGTERM, and SIGKILL if that does not help. Harmless if the server has ended."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        assert self._process.stdout is not None
        self._process.stdout.close()
