"""The HTTP interface that shipped status-go clients report to. They understand only these answers:

/record-metrics      After 201 with an array, the client forgets the batch. After anything else, it
                     sends the batch again with newer items, first after 20 s, later every 80 s,
                     until its process ends. It does not read Retry-After. If it has more than 5,000
                     items, it drops the oldest.
the other POSTs      The client sends once and never reads the answer. A body in the answer would
                     cost it a connection each time. So there is no body, whatever the status.

So a batch that can never be accepted is answered with 201 all the same, and is counted and logged.
If it was refused, it would come again for ever, and nothing newer would get past it. Only two
things are refused: what may be accepted another time, and what a foreign page makes a browser send.
Clients are not browsers, and they ask for a host that is known here. A path with additional slashes
is answered directly, because after a redirect (301, 302) the client would come back with GET and
without the batch.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from devtelemetry.ingest.bodies import (
    BadGzip,
    Bodies,
    EndlessBody,
    SlowBody,
    TooLarge,
    unpack,
)
from devtelemetry.ingest.check import GREATEST_MILLISECONDS, AgeLimits
from devtelemetry.ingest.said import OriginSaid
from devtelemetry.ingest.statusgo import (
    Refused,
    Report,
    Unreadable,
    read_and_leave,
    read_record_metrics,
    read_update_envelope,
)
from devtelemetry.ingest.submission import Submission
from devtelemetry.ingest.writer import GROUP_SAMPLES, GroupCommit
from devtelemetry.model import Reason, Sample, Source
from devtelemetry.model.errors import Busy, ClockInDoubt, Unavailable
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import Hear
from devtelemetry.runtime.hosts import KnownHosts, Refusal
from devtelemetry.runtime.network import network_of
from devtelemetry.runtime.rates import AddressRate, retry_after

MAX_BODY_BYTES = 16 * 1024 * 1024  # the client's 5,001 items have 3.5 MB
REMEMBERED_ADDRESSES = 50_000  # ~250 bytes each
UNAVAILABLE: Mapping[str, str] = {"Retry-After": "10"}

_ANY_AGE = AgeLimits(0, GREATEST_MILLISECONDS)  # at time 0 these limits accept any sentAt

_INTERFACE = "status-go"
_log = structlog.get_logger(__name__)
T = TypeVar("T")


class _Endpoint(NamedTuple):
    name: str  # its path
    read: Callable[[bytes, AgeLimits, int], Report]
    answers_array: bool  # else the body of an answer is empty


_ENDPOINTS = (
    _Endpoint("record-metrics", read_record_metrics, answers_array=True),
    _Endpoint("update-envelope", read_update_envelope, answers_array=False),
    _Endpoint("protocol-stats", read_and_leave, answers_array=False),
    _Endpoint("waku-metrics", read_and_leave, answers_array=False),
)


_REASONS: Mapping[type[Exception], Refused] = {
    BadGzip: Refused.NOT_JSON,
    TooLarge: Refused.TOO_LARGE,
}


class _LostBody(Exception):
    """The client always sends a body here. It was lost on the way, and a retry may bring it."""


class _Elsewhere(Exception):
    """The request comes from a web page, or by a host name that is not known here; the text says
    which."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.status = refusal.status


def statusgo_router(
    writer: GroupCommit,
    *,
    age_limits: AgeLimits,
    now_ms: Callable[[], int],
    hosts: KnownHosts,
    hear: Hear | None = None,
    requests_per_second: float,
    max_body_bytes: int = MAX_BODY_BYTES,
    monotonic: Callable[[], float] = time.monotonic,
) -> APIRouter:
    """The routes of status-im/telemetry.

    now_ms               returns Unix ms, which becomes created_at; or raises ClockInDoubt
    hosts                the names by which clients may reach this server
    hear                 is called with a client's times while now_ms raises
    requests_per_second  of one client address (IPv6: of a /64) in the long run; each client behind
                         it sends 0.1, or more while it gets envelopes that it cannot process
    max_body_bytes       of one request, packed or not; a longer body is dropped
    monotonic            seconds, for the rates

    Raises ConfigurationError.
    """
    interface = _Interface(
        writer, age_limits, now_ms, hosts, hear, monotonic, requests_per_second, max_body_bytes
    )
    router = APIRouter(include_in_schema=False)
    for endpoint in _ENDPOINTS:
        for path in _paths(endpoint.name):
            router.add_api_route(path, _handler(interface, endpoint), methods=["POST"])
    for path in _paths("health"):
        router.add_api_route(path, _health, methods=["GET", "HEAD"])
    return router


def _paths(name: str) -> Sequence[str]:
    # If the URL that the user configured ends with a slash, the client adds another one.
    return (f"/{name}", f"/{name}/", f"//{name}", f"//{name}/")


def _handler(
    interface: "_Interface", endpoint: _Endpoint
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return await interface.answer(endpoint, request)

    return handle


async def _health() -> Response:
    return Response("OK", media_type="text/plain")


class _Interface:
    """What the requests of one router share."""

    def __init__(
        self,
        writer: GroupCommit,
        age_limits: AgeLimits,
        now_ms: Callable[[], int],
        hosts: KnownHosts,
        hear: Hear | None,
        monotonic: Callable[[], float],
        requests_per_second: float,
        max_body_bytes: int,
    ) -> None:
        self._writer = writer
        self._age_limits = age_limits
        self._now_ms = now_ms
        self._hosts = hosts
        self._hear = hear
        self._max_body_bytes = max_body_bytes
        self._bodies = Bodies(max_body_bytes)
        self._rate = AddressRate(
            requests_per_second, remembered=REMEMBERED_ADDRESSES, monotonic=monotonic
        )

    async def answer(self, endpoint: _Endpoint, request: Request) -> Response:
        """Answers a request, whatever is in it. An exception that escapes is a bug."""
        status, error = 201, ""
        headers: Mapping[str, str] = {}
        try:
            self._check_whence(request.headers)
            await self._take(endpoint, request)
        except _Elsewhere as elsewhere:
            status, error = elsewhere.status, str(elsewhere)
        except Busy as busy:
            status, error, headers = 429, str(busy), retry_after(busy)
        except Unavailable as unavailable:
            status, error, headers = 503, str(unavailable), UNAVAILABLE
        except _LostBody:
            status, error = 400, "the request has no body; allowed: an array of items"
        except SlowBody as slow:
            status, error = 408, str(slow)
        except EndlessBody as endless:
            status, error = 413, str(endless)
        except ClientDisconnect:
            status = 400  # nobody reads it
        except Exception:
            metrics.REQUESTS.labels(_INTERFACE, "500").inc()
            raise
        metrics.REQUESTS.labels(_INTERFACE, str(status)).inc()
        return _response(endpoint, status, error, headers)

    def _check_whence(self, headers: Mapping[str, str]) -> None:
        """Raises _Elsewhere."""
        refusal = self._hosts.refusal(headers.get("host"), headers.get("origin"))
        if refusal is not None:
            raise _Elsewhere(refusal)

    async def _take(self, endpoint: _Endpoint, request: Request) -> None:
        """Returns once what is acceptable in the request is committed, and the rest is counted."""
        host = request.client.host if request.client else ""
        self._rate.count(host)
        turned = 0
        try:
            async with self._bodies.held(request.stream()) as body:
                if not body:
                    if endpoint.answers_array:
                        raise _LostBody
                    return  # the client sends an empty body if a rate is NaN
                report, size_bytes = await self._read(endpoint, body, request.headers)
                for submission in _submissions(report, network_of(host), size_bytes):
                    turned += len((await self._writer.submit(submission)).samples)
        except (BadGzip, TooLarge, Unreadable) as error:
            reason: str = error.reason if isinstance(error, Unreadable) else _REASONS[type(error)]
            report = Report(rejections=Counter({reason: 1}))
            _log.warning("a body was dropped", path=endpoint.name, reason=reason, detail=str(error))
        # Counted only after the commit, because a batch that fails is sent again and would be
        # counted twice.
        if report.samples:
            metrics.SAMPLES_ACCEPTED.labels(_INTERFACE).inc(len(report.samples) - turned)
        if turned:
            report.rejections[Reason.TOO_MANY.label] += turned
        if report.not_kept:
            metrics.REPORTS_NOT_KEPT.inc(report.not_kept)
        for reason, count in report.rejections.items():
            metrics.SAMPLES_REJECTED.labels(_INTERFACE, str(reason)).inc(count)

    async def _read(
        self, endpoint: _Endpoint, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Report, int]:
        """What is in the body, and its unpacked size. Raises Unreadable, BadGzip, TooLarge,
        ClockInDoubt."""
        try:
            now_ms = self._now_ms()
        except ClockInDoubt:
            if self._hear is None:
                raise
            report, _ = await self._read_at(endpoint, body, headers, 0, _ANY_AGE)
            if report.samples:
                newest = max(report.samples, key=lambda sample: sample.sent_at)
                await self._hear(
                    newest.receiver_public_key, newest.installation_id, 0, newest.sent_at
                )
            now_ms = self._now_ms()
        return await self._read_at(endpoint, body, headers, now_ms, self._age_limits)

    async def _read_at(
        self,
        endpoint: _Endpoint,
        body: bytes,
        headers: Mapping[str, str],
        now_ms: int,
        age_limits: AgeLimits,
    ) -> tuple[Report, int]:
        is_packed = headers.get("content-encoding", "").strip().lower() == "gzip"

        def unpack_and_read() -> tuple[Report, int]:
            text = unpack(body, self._max_body_bytes) if is_packed else body
            return endpoint.read(text, age_limits, now_ms), len(text)

        return await self._bodies.read(unpack_and_read, body, is_packed=is_packed)


def _submissions(report: Report, network: str, size_bytes: int) -> Iterator[Submission]:
    """The report in one piece or, if it is larger than a group, in several pieces.

    network  the network that the report came from

    If one piece is committed and a later one fails, there is no harm: the client sends all again.
    """
    weight = len(report.samples) + len(report.said_of_envelopes)
    if not weight:
        return
    if weight <= GROUP_SAMPLES:
        yield Submission(
            samples=report.samples,
            said_of_envelopes=report.said_of_envelopes,
            origins=_origins(report.samples, network),
            size_bytes=size_bytes,
        )
        return
    for samples in _slices(report.samples):
        yield Submission(
            samples=samples,
            origins=_origins(samples, network),
            size_bytes=size_bytes * len(samples) // weight,
        )
    for sent in _slices(report.said_of_envelopes):
        yield Submission(said_of_envelopes=sent, size_bytes=size_bytes * len(sent) // weight)


def _origins(samples: Iterable[Sample], network: str) -> list[OriginSaid]:
    receivers = {
        (sample.receiver_public_key, sample.installation_id, sample.created_at)
        for sample in samples
    }
    return [
        OriginSaid(key, installation, network, "", created_at or 0, Source.STATUS_GO)
        for key, installation, created_at in sorted(receivers)
    ]


def _slices(rows: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(rows), GROUP_SAMPLES):
        yield rows[start : start + GROUP_SAMPLES]


def _response(endpoint: _Endpoint, status: int, error: str, headers: Mapping[str, str]) -> Response:
    if status in (408, 413):
        headers = {"Connection": "close"}  # nobody reads the rest of that body
    if not endpoint.answers_array:
        return Response(status_code=status, headers=headers)
    # If the body is an array, the client logs status and text. Else it logs only that it cannot
    # read the body.
    body = orjson.dumps([{"id": 0, "error": error}]) if error else b"[]"
    return Response(body, status, headers, media_type="application/json")
