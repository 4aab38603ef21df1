"""Clients that push by HTTP, written from the specifications of Connect and gRPC-Web."""

import base64
import gzip
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import grpc
import httpx
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from devtelemetry.v1 import PUSH, telemetry_pb2


@dataclass(frozen=True)
class Answer:
    """A response, as a client of either protocol reads it."""

    code: str
    details: str
    retry_seconds: float | None
    response: telemetry_pb2.PushResponse
    http: httpx.Response


def delay_of(info: RetryInfo) -> float:
    milliseconds: int = info.retry_delay.ToMilliseconds()
    return milliseconds / 1000


@dataclass(frozen=True)
class Connect:
    """Push by Connect."""

    content_type: str
    is_json: bool
    interface: str = "connect"
    packing: Mapping[str, str] = field(default_factory=lambda: {"content-encoding": "gzip"})

    def body(self, message: bytes, *, packed: bool) -> bytes:
        return gzip.compress(message) if packed else message

    def answer(self, http: httpx.Response) -> Answer:
        response = telemetry_pb2.PushResponse()
        if http.status_code == 200:
            assert http.headers["content-type"] == self.content_type
            read(http.content, response, is_json=self.is_json)
            return Answer("ok", "", None, response, http)
        assert http.headers["content-type"] == "application/json"
        error = http.json()
        delay = None
        for detail in error.get("details", []):
            assert detail["type"] == "google.rpc.RetryInfo"
            packed = detail["value"]
            delay = delay_of(
                RetryInfo.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
            )
        return Answer(error["code"], error["message"], delay, response, http)


@dataclass(frozen=True)
class GrpcWeb:
    """Push by gRPC-Web, as PROTOCOL-WEB.md has it."""

    content_type: str
    is_json: bool = False
    is_text: bool = False
    interface: str = "grpc-web"
    packing: Mapping[str, str] = field(default_factory=lambda: {"grpc-encoding": "gzip"})

    def body(self, message: bytes, *, packed: bool) -> bytes:
        if packed:
            message = gzip.compress(message)
        framed = struct.pack(">BI", int(packed), len(message)) + message
        return base64.b64encode(framed) if self.is_text else framed

    def answer(self, http: httpx.Response) -> Answer:
        assert (http.status_code, http.headers["content-type"]) == (200, self.content_type)
        rest = base64.b64decode(http.content) if self.is_text else http.content
        response = telemetry_pb2.PushResponse()
        trailers: dict[str, str] = {}
        while rest:
            assert not trailers, "they come last"
            flags, size = struct.unpack(">BI", rest[:5])
            part, rest = rest[5 : 5 + size], rest[5 + size :]
            assert len(part) == size
            if flags == 0x80:
                lines = part.decode("ascii").removesuffix("\r\n").split("\r\n")
                trailers = dict(line.split(": ", 1) for line in lines)
            else:
                assert flags == 0
                read(part, response, is_json=self.is_json)
        delay = None
        if "grpc-status-details-bin" in trailers:
            status = Status.FromString(base64.b64decode(trailers["grpc-status-details-bin"]))
            info = RetryInfo()
            assert status.details[0].Unpack(info)
            delay = delay_of(info)
        codes = {code.value[0]: code.name.lower() for code in grpc.StatusCode}
        code, details = (
            codes[int(trailers["grpc-status"])],
            unquote(trailers.get("grpc-message", "")),
        )
        return Answer(code, details, delay, response, http)


def read(body: bytes, response: telemetry_pb2.PushResponse, *, is_json: bool) -> None:
    if is_json:
        json_format.Parse(body, response)
    else:
        response.ParseFromString(body)


Encoding = Connect | GrpcWeb
ENCODINGS: tuple[Encoding, ...] = (
    Connect("application/json", is_json=True),
    Connect("application/proto", is_json=False),
    GrpcWeb("application/grpc-web"),
    GrpcWeb("application/grpc-web+proto"),
    GrpcWeb("application/grpc-web+json", is_json=True),
    GrpcWeb("application/grpc-web-text", is_text=True),
    GrpcWeb("application/grpc-web-text+proto", is_text=True),
)


async def push(
    client: httpx.AsyncClient,
    encoding: Encoding,
    request: telemetry_pb2.PushRequest | bytes,
    *,
    packed: bool = False,
    token: str | None = None,
) -> Answer:
    """request  bytes are sent as they are"""
    if isinstance(request, bytes):
        message = request
    elif encoding.is_json:
        message = json_format.MessageToJson(request).encode()
    else:
        message = request.SerializeToString()
    headers = {"content-type": encoding.content_type}
    if packed:
        headers |= encoding.packing
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    body = encoding.body(message, packed=packed)
    return encoding.answer(await client.post(PUSH, content=body, headers=headers))
