"""Serves the figures of a page for download."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.dashboard.export import as_csv, as_json
from devtelemetry.dashboard.guard import EXPORTS
from devtelemetry.dashboard.reading import OverviewReading, Reader, WindowReading
from devtelemetry.dashboard.state import BadState, read_asked, read_asked_window
from devtelemetry.dashboard.subjects import SubjectReading
from devtelemetry.model.errors import Unavailable, UnknownName

_KINDS = {"csv": "text/csv", "json": "application/json"}
_PAGES = ("overview", "channel", "group", "window")


def exports(reader: Reader, rules: AggregateRules) -> Route:
    async def export(request: Request) -> Response:
        page, kind = request.path_params["page"], request.path_params["kind"]
        if page not in _PAGES or kind not in _KINDS:
            return PlainTextResponse("There is no such export.\n", 404)
        try:
            reading = await _read(reader, rules, page, request.query_params)
        except BadState as error:
            return PlainTextResponse(f"{error}\n", 400)
        except UnknownName as error:
            return PlainTextResponse(f"{error}\n", 404)
        except Unavailable as error:
            return PlainTextResponse(f"{error}\n", 503, headers={"Retry-After": "5"})
        headers = {"Content-Disposition": f'attachment; filename="devtelemetry-{page}.{kind}"'}
        content = as_csv(reading) if kind == "csv" else as_json(reading)
        return Response(content, media_type=_KINDS[kind], headers=headers)

    return Route(f"{EXPORTS}{{page}}.{{kind}}", export)


async def _read(
    reader: Reader, rules: AggregateRules, page: str, query: Mapping[str, str]
) -> OverviewReading | SubjectReading | WindowReading:
    timeframes, membership = rules.timeframes, rules.membership
    if page == "window":
        return await reader.window(read_asked_window(query, timeframes, membership), drill=False)
    if page == "overview":
        return await reader.overview(read_asked(query, timeframes, membership))
    return await reader.subject(read_asked(query, timeframes, membership, path=f"/{page}"))
