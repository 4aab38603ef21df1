"""Prometheus' remote write 1.0: encodes points as a request, and sends it to a store.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

import asyncio
import re
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import cramjam
import httpx
import structlog

from devtelemetry import __version__
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.publish.answer import (
    Failed,
    Meaning,
    Rejected,
    StoreAway,
    failed_for,
    is_of_the_time_alone,
    meaning_of,
    rejected_for,
    retry_after_seconds,
)
from devtelemetry.publish.outgoing import client_for, place_of
from devtelemetry.publish.remote_write_pb2 import WriteRequest
from devtelemetry.runtime.clock import utc_now
from devtelemetry.runtime.hosts import is_loopback

REQUEST_POINTS = 2_000  # the most that Prometheus itself sends; 50 to 100 KB
REQUEST_SECONDS = 30.0  # how long Prometheus itself waits for an answer
# If a store refuses everything, asking about each point would take two requests per point. So a
# refused block of points of one time is given up as a whole if one point from its middle is refused
# too, and if at least this many points per point of the block were refused in a row before. See
# docs/publish.md.
REFUSED_FOR_ONE = 8
_TOLD_BYTES = 4096  # read of an answer's text: enough for what a store says about a point

_HEADER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)"
)

_LOGINS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})

_log = structlog.get_logger(__name__)

Labels = tuple[tuple[str, str], ...]
"""Name and value, sorted by name; the metric's name is `__name__`"""


class Stamped(NamedTuple):
    series: Labels
    at_ms: int  # Unix ms
    value: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of points: taken, or refused for good."""

    taken: int = 0
    rejected: Counter[Rejected] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.taken + self.rejected.total()

    def plus(self, other: "Outcome") -> "Outcome":
        return Outcome(self.taken + other.taken, self.rejected + other.rejected)


class _Answer(NamedTuple):
    status: int
    text: str
    retry_after: str | None


@dataclass(slots=True)
class _Refused:
    """How many points of a request were refused in a row, with none taken between them."""

    in_a_row: int = 0


def labels_of(name: str, labels: Mapping[str, str]) -> Labels:
    """The series of a metric with these labels, none of which is empty."""
    return tuple(sorted({**labels, "__name__": name}.items()))


def encode(points: Iterable[Stamped]) -> bytes:
    """The body of a request: each series once, with its points in the given order."""
    series: dict[Labels, list[Stamped]] = defaultdict(list)
    for point in points:
        series[point.series].append(point)
    request = WriteRequest()
    for labels, samples in series.items():
        one = request.timeseries.add()
        for name, value in labels:
            one.labels.add(name=name, value=value)
        for sample in samples:
            one.samples.add(value=sample.value, timestamp=sample.at_ms)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def halves(points: Sequence[Stamped]) -> tuple[Sequence[Stamped], Sequence[Stamped]]:
    """Divides at least two points, sorted by time, into two parts, the older first. The cut is
    between two different times, if there are any.

    So the points of a time that a store refuses are soon in a part of their own.
    """
    middle = len(points) // 2
    cuts = [at for at in range(1, len(points)) if points[at - 1].at_ms != points[at].at_ms]
    cut = min(cuts, key=lambda at: abs(at - middle), default=middle)
    return points[:cut], points[cut:]


def read_headers(path: Path) -> dict[str, str]:
    """Headers from a file of `Name: value` lines, without empty lines and lines that begin with #.

    Raises ConfigurationError, which never shows a value.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"remote_write_headers: {path} cannot be read: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"remote_write_headers: {path} is not text in UTF-8") from error
    headers = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _HEADER.fullmatch(line.strip())
        if match is None:
            raise ConfigurationError(
                f"remote_write_headers: line {number} of {path} is not a header; allowed: `Name: "
                "value`, as in `Authorization: Bearer …`"
            )
        headers[match[1]] = match[2]
    return headers


class RemoteWrite:
    """A store that takes points at `url`; used inside its `async with`.

    headers   a file that is read again for every request, so that a token can be replaced any time
    ca        a file of certificates (PEM) for checking its TLS; None: the system's certificates
    insecure  whether a login may be sent to another machine in clear

    Raises ConfigurationError if one of the files cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Path | None = None,
        ca: Path | None = None,
        insecure: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._url = url
        parts = urlsplit(url)
        self.place = place_of(url)
        self._headers = headers
        self._now = now
        said = {} if headers is None else read_headers(headers)
        if (
            any(name.lower() in _LOGINS for name in said)
            and parts.scheme == "http"
            and not insecure
            and not is_loopback(str(parts.hostname))
        ):
            raise ConfigurationError(
                f"remote_write_headers: a login would go to {self.place} without TLS; allowed: a "
                "URL with https://, or --insecure"
            )
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"remote_write_ca: {ca} cannot be used: {error.strerror or error}; allowed: "
                "certificates in PEM"
            ) from error
        self._client = client_for(
            url, setting="remote_write_url", verify=context, seconds=REQUEST_SECONDS
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, points: Sequence[Stamped]) -> Outcome:
        """Sends points, oldest first; returns what became of them.

        A store that refuses one point of a request takes none of its points. So a refused request
        is sent again in halves, until the bad points are alone. After many refusals in a row, one
        bad point condemns its block (REFUSED_FOR_ONE).

        Raises StoreAway if points have to be sent again; some may have been taken by then.
        """
        # Counted for this request only, so that the next one shows whether the fault is gone.
        return await self._send(points, _Refused()) if points else Outcome()

    async def _send(self, points: Sequence[Stamped], refused: _Refused) -> Outcome:
        answer = await self._post(points)
        meaning = meaning_of(answer.status, answer.text)
        if meaning is Meaning.TAKEN:
            refused.in_a_row = 0
            return Outcome(len(points))
        if meaning is not Meaning.REFUSED:
            failed = failed_for(answer.status)
            raise StoreAway(
                f"{self.place} answered {answer.status} {_line(answer.text)}".strip(),
                failed,
                retry_after_seconds(answer.retry_after, self._now()),
            )
        parts: Sequence[Sequence[Stamped]] = halves(points)
        outcome = Outcome()
        if points[0].at_ms == points[-1].at_ms:
            if len(points) == 1 or is_of_the_time_alone(answer.text):
                return _give_up(points, answer, refused)
            if len(points) <= refused.in_a_row // REFUSED_FOR_ONE:
                middle = len(points) // 2
                parts = [part for part in (points[:middle], points[middle + 1 :]) if part]
                outcome = await self._send(points[middle : middle + 1], refused)
                if not outcome.taken:
                    others = [point for part in parts for point in part]
                    return outcome.plus(_give_up(others, answer, refused))
        for part in parts:
            outcome = outcome.plus(await self._send(part, refused))
        return outcome

    async def _post(self, points: Sequence[Stamped]) -> _Answer:
        try:
            said = {} if self._headers is None else read_headers(self._headers)
        except ConfigurationError as error:
            raise StoreAway(str(error), Failed.MISDIRECTED) from error
        headers = httpx.Headers({"User-Agent": f"devtelemetry/{__version__}", **said})
        headers["Content-Encoding"] = "snappy"
        headers["Content-Type"] = "application/x-protobuf"
        headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
        try:
            async with (
                asyncio.timeout(REQUEST_SECONDS),
                self._client.stream(
                    "POST", self._url, content=encode(points), headers=headers
                ) as response,
            ):
                text = b""
                async for piece in response.aiter_bytes():
                    text += piece
                    if len(text) >= _TOLD_BYTES:
                        break
        except (httpx.HTTPError, TimeoutError) as error:
            raise StoreAway(
                f"{self.place} cannot be reached: {_line(str(error)) or type(error).__name__}",
                Failed.NETWORK,
            ) from error
        return _Answer(
            response.status_code,
            text[:_TOLD_BYTES].decode("utf-8", "replace"),
            response.headers.get("Retry-After"),
        )


def _give_up(points: Sequence[Stamped], answer: _Answer, refused: _Refused) -> Outcome:
    _log.debug(
        "the store refused points",
        points=len(points),
        status=answer.status,
        answer=_line(answer.text),
        series=points[0].series,
        at_ms=points[0].at_ms,
    )
    refused.in_a_row += len(points)
    return Outcome(0, Counter({rejected_for(answer.text): len(points)}))


def _line(text: str) -> str:
    """The beginning of a text, in one line for a log."""
    return " ".join(text.split())[:200]
