"""The one gRPC endpoint: Telemetry.Push. Statuses and limits: docs/protocol.md.

The request comes in as bytes and is decoded here, so that one that cannot be decoded is answered
as what it is (INVALID_ARGUMENT, do not send it again) and not as a fault of the server.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from devtelemetry.ingest.batch import ClockSaid, Heartbeat
from devtelemetry.ingest.check import (
    GREATEST_MILLISECONDS,
    LEAST_MILLISECONDS,
    MAX_MEMBERSHIPS_PER_REQUEST,
    MAX_REQUEST_BYTES,
    MAX_SAMPLES_PER_REQUEST,
    AgeLimits,
    Refusal,
    check,
    check_channel,
    check_reporter,
    is_milliseconds,
    is_numbered,
)
from devtelemetry.ingest.writer import GroupCommit, Submission
from devtelemetry.model import Reason, Rejection, ReportedMembership, ReportRun, Sample
from devtelemetry.model.errors import Busy, Unavailable
from devtelemetry.runtime import metrics
from devtelemetry.runtime.rates import RateLimit
from devtelemetry.store.tokens import TokenBook, bearer_token
from devtelemetry.v1 import SERVICE, telemetry_pb2

# A larger request never reaches us: gRPC answers it with RESOURCE_EXHAUSTED, which tells a client
# to try again. So that this happens to nonsense only, it is four times what is allowed.
TRANSPORT_BYTES = 4 * MAX_REQUEST_BYTES

MAX_REQUESTS = 512  # under way at once; gRPC answers more with RESOURCE_EXHAUSTED
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


class _Refused(Exception):
    """Ends a request with a status of the protocol's table."""

    def __init__(self, code: grpc.StatusCode, details: str, retry_after: float | None = None):
        super().__init__(details)
        self.code = code
        self.details = details
        self.retry_after_seconds = retry_after


class PushService:
    """Checks requests and hands them to the group commit.

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
    ) -> None:
        self._writer = writer
        self._access = access
        self._age_limits = age_limits
        self._now_ms = now_ms
        self._forget = forget
        # One at a time: each has a connection, of which there are few.
        self._forgetting = asyncio.Lock()

    async def push(self, body: bytes, context: _Context) -> telemetry_pb2.PushResponse:
        """One request, from its bytes to its answer."""
        status = grpc.StatusCode.OK
        try:
            return await self._push(body, context)
        except _Refused as refused:
            status = refused.code
            await _abort(context, refused)
        except Busy as busy:
            status = grpc.StatusCode.RESOURCE_EXHAUSTED
            await _abort(context, _Refused(status, str(busy), busy.retry_after_seconds))
        except Unavailable as error:
            status = grpc.StatusCode.UNAVAILABLE
            await _abort(context, _Refused(status, str(error)))
        except grpc.aio.AbortError:
            raise
        except Exception:
            status = grpc.StatusCode.INTERNAL
            _log.exception("push failed")
            await _abort(context, _Refused(status, "a fault of the server; it is logged there"))
        finally:
            metrics.REQUESTS.labels(_INTERFACE, status.name).inc()

    async def _push(self, body: bytes, context: _Context) -> telemetry_pb2.PushResponse:
        token = await self._authenticate(context)
        if len(body) > MAX_REQUEST_BYTES:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the request has {len(body)} bytes; allowed: up to {MAX_REQUEST_BYTES}",
            )
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
        if token is not None:
            weight = max(count + min(len(request.memberships), MAX_MEMBERSHIPS_PER_REQUEST), 1)
            wait = self._access.rate.take(token, weight, time.monotonic())
            if wait:
                raise Busy("over the rate of this token", retry_after_seconds=wait)
        if request.forget:
            return await self._forget_reporter(request.reporter.installation_id)
        return await self._record(request, len(body))

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
        now_ms = self._now_ms()
        reporter = request.reporter
        if not request.samples:
            refusal = check_reporter(
                reporter.receiver_public_key,
                reporter.installation_id,
                reporter.platform,
                reporter.app_version,
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
            )
            memberships, ignored = reported_memberships(request, now_ms)
            await self._writer.submit(
                Submission(
                    heartbeats=(beat,),
                    memberships=memberships,
                    clocks=clocks_said(request, (reporter.receiver_public_key,), now_ms),
                    size_bytes=size_bytes,
                )
            )
            _count_ignored(ignored)
            return telemetry_pb2.PushResponse()

        samples, rejections = self._check(to_samples(request, now_ms), now_ms)
        runs = numbered(request, samples)
        memberships, ignored = reported_memberships(request, now_ms)
        if samples or runs or memberships:
            await self._writer.submit(
                Submission(
                    samples=samples,
                    memberships=memberships,
                    runs=runs,
                    clocks=clocks_said(
                        request, {sample.receiver_public_key for sample in samples}, now_ms
                    ),
                    size_bytes=size_bytes,
                )
            )
            metrics.SAMPLES_ACCEPTED.labels(_INTERFACE).inc(len(samples))
        _count_ignored(ignored)
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


def to_samples(request: telemetry_pb2.PushRequest, now_ms: int) -> list[Sample]:
    """The samples of a request as values, created at `now_ms`, not checked yet."""
    reporter = request.reporter
    own_key = reporter.receiver_public_key
    installation_id = reporter.installation_id
    platform, app_version = reporter.platform, reporter.app_version
    offset = clock_offset(request, now_ms)
    return [
        # By position: this runs once a sample, and names cost half as much again.
        Sample(
            sample.message_id,
            sample.channel_id,
            sample.receiver_public_key or own_key,
            sample.sent_at,
            now_ms,
            installation_id,
            sample.sent_by_receiver,
            sample.topics,
            sample.envelope_id,
            _held_at(sample, offset, now_ms),
            sample.message_type,
            sample.message_size,
            platform,
            app_version,
        )
        for sample in request.samples
    ]


def clock_offset(request: telemetry_pb2.PushRequest, now_ms: int) -> int | None:
    """The server's clock less the client's in ms, the request's way here in it; None: not told."""
    return now_ms - request.client_time if is_milliseconds(request.client_time) else None


def _held_at(sample: telemetry_pb2.Sample, offset: int | None, now_ms: int) -> int:
    """When the receiver held the message, of its author when it sent it; 0: not known.

    By the server's clock where the push told the client's, else as it was said.
    """
    # Written out rather than called: this runs once a sample.
    moment: int = sample.received_at
    if moment and not LEAST_MILLISECONDS <= moment <= GREATEST_MILLISECONDS:
        return moment  # as it is refused
    if sample.sent_by_receiver:
        # Whatever an author says it received is not when it sent it, and the delays of all others
        # are counted from this.
        moment = sample.sent_at if offset is not None else 0
    if not moment or offset is None:
        return moment
    # A clock that was set meanwhile may put it anywhere. It was not after it was reported, and must
    # stay what an import takes.
    moment += offset
    if moment > now_ms:
        return now_ms
    return moment if moment >= LEAST_MILLISECONDS else LEAST_MILLISECONDS


def clocks_said(
    request: telemetry_pb2.PushRequest, receiver_public_keys: Iterable[str], now_ms: int
) -> list[ClockSaid]:
    """How far the clock of the client is off, which these receivers have; none: it does not say."""
    offset = clock_offset(request, now_ms)
    if offset is None:
        return []
    installation_id = request.reporter.installation_id
    return [ClockSaid(key, installation_id, offset, now_ms) for key in receiver_public_keys]


def reported_memberships(
    request: telemetry_pb2.PushRequest, now_ms: int
) -> tuple[list[ReportedMembership], Counter[str]]:
    """What the reporter says of its part in channels, and how much of that is ignored, by reason.

    A bad time is as if it was not said, and costs the other one nothing; a bad channel or reporter
    costs the membership. None of it costs a sample.
    """
    good: list[ReportedMembership] = []
    ignored: Counter[str] = Counter()
    if not request.memberships:
        return good, ignored
    reporter = request.reporter
    key, installation_id = reporter.receiver_public_key, reporter.installation_id
    of_reporter = check_reporter(key, installation_id, "", "")
    surplus = len(request.memberships) - MAX_MEMBERSHIPS_PER_REQUEST
    if surplus > 0:
        ignored["too_many"] = surplus
    for said in request.memberships[:MAX_MEMBERSHIPS_PER_REQUEST]:
        refusal = of_reporter or check_channel(said.channel_id)
        if refusal is not None:
            ignored[refusal.reason.label] += 1
            continue
        has_left = said.left_at == 0 or is_milliseconds(said.left_at)
        has_joined = is_milliseconds(said.joined_at)
        ignored[Reason.NOT_MILLISECONDS.label] += not has_left
        ignored[Reason.NOT_MILLISECONDS.label] += not has_joined and said.joined_at != 0
        if has_left or has_joined:
            good.append(
                ReportedMembership(
                    said.channel_id,
                    key,
                    installation_id,
                    joined_at=said.joined_at if has_joined else None,
                    joined_said_at=now_ms if has_joined else None,
                    left_at=said.left_at if has_left else None,
                    left_said_at=now_ms if has_left else None,
                )
            )
    return good, ignored


def _count_ignored(ignored: Counter[str]) -> None:
    for reason, count in ignored.items():
        if count:
            metrics.MEMBERSHIPS_IGNORED.labels(reason).inc(count)


def numbered(request: telemetry_pb2.PushRequest, accepted: Sequence[Sample]) -> list[ReportRun]:
    """The numbers that arrived with a request; none: it does not say.

    Rejected samples are in it: who lost a report is asked, not who reported nonsense.
    """
    installation_id, first = request.reporter.installation_id, request.first_sequence
    if not is_numbered(installation_id, first):
        return []
    return [
        ReportRun(
            installation_id,
            first,
            first + len(request.samples) - 1,
            accepted[0].sent_at if accepted else None,
            accepted[-1].sent_at if accepted else None,
        )
    ]


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
    handler: Any = grpc.unary_unary_rpc_method_handler(
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


async def _abort(context: _Context, refused: _Refused) -> NoReturn:
    metadata: tuple[tuple[str, Any], ...] = ()
    if refused.retry_after_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(max(1, round(refused.retry_after_seconds * 1000)))
        status = Status(code=refused.code.value[0], message=refused.details)
        status.details.add().Pack(RetryInfo(retry_delay=delay))
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(refused.code, refused.details, metadata)
    raise AssertionError("abort() raises")
