"""What hostile clients may cost: a server stays up and answers honest ones."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from devtelemetry.ingest.check import MAX_REQUEST_BYTES
from devtelemetry.ingest.grpc_server import TRANSPORT_BYTES
from devtelemetry.v1 import PUSH, SERVICE, telemetry_pb2
from support.server import ServerProcess

REQUESTS = 40  # of 4 to 16 MiB each
LEFT_MIB = 60  # of refused requests, at most

# Nothing but zeros, so that a few KiB on the wire are all of it.
WELL_FORMED = telemetry_pb2.PushRequest(
    samples=[telemetry_pb2.Sample(topics=bytes(MAX_REQUEST_BYTES - 64))]
).SerializeToString()
BODIES = {
    "undecodable": b"\xff" * MAX_REQUEST_BYTES,
    "of one sample": WELL_FORMED,
    "too large": bytes(TRANSPORT_BYTES - 64),
    "larger than the transport takes": bytes(TRANSPORT_BYTES + 64),
}
# As JSON and by HTTP: what unpacks to nothing else, and what takes twenty times its size once read.
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
    """Small on the wire, large where it is unpacked; returns the answers' statuses."""
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
        grpc.StatusCode.OK,  # a sample that is rejected
    }
    assert resident_mib(open_server.pid) - before < LEFT_MIB


def push_json(server: ServerProcess, body: bytes, times: int) -> set[int]:
    """As `push`, by HTTP."""
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
