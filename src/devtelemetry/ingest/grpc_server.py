"""Telemetry.Push by gRPC, with health checking and reflection.

The request comes in as bytes and is decoded here. So a request that cannot be decoded is answered
with INVALID_ARGUMENT (do not send it again) and not as a fault of the server. A request is taken as
a stream of one message, which looks the same on the wire. So its body is not read or unpacked
before its token is known to be good.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from devtelemetry.ingest.check import MAX_REQUEST_BYTES
from devtelemetry.ingest.push import Incoming, PushService, Refused, decode_binary
from devtelemetry.model.errors import Busy
from devtelemetry.runtime.network import client_address, peer_address
from devtelemetry.runtime.slots import Slots
from devtelemetry.v1 import SERVICE, telemetry_pb2

# gRPC itself answers a larger request with RESOURCE_EXHAUSTED, which tells a client to try again.
# This is four times the allowed size, so that it happens only to nonsense.
TRANSPORT_BYTES = 4 * MAX_REQUEST_BYTES

MAX_REQUESTS = 4_096  # at the same time; gRPC answers more with RESOURCE_EXHAUSTED
BODY_SECONDS = 30.0  # within which a body must come, once its token is known to be good
IDLE_SECONDS = 300  # after which a connection without a call is closed

_Context = grpc.aio.ServicerContext[bytes, telemetry_pb2.PushResponse]


def _handler(
    service: PushService, *, needs_token: bool, proxies: Collection[str]
) -> Callable[[object, _Context], Awaitable[telemetry_pb2.PushResponse]]:
    bodies = Slots("push_body", crowded=256, most=1_024, seconds=BODY_SECONDS)

    async def push(_: object, context: _Context) -> telemetry_pb2.PushResponse:
        async def read() -> bytes:
            try:
                async with bodies.hold():
                    body: Any = await context.read()
            except TimeoutError as error:
                raise Refused(
                    grpc.StatusCode.DEADLINE_EXCEEDED, "the body did not come in time"
                ) from error
            if body is grpc.aio.EOF:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "the request is empty; allowed: one PushRequest",
                )
            return bytes(body)

        answer = await service.answer(
            Incoming(
                "grpc",
                client_address(
                    peer_address(context.peer()), _metadata(context, "x-forwarded-for"), proxies
                ),
                _metadata(context, "authorization"),
                needs_token,
                read,
                decode_binary,
            )
        )
        if answer.response is not None:
            return answer.response
        # Not in an except block: gRPC keeps the exception that abort() raises. It would keep the
        # exception being handled too, with its frames and, in them, the request.
        details = answer.status_details
        metadata = () if details is None else (("grpc-status-details-bin", details),)
        await context.abort(answer.code, answer.details, metadata)
        raise AssertionError("abort() raises")

    return push


def _metadata(context: _Context, name: str) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return None


class _Health(health.aio.HealthServicer):
    """Health checking. If too many watch, the one that watched longest makes room."""

    _watchers = Slots("health_watch", crowded=32, most=64, seconds=3_600)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        try:
            async with self._watchers.hold():
                await super().Watch(request, context)
        except (Busy, TimeoutError):
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too many health watches at once; try again later",
            )


class _Reflection(reflection.aio.ReflectionServicer):
    """Reflection, with room made in the same way."""

    _asking = Slots("reflection", crowded=32, most=64, seconds=60)

    async def ServerReflectionInfo(  # type: ignore[override]  # noqa: N802 - an async generator
        self, request_iterator: Any, unused_context: Any
    ) -> AsyncIterator[Any]:
        answers: Any = super().ServerReflectionInfo(request_iterator, unused_context)
        try:
            async with self._asking.hold():
                async for answer in answers:
                    yield answer
        except (Busy, TimeoutError):
            await unused_context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too many reflection calls at once; try again later",
            )


def make_server(
    service: PushService, *, needs_token: bool, shares_port: bool, proxies: Collection[str] = ()
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """A server with the endpoint, health checking and reflection; the caller adds the ports.

    needs_token  as in Incoming
    shares_port  other processes listen on the same port; else a port in use is an error
    proxies      addresses of proxies that are trusted to name the client's address
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", TRANSPORT_BYTES),
            ("grpc.so_reuseport", int(shares_port)),
            # A connection may buffer streams × TRANSPORT_BYTES before any request is looked at.
            ("grpc.max_concurrent_streams", 64),
            ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1_000),
        ],
        maximum_concurrent_rpcs=MAX_REQUESTS,
    )
    handler: Any = grpc.stream_unary_rpc_method_handler(
        _handler(service, needs_token=needs_token, proxies=proxies),
        request_deserializer=None,
        response_serializer=telemetry_pb2.PushResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"Push": handler})]
    )
    health_servicer = _Health()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
    add_reflection(_Reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)), server)
    return server, health_servicer


async def set_health(servicer: health.aio.HealthServicer, *, is_serving: bool) -> None:
    """Sets what health checks answer, for the server as a whole and for the service."""
    status = health_pb2.HealthCheckResponse
    for name in ("", SERVICE):
        await servicer.set(name, status.SERVING if is_serving else status.NOT_SERVING)
