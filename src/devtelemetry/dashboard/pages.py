"""The pages: for each address, the figures are read, drawn once for all viewers, and framed."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from devtelemetry import words
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard import assets, texts
from devtelemetry.dashboard.channels_state import ChannelsState, read_asked_channels
from devtelemetry.dashboard.drawing import (
    draw_channels,
    draw_empty,
    draw_overview,
    draw_subject,
    draw_window,
)
from devtelemetry.dashboard.frame import OVERVIEW, Frame, framed, problem, theme_of
from devtelemetry.dashboard.guard import FRESH
from devtelemetry.dashboard.reading import Reader
from devtelemetry.dashboard.state import (
    CHANNEL,
    GROUP,
    BadState,
    PageState,
    WindowPageState,
    address,
    read_asked,
    read_asked_window,
)
from devtelemetry.dashboard.views.channels import channels_page
from devtelemetry.dashboard.views.overview import overview
from devtelemetry.dashboard.views.subject import name_of, subject_page, way_to
from devtelemetry.dashboard.views.values import Link
from devtelemetry.dashboard.views.window import window_page
from devtelemetry.model.errors import Unavailable, UnknownName
from devtelemetry.runtime.shared import Shared

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0  # how long one look at the database's state serves all viewers
MAKING = 3  # pages at a time: fewer than there are connections, because ingest needs these too


@dataclass(frozen=True, slots=True)
class Made:
    """The main part of a page. empty: why there is nothing to show; then `html` is empty"""

    html: str
    empty: str = ""


@dataclass(slots=True)
class _Look:
    at: float = float("-inf")
    state: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """The handlers of all pages, and what these need.

    objective  the share of deliveries that should be made
    log_link   where the logs have a message, as a pattern of model/links.py; None: nowhere
    grpc_at    where the server listens for gRPC, HOST:PORT
    """

    rules: AggregateRules
    objective: float
    grpc_at: str
    reader: Reader
    now: Callable[[], datetime]
    asks_for_token: bool
    log_link: str | None = None
    _making: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAKING))
    _drilling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _shared: Callable[..., Awaitable[None]] = field(default_factory=lambda: Shared().get)
    _look: _Look = field(default_factory=_Look)

    def routes(self) -> list[Route]:
        return [
            Route("/", self.overview),
            Route(CHANNEL, self.subject),
            Route(GROUP, self.subject),
            Route("/channels", self.channels),
            Route("/window", self.window),
            Route(FRESH, self.fresh),
        ]

    async def overview(self, request: Request) -> Response:
        rules = self.rules
        try:
            asked = read_asked(request.query_params, rules.timeframes, rules.membership)
        except BadState as error:
            return _not_understood(request, "Overview", error)
        # To the minute, so that the drawn page, with its "3 hours ago", is made once a minute.
        now = self.now().replace(second=0, microsecond=0)

        async def make() -> Made:
            reading = await self.reader.overview(asked)

            def draw() -> Made:
                view = overview(
                    reading,
                    rules.timeframes,
                    now=now,
                    objective=self.objective,
                )
                return Made("", view.empty) if view.empty else Made(draw_overview(view))

            return await asyncio.to_thread(draw)

        return await self._page(request, asked, "Overview", [Link("Overview", "")], (now,), make)

    async def subject(self, request: Request) -> Response:
        """The page of a channel, a group or a class of losses."""
        rules, path = self.rules, request.url.path
        try:
            asked = read_asked(request.query_params, rules.timeframes, rules.membership, path=path)
        except BadState as error:
            return _not_understood(request, path.removeprefix("/").capitalize(), error)

        async def make() -> Made:
            reading = await self.reader.subject(asked)

            def draw() -> Made:
                view = subject_page(
                    reading,
                    rules.timeframes,
                    objective=self.objective,
                    log_link=self.log_link,
                )
                return Made("", view.empty) if view.empty else Made(draw_subject(view))

            return await asyncio.to_thread(draw)

        crumbs = [OVERVIEW, *way_to(asked)]
        drills = asked.channel is not None or asked.is_pair or asked.across is not None
        return await self._page(request, asked, name_of(asked), crumbs, (), make, drills=drills)

    async def channels(self, request: Request) -> Response:
        try:
            asked = read_asked_channels(request.query_params, self.rules.membership)
        except BadState as error:
            return _not_understood(request, "Channels", error)

        async def make() -> Made:
            listing = await self.reader.channels(asked)

            def draw() -> Made:
                view = channels_page(listing)
                return Made("", view.empty) if view.empty else Made(draw_channels(view))

            return await asyncio.to_thread(draw)

        return await self._page(
            request, asked, "Channels", [OVERVIEW, Link("Channels", "")], (), make
        )

    async def window(self, request: Request) -> Response:
        rules = self.rules
        try:
            asked = read_asked_window(request.query_params, rules.timeframes, rules.membership)
        except BadState as error:
            return _not_understood(request, "Window", error)
        now = self.now().replace(second=0, microsecond=0)

        async def make() -> Made:
            reading = await self.reader.window(asked)

            def draw() -> Made:
                view = window_page(
                    reading,
                    now=now,
                    settle_time=rules.settle_time,
                    log_link=self.log_link,
                )
                return Made(draw_window(view))

            return await asyncio.to_thread(draw)

        title, crumbs = self._window_names(asked)
        drills = asked.channel is not None or asked.versions
        return await self._page(request, asked, title, crumbs, (now,), make, drills=drills)

    def _window_names(self, asked: WindowPageState) -> tuple[str, Sequence[Link]]:
        title = f"{asked.timeframe.name} window, {words.utc(asked.start)}"
        if asked.channel is None:
            return title, [OVERVIEW, Link(title, "")]
        of_channel = read_asked(
            {"id": asked.channel, "timeframe": asked.timeframe.name},
            self.rules.timeframes,
            asked.membership,
            path=CHANNEL,
        )
        name = texts.short_identifier(asked.channel, 28)
        crumbs = [OVERVIEW, Link(name, address(of_channel)), Link(title, "")]
        return f"{title} · {name}", crumbs

    async def fresh(self, _: Request) -> Response:
        """A short text for the state of the figures; it changes when pages change."""
        return PlainTextResponse(await self._state())

    async def _page(
        self,
        request: Request,
        asked: PageState | WindowPageState | ChannelsState,
        name: str,
        crumbs: Sequence[Link],
        also: Sequence[Hashable],
        make: Callable[[], Awaitable[Made]],
        *,
        drills: bool = False,
    ) -> Response:
        """also  what the page depends on beside `asked` and the figures"""
        frame = Frame(name, crumbs, theme_of(request.cookies), signed_in=self.asks_for_token)
        async with self._slot(drills):
            try:
                # Before the figures are read: newer ones may be missing on the page, and then the
                # state at `/fresh` must differ from the page's.
                state = await self._state()
                made = await self.reader.kept((asked, *also), make)
                until = await self.reader.until(asked.membership)
            except Unavailable as error:
                _log.warning("a page of the dashboard cannot be read", error=str(error))
                frame = replace(frame, tries_again=True)
                title = "The database cannot be reached"
                return problem(title, texts.NO_DATABASE, frame, 503)
            except UnknownName as error:
                return problem("This is not known here", str(error), frame, 404)
        frame = replace(frame, state=state, until=until, tries_again=bool(made.empty))
        if until is not None:
            frame = replace(frame, ago=words.age(self.now() - until))
        return framed(self._empty(request, asked, made) if made.empty else made.html, frame)

    @contextlib.asynccontextmanager
    async def _slot(self, drills: bool) -> AsyncIterator[None]:
        """Pages that read samples, for seconds, wait for each other. Other pages do not wait for
        them."""
        async with self._drilling if drills else self._making:
            yield

    async def _state(self) -> str:
        if asyncio.get_running_loop().time() - self._look.at > LOOK_SECONDS:
            # One look for all who ask meanwhile, even if it takes long and fails.
            await self._shared("state", self._look_again)
        return self._look.state

    async def _look_again(self) -> None:
        found = repr((await self.reader.state(), assets.VERSION))
        self._look.state = hashlib.sha256(found.encode()).hexdigest()[:16]
        self._look.at = asyncio.get_running_loop().time()

    def _empty(
        self, request: Request, asked: PageState | WindowPageState | ChannelsState, made: Made
    ) -> str:
        other = asked.membership is not self.rules.membership
        return draw_empty(
            "policy" if other else made.empty,
            grpc_at=self._grpc_at(request),
            origin=f"{request.url.scheme}://{request.url.netloc}",
            asks_for_token=self.asks_for_token,
        )

    def _grpc_at(self, request: Request) -> str:
        """Where this viewer reaches gRPC. If the server listens on all addresses, the host is the
        one in the page's own address."""
        host, _, port = self.grpc_at.rpartition(":")
        if host.strip("[]") in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
            host = request.url.hostname or host
            host = f"[{host}]" if ":" in host else host
        return f"{host}:{port}"


def _not_understood(request: Request, name: str, error: BadState) -> Response:
    crumbs = [OVERVIEW] if name == "Overview" else [OVERVIEW, Link(name, "")]
    frame = Frame(name, crumbs, theme_of(request.cookies))
    return problem("This address is not understood", str(error), frame, 400)
