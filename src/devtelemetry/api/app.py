"""HTTP for people and programs: figures as JSON, health, metrics. OpenAPI at /docs.

The routes here only read. `serve` adds those that write (status-go's interface).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import structlog
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from pydantic import Field, model_validator

from devtelemetry import __version__
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.access import Access
from devtelemetry.api.documentation import STATIC, add_documentation
from devtelemetry.api.findings import add_findings
from devtelemetry.api.missing import add_missing
from devtelemetry.api.models import ReliabilityDocument
from devtelemetry.api.notes import add_notes
from devtelemetry.api.objective import add_objective
from devtelemetry.api.parameters import Moment, Problem, Strict, TimeframeName
from devtelemetry.api.problems import add_problems
from devtelemetry.api.releases import add_releases
from devtelemetry.figures.audits import AuditResult, audit_metrics, read_latest_audits
from devtelemetry.figures.budget import (
    Settled,
    budget_timeframe,
    objective_metrics,
    read_settled,
)
from devtelemetry.figures.clocks import OFF_BY_MS, Clocks, read_clocks
from devtelemetry.figures.document import document, iso
from devtelemetry.figures.read import (
    Selection,
    channels_of_latest,
    check_names,
    latest_end,
    latest_windows,
    page_of,
    read_windows,
)
from devtelemetry.figures.series import ALL_SERIES, points_of
from devtelemetry.model import OBJECTIVE, Dimension, MembershipPolicy, WindowReliability
from devtelemetry.model.errors import (
    Busy,
    DatabaseAway,
    Overtaken,
    Unavailable,
    UnknownName,
    for_operator,
)
from devtelemetry.problems.problem import Problems
from devtelemetry.problems.read import LatestProblems
from devtelemetry.problems.series import problem_metrics
from devtelemetry.runtime.clock import now_ms
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.runtime.metrics import exposed_registry
from devtelemetry.runtime.rates import AddressRate, retry_after
from devtelemetry.runtime.shared import Shared
from devtelemetry.store.database import Database
from devtelemetry.store.migrate import check_schema
from devtelemetry.store.sql import queries
from devtelemetry.store.tokens import Scope, TokenBook

_QUERIES = queries(__package__, "app.sql")
MOST_WINDOWS = 1_000  # on a page
MOST_CHANNELS = 100_000  # in all windows of a page together: some 22 MB
READS_PER_SECOND = 50.0  # per address in the long run; five hundred at once
PROBE_SECONDS = 5.0  # a probe that waits longer for the database counts as failed

_log = structlog.get_logger(__name__)

_DESCRIPTION = """
How reliably messages arrive: figures computed from the samples that clients reported.

Times are UTC. A ratio without a value is `null`, never 0 or 1. Never average ratios over windows:
add up the counts instead.
"""


# ---------------------------------------------------------------------------------- parameters


class _Query(Strict):
    """An unknown parameter is an error, because an answer that ignores it would mislead."""

    timeframe: TimeframeName | None = Field(
        None, description="Length of the windows; default: the shortest configured timeframe."
    )
    start: Moment | None = Field(
        None, alias="from", description="Only windows that end after this time (ISO 8601)."
    )
    end: Moment | None = Field(
        None, alias="to", description="Only windows that start before this time (ISO 8601)."
    )
    channel: str | None = Field(
        None,
        min_length=1,
        description="Only this channel; the figures of the windows are then those of the channel.",
    )
    membership: MembershipPolicy | None = Field(
        None, description="Only this membership policy; default: all that were computed."
    )
    by: Dimension | None = Field(
        None,
        description="Break each window, or with `channel` the channel, down by this dimension.",
    )
    versus: str | None = Field(
        None,
        description="With `by`: the group that the others are compared with; default: the largest.",
    )
    channels: bool = Field(True, description="`false` leaves out the channels of each window.")
    limit: int | None = Field(
        None,
        ge=1,
        le=MOST_WINDOWS,
        description="The greatest number of windows: the first ones after `from` or, without "
        f"`from`, the latest ones. Default: {MOST_WINDOWS:,}. With channels it is fewer, so that "
        f"all windows have about {MOST_CHANNELS:,} channels together.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "_Query":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("`from` must be before `to`")
        if self.versus is not None and self.by is None:
            raise ValueError("`versus` names a group, so `by` must name its dimension")
        return self


# ------------------------------------------------------------------------------------- the server


def create_app(
    database: Database,
    rules: AggregateRules,
    access: Access,
    *,
    trouble: Callable[[], str | None] = lambda: None,
    objective: float = OBJECTIVE,
    problems: LatestProblems | None = None,
    public_url: str | None = None,
) -> FastAPI:
    """The HTTP server.

    rules       have the timeframes and the policy for requests that do not name them
    trouble     returns why samples are not accepted now, or None if they are
    problems    a reader of problems that other rooms share; None: the app makes its own
    objective   the share of deliveries that should be made
    public_url  where people open the pages, for alerts; None if not configured
    """
    app = FastAPIOffline(
        title="Dev-Telemetry",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        static_url=STATIC,
    )
    # Without tokens, only the host name in a request shows that a page from elsewhere sent it.
    may_read = [
        Depends(
            _token_check(TokenBook(database, Scope.READ))
            if access.asks_for_token
            else _host_check(access.hosts)
        ),
        Depends(_rate_check()),
    ]
    _add_errors(app)
    add_documentation(app)
    _add_figures(app, database, rules, may_read)
    add_missing(app, database, rules, may_read)
    add_findings(app, database, may_read)
    problems = problems or LatestProblems(database, rules.timeframes)
    add_problems(app, problems, rules, may_read)
    add_releases(app, database, rules, may_read)
    add_notes(app, database, may_read)
    add_objective(app, database, rules, objective, may_read)
    _add_health(app, database, trouble)
    _add_metrics(app, database, rules, problems, objective, public_url)
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


def _rate_check() -> Callable[..., Awaitable[None]]:
    rate = AddressRate(READS_PER_SECOND)

    async def check(request: Request) -> None:
        rate.count(request.client.host if request.client else "")

    return check


def _host_check(hosts: KnownHosts) -> Callable[..., Awaitable[None]]:
    async def check(request: Request) -> None:
        refusal = hosts.refusal(request.headers.get("host"), None)
        if refusal is not None:
            raise HTTPException(refusal.status, refusal.text)

    return check


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Unavailable)
    async def unavailable(request: Request, error: Exception) -> Response:
        if isinstance(error, DatabaseAway):
            _log.warning(
                "the database cannot be reached", path=request.url.path, error=error.detail
            )
        return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": "5"})

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Exception) -> Response:
        assert isinstance(error, Busy), "it is what this is registered for"
        return JSONResponse({"detail": str(error)}, 429, headers=retry_after(error))

    @app.exception_handler(UnknownName)
    async def unknown(_: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, 404)


def _add_figures(
    app: FastAPI, database: Database, rules: AggregateRules, may_read: list[Any]
) -> None:
    @app.get(
        "/api/v1/reliability",
        summary="How reliably messages arrived",
        tags=["figures"],
        response_model=ReliabilityDocument,
        responses={status: {"model": Problem} for status in (401, 404, 503)},
        dependencies=may_read,
    )
    async def reliability(query: Annotated[_Query, Query()]) -> Response:
        """A page of the stored windows of a timeframe, oldest first, then by membership policy.

        If you ask with `from`, ask again with `from` = `next`, until `next` is `null`.
        `docs/algorithm.md` defines every figure.
        """
        selection = Selection(
            timeframe=query.timeframe or rules.timeframes[0].name,
            start=query.start,
            end=query.end,
            channel=query.channel,
            membership=query.membership,
            by=() if query.by is None else (query.by,),
            channels=query.channels,
        )
        await check_names(database, selection, query.versus)
        has_channels = selection.channels and selection.channel is None
        most = MOST_WINDOWS
        if has_channels:
            each = await channels_of_latest(database, selection.timeframe)
            most = min(most, max(1, MOST_CHANNELS // max(1, each)))
        page = await page_of(database, selection, query.limit or most)
        until = await latest_end(
            database, selection.timeframe, query.membership or rules.membership
        )
        head = {
            "until": until and iso(until),
            "earlier": page.earlier,
            "next": page.next_from and iso(page.next_from),
        }
        pieces = document(
            selection.timeframe,
            read_windows(database, page.selection),
            query.by,
            query.versus,
            head,
        )
        # Get the first piece before the status is sent, because most errors show by then.
        first = await anext(pieces)
        return StreamingResponse(_from(first, pieces), media_type="application/json")


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _add_health(app: FastAPI, database: Database, trouble: Callable[[], str | None]) -> None:
    # Monitors often ask with HEAD.
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", summary="Alive", tags=["health"], response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    shared = Shared()  # because each probe writes, and anyone may ask

    @app.head("/readyz", include_in_schema=False)
    @app.get(
        "/readyz",
        summary="Whether samples are accepted",
        tags=["health"],
        response_class=PlainTextResponse,
        responses={503: {"description": "Not ready; the text says why."}},
    )
    async def readyz() -> Response:
        problem = await shared.get(None, lambda: _not_ready(database)) or trouble()
        if problem is not None:
            return PlainTextResponse(f"{problem}\n", 503)
        return PlainTextResponse("ok\n")


async def _not_ready(database: Database) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS), database.acquire() as connection:
            await check_schema(connection)
            # A database that can be read cannot always be written: a standby, a full disk.
            await connection.execute(_QUERIES["write"])
    except Overtaken as error:
        return error.detail
    except Exception as error:  # whatever it is, the server is not ready
        return f"the database cannot be used: {for_operator(error)}"
    return None


# ----------------------------------------------------------------------------------- /metrics


def _add_metrics(
    app: FastAPI,
    database: Database,
    rules: AggregateRules,
    problems: LatestProblems,
    objective: float,
    public_url: str | None,
) -> None:
    shared = Shared()
    membership = rules.membership
    counted = budget_timeframe(rules.timeframes)

    async def read() -> _Stored:
        async with asyncio.timeout(PROBE_SECONDS):
            return _Stored(
                await latest_windows(database, membership),
                await read_clocks(database, now_ms=now_ms()),
                await read_latest_audits(database, membership, now_ms=now_ms()),
                await read_settled(database, counted, membership),
                await problems.within(membership, PROBE_SECONDS / 2),
            )

    @app.get(
        "/metrics",
        summary="Prometheus exposition",
        description="The server's own metrics, the latest window of each timeframe and state, "
        "how far the clocks of clients are off, how the latest audits came out, and problems.",
        tags=["health"],
        response_class=PlainTextResponse,
    )
    async def metrics(request: Request) -> Response:
        stored = _Stored((), None, (), None, None)
        try:
            stored = await shared.get(None, read)
        except Exception as error:  # then the server's own metrics matter most
            _log.warning(
                "/metrics without the stored figures", error=str(error) or type(error).__name__
            )
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(
            encode(_WithStored(stored, objective, public_url)),
            headers={"Content-Type": content_type},
        )


class _Stored(NamedTuple):
    windows: Sequence[WindowReliability]
    clocks: Clocks | None
    audits: Sequence[AuditResult]
    settled: Settled | None
    problems: Problems | None


class _WithStored(CollectorRegistry):
    """The service's own metrics, and metrics of figures that were read before. Never waits."""

    def __init__(self, stored: _Stored, objective: float, public_url: str | None) -> None:
        super().__init__()
        self._public_url = public_url
        self._stored = stored
        self._objective = objective

    def collect(self) -> Iterator[Metric]:
        yield from exposed_registry().collect()
        yield from window_metrics(self._stored.windows)
        yield from clock_metrics(self._stored.clocks)
        yield from audit_metrics(self._stored.audits)
        yield from objective_metrics(self._objective, self._stored.settled)
        yield from problem_metrics(self._stored.problems)
        yield from public_metrics(self._public_url)


def window_metrics(windows: Sequence[WindowReliability]) -> Iterator[GaugeMetricFamily]:
    """The series of docs/protocol.md, "Prometheus series"; none for a figure without a value."""
    families = {
        series.name: GaugeMetricFamily(
            series.name, series.help, labels=[series.label] if series.label else None
        )
        for series in ALL_SERIES
    }
    for window in windows:
        for name, labels, value in points_of(window):
            # Not add_metric, which needs a value for every label: totals have no platform.
            families[name].add_sample(name, dict(labels), value)
    yield from families.values()


def public_metrics(public_url: str | None) -> Iterator[GaugeMetricFamily]:
    """Where people open the pages, which alerts use. With None there is no series."""
    family = GaugeMetricFamily(
        "devtelemetry_public_url_info",
        "Always 1; the label is the configured address at which people open the dashboard.",
        labels=["url"],
    )
    if public_url is not None:
        family.add_metric([public_url], 1)
    yield family


def clock_metrics(clocks: Clocks | None) -> Iterator[GaugeMetricFamily]:
    """How many clients have clocks that are off. clocks: None if not known; then no series"""
    told = GaugeMetricFamily(
        "devtelemetry_clients_clock_told",
        "Receivers that sent the time of their clock and reported in the last seven days.",
        labels=[],
    )
    off = GaugeMetricFamily(
        "devtelemetry_clients_clock_off",
        "Receivers of devtelemetry_clients_clock_told whose clock is off by more than this.",
        labels=["more_than"],
    )
    if clocks is not None:
        told.add_metric([], clocks.told)
        for name in OFF_BY_MS:
            off.add_metric([name], clocks.off_by_more[name])
    yield told
    yield off
