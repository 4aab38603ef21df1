"""The HTTP interface that shipped status-go clients report to. They know no other answers:

/record-metrics      201 with an array: the client forgets the batch. Anything else: it sends all of
                     it again with newer items, first after 20 s, later every 80 s, until its
                     process ends; it does not read Retry-After. Of a backlog beyond 5,000 items it
                     drops the oldest.
the other POSTs      the client sends once and never reads the answer. A body in it would cost the
                     client a connection each time, so there is none, whatever the status.

Hence what can never be accepted is answered with 201 all the same, counted and logged: refused, it
would come again for ever, and nothing newer would get past it. Refused is only what may be accepted
another time. Every path is answered itself, with any slashes the client puts around it: after a
redirect (301, 302) the client comes back with GET and without the batch.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import structlog
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from devtelemetry import metrics
from devtelemetry.errors import Busy, Unavailable
from devtelemetry.ingest import statusgo
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.statusgo import Report
from devtelemetry.ingest.writer import GroupCommit

MAX_BODY_BYTES = 16 * 1024 * 1024  # the client's 5,001 items have 3.5 MB
BODY_SECONDS = 60.0  # the client itself gives up a request after a minute
BURST_SECONDS = 10.0  # the client's period: those behind one address may all come at once
REMEMBERED_ADDRESSES = 50_000  # ~200 bytes each
UNAVAILABLE_RETRY_SECONDS = 10.0

# Up to here a body costs no more than its connection does, and is read while nothing else runs.
_SMALL_BYTES = 128 * 1024
# Of all larger bodies that are under way, in lengths of the largest one allowed.
_LARGE_BODIES = 4

_INTERFACE = "status-go"
_log = structlog.get_logger(__name__)

_Reader: TypeAlias = Callable[[bytes, AgeLimits, int], Report]


class _Endpoint(NamedTuple):
    name: str  # its path
    read: _Reader
    answers_array: bool  # else the body of an answer is empty


_ENDPOINTS = (
    _Endpoint("record-metrics", statusgo.read_record_metrics, answers_array=True),
    _Endpoint("update-envelope", statusgo.read_update_envelope, answers_array=False),
    _Endpoint("protocol-stats", statusgo.read_protocol_stats, answers_array=False),
    _Endpoint("waku-metrics", statusgo.read_waku_metrics, answers_array=False),
)


class _LostBody(Exception):
    """The request has no body where the client always sends one: a retry may bring it."""


def statusgo_router(
    writer: GroupCommit,
    *,
    age_limits: AgeLimits,
    now_ms: Callable[[], int],
    requests_per_second: float,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> APIRouter:
    """The routes of status-im/telemetry.

    now_ms               Unix ms; becomes created_at
    requests_per_second  of one client address (IPv6: one /64), on the long run; must be above 0.
                         Many clients may share one: each sends 0.1 and more
    max_body_bytes       of one request, also once it is unpacked; what is longer is dropped
    """
    interface = _Interface(writer, age_limits, now_ms, requests_per_second, max_body_bytes)
    router = APIRouter(include_in_schema=False)
    for endpoint in _ENDPOINTS:
        for path in _paths(endpoint.name):
            router.add_api_route(path, interface.handler(endpoint), methods=["POST"])
    for path in _paths("health"):
        router.add_api_route(path, _health, methods=["GET"])
    return router


def _paths(name: str) -> tuple[str, ...]:
    # A slash at the end of the URL that a user configured makes it two here.
    return (f"/{name}", f"/{name}/", f"//{name}", f"//{name}/")


async def _health() -> Response:
    return Response("OK", media_type="text/plain")


class _Interface:
    """One per router: what its requests share."""

    def __init__(
        self,
        writer: GroupCommit,
        age_limits: AgeLimits,
        now_ms: Callable[[], int],
        requests_per_second: float,
        max_body_bytes: int,
    ) -> None:
        self._writer = writer
        self._age_limits = age_limits
        self._now_ms = now_ms
        self._max_body_bytes = max_body_bytes
        self._rates = RateLimit(requests_per_second)
        self._large_bytes = 0
        self._one_large_body = asyncio.Lock()

    def handler(self, endpoint: _Endpoint) -> Callable[[Request], "asyncio.Future[Response]"]:
        raise NotImplementedError

    async def answer(self, endpoint: _Endpoint, request: Request) -> Response:
        """Whatever the request is, an answer; an exception that escapes is a bug."""
        retry_after: float | None = None
        error = ""
        try:
            await self._take(endpoint, request)
            status = 201
        except Busy as busy:
            status, retry_after, error = 429, busy.retry_after_seconds, str(busy)
        except Unavailable as unavailable:
            status, retry_after, error = 503, UNAVAILABLE_RETRY_SECONDS, str(unavailable)
        except TimeoutError:
            status, error = 408, f"the body took longer than {BODY_SECONDS:.0f} s"
        except _LostBody:
            status, error = 400, "the request has no body; expected: an array of items"
        except ClientDisconnect:
            status = 400  # nobody reads it
        except Exception:
            metrics.REQUESTS.labels(_INTERFACE, "500").inc()
            raise
        metrics.REQUESTS.labels(_INTERFACE, str(status)).inc()
        return _response(endpoint, status, error, retry_after)

    async def _take(self, endpoint: _Endpoint, request: Request) -> None:
        """Returns once all that is acceptable in the request is committed, the rest counted."""
        host = request.client.host if request.client else ""
        wait_seconds = self._rates.take(host, self._now_ms())
        if wait_seconds > 0:
            raise Busy("too many requests from this address", wait_seconds)
        async with self._body(request) as body:
            if body == b"":
                if endpoint.answers_array:
                    # Not hopeless: something on the way lost the batch, and the client still has it.
                    raise _LostBody
                return  # the client's way to send a rate that is NaN
            report = await self._read(endpoint, request, body)
            for submission in _submissions(report, 0 if body is None else len(body)):
                await self._writer.submit(submission)
        if report.samples:
            metrics.SAMPLES_ACCEPTED.labels(_INTERFACE).inc(len(report.samples))
        # Counted here, not before: of what is sent again nothing has been answered.
        for reason, count in report.rejections.items():
            metrics.SAMPLES_REJECTED.labels(_INTERFACE, str(reason)).inc(count)
