"""Hostile clients: the server stays up and answers honest ones."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from devtelemetry.ingest.check import MAX_REQUEST_BYTES
from devtelemetry.ingest.grpc_server import TRANSPORT_BYTES
from devtelemetry.server.connections import HEADER_SECONDS, MOST_OF_ADDRESS
from devtelemetry.v1 import PUSH, SERVICE, telemetry_pb2
from support.server import ServerProcess

REQUESTS = 40  # of 4 to 16 MiB each
LEFT_MIB = 60  # the most that may stay in memory after refused requests

# Zeros only, so that it compresses to a few KiB on the wire.
WELL_FORMED = telemetry_pb2.PushRequest(
    samples=[telemetry_pb2.Sample(topics=bytes(MAX_REQUEST_BYTES - 64))]
).SerializeToString()
BODIES = {
    "undecodable": b"\xff" * MAX_REQUEST_BYTES,
    "of one sample": WELL_FORMED,
    "too large": bytes(TRANSPORT_BYTES - 64),
    "larger than the transport takes": bytes(TRANSPORT_BYTES + 64),
}
# The same as JSON by HTTP, and a body that takes twenty times its size once it is parsed.
JSON_BODIES = {
    "undecodable": b"\xff" * MAX_REQUEST_BYTES,
    "of lists": b'{"x":[' + b"[]," * (MAX_REQUEST_BYTES // 3 - 10) + b"[]]}",
    "of memberships": b'{"memberships":[' + b"{}," * (MAX_REQUEST_BYTES // 3 - 10) + b"{}]}",
    "a bomb": bytes(1024 * MAX_REQUEST_BYTES // 16),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("hostile") / "data"
    with ServerProcess(directory, "--require-tokens") as running:
        yield running


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("open") / "data") as running:
        yield running


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(kib) / 1024


def push(server: ServerProcess, body: bytes, times: int) -> set[grpc.StatusCode]:
    """Pushes a body that is compressed on the wire; returns the statuses of the responses."""
    found = set()
    with grpc.insecure_channel(server.grpc) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/Push", None, None)
        for _ in range(times):
            try:
                call(body, compression=grpc.Compression.Gzip, timeout=60)
                found.add(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                found.add(error.code())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_who_has_no_token_has_no_body_unpacked_and_leaves_no_memory(
    name: str, server: ServerProcess
) -> None:
    push(server, BODIES[name], 3)
    before = resident_mib(server.pid)
    assert push(server, BODIES[name], REQUESTS) == {grpc.StatusCode.UNAUTHENTICATED}
    assert resident_mib(server.pid) - before < LEFT_MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_what_is_refused_for_what_it_is_leaves_no_memory(
    name: str, open_server: ServerProcess
) -> None:
    push(open_server, BODIES[name], 3)
    before = resident_mib(open_server.pid)
    assert push(open_server, BODIES[name], REQUESTS) <= {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.OK,  # its sample is rejected
    }
    assert resident_mib(open_server.pid) - before < LEFT_MIB


def push_json(server: ServerProcess, body: bytes, times: int) -> set[int]:
    """The same by HTTP."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    packed = gzip.compress(body)
    url = f"http://{server.http}{PUSH}"
    with httpx.Client(timeout=60) as client:
        return {client.post(url, content=packed, headers=headers).status_code for _ in range(times)}


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON_BODIES)
def test_by_http_neither_one_leaves_memory(
    name: str, server: ServerProcess, open_server: ServerProcess
) -> None:
    for asked, statuses in ((server, {401}), (open_server, {400})):
        push_json(asked, JSON_BODIES[name], 3)
        before = resident_mib(asked.pid)
        assert push_json(asked, JSON_BODIES[name], REQUESTS) == statuses
        assert resident_mib(asked.pid) - before < LEFT_MIB


def _call(channel: grpc.Channel, method: str) -> Any:
    return channel.stream_stream(method, None, None)


def held_open(server: ServerProcess, method: str, calls: int, first: bytes | None) -> list[Any]:
    """Calls that send `first`, and then nothing, each by a connection of its own."""
    ended = threading.Event()

    def silence() -> Iterator[bytes]:
        if first is not None:
            yield first
        ended.wait()

    held: list[Any] = [ended]
    for number in range(calls):
        if number % 60 == 0:
            channel = grpc.insecure_channel(
                server.grpc, options=[("grpc.use_local_subchannel_pool", 1), ("n", number)]
            )
            held.append(channel)
        held.append(_call(channel, method)(silence()))
    return held


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "first"),
    [
        (f"/{SERVICE}/Push", None),
        ("/grpc.health.v1.Health/Watch", b""),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b""),
    ],
)
def test_calls_that_are_held_open_starve_nobody(
    method: str, first: bytes | None, open_server: ServerProcess
) -> None:
    held = held_open(open_server, method, 600, first)
    try:
        with grpc.insecure_channel(open_server.grpc) as channel:
            push: Any = channel.unary_unary(f"/{SERVICE}/Push", None, None)
            body = telemetry_pb2.PushRequest(
                samples=[telemetry_pb2.Sample(message_id="m")]
            ).SerializeToString()
            for _ in range(20):
                answer = telemetry_pb2.PushResponse.FromString(push(body, timeout=30))
                assert len(answer.rejections) == 1
    finally:
        held[0].set()
        for channel in held:
            if isinstance(channel, grpc.Channel):
                channel.close()
    assert "never awaited" not in open_server.log_path.read_text()


@pytest.mark.slow
def test_silent_connections_leave_room_for_others(open_server: ServerProcess) -> None:
    host, _, port = open_server.http.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(400)]
    try:
        slow = silent[0]
        slow.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n")
        refused = sum(is_closed(one) for one in silent)
        assert refused >= 400 - MOST_OF_ADDRESS
        for one in silent[300:]:
            one.close()
        # The honest client has the same address here, so some connections must close first.
        for one in silent[1:50]:
            one.close()
        time.sleep(0.5)
        assert httpx.get(f"http://{open_server.http}/healthz", timeout=10).status_code == 200
        slow.settimeout(HEADER_SECONDS + 20)
        assert slow.recv(100) == b"", "headers must come to an end"
    finally:
        for one in silent:
            one.close()


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
