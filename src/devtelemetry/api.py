"""HTTP for people and programs: figures as JSON, health, metrics. OpenAPI at /docs.

What is served here reads; what writes (status-go's interface) is added by `serve`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import orjson
import structlog
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from devtelemetry import __version__
from devtelemetry.aggregate.windows import parse_timeframe
from devtelemetry.audits import AuditResult, audit_metrics, read_latest_audits
from devtelemetry.clock import now_ms
from devtelemetry.clocks import OFF_BY_MS, Clocks, read_clocks
from devtelemetry.config import Settings
from devtelemetry.errors import Unavailable
from devtelemetry.figures import (
    Selection,
    latest_windows,
    parse_moment,
    read_windows,
    window_as_json,
)
from devtelemetry.metrics import exposed_registry
from devtelemetry.model import MembershipPolicy, WindowReliability, WindowState
from devtelemetry.store.database import Database, is_transient
from devtelemetry.store.migrate import HEAD
from devtelemetry.store.tokens import Scope, TokenBook

PROBE_SECONDS = 5.0  # a probe that waits longer for the database counts as failed

_log = structlog.get_logger(__name__)

_DESCRIPTION = """
How reliably messages arrive: the aggregates that were computed of the samples clients reported.

Times are UTC. A ratio without a value is `null`, never 0 or 1. Ratios are never averaged over
windows: add up the counts instead.
"""


# ------------------------------------------------------------------------------- what is answered


class _Figures(BaseModel):
    """The counts that the ratios are made of."""

    model_config = ConfigDict(extra="forbid")

    reliability: float | None = Field(
        description="1 − missing / expected; of a window the mean of it over its comparable "
        "channels, however busy each is."
    )
    delivery_ratio: float | None = Field(
        description="1 − missing / corroborated: unbiased where losses are independent. Of a "
        "window the sums over its comparable channels: the headline."
    )
    messages: int = Field(description="Messages sent in the window.")
    receivers: int = Field(description="Receivers that count.")
    expected: int = Field(description="(message, receiver) pairs that should be there.")
    missing: int = Field(description="Those of them without a receipt.")
    corroborated: int = Field(
        description="Those of `expected` whose message another receiver holds or sent."
    )
    unknown: int = Field(
        description="Pairs of which nothing can be said, since the receiver's reports are missing; "
        "not in `expected`."
    )


class ChannelFigures(_Figures):
    channel_id: str = Field(description="The channel, as clients name it.")
    comparable: bool = Field(
        description="At least two receivers count and something was expected of them; else the "
        "channel has no ratio and takes no part in the window's."
    )


class WindowFigures(_Figures):
    start: datetime = Field(description="By when messages were sent; inclusive.")
    end: datetime = Field(description="Exclusive.")
    membership: MembershipPolicy = Field(description="Which receivers count.")
    state: WindowState = Field(description="`provisional` until its last computation.")
    delivery_ratio_lower: float | None = Field(description="Of the 95 % interval.")
    delivery_ratio_upper: float | None = Field(description="Of the 95 % interval.")
    revision: int = Field(description="From 1; up by one when a figure changed.")
    computed_at: datetime = Field(description="When it was computed last.")
    channels: list[ChannelFigures] = Field(
        description="Those with a message and a receiver that counts, by channel_id."
    )


class ReliabilityDocument(BaseModel):
    """Windows of one timeframe, oldest first, then by membership."""

    model_config = ConfigDict(extra="forbid")

    timeframe: str = Field(examples=["1h"])
    windows: list[WindowFigures]


class Problem(BaseModel):
    detail: str = Field(description="What is wrong and what to do, in one line.")


# ----------------------------------------------------------------------------- what may be asked


def _timeframe(text: str) -> str:
    return parse_timeframe(text).name


_Moment = Annotated[datetime, BeforeValidator(parse_moment)]


class _Query(BaseModel):
    """A parameter that is not known is an error: an answer that ignores it would mislead."""

    model_config = ConfigDict(extra="forbid")

    timeframe: Annotated[str, BeforeValidator(_timeframe)] | None = Field(
        None, description="Length of the windows; default: the shortest that is computed."
    )
    start: _Moment | None = Field(
        None, alias="from", description="Only windows that end after this time (ISO 8601)."
    )
    end: _Moment | None = Field(
        None, alias="to", description="Only windows that start before this time (ISO 8601)."
    )
    channel: str | None = Field(
        None,
        min_length=1,
        description="The figures of this channel alone; the windows' totals are its own then.",
    )
    membership: MembershipPolicy | None = Field(
        None, description="Only this policy; default: all that were computed."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "_Query":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("`from` must lie before `to`")
        return self


# ------------------------------------------------------------------------------------- the server


def create_app(database: Database, settings: Settings) -> FastAPI:
    """The HTTP server. Beyond loopback /api asks for a token of scope `read`."""
    app = FastAPIOffline(
        title="Dev-Telemetry",
        version=__version__,
        description=_DESCRIPTION,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs-assets",
    )
    asks_for_token = settings.require_tokens or not (
        settings.http_listen.is_loopback or settings.insecure
    )
    may_read = [Depends(_token_check(TokenBook(database, Scope.READ)))] if asks_for_token else []
    _add_errors(app)
    _add_figures(app, database, settings, may_read)
    _add_health(app, database)
    _add_metrics(app, database, settings)
    return app


def _token_check(book: TokenBook) -> Callable[..., Awaitable[None]]:
    scheme = HTTPBearer(auto_error=False, description="A token of scope `read`.")

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(scheme)],
    ) -> None:
        token = None if credentials is None else credentials.credentials
        if await book.check(token) is None:
            raise HTTPException(
                401,
                "a valid token is needed: send `Authorization: Bearer dt_…`; "
                "`devtelemetry token create NAME --scope read` makes one",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": "5"})

    async def driver(request: Request, error: Exception) -> Response:
        if not is_transient(error):
            raise error
        _log.warning("the database cannot be reached", path=request.url.path, error=str(error))
        return await unavailable(request, Unavailable("the database cannot be reached; try again"))

    for kind in (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        app.add_exception_handler(kind, driver)


def _add_figures(app: FastAPI, database: Database, settings: Settings, may_read: list[Any]) -> None:
    @app.get(
        "/api/v1/reliability",
        summary="How reliably messages arrived",
        tags=["figures"],
        response_model=ReliabilityDocument,
        responses={401: {"model": Problem}, 503: {"model": Problem}},
        dependencies=may_read,
    )
    async def reliability(query: Annotated[_Query, Query()]) -> Response:
        """The stored windows of a timeframe, oldest first, then by membership.

        `docs/algorithm.md` defines every figure.
        """
        selection = Selection(
            timeframe=query.timeframe or settings.timeframes[0].name,
            start=query.start,
            end=query.end,
            channel=query.channel,
            membership=query.membership,
        )
        windows = read_windows(database, selection)
        # The first one before the status goes out: that is when most goes wrong.
        first = await anext(windows, None)
        body = _document(selection.timeframe, first, windows)
        return StreamingResponse(body, media_type="application/json")


async def _document(
    timeframe: str, first: WindowReliability | None, rest: AsyncIterator[WindowReliability]
) -> AsyncIterator[bytes]:
    """figures.as_json, piece by piece: a year of hours need not fit into memory."""
    yield b'{"timeframe":' + orjson.dumps(timeframe) + b',"windows":['
    if first is not None:
        yield orjson.dumps(window_as_json(first))
        async for window in rest:
            yield b"," + orjson.dumps(window_as_json(window))
    yield b"]}"


def _add_health(app: FastAPI, database: Database) -> None:
    @app.get("/healthz", summary="Alive", tags=["health"], response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get(
        "/readyz",
        summary="Database reachable and migrated",
        tags=["health"],
        response_class=PlainTextResponse,
        responses={503: {"description": "Not ready; the text says why."}},
    )
    async def readyz() -> Response:
        problem = await _not_ready(database)
        if problem is not None:
            return PlainTextResponse(f"{problem}\n", 503)
        return PlainTextResponse("ok\n")


async def _not_ready(database: Database) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS), database.acquire() as connection:
            revision = await connection.fetchval("select version_num from alembic_version")
    except Exception as error:  # whatever it is, the server is not ready
        return f"the database cannot be used: {error or type(error).__name__}"
    if revision != HEAD:
        return f"the database has schema {revision}, this version needs {HEAD}"
    return None


# ----------------------------------------------------------------------------------- /metrics


def _add_metrics(app: FastAPI, database: Database, settings: Settings) -> None:
    @app.get(
        "/metrics",
        summary="Prometheus exposition",
        description="The service's own metrics, the latest window of each timeframe and state, "
        "how far the clocks of clients are off, and how the latest audits came out.",
        tags=["health"],
        response_class=PlainTextResponse,
    )
    async def metrics(request: Request) -> Response:
        windows: list[WindowReliability] = []
        clocks = None
        audits: list[AuditResult] = []
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                windows = await latest_windows(database, settings.membership)
                clocks = await read_clocks(database, now_ms=now_ms())
                audits = await read_latest_audits(database, settings.membership, now_ms=now_ms())
        except Exception as error:  # its own metrics matter most then
            _log.warning(
                "/metrics without what is stored", error=str(error) or type(error).__name__
            )
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(
            encode(_WithStored(windows, clocks, audits)), headers={"Content-Type": content_type}
        )


class _WithStored(CollectorRegistry):
    """The service's own metrics and those of what was read before: nothing waits here."""

    def __init__(
        self,
        windows: list[WindowReliability],
        clocks: Clocks | None,
        audits: list[AuditResult],
    ) -> None:
        super().__init__()
        self._windows = windows
        self._clocks = clocks
        self._audits = audits

    def collect(self) -> Iterator[Metric]:
        yield from exposed_registry().collect()
        yield from window_metrics(self._windows)
        yield from clock_metrics(self._clocks)
        yield from audit_metrics(self._audits)


def window_metrics(windows: list[WindowReliability]) -> Iterator[GaugeMetricFamily]:
    """The series of docs/protocol.md, "Prometheus series". A figure without a value has none."""
    for name, text, figure in _SERIES:
        family = GaugeMetricFamily(f"devtelemetry_{name}", text, labels=["timeframe", "state"])
        for window in windows:
            value = figure(window)
            if value is not None:
                family.add_metric([window.timeframe, window.state.value], value)
        yield family


def clock_metrics(clocks: Clocks | None) -> Iterator[GaugeMetricFamily]:
    """How many clients have clocks that are off. None: not known, no series."""
    told = GaugeMetricFamily(
        "devtelemetry_clients_clock_told",
        "Receivers that told their clock and reported in the last seven days.",
        labels=[],
    )
    off = GaugeMetricFamily(
        "devtelemetry_clients_clock_off",
        "Those of devtelemetry_clients_clock_told whose clock is off by more than this.",
        labels=["more_than"],
    )
    if clocks is not None:
        told.add_metric([], clocks.told)
        for name in OFF_BY_MS:
            off.add_metric([name], clocks.off_by_more[name])
    yield told
    yield off


_SERIES: tuple[tuple[str, str, Callable[[WindowReliability], float | None]], ...] = (
    (
        "delivery_ratio",
        "1 - missing / corroborated deliveries of the latest window.",
        lambda window: window.counts.delivery_ratio,
    ),
    (
        "reliability",
        "Mean over the comparable channels of 1 - missing / expected deliveries.",
        lambda window: window.reliability,
    ),
    (
        "expected_deliveries",
        "(message, receiver) pairs of the latest window that should be there.",
        lambda window: window.counts.expected,
    ),
    (
        "missing_deliveries",
        "Those of the expected deliveries without a receipt.",
        lambda window: window.counts.missing,
    ),
    (
        "corroborated_deliveries",
        "Those of the expected deliveries whose message another receiver holds or sent.",
        lambda window: window.counts.corroborated,
    ),
    (
        "unknown_deliveries",
        "Pairs of which nothing can be said, since the receiver's reports are missing.",
        lambda window: window.counts.unknown,
    ),
    (
        "receivers",
        "Receivers that count, added up over the comparable channels.",
        lambda window: window.counts.receivers,
    ),
)
