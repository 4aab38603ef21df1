"""The dashboard as a part of the HTTP server. What is imported here needs a second: `serve` alone
does it."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import nicegui
from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse, Response
from nicegui import Client, core, ui
from starlette.routing import Mount

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.access import Access
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.export import as_csv, as_json
from devtelemetry.dashboard.guard import ASSETS, EXPORTS, Guard, SignIn
from devtelemetry.dashboard.live import Live
from devtelemetry.dashboard.pages import Site, add_pages
from devtelemetry.dashboard.reading import ChannelReading, OverviewReading, Reader, WindowReading
from devtelemetry.dashboard.state import BadState, read_asked, read_asked_window
from devtelemetry.model.errors import Unavailable, UnknownName
from devtelemetry.runtime.rates import address_key
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, TokenBook

MOST_VIEWERS = 200  # pages in memory, each some hundred kilobytes
MOST_OF_ADDRESS = 100  # of them
_GZIP_LEVEL = 4  # the largest, the charts' library, is packed once a browser and release

_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><path d="M2 14 7 8l4 4 7-8" '
    'fill="none" stroke="#1f5fbf" stroke-width="2.4" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)


@contextlib.asynccontextmanager
async def dashboard(
    app: FastAPI,
    database: Database,
    rules: AggregateRules,
    access: Access,
    grpc_at: str,
    *,
    influence_limit: float,
    now: Callable[[], datetime],
) -> AsyncIterator[None]:
    """Adds it under all that `app` has, and keeps pages up to date until the block is left.

    NiceGUI has one app a process: so there is one dashboard a process.
    """
    sign_in = None
    if access.asks_for_token:
        async with database.acquire() as connection:
            id_key = await connection.fetchval("select id_key from deployment")
        sign_in = SignIn(TokenBook(database, Scope.READ), id_key)

    async def may_look(cookie: str | None) -> bool:
        try:
            return sign_in is None or await sign_in.holds(cookie)
        except Unavailable:
            return True  # nothing can be read then either; the next look decides

    reader = Reader(database, rules.timeframes, rules, now)
    live = Live(reader)
    add_pages(
        Site(
            rules,
            influence_limit,
            grpc_at,
            reader,
            live,
            now,
            may_look,
            access.asks_for_token,
            _asset_version(),
        )
    )
    _add_exports(core.app, reader, rules)
    core.app.add_static_files(ASSETS.rstrip("/"), _assets(), max_cache_age=3600)
    # What browsers log is theirs; NiceGUI would write it into the server's log.
    core.sio.on("log", _ignore)
    ui.run_with(
        app,
        title=texts.PRODUCT,
        favicon=_FAVICON,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=30.0,
        message_history_length=100,
        tailwind=False,
        gzip_middleware_factory=None,  # it is outside of the guard, which writes into pages
        show_welcome_message=False,
    )
    # Around all of it, its own answers to errors included, which middleware of its would not see.
    mount = next(route for route in app.routes if getattr(route, "app", None) is core.app)
    assert isinstance(mount, Mount), "NiceGUI is mounted"
    guarded = Guard(
        core.app,
        hosts=access.hosts,
        sign_in=sign_in,
        make_room=make_room,
    )
    mount.app = GZipMiddleware(guarded, minimum_size=1000, compresslevel=_GZIP_LEVEL)
    async with live.running():
        yield


def make_room(address: str) -> bool:
    """For one more page; False: there is none.

    address  of who asks, as address_key has it

    A page that no browser looks at leaves first: it was asked for by something else, or is about to
    be looked at. So the oldest leaves, of whom has most of them.
    """
    pages = list(Client.instances.values())
    own = [page for page in pages if address_key(page.ip) == address]
    if len(own) >= MOST_OF_ADDRESS:
        pages = own
    elif len(pages) < MOST_VIEWERS:
        return True
    unseen = [page for page in pages if not page.has_socket_connection]
    if not unseen:
        return False
    of = Counter(address_key(page.ip) for page in unseen)
    max(unseen, key=lambda page: (of[address_key(page.ip)], -page.created)).delete()
    return True


def _ignore(*_: Any) -> None:
    pass


def _assets() -> Path:
    return Path(str(resources.files(__package__).joinpath("static")))


def _asset_version() -> str:
    """Of the files' content: a new release is seen at once, whatever a browser keeps."""
    content = b"".join(path.read_bytes() for path in sorted(_assets().iterdir()))
    return hashlib.sha256(content + nicegui.__version__.encode()).hexdigest()[:12]


def _add_exports(app: FastAPI, reader: Reader, rules: AggregateRules) -> None:
    async def export(page: str, kind: str, request: Request) -> Response:
        query = dict(request.query_params)
        timeframes, membership = rules.timeframes, rules.membership
        reading: OverviewReading | ChannelReading | WindowReading
        try:
            if page == "overview":
                reading = await reader.overview(read_asked(query, timeframes, membership))
            elif page == "channel":
                asked = read_asked(query, timeframes, membership, names_channel=True)
                reading = await reader.channel(asked)
            elif page == "window":
                reading = await reader.window(
                    read_asked_window(query, timeframes, membership), drill=False
                )
            else:
                return PlainTextResponse("There is no such export.\n", 404)
        except BadState as error:
            return PlainTextResponse(f"{error}\n", 400)
        except UnknownName as error:
            return PlainTextResponse(f"{error}\n", 404)
        name = f"devtelemetry-{page}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if kind == "csv":
            return Response(as_csv(reading), media_type="text/csv", headers=headers)
        if kind == "json":
            return Response(as_json(reading), media_type="application/json", headers=headers)
        return PlainTextResponse("There is no such export.\n", 404)

    app.add_api_route(f"{EXPORTS}{{page}}.{{kind}}", export, include_in_schema=False)
