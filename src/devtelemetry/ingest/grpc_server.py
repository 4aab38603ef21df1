"""The one gRPC endpoint: Telemetry.Push. Statuses and limits: docs/protocol.md.

The request comes in as bytes and is decoded here, so that one that cannot be decoded is answered
as what it is (INVALID_ARGUMENT, do not send it again) and not as a fault of the server. It is taken
as a stream of one message, which looks the same on the wire: so its body is not read, nor unpacked,
before its token is known to be good.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from devtelemetry.ingest.batch import Heartbeat
from devtelemetry.ingest.check import (
    MAX_LOST_PER_REQUEST,
    MAX_MEMBERSHIPS_PER_REQUEST,
    MAX_REQUEST_BYTES,
    MAX_SAMPLES_PER_REQUEST,
    AgeLimits,
    Refusal,
    check,
    check_reporter,
)
from devtelemetry.ingest.pushed import (
    clocks_said,
    lost_reports,
    numbered,
    reported_memberships,
    to_samples,
    wrong_times_of,
)
from devtelemetry.ingest.writer import GroupCommit, Submission
from devtelemetry.model import Rejection, Sample
from devtelemetry.model.errors import Busy, ClockInDoubt, Unavailable
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import Hear
from devtelemetry.runtime.rates import RateLimit
from devtelemetry.store.tokens import TokenBook, bearer_token
from devtelemetry.v1 import SERVICE, telemetry_pb2

# A larger request never reaches us: gRPC answers it with RESOURCE_EXHAUSTED, which tells a client
# to try again. So that this happens to nonsense only, it is four times what is allowed.
TRANSPORT_BYTES = 4 * MAX_REQUEST_BYTES

MAX_REQUESTS = 512  # under way at once; gRPC answers more with RESOURCE_EXHAUSTED
_BYTES_A_SAMPLE = 4_096  # what cannot be decoded costs a token's rate as well
FORGET_WEIGHT = 1_000  # of an opt-out, in samples: it holds up ingest now and then, and reads much

_INTERFACE = "grpc"
_log = structlog.get_logger(__name__)
_Context = grpc.aio.ServicerContext[bytes, telemetry_pb2.PushResponse]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may push, and how much.

    required  a request without a valid token is refused; else only one with an invalid token is
    rate      samples a second, by token
    """

    tokens: TokenBook
    required: bool
    rate: RateLimit


class _Answer(NamedTuple):
    """A status of the protocol's table."""

    code: grpc.StatusCode
    details: str
    retry_after_seconds: float | None = None


class _Refused(Exception):
    """Ends a request."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(details)
        self.answer = _Answer(code, details)


class PushService:
    """Checks requests and hands them to the group commit.

    now_ms  Unix ms, or raises ClockInDoubt
    hear    for a request that comes while it does; after it the time may be known
    forget  deletes what an installation reported, by its id, and has dropped what it still sends
    """

    def __init__(
        self,
        writer: GroupCommit,
        access: Access,
        *,
        age_limits: AgeLimits,
        now_ms: Callable[[], int],
        forget: Callable[[str], Awaitable[None]],
        hear: Hear | None = None,
    ) -> None:
        self._writer = writer
        self._access = access
        self._age_limits = age_limits
        self._now_ms = now_ms
        self._forget = forget
        self._hear = hear
        # One at a time: each has a connection, of which there are few.
        self._forgetting = asyncio.Lock()

    async def push(self, _: object, context: _Context) -> telemetry_pb2.PushResponse:
        """One request, from its headers to its answer."""
        try:
            response = await self._push(context)
        except _Refused as refused:
            answer = refused.answer
        except Busy as busy:
            answer = _Answer(
                grpc.StatusCode.RESOURCE_EXHAUSTED, str(busy), busy.retry_after_seconds
            )
        except Unavailable as error:
            answer = _Answer(grpc.StatusCode.UNAVAILABLE, str(error))
        except Exception:
            _log.exception("push failed")
            answer = _Answer(grpc.StatusCode.INTERNAL, "a fault of the server; it is logged there")
        else:
            metrics.REQUESTS.labels(_INTERFACE, grpc.StatusCode.OK.name).inc()
            return response
        metrics.REQUESTS.labels(_INTERFACE, answer.code.name).inc()
        # Out of the handlers: what abort() raises is kept by its context, and would keep what was
        # being handled, its frames, and in them the request.
        return await _abort(context, answer)

    async def _push(self, context: _Context) -> telemetry_pb2.PushResponse:
        token = await self._authenticate(context)
        body: Any = await context.read()
        if body is grpc.aio.EOF:
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, "there is no request")
        if len(body) > MAX_REQUEST_BYTES:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the request has {len(body)} bytes; allowed: up to {MAX_REQUEST_BYTES}",
            )
        self._charge(token, 1 + len(body) // _BYTES_A_SAMPLE)
        try:
            request = telemetry_pb2.PushRequest.FromString(body)
        except DecodeError as error:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the request cannot be decoded as devtelemetry.v1.PushRequest: {error}",
            ) from error
        count = FORGET_WEIGHT if request.forget else len(request.samples)
        if count > MAX_SAMPLES_PER_REQUEST:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{count} samples in one request; allowed: up to {MAX_SAMPLES_PER_REQUEST}",
            )
        beside = min(len(request.memberships), MAX_MEMBERSHIPS_PER_REQUEST)
        beside += min(len(request.lost), MAX_LOST_PER_REQUEST)
        self._charge(token, count + beside - 1 - len(body) // _BYTES_A_SAMPLE)
        if request.forget:
            return await self._forget_reporter(request.reporter.installation_id)
        return await self._record(request, len(body))

    def _charge(self, token: str | None, weight: int) -> None:
        """Takes what a request costs, in samples. Raises Busy if the token has not that much."""
        if token is not None and weight > 0:
            wait = self._access.rate.take(token, weight, time.monotonic())
            if wait:
                raise Busy("over the rate of this token", retry_after_seconds=wait)

    async def _authenticate(self, context: _Context) -> str | None:
        """The name of the request's token; None: it has none and needs none."""
        values = [
            value
            for key, value in context.invocation_metadata() or ()
            if key == "authorization" and isinstance(value, str)
        ]
        if not values and not self._access.required:
            return None
        name = await self._access.tokens.check(bearer_token(values[0] if values else None))
        if name is None:
            raise _Refused(
                grpc.StatusCode.UNAUTHENTICATED,
                "no valid token; allowed: metadata `authorization: Bearer dt_…` with one that "
                "`devtelemetry token create` made",
            )
        return name

    async def _forget_reporter(self, installation_id: str) -> telemetry_pb2.PushResponse:
        if not installation_id:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                "forget: reporter.installation_id is empty; allowed: the id to forget",
            )
        if self._forgetting.locked():
            raise Busy("another installation is being forgotten", retry_after_seconds=5)
        async with self._forgetting:
            await self._forget(installation_id)
        return telemetry_pb2.PushResponse()

    async def _record(
        self, request: telemetry_pb2.PushRequest, size_bytes: int
    ) -> telemetry_pb2.PushResponse:
        now_ms = await self._time_of(request)
        reporter = request.reporter
        if not request.samples:
            refusal = check_reporter(
                reporter.receiver_public_key,
                reporter.installation_id,
                reporter.platform,
                reporter.app_version,
                reporter.server,
            )
            if refusal is not None:
                raise _Refused(
                    grpc.StatusCode.INVALID_ARGUMENT, f"heartbeat: reporter.{refusal.detail}"
                )
            beat = Heartbeat(
                reporter.receiver_public_key,
                reporter.installation_id,
                reporter.platform,
                reporter.app_version,
                now_ms,
                reporter.server,
            )
            memberships, ignored = reported_memberships(request, now_ms)
            lost, ignored_fields = lost_reports(request, now_ms, self._age_limits)
            await self._writer.submit(
                Submission(
                    heartbeats=(beat,),
                    wrong_times=wrong_times_of(reporter, ignored),
                    memberships=memberships,
                    lost=lost,
                    clocks=clocks_said(request, (reporter.receiver_public_key,), now_ms),
                    size_bytes=size_bytes,
                )
            )
            _count_ignored(ignored, ignored_fields)
            return telemetry_pb2.PushResponse()

        said, ignored_fields = to_samples(request, now_ms, self._age_limits)
        samples, rejections = self._check(said, now_ms)
        runs = numbered(request, samples)
        memberships, ignored = reported_memberships(request, now_ms)
        lost, ignored_lost = lost_reports(request, now_ms, self._age_limits)
        wrong_times = wrong_times_of(reporter, ignored, rejections)
        if samples or runs or memberships or lost or wrong_times:
            await self._writer.submit(
                Submission(
                    samples=samples,
                    memberships=memberships,
                    wrong_times=wrong_times,
                    runs=runs,
                    lost=lost,
                    clocks=clocks_said(
                        request, {sample.receiver_public_key for sample in samples}, now_ms
                    ),
                    size_bytes=size_bytes,
                )
            )
            metrics.SAMPLES_ACCEPTED.labels(_INTERFACE).inc(len(samples))
        _count_ignored(ignored, ignored_fields + ignored_lost)
        for rejection in rejections:
            metrics.SAMPLES_REJECTED.labels(_INTERFACE, rejection.reason.label).inc()
        return telemetry_pb2.PushResponse(
            accepted=len(samples),
            rejections=[
                telemetry_pb2.Rejection(
                    index=rejection.position,
                    reason=telemetry_pb2.Rejection.Reason.ValueType(rejection.reason),
                    detail=rejection.detail,
                )
                for rejection in rejections
            ],
        )

    async def _time_of(self, request: telemetry_pb2.PushRequest) -> int:
        """Unix ms. Raises ClockInDoubt, if what the request says of the time does not end that."""
        try:
            return self._now_ms()
        except ClockInDoubt:
            if self._hear is None:
                raise
        newest = max((sample.sent_at for sample in request.samples), default=0)
        reporter = request.reporter
        await self._hear(
            reporter.receiver_public_key, reporter.installation_id, request.client_time, newest
        )
        return self._now_ms()

    def _check(
        self, samples: Sequence[Sample], now_ms: int
    ) -> tuple[list[Sample], list[Rejection]]:
        good, rejections = [], []
        for position, sample in enumerate(samples):
            refusal: Refusal | None = check(sample, self._age_limits, now_ms)
            if refusal is None:
                good.append(sample)
            else:
                rejections.append(Rejection(position, *refusal))
        return good, rejections


def _count_ignored(memberships: Counter[str], fields: Counter[str]) -> None:
    """Counts what was ignored: memberships by reason, what is beside them by field."""
    for reason, count in memberships.items():
        if count:
            metrics.MEMBERSHIPS_IGNORED.labels(reason).inc(count)
    for name, count in fields.items():
        if count:
            metrics.FIELDS_IGNORED.labels(name).inc(count)


def make_server(
    service: PushService, *, shares_port: bool
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """A server with the endpoint, health checking and reflection; ports are added by the caller.

    shares_port  other processes listen on the same port; else a port in use is an error
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", TRANSPORT_BYTES),
            ("grpc.so_reuseport", int(shares_port)),
            # What is buffered before a request is even looked at: streams × TRANSPORT_BYTES.
            ("grpc.max_concurrent_streams", 64),
        ],
        maximum_concurrent_rpcs=MAX_REQUESTS,
    )
    handler: Any = grpc.stream_unary_rpc_method_handler(
        service.push,
        request_deserializer=None,
        response_serializer=telemetry_pb2.PushResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"Push": handler})]
    )
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection(
        (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return server, health_servicer


async def set_health(servicer: health.aio.HealthServicer, *, is_serving: bool) -> None:
    """What health checks answer, for the server as a whole and for the service."""
    status = health_pb2.HealthCheckResponse
    for name in ("", SERVICE):
        await servicer.set(name, status.SERVING if is_serving else status.NOT_SERVING)


async def _abort(context: _Context, answer: _Answer) -> NoReturn:
    metadata: tuple[tuple[str, Any], ...] = ()
    if answer.retry_after_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(max(1, round(answer.retry_after_seconds * 1000)))
        status = Status(code=answer.code.value[0], message=answer.details)
        status.details.add().Pack(RetryInfo(retry_delay=delay))
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(answer.code, answer.details, metadata)
    raise AssertionError("abort() raises")
