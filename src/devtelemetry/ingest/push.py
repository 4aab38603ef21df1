"""Handles every push, whatever protocol it comes by: from its token to its answer.

docs/protocol.md has the statuses and limits. A protocol brings the token, the body and a function
that decodes it, and writes the answer in its own way (`grpc_server.py`, `push_http.py`). A body is
not read before its token is known to be good.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

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
from devtelemetry.ingest.said import Heartbeat, OriginSaid
from devtelemetry.ingest.sampled import told
from devtelemetry.ingest.submission import Submission
from devtelemetry.ingest.writer import GroupCommit
from devtelemetry.model import Rejection, Sample
from devtelemetry.model.errors import Busy, ClockInDoubt, Unavailable
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import Hear
from devtelemetry.runtime.network import network_of
from devtelemetry.runtime.rates import RateLimit
from devtelemetry.store.tokens import TokenBook, bearer_token
from devtelemetry.v1 import telemetry_pb2
from devtelemetry.v1.sampling import is_rate

FORGET_WEIGHT = 1_000  # what an opt-out costs, in samples: it holds up ingest and reads much
# So many bytes of a request cost as much as one sample, even if they cannot be decoded.
BYTES_A_SAMPLE = 1_024
_BUSY = 0.25  # from this fullness of the queue on, clients are asked to push less often

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may push, and how much.

    rate  in samples a second, for each token
    """

    tokens: TokenBook
    rate: RateLimit


@dataclass(frozen=True, slots=True)
class PushInterval:
    """How long clients are asked to wait between two pushes.

    least_seconds  the least; 0 lets clients decide
    busy_seconds   while the queue is full; in proportion if it is at least a quarter full. No
                   window is computed before samples that waited so long have come
    """

    least_seconds: int = 0
    busy_seconds: int = 0

    def seconds(self, fullness: float) -> int:
        busy = round(self.busy_seconds * min(fullness, 1)) if fullness >= _BUSY else 0
        return max(self.least_seconds, busy)


class Answer(NamedTuple):
    """A status of the protocol's table; with OK, also the response.

    details  text for a person; empty with OK
    """

    code: grpc.StatusCode
    details: str = ""
    retry_after_seconds: float | None = None
    response: telemetry_pb2.PushResponse | None = None

    @property
    def retry_info(self) -> RetryInfo | None:
        """When to come back; None if that is not known."""
        if self.retry_after_seconds is None:
            return None
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(max(1, round(self.retry_after_seconds * 1000)))
        return info

    @property
    def status_details(self) -> bytes | None:
        """`grpc-status-details-bin`: a google.rpc.Status with what is not in `details`."""
        info = self.retry_info
        if info is None:
            return None
        status = Status(code=self.code.value[0], message=self.details)
        status.details.add().Pack(info)
        packed: bytes = status.SerializeToString()
        return packed


class Refused(Exception):
    """Ends a request with an answer."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(details)
        self.answer = Answer(code, details)


class Decoded(NamedTuple):
    """A request as it was read.

    faults  why a sample could not be read, by its position; the request has an empty sample there
    """

    request: telemetry_pb2.PushRequest
    faults: Mapping[int, Refusal] = {}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as its protocol brings it.

    interface      its protocol, a label of metrics
    address        of the client; empty if it is not known
    authorization  the header or metadata of that name; None if there is none
    needs_token    a request without a token is refused; one with an invalid token always is
    read           reads and unpacks the body; raises Refused, Busy
    decode         decodes the body; raises Refused
    """

    interface: str
    address: str
    authorization: str | None
    needs_token: bool
    read: Callable[[], Awaitable[bytes]]
    decode: Callable[[bytes], Awaitable[Decoded]]


class PushService:
    """Checks requests and hands them to the group commit.

    now_ms  returns Unix ms, or raises ClockInDoubt
    hear    is called with a request's times while now_ms raises; then the time may be known
    forget  deletes the reports of an installation, by its id, and has later ones dropped
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
        interval: PushInterval = PushInterval(),
    ) -> None:
        self._interval = interval
        self._writer = writer
        self._access = access
        self._age_limits = age_limits
        self._now_ms = now_ms
        self._forget = forget
        self._hear = hear
        # Only one forget at a time, because each holds a connection, and there are few.
        self._forgetting = asyncio.Lock()

    async def answer(self, incoming: Incoming) -> Answer:
        """Handles one request. Whatever is in it, there is an answer. The answer does not keep the
        request in memory."""
        try:
            response = await self._push(incoming)
        except Refused as refused:
            answer = refused.answer
        except Busy as busy:
            answer = Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, str(busy), busy.retry_after_seconds)
        except Unavailable as error:
            answer = Answer(grpc.StatusCode.UNAVAILABLE, str(error))
        except Exception:
            _log.exception("push failed")
            answer = Answer(grpc.StatusCode.INTERNAL, "the server failed; its log has the details")
        else:
            answer = Answer(grpc.StatusCode.OK, response=response)
        metrics.REQUESTS.labels(incoming.interface, answer.code.name).inc()
        return answer

    async def _push(self, incoming: Incoming) -> telemetry_pb2.PushResponse:
        token = await self._authenticate(incoming)
        body = await incoming.read()
        if len(body) > MAX_REQUEST_BYTES:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the request has {len(body)} bytes; allowed: up to {MAX_REQUEST_BYTES}",
            )
        self._charge(token, 1 + len(body) // BYTES_A_SAMPLE)
        decoded = await incoming.decode(body)
        request = decoded.request
        count = FORGET_WEIGHT if request.forget else len(request.samples)
        check_count(count)
        beside = min(len(request.memberships), MAX_MEMBERSHIPS_PER_REQUEST)
        beside += min(len(request.lost), MAX_LOST_PER_REQUEST)
        self._charge(token, count + beside - 1 - len(body) // BYTES_A_SAMPLE)
        if request.forget:
            return await self._forget_reporter(request.reporter.installation_id)
        return await self._record(incoming, token or "", decoded, len(body))

    async def _authenticate(self, incoming: Incoming) -> str | None:
        """The name of the request's token; None if it has none and needs none."""
        if incoming.authorization is None and not incoming.needs_token:
            return None
        name = await self._access.tokens.check(bearer_token(incoming.authorization))
        if name is None:
            raise Refused(
                grpc.StatusCode.UNAUTHENTICATED,
                "no valid token; allowed: `authorization: Bearer dt_…` with a token that "
                "`devtelemetry token create` made",
            )
        return name

    def _charge(self, token: str | None, weight: int) -> None:
        """Takes the cost of a request, in samples, from its token's rate. Raises Busy if the rate
        does not allow so much."""
        if token is not None and weight > 0:
            wait = self._access.rate.take(token, weight, time.monotonic())
            if wait:
                raise Busy(
                    "the rate limit of this token is reached; send again later",
                    retry_after_seconds=wait,
                )

    async def _forget_reporter(self, installation_id: str) -> telemetry_pb2.PushResponse:
        if not installation_id:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                "forget: reporter.installation_id is empty; allowed: the id to forget",
            )
        if self._forgetting.locked():
            raise Busy(
                "another installation is being forgotten; send again later", retry_after_seconds=5
            )
        async with self._forgetting:
            await self._forget(installation_id)
        return telemetry_pb2.PushResponse()

    async def _record(
        self, incoming: Incoming, token: str, decoded: Decoded, size_bytes: int
    ) -> telemetry_pb2.PushResponse:
        request = decoded.request
        now_ms = await self._time_of(request)
        reporter = request.reporter
        network = network_of(incoming.address)

        def origins(receiver_public_keys: Iterable[str]) -> list[OriginSaid]:
            return [
                OriginSaid(key, reporter.installation_id, network, token, now_ms)
                for key in receiver_public_keys
            ]

        if not request.samples:
            refusal = check_reporter(
                reporter.receiver_public_key,
                reporter.installation_id,
                reporter.platform,
                reporter.app_version,
                reporter.server,
            )
            if refusal is not None:
                raise Refused(
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
            turned = await self._writer.submit(
                Submission(
                    heartbeats=(beat,),
                    wrong_times=wrong_times_of(reporter, ignored),
                    memberships=memberships,
                    lost=lost,
                    clocks=clocks_said(request, (reporter.receiver_public_key,), now_ms),
                    origins=origins((reporter.receiver_public_key,)),
                    size_bytes=size_bytes,
                )
            )
            ignored["too_many"] += turned.memberships
            _count_ignored(ignored, ignored_fields)
            if turned.heartbeat is not None:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"heartbeat: reporter.{turned.heartbeat.detail}",
                )
            return telemetry_pb2.PushResponse(**await self._told(request, now_ms))

        said, ignored_fields = to_samples(request, now_ms, self._age_limits)
        one_in = request.one_in or 1
        if not is_rate(one_in):
            one_in = 1
            ignored_fields["one_in"] += 1
        samples, rejections = self._check(said, decoded.faults, now_ms)
        runs = numbered(request, samples)
        memberships, ignored = reported_memberships(request, now_ms)
        lost, ignored_lost = lost_reports(request, now_ms, self._age_limits)
        wrong_times = wrong_times_of(reporter, ignored, rejections)
        if samples or runs or memberships or lost or wrong_times:
            keys = {sample.receiver_public_key for sample in samples}
            turned = await self._writer.submit(
                Submission(
                    samples=samples,
                    memberships=memberships,
                    wrong_times=wrong_times,
                    runs=runs,
                    lost=lost,
                    clocks=clocks_said(request, keys, now_ms),
                    origins=origins(keys),
                    one_in=one_in,
                    size_bytes=size_bytes,
                )
            )
            if turned.samples:
                rejections = _merged(rejections, turned.samples, len(request.samples))
            ignored["too_many"] += turned.memberships
            metrics.SAMPLES_ACCEPTED.labels(incoming.interface).inc(
                len(samples) - len(turned.samples)
            )
        _count_ignored(ignored, ignored_fields + ignored_lost)
        for rejection in rejections:
            metrics.SAMPLES_REJECTED.labels(incoming.interface, rejection.reason.label).inc()
        return telemetry_pb2.PushResponse(
            accepted=len(request.samples) - len(rejections),
            rejections=[
                telemetry_pb2.Rejection(
                    index=rejection.position,
                    reason=telemetry_pb2.Rejection.Reason.ValueType(rejection.reason),
                    detail=rejection.detail,
                )
                for rejection in rejections
            ],
            **await self._told(request, now_ms),
        )

    async def _told(self, request: telemetry_pb2.PushRequest, now_ms: int) -> Mapping[str, Any]:
        """The fields of a response that say how much, and how often, the client is to report."""
        # An iterator: each push gets here, and the channels are read only if there are rules.
        channels = chain(
            (sample.channel_id for sample in request.samples),
            (said.channel_id for said in request.memberships),
        )
        return {
            "sampling": told(
                await self._writer.sampling.current(),
                self._writer.keyring,
                channels,
                self._age_limits.oldest_day_kept(now_ms),
            ),
            "push_interval_seconds": self._interval.seconds(self._writer.fullness),
        }

    async def _time_of(self, request: telemetry_pb2.PushRequest) -> int:
        """Unix ms. Raises ClockInDoubt if the clock is in doubt even after this request's times."""
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
        self, samples: Sequence[Sample], faults: Mapping[int, Refusal], now_ms: int
    ) -> tuple[list[Sample], list[Rejection]]:
        good, rejections = [], []
        for position, sample in enumerate(samples):
            refusal = faults.get(position) or check(sample, self._age_limits, now_ms)
            if refusal is None:
                good.append(sample)
            else:
                rejections.append(Rejection(position, *refusal))
        return good, rejections


def _merged(
    rejections: Sequence[Rejection], turned: Mapping[int, Refusal], samples: int
) -> list[Rejection]:
    """Adds the samples that the writer refused. `turned` has their positions among the samples that
    were not rejected."""
    refused = {rejection.position for rejection in rejections}
    others = [position for position in range(samples) if position not in refused]
    late = [Rejection(others[position], *refusal) for position, refusal in turned.items()]
    return sorted([*rejections, *late])


def _count_ignored(memberships: Counter[str], fields: Counter[str]) -> None:
    """Counts what was ignored: memberships by reason, all else by field."""
    for reason, count in memberships.items():
        if count:
            metrics.MEMBERSHIPS_IGNORED.labels(reason).inc(count)
    for name, count in fields.items():
        if count:
            metrics.FIELDS_IGNORED.labels(name).inc(count)


def check_count(samples: int) -> None:
    """Raises Refused if there are too many samples in a request."""
    if samples > MAX_SAMPLES_PER_REQUEST:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{samples} samples in one request; allowed: up to {MAX_SAMPLES_PER_REQUEST}",
        )


async def decode_binary(body: bytes) -> Decoded:
    """Raises Refused if `body` is not a PushRequest."""
    try:
        return Decoded(telemetry_pb2.PushRequest.FromString(body))
    except DecodeError as error:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"the request cannot be decoded as devtelemetry.v1.PushRequest: {error}",
        ) from error
