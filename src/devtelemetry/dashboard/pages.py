"""The pages (NiceGUI): sections of HTML and a chart, drawn from a view and again when it is new."""

import asyncio
import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from fastapi import Request
from nicegui import Client, ui
from nicegui.elements.html import Html

from devtelemetry import words
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.drawing import (
    Drawn,
    DrawnChart,
    draw_channel,
    draw_overview,
    draw_window,
)
from devtelemetry.dashboard.guard import ASSETS, session_cookie
from devtelemetry.dashboard.live import Live, Viewer
from devtelemetry.dashboard.reading import ChannelReading, OverviewReading, Reader, WindowReading
from devtelemetry.dashboard.render import render
from devtelemetry.dashboard.state import BadState, address, read_asked, read_asked_window
from devtelemetry.dashboard.views.channel import channel_page
from devtelemetry.dashboard.views.overview import overview
from devtelemetry.dashboard.views.values import Link, Point
from devtelemetry.dashboard.views.window import window_page
from devtelemetry.model.errors import Unavailable, UnknownName
from devtelemetry.v1 import PUSH

_log = structlog.get_logger(__name__)

MOST_ROWS = 200  # of a chart as a table; all of them are in the export
_BUILD_SECONDS = 60.0  # a first look at a large deployment reads for some seconds


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages rest on.

    influence_limit  a window is marked if one installation could move its reliability by more
    grpc_at          where the server listens for gRPC, HOST:PORT
    may_look         whether a session's cookie is good still
    asset            the version of the assets, in their address
    """

    rules: AggregateRules
    influence_limit: float
    grpc_at: str
    reader: Reader
    live: Live
    now: Callable[[], datetime]
    may_look: Callable[[str | None], Awaitable[bool]]
    asks_for_token: bool
    asset: str


def add_pages(site: Site) -> None:
    """Registers `/`, `/channel` and `/window`."""

    @ui.page("/", title=texts.PRODUCT, response_timeout=_BUILD_SECONDS)
    async def overview_page(request: Request) -> None:
        await _show(site, request, "Overview", _OverviewPage)

    @ui.page("/channel", title=f"Channel · {texts.PRODUCT}", response_timeout=_BUILD_SECONDS)
    async def channel_page_(request: Request) -> None:
        await _show(site, request, "Channel", _ChannelPage)

    @ui.page("/window", title=f"Window · {texts.PRODUCT}", response_timeout=_BUILD_SECONDS)
    async def window_page_(request: Request) -> None:
        await _show(site, request, "Window", _WindowPage)


class _Page(ABC):
    """Reads what its address asks for, and draws it; once more each time that it is new."""

    drills = False  # reads samples, which may take seconds

    def __init__(self, site: Site, request: Request) -> None:
        """Raises BadState."""
        self.site = site
        self.request = request
        self.ask(dict(request.query_params))

    @abstractmethod
    def ask(self, query: Mapping[str, str]) -> None: ...

    @abstractmethod
    def crumbs(self) -> Sequence[Link]: ...

    @abstractmethod
    async def draw(self) -> None: ...

    @abstractmethod
    async def redraw(self) -> None: ...


async def _show(site: Site, request: Request, title: str, kind: type[_Page]) -> None:
    client = ui.context.client
    ui.add_head_html(
        '<meta name="robots" content="noindex">'
        f'<link rel="stylesheet" href="{ASSETS}dashboard.css?{site.asset}">'
        f'<script src="{ASSETS}dashboard.js?{site.asset}"></script>'
    )
    try:
        page = kind(site, request)
    except BadState as error:
        client.status_code = 400
        _frame(client, site, [Link(title, "")])
        _html(render("problem.html", title="This address is not understood", problem=str(error)))
        return
    _frame(client, site, page.crumbs())
    cookie = session_cookie(request.headers.get("cookie"))

    async def may_stay() -> bool:
        if client.is_deleted:
            return False
        if await site.may_look(cookie):
            return True
        client.run_javascript("location.assign('/sign-in')")
        return False

    client.on_delete(lambda: site.live.close(client.id))
    state = site.live.state
    try:
        await page.draw()
    except Unavailable as error:
        _log.warning("a page of the dashboard cannot be read", error=str(error))
        client.status_code = 503
        _html(
            render(
                "problem.html", title="The database cannot be reached", problem=texts.NO_DATABASE
            )
        )

        async def again() -> None:
            # Called only when the database has answered.
            client.run_javascript("location.reload()")

        site.live.add(client.id, Viewer(may_stay, again), is_behind=True)
        return
    except UnknownName as error:
        client.status_code = 404
        _html(render("problem.html", title="This is not known here", problem=str(error)))
        return
    status = _html("", tag="p", classes="unseen").props('role="status"')

    async def update() -> None:
        if not client.is_deleted and await site.may_look(cookie):
            with client:
                try:
                    await page.redraw()
                except UnknownName:  # its channel went meanwhile
                    client.run_javascript("location.reload()")
                status.set_content("The figures were brought up to date.")

    viewer = Viewer(may_stay, update, drills=page.drills)
    # What became new while it was drawn, it may not show.
    site.live.add(client.id, viewer, is_behind=site.live.state != state)


def _frame(client: Client, site: Site, crumbs: Sequence[Link]) -> None:
    """Header and footer, outside of the main part."""
    header = _html(
        render(
            "header.html",
            crumbs=[Link("Overview", "/" if crumbs[0].text != "Overview" else ""), *crumbs]
            if crumbs[0].text != "Overview"
            else crumbs,
            signed_in=site.asks_for_token,
        ),
        tag="header",
        classes="top",
    )
    header.move(client.layout, target_index=0)
    footer = _html(render("footer.html"), tag="footer", classes="bottom")
    footer.move(client.layout)


def _html(content: str, *, tag: str = "div", classes: str = "") -> Html:
    # Not cleaned by the browser: the templates escape, and popovers would be cleaned away.
    return ui.html(content, sanitize=False, tag=tag).classes(classes)


# ---------------------------------------------------------------------------------- the charts


class _Chart:
    """The chart, what is said of it, and the same as a table for who asks."""

    def __init__(self, name: str) -> None:
        self._points: Sequence[Point] = ()
        self._table_template = ""
        self._table_is_shown = False
        with ui.element("section").classes("card"):
            self._head = _html("")
            self._chart = ui.echart({}, on_click=None).classes("chart").props('role="img"')
            with ui.element("div").classes("chart-tools"):
                self._switch = (
                    ui.element("button")
                    .props('type="button" aria-expanded="false"')
                    .classes("tool")
                    .on("click", self._toggle)
                )
                with self._switch:
                    self._switch_text = _html("Show as a table", tag="span")
                with (
                    ui.element("button")
                    .props('type="button"')
                    .classes("tool")
                    .on("click", js_handler=f"() => dt.png({self._chart.id}, {json.dumps(name)})")
                ):
                    _html("Save as PNG", tag="span")
            self._table = _html("")
        self._chart.on_point_click(self._open)
        ui.on("dt-colours", self._chart.update)

    def show(self, drawn: DrawnChart) -> None:
        self._points = drawn.points
        self._table_template = drawn.table
        self._head.set_content(drawn.head)
        self._chart.options.clear()
        self._chart.options.update(drawn.options)
        self._chart.props["aria-label"] = drawn.in_words
        self._chart.update()
        self._show_table()

    def _toggle(self) -> None:
        self._table_is_shown = not self._table_is_shown
        self._switch.props(f'aria-expanded="{str(self._table_is_shown).lower()}"')
        self._switch_text.set_content(
            "Hide the table" if self._table_is_shown else "Show as a table"
        )
        self._show_table()

    def _show_table(self) -> None:
        shown = list(reversed(self._points))[:MOST_ROWS] if self._table_is_shown else []
        hidden = len(self._points) - len(shown)
        self._table.set_content(
            render(self._table_template, points=shown, hidden=hidden) if shown else ""
        )

    def _open(self, event: Any) -> None:
        index = event.data_index
        if isinstance(index, int) and 0 <= index < len(self._points):
            ui.navigate.to(self._points[index].href)


# ------------------------------------------------------------------------------------- the pages


class _OverviewPage(_Page):
    def ask(self, query: Mapping[str, str]) -> None:
        rules = self.site.rules
        self.asked = read_asked(query, rules.timeframes, rules.membership)

    def crumbs(self) -> Sequence[Link]:
        return [Link("Overview", "")]

    async def draw(self) -> None:
        self._drawn = await self._draw()
        if self._drawn.empty:
            other = self.asked.membership is not self.site.rules.membership
            why = "policy" if other else self._drawn.empty
            _html(_empty(self.site, self.request, why))
            return
        self._top = _html("")
        self._line = _Chart("delivery-ratio.png")
        self._losses = _Chart("losses.png")
        self._bottom = _html("")
        self._write(self._drawn)

    async def _draw(self) -> Drawn:
        site, rules = self.site, self.site.rules
        # What it says of the time ("3 hours ago") is told to the minute.
        now = site.now().replace(second=0, microsecond=0)

        def draw(reading: OverviewReading) -> Drawn:
            limit = site.influence_limit
            return draw_overview(
                overview(reading, rules.timeframes, now=now, influence_limit=limit)
            )

        async def make() -> Drawn:
            # Beside the loop, which serves others and takes samples.
            return await asyncio.to_thread(draw, await site.reader.overview(self.asked))

        return await site.reader.kept(("overview", self.asked, now), make)

    def _write(self, drawn: Drawn) -> None:
        self._top.set_content(drawn.top)
        self._line.show(drawn.line)
        self._losses.show(drawn.losses)
        self._bottom.set_content(drawn.bottom)

    async def redraw(self) -> None:
        drawn = await self._draw()
        if self._drawn.empty:
            if drawn.empty != self._drawn.empty:
                ui.navigate.reload()
        elif drawn is not self._drawn:
            self._write(drawn)
            self._drawn = drawn


class _ChannelPage(_OverviewPage):
    def ask(self, query: Mapping[str, str]) -> None:
        rules = self.site.rules
        self.asked = read_asked(query, rules.timeframes, rules.membership, names_channel=True)

    def crumbs(self) -> Sequence[Link]:
        return [Link(texts.short_identifier(self.asked.channel or ""), "")]

    async def _draw(self) -> Drawn:
        site, rules = self.site, self.site.rules

        def draw(reading: ChannelReading) -> Drawn:
            limit = site.influence_limit
            return draw_channel(channel_page(reading, rules.timeframes, influence_limit=limit))

        async def make() -> Drawn:
            return await asyncio.to_thread(draw, await site.reader.channel(self.asked))

        return await site.reader.kept(("channel", self.asked), make)


class _WindowPage(_Page):
    def ask(self, query: Mapping[str, str]) -> None:
        rules = self.site.rules
        self.asked = read_asked_window(query, rules.timeframes, rules.membership)
        self.drills = self.asked.channel is not None or self.asked.versions

    def crumbs(self) -> Sequence[Link]:
        channel = self.asked.channel
        here = Link(f"{self.asked.timeframe.name} window, {words.utc(self.asked.start)}", "")
        if channel is None:
            return [here]
        rules = self.site.rules
        of_channel = read_asked(
            {"id": channel, "timeframe": self.asked.timeframe.name},
            rules.timeframes,
            self.asked.membership,
            names_channel=True,
        )
        return [Link(texts.short_identifier(channel, 28), address(of_channel)), here]

    async def draw(self) -> None:
        self._all = _html("")
        await self.redraw()

    async def redraw(self) -> None:
        site, rules = self.site, self.site.rules
        now = site.now().replace(second=0, microsecond=0)

        def draw(reading: WindowReading) -> str:
            return draw_window(
                window_page(
                    reading,
                    now=now,
                    settle_time=rules.settle_time,
                    influence_limit=site.influence_limit,
                )
            )

        async def make() -> str:
            return await asyncio.to_thread(draw, await site.reader.window(self.asked))

        self._all.set_content(await site.reader.kept(("window", self.asked, now), make))


def _empty(site: Site, request: Request, why: str) -> str:
    return render(
        "empty.html",
        why=why,
        grpc_at=_grpc_at(site, request),
        curl=curl_command(
            f"{request.url.scheme}://{request.url.netloc}", token=site.asks_for_token
        ),
    )


def _grpc_at(site: Site, request: Request) -> str:
    """Where this viewer reaches gRPC: a server that listens everywhere has the name that it was
    opened by."""
    host, _, port = site.grpc_at.rpartition(":")
    if host.strip("[]") in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
        host = request.url.hostname or host
        host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}"


def curl_command(origin: str, *, token: bool) -> str:
    """A first sample, to be pasted into a shell."""
    asked = "-H 'authorization: Bearer dt_…' " if token else ""
    return (
        f"curl {asked}-H 'content-type: application/json' "
        '-d \'{"reporter": {"receiver_public_key": "0x04aa"}, "samples": ['
        '{"message_id": "m1", "channel_id": "general", "sent_at": \'$(date +%s000)\'}]}\' '
        + shlex.quote(origin + PUSH)
    )
