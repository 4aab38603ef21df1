"""What strangers can write into the log: lines of each kind are limited."""

import io
import json
import logging
import socket
from pathlib import Path

import httpx
import pytest
import structlog

from devtelemetry.runtime import logs
from devtelemetry.runtime.logs import INTERVAL_SECONDS, LINES, RatedHandler
from support.server import ServerProcess
from test_serve import make_certificate

MANY = 60


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def rated(clock: Clock, name: str) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    logger = logging.Logger(name, logging.DEBUG)
    logger.addHandler(RatedHandler(stream, clock))
    return logger, stream


def test_of_many_lines_of_a_kind_there_are_some_and_how_many_more() -> None:
    clock = Clock()
    logger, stream = rated(clock, "some")
    for number in range(25):
        logger.warning("bad %d", number)
    logger.warning("another kind")
    lines = stream.getvalue().splitlines()
    assert lines == [*(f"bad {number}" for number in range(LINES)), "another kind"]
    clock.seconds = INTERVAL_SECONDS
    logger.info("later")
    later = stream.getvalue().splitlines()[len(lines) :]
    assert later == ["15 more lines like this one were left out: bad 0", "later"]


def test_what_is_no_warning_is_not_rated() -> None:
    logger, stream = rated(Clock(), "steps")
    for number in range(2 * LINES):
        logger.info("step %d", number)
    assert len(stream.getvalue().splitlines()) == 2 * LINES


def test_a_kind_that_comes_rarely_is_always_written() -> None:
    clock = Clock()
    logger, stream = rated(clock, "rare")
    for _ in range(5 * LINES):
        logger.error("again")
        clock.seconds += INTERVAL_SECONDS / LINES
    assert stream.getvalue().splitlines() == ["again"] * (5 * LINES)


def test_lines_of_structlog_are_rated_by_where_they_are_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, stream = Clock(), io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logs, "RatedHandler", lambda _: RatedHandler(stream, clock))
    config = structlog.get_config()
    try:
        logs.configure_logging("info", "json")
        log = structlog.get_logger("rated")
        for number in range(25):
            log.warning("bad", number=number)
        log.warning("worse")
        clock.seconds = INTERVAL_SECONDS
        log.info("later")
    finally:
        structlog.configure(**config)
        logging.captureWarnings(False)
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    left_out = "15 more lines like this one were left out: bad"
    assert events == [*["bad"] * LINES, "worse", left_out, "later"]


def say(address: str, content: bytes) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(content)
        try:
            while connection.recv(4096):
                pass
        except OSError:
            pass


@pytest.mark.slow
def test_however_many_bad_requests_come_the_log_grows_little(
    tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        before = server.log_path.stat().st_size
        for _ in range(MANY):
            say(server.http, b"\x00garbage\r\n\r\n")
            say(
                server.http,
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n",
            )
            httpx.post(f"http://{server.http}/record-metrics", content=b"{{{")
        written = server.log_path.read_text()[before:]
    assert written.count("Invalid HTTP request") <= 3 * LINES  # from at most three places
    assert written.count("a body was dropped") == LINES


@pytest.mark.slow
def test_who_does_not_speak_tls_writes_nothing(tmp_path: Path, database_url: str) -> None:
    certificate, key = make_certificate(tmp_path)
    options = (f"--database={database_url}", f"--tls-cert={certificate}", f"--tls-key={key}")
    with ServerProcess(tmp_path / "data", *options) as server:
        before = server.log_path.stat().st_size
        for _ in range(MANY):
            say(server.grpc, b"GET / HTTP/1.1\r\n\r\n")
        assert server.log_path.stat().st_size == before
