"""A real server and the load generator, each in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from bench.load import Outcome, Plan
from bench.machine import Memory, cpu_seconds, family, memory
from devtelemetry.store.embedded import EmbeddedServer


class Serve:
    """`python -m devtelemetry serve` in a temporary directory."""

    def __init__(self, workers: int, *options: str) -> None:
        self._options = (f"--workers={workers}", *options)
        self._directory = TemporaryDirectory(prefix="devtelemetry-bench-")
        self.data_dir = Path(self._directory.name) / "data"
        self._log = Path(self._directory.name) / "serve.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "devtelemetry",
                    "serve",
                    f"--data-dir={self.data_dir}",
                    "--grpc-listen=127.0.0.1:0",
                    "--http-listen=127.0.0.1:0",
                    *self._options,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            self._process.wait(timeout=60)
            raise RuntimeError(f"serve did not start:\n{self._log.read_text()}")
        places = dict(part.split("=", 1) for part in line.split()[1:])
        self.target, self.http = places["grpc"], places["http"]
        self._database = EmbeddedServer(self.data_dir)
        self._database.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._database.stop()
        self._process.terminate()
        try:
            self._process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        return self._database.url

    @property
    def pid(self) -> int:
        """The server's first process."""
        return self._process.pid

    @property
    def postmaster(self) -> int:
        """PostgreSQL's first process, the parent of its others."""
        return int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])

    def memory(self) -> Memory:
        return memory(family(self._process.pid))

    def cpu(self) -> tuple[float, float]:
        """CPU seconds that the server, and that PostgreSQL, have used."""
        return cpu_seconds(family(self.pid)), cpu_seconds(family(self.postmaster))


def load(plan: Plan) -> Outcome:
    """Runs `bench/load.py` with a plan; returns its outcome."""
    return Outcome(**run_json("bench.load", json.dumps(asdict(plan))))


def run_json(module: str, argument: str) -> Any:
    """Runs a module of bench in a process of its own; returns the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, argument],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=3_600,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
    )
    return json.loads(done.stdout)
