"""Real stores of time series on loopback: Prometheus and VictoriaMetrics, from Debian."""

import base64
import json
import math
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from support.ci import missing_part
from support.ports import free_port

START_SECONDS = 60.0
SEEN_SECONDS = 60.0  # VictoriaMetrics shows a new point after a second or more

Series = tuple[str, tuple[tuple[str, str], ...]]  # name, and labels sorted by name
Values = dict[int, float]  # Unix ms → value

OURS = '{__name__=~"devtelemetry_.*"}'


def is_close(found: Values, expected: Values) -> bool:
    """The same times, and values as close as VictoriaMetrics stores them, in decimals."""
    return found.keys() == expected.keys() and all(
        math.isclose(found[at], value, rel_tol=1e-12) for at, value in expected.items()
    )


class Store:
    """A process that can be killed and started again on the same port and files.

    Call `start` once, then `kill` and `start` as often as wanted; leaving the `with` ends it.
    """

    program: str
    package: str

    def __init__(self, directory: Path, *options: str) -> None:
        found = shutil.which(self.program)
        if found is None:
            missing_part(f"no {self.program} (Debian: apt-get install {self.package})")
        self._program = found
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

        self.context: ssl.SSLContext | None = None  # if set, it uses TLS
        self.login: str | None = None  # if set, the USER:PASSWORD that it asks for

    @property
    def url(self) -> str:
        return f"{'http' if self.context is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def authorization(self) -> str:
        """The header with its login."""
        assert self.login is not None
        return f"Basic {base64.b64encode(self.login.encode()).decode()}"

    def _open(self, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}{path}")
        if self.login is not None:
            request.add_header("Authorization", self.authorization)
        return urllib.request.urlopen(request, timeout=30, context=self.context)

    @property
    def write_url(self) -> str:
        return f"{self.url}/api/v1/write"

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self._directory.mkdir(exist_ok=True)
        log = self._directory.parent / f"{self._directory.name}.log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [self._program, *self.arguments(), *self._options],
                stdout=written,
                stderr=written,
                cwd=self._directory,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, f"it ended\n{log.read_text()}"
            assert time.monotonic() < deadline, f"it does not answer\n{log.read_text()}"
            time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=START_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=START_SECONDS)

    def _is_ready(self) -> bool:
        try:
            with self._open("/-/ready"):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def points(self, selector: str, at_ms: int, back: str) -> dict[Series, Values]:
        """All stored points of a selector in the span `back` up to `at_ms`, as written."""
        query = urllib.parse.urlencode({"query": f"{selector}[{back}]", "time": at_ms / 1000})
        found: dict[Series, Values] = {}
        for one in self.ask(f"/api/v1/query?{query}")["data"]["result"]:
            labels = dict(one["metric"])
            name = labels.pop("__name__")
            values = {round(at * 1000): float(value) for at, value in one["values"]}
            found[name, tuple(sorted(labels.items()))] = values
        return found

    def ask(self, path: str) -> Any:
        with self._open(path) as answer:
            return json.load(answer)

    def wait_for(self, expected: Mapping[Series, Values], at_ms: int) -> None:
        """Waits until exactly these points of ours are there; fails with what differs."""
        deadline = time.monotonic() + SEEN_SECONDS
        while True:
            found = self.points(OURS, at_ms, "30d")
            if found.keys() == expected.keys() and all(
                is_close(found[series], values) for series, values in expected.items()
            ):
                return
            if time.monotonic() > deadline:
                assert found == expected
            time.sleep(0.2)


class Prometheus(Store):
    """A Prometheus that scrapes itself, as the package's does, so its newest point is of now.

    out_of_order  how far back it takes points; None: the setting is left out
    """

    program = "prometheus"
    package = "prometheus"

    def __init__(
        self, directory: Path, *options: str, out_of_order: str | None = "9d", takes: bool = True
    ) -> None:
        super().__init__(directory, *options)
        self.out_of_order = out_of_order
        self.takes = takes

    def arguments(self) -> list[str]:
        window = (
            f"storage: {{tsdb: {{out_of_order_time_window: {self.out_of_order}}}}}\n"
            if self.out_of_order is not None
            else ""
        )
        scheme = "http" if self.context is None else "https"
        configuration = self._directory / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"- {{job_name: itself, scheme: {scheme}, tls_config: {{insecure_skip_verify: true}},"
            f" static_configs: [{{targets: ['127.0.0.1:{self.port}']}}]}}\n"
            f"{window}"
        )
        return [
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *(["--web.enable-remote-write-receiver"] if self.takes else []),
        ]

    def has_scraped(self) -> bool:
        query = urllib.parse.urlencode({"query": "up"})
        return bool(self.ask(f"/api/v1/query?{query}")["data"]["result"])

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + START_SECONDS
        while not self.has_scraped():
            assert time.monotonic() < deadline, "it does not scrape itself"
            time.sleep(0.1)


class VictoriaMetrics(Store):
    program = "victoria-metrics"
    package = "victoria-metrics"

    def arguments(self) -> list[str]:
        return [
            f"-storageDataPath={self._directory / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-search.latencyOffset=0s",
            # A query before a new point shows would be cached, and would get the same answer again.
            "-search.disableCache",
        ]
