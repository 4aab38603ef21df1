"""Runs `devtelemetry serve` in a process of its own, as a user does; a test can kill it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.program import command, in_process

START_SECONDS = 120.0  # crash recovery on a slow disk included


class ServerProcess:
    """Starts on construction and waits for the ready line; `with` stops it cleanly."""

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        grpc_listen: str = "127.0.0.1:0",
        http_listen: str = "127.0.0.1:0",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        # The option with which a command finds this server's database.
        self.where = next(
            (option for option in options if option.startswith("--database=")),
            f"--data-dir={data_dir}",
        )
        self.log_path = data_dir.parent / f"{data_dir.name}.log"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command(
                    "serve",
                    f"--data-dir={data_dir}",
                    f"--grpc-listen={grpc_listen}",
                    f"--http-listen={http_listen}",
                    *options,
                ),
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environment or {})},
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            self._process.wait(timeout=START_SECONDS)
            raise AssertionError(f"the server did not start: {line!r}\n{self.log_path.read_text()}")
        places = dict(part.split("=", 1) for part in line.split()[1:])
        self.grpc, self.http = places["grpc"], places["http"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def terminate(self) -> int:
        """Sends SIGTERM, as an init system does; returns the exit status."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Waits until it has ended; returns the exit status."""
        return self._process.wait(timeout=60)

    def kill(self, *, with_database: bool) -> None:
        """Sends SIGKILL to the server and, with_database, to its database."""
        postmaster = postmaster_pid(self.data_dir) if with_database else None
        os.kill(self.pid, signal.SIGKILL)
        if postmaster is not None:
            os.kill(postmaster, signal.SIGKILL)
        self._process.wait(timeout=60)

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.terminate()
        if self._process.stdout is not None:
            self._process.stdout.close()


def exported_samples(server: ServerProcess) -> list[dict[str, Any]]:
    """The samples that a server exports, without the other lines of the export."""
    lines = in_process("export", server.where).out.splitlines()
    return [line for line in map(json.loads, lines) if "messageId" in line]


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def wait_until_gone(pids: Sequence[int], seconds: float = 30.0) -> None:
    """Waits until none of the processes runs; a zombie does not run."""
    deadline = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
