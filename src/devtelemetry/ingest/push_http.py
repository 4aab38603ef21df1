"""Telemetry.Push by HTTP, for browsers, curl and other clients without gRPC: the unary call of the
Connect protocol, and gRPC-Web. Why not `connectrpc`: docs/adr/0033-a-door-for-browsers.md.

A request is checked in this order. Each check has its own answer, and the body is not read before
the last check:

    host      a name by which this server is known. Else a foreign page could point its own name to
              this server
    origin    the page that sends, if a browser names it: a page of this server, or one in
              `cors_origins`. Else a foreign page could report through the browser of its visitor
    path      only Push
    method    POST; OPTIONS for a browser that asks first
    encoding  what the headers say of the body
    token     checked by `push.py`, like everything from here on
"""

import base64
import math
import struct
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import grpc
import orjson
from google.protobuf import json_format
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from devtelemetry.ingest.bodies import (
    BadGzip,
    Bodies,
    EndlessBody,
    SlowBody,
    TooLarge,
    unpack,
)
from devtelemetry.ingest.check import MAX_REQUEST_BYTES
from devtelemetry.ingest.push import Answer, Decoded, Incoming, PushService, Refused, decode_binary
from devtelemetry.ingest.push_json import read_push, write_response
from devtelemetry.runtime import metrics
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.v1 import SERVICE, telemetry_pb2

# The body of a request of MAX_REQUEST_BYTES is largest as base64, with a frame around it.
_WIRE_BYTES = MAX_REQUEST_BYTES * 4 // 3 + 64
_PREFLIGHT_SECONDS = 7200  # Chromium remembers an answer no longer than this
_ALLOWED_HEADERS = (
    "authorization, content-type, content-encoding, connect-protocol-version, connect-timeout-ms, "
    "grpc-encoding, grpc-timeout, x-grpc-web, x-user-agent"
)
_EXPOSED_HEADERS = "retry-after, grpc-status, grpc-message, grpc-status-details-bin"
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

_PACKED, _TRAILERS = 0x01, 0x80  # flags of a frame of gRPC-Web
_FRAME = struct.Struct(">BI")

# Source: the Connect protocol, "Error Codes".
_HTTP_STATUSES: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}


class _Encoding(Protocol):
    """How requests and answers are written."""

    @property
    def interface(self) -> str:
        """The label in metrics."""

    @property
    def packing_header(self) -> str:
        """The name of the header that says how a body is packed."""

    @property
    def is_json(self) -> bool: ...

    def message(self, body: bytes, *, is_packed: bool) -> bytes:
        """The message in a body. Raises Refused, BadGzip, TooLarge."""

    def answer(self, content_type: str, answer: Answer) -> Response: ...


@dataclass(frozen=True, slots=True)
class _Connect:
    """Source: the Connect protocol, "Unary-Request", "Unary-Response"."""

    is_json: bool
    interface: str = "connect"
    packing_header: str = "content-encoding"

    def message(self, body: bytes, *, is_packed: bool) -> bytes:
        return unpack(body, MAX_REQUEST_BYTES) if is_packed else body

    def answer(self, content_type: str, answer: Answer) -> Response:
        if answer.response is None:
            return _error(answer, _HTTP_STATUSES[answer.code])
        return Response(_written(answer.response, self.is_json), media_type=content_type)


@dataclass(frozen=True, slots=True)
class _GrpcWeb:
    """Source: gRPC's PROTOCOL-WEB.md. The status comes at the end of the body.

    is_text  the whole body is base64
    """

    is_json: bool = False
    is_text: bool = False
    interface: str = "grpc-web"
    packing_header: str = "grpc-encoding"

    def message(self, body: bytes, *, is_packed: bool) -> bytes:
        if self.is_text:
            try:
                body = base64.b64decode(body, validate=True)
            except ValueError as error:
                raise _invalid(f"the body is not base64: {error}") from error
        flags, size = _FRAME.unpack_from(body) if len(body) >= _FRAME.size else (0, -1)
        if size != len(body) - _FRAME.size or flags & ~_PACKED:
            raise _invalid("the body is not exactly one gRPC-Web message")
        message = body[_FRAME.size :]
        if not flags & _PACKED:
            return message
        if not is_packed:
            raise _invalid(
                "the message is compressed; allowed: only with the header grpc-encoding: gzip"
            )
        return unpack(message, MAX_REQUEST_BYTES)

    def answer(self, content_type: str, answer: Answer) -> Response:
        body = b""
        if answer.response is not None:
            body = _frame(0, _written(answer.response, self.is_json))
        trailers = f"grpc-status: {answer.code.value[0]}\r\n"
        if answer.details:
            trailers += f"grpc-message: {quote(answer.details, safe=_PRINTABLE)}\r\n"
        if answer.status_details is not None:
            packed = base64.b64encode(answer.status_details).decode()
            trailers += f"grpc-status-details-bin: {packed}\r\n"
        body += _frame(_TRAILERS, trailers.encode())
        return Response(base64.b64encode(body) if self.is_text else body, media_type=content_type)


_ENCODINGS: Mapping[str, _Encoding] = {
    "application/json": _Connect(is_json=True),
    "application/proto": _Connect(is_json=False),
    "application/grpc-web": _GrpcWeb(),
    "application/grpc-web+proto": _GrpcWeb(),
    "application/grpc-web+json": _GrpcWeb(is_json=True),
    "application/grpc-web-text": _GrpcWeb(is_text=True),
    "application/grpc-web-text+proto": _GrpcWeb(is_text=True),
}


class PushApp:
    """The ASGI application, to be mounted at the service's name.

    needs_token  a request without a valid token is refused
    origins      the origins of pages that may push, as browsers write them
    hosts        the names by which clients may reach this server
    """

    def __init__(
        self,
        service: PushService,
        *,
        needs_token: bool,
        origins: frozenset[str],
        hosts: KnownHosts,
    ) -> None:
        self._service = service
        self._needs_token = needs_token
        self._origins = origins
        self._hosts = hosts
        self._bodies = Bodies(_WIRE_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        origin = request.headers.get("origin")
        if origin in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        if self._origins:
            response.headers["Vary"] = "Origin"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        refused = self._refused_whence(request)
        if refused is not None:
            return refused
        if request.scope["path"] != f"/{SERVICE}/Push":
            return _refusal(404, grpc.StatusCode.UNIMPLEMENTED, f"{SERVICE} has only Push")
        if request.method == "OPTIONS":
            return _preflight()
        if request.method != "POST":
            refused = _refusal(
                405, grpc.StatusCode.UNIMPLEMENTED, "method not allowed; allowed: POST"
            )
            refused.headers["Allow"] = "POST, OPTIONS"
            return refused
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = _ENCODINGS.get(content_type)
        if encoding is None:
            allowed = ", ".join(_ENCODINGS)
            refused = _refusal(
                415,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"content-type: {content_type!r}; allowed: {allowed}",
            )
            refused.headers["Accept-Post"] = allowed
            return refused
        return await self._push(request, content_type, encoding)

    def _refused_whence(self, request: Request) -> Response | None:
        """The refusal because of host or origin; None if the request may come in."""
        headers = request.headers
        refusal = self._hosts.refusal(
            headers.get("host"), headers.get("origin"), origins=self._origins
        )
        if refusal is None:
            return None
        return _refusal(refusal.status, grpc.StatusCode.PERMISSION_DENIED, refusal.text)

    async def _push(self, request: Request, content_type: str, encoding: _Encoding) -> Response:
        packing = request.headers.get(encoding.packing_header, "identity").strip().lower()
        if packing not in {"gzip", "identity"}:
            refused = Answer(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{encoding.packing_header}: {packing!r}; allowed: gzip, identity",
            )
            _count(encoding.interface, refused.code)
            return encoding.answer(content_type, refused)
        async with AsyncExitStack() as stack:

            async def read() -> bytes:
                return await self._read(request, stack, encoding, is_packed=packing == "gzip")

            answer = await self._service.answer(
                Incoming(
                    encoding.interface,
                    request.client.host if request.client else "",
                    request.headers.get("authorization"),
                    self._needs_token,
                    read,
                    self._decode_json if encoding.is_json else decode_binary,
                )
            )
        response = encoding.answer(content_type, answer)
        if answer.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            response.headers["Connection"] = "close"  # nobody reads the rest of that body
        if answer.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(math.ceil(answer.retry_after_seconds))
        return response

    async def _read(
        self, request: Request, stack: AsyncExitStack, encoding: _Encoding, *, is_packed: bool
    ) -> bytes:
        """The message of the request. Its body is held until `stack` closes."""
        try:
            body = await stack.enter_async_context(self._bodies.held(request.stream()))
            return await self._bodies.read(
                lambda: encoding.message(body, is_packed=is_packed), body, is_packed=is_packed
            )
        except (BadGzip, EndlessBody, TooLarge) as error:
            raise _invalid(str(error)) from error
        except SlowBody as error:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, str(error)) from error
        except ClientDisconnect as error:
            raise Refused(grpc.StatusCode.CANCELLED, "the client went away") from error

    async def _decode_json(self, body: bytes) -> Decoded:
        return await self._bodies.read(lambda: read_push(body), body, is_packed=False)


def _invalid(details: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, details)


def _written(response: telemetry_pb2.PushResponse, is_json: bool) -> bytes:
    return write_response(response) if is_json else response.SerializeToString()


def _frame(flags: int, content: bytes) -> bytes:
    return _FRAME.pack(flags, len(content)) + content


def _count(interface: str, code: grpc.StatusCode) -> None:
    metrics.REQUESTS.labels(interface, code.name).inc()


def _refusal(status: int, code: grpc.StatusCode, details: str) -> Response:
    """Refuses a request before its encoding is known."""
    _count("connect", code)
    return _error(Answer(code, details), status)


def _error(answer: Answer, status: int) -> Response:
    """Source: the Connect protocol, "Error-End-Stream", "Unary-Response"."""
    code = "canceled" if answer.code is grpc.StatusCode.CANCELLED else answer.code.name.lower()
    error: dict[str, object] = {"code": code, "message": answer.details}
    info = answer.retry_info
    if info is not None:
        error["details"] = [
            {
                "type": info.DESCRIPTOR.full_name,
                "value": base64.b64encode(info.SerializeToString()).decode().rstrip("="),
                "debug": json_format.MessageToDict(info),
            }
        ]
    body = orjson.dumps(error, option=orjson.OPT_APPEND_NEWLINE)
    response = Response(body, status, media_type="application/json")
    if answer.code is grpc.StatusCode.UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        },
    )
