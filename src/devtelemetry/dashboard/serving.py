"""Adds the dashboard to the HTTP server."""

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.access import Access
from devtelemetry.dashboard import assets
from devtelemetry.dashboard.exports import exports
from devtelemetry.dashboard.guard import FAVICON, Guard, SignIn
from devtelemetry.dashboard.pages import Pages
from devtelemetry.dashboard.reading import Reader
from devtelemetry.model import OBJECTIVE
from devtelemetry.problems.read import LatestProblems
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, TokenBook

_GZIP_LEVEL = 5  # compresses a page of 150 kB in 3 ms
_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}  # its address has a version


async def add_dashboard(
    app: FastAPI,
    database: Database,
    rules: AggregateRules,
    access: Access,
    grpc_at: str,
    *,
    objective: float = OBJECTIVE,
    log_link: str | None = None,
    now: Callable[[], datetime],
    problems: LatestProblems | None = None,
) -> None:
    """Adds the dashboard after all routes of `app`: it gets the requests that no route takes."""
    sign_in = None
    if access.asks_for_token:
        async with database.acquire() as connection:
            id_key = await connection.fetchval("select id_key from deployment")
        sign_in = SignIn(TokenBook(database, Scope.READ), id_key)
    reader = Reader(database, rules.timeframes, rules, now, problems)
    pages = Pages(rules, objective, grpc_at, reader, now, access.asks_for_token, log_link)
    site = Starlette(
        routes=[
            *pages.routes(),
            exports(reader, rules),
            Route(assets.SCRIPT_PATH, _script),
            Route(FAVICON, _favicon),
        ]
    )
    guarded = Guard(site, hosts=access.hosts, sign_in=sign_in)
    app.mount("/", GZipMiddleware(guarded, minimum_size=1000, compresslevel=_GZIP_LEVEL))


async def _script(_: Request) -> Response:
    return Response(assets.SCRIPT, media_type="text/javascript", headers=_KEEP)


async def _favicon(_: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(assets.FAVICON, media_type="image/svg+xml", headers=headers)
