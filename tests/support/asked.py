"""What a running server answers to a push and to GET, `/readyz` for example."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc

from devtelemetry.runtime.clock import now_ms
from devtelemetry.v1 import PUSH, telemetry_pb2
from support.server import ServerProcess


def push(server: ServerProcess, receiver: int, sent_at: int) -> grpc.StatusCode:
    """Pushes one sample, with the client's time. After UNAVAILABLE a client keeps the sample."""
    request = telemetry_pb2.PushRequest(
        reporter=telemetry_pb2.Reporter(receiver_public_key=f"0x04{receiver}"),
        samples=[telemetry_pb2.Sample(message_id=f"m{sent_at}", channel_id="c1", sent_at=sent_at)],
        client_time=now_ms(),
    )
    with grpc.insecure_channel(server.grpc) as channel:
        call: Any = channel.unary_unary(
            PUSH,
            request_serializer=telemetry_pb2.PushRequest.SerializeToString,
            response_deserializer=telemetry_pb2.PushResponse.FromString,
        )
        try:
            response = call(request, timeout=30)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    assert not response.rejections, response.rejections
    return grpc.StatusCode.OK


def ready(server: ServerProcess) -> tuple[int, str]:
    return read(server, "/readyz")


def read(server: ServerProcess, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.http}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
