"""A view as the main part of a page: HTML, made once for all its viewers. Pure."""

import shlex
from collections.abc import Sequence

from devtelemetry.dashboard.charts.hours import hours_of
from devtelemetry.dashboard.charts.line import line_chart
from devtelemetry.dashboard.charts.losses import losses_chart
from devtelemetry.dashboard.guard import EXPORTS
from devtelemetry.dashboard.render import render
from devtelemetry.dashboard.state import PageState, WindowPageState, address, path_of
from devtelemetry.dashboard.views.channels import ChannelsPage
from devtelemetry.dashboard.views.parts import span_of_line
from devtelemetry.dashboard.views.values import Fact, Link, Overview, SubjectPage, WindowPage
from devtelemetry.v1 import PUSH


def draw_overview(view: Overview) -> str:
    return _draw("overview", view, view.span)


def draw_subject(view: SubjectPage) -> str:
    span = Fact(
        span_of_line(view.asked),
        view.headline or view.reason.partition(":")[0],
        f"95 % interval {view.interval}" if view.headline and view.interval else "",
    )
    return _draw("subject", view, span)


def draw_window(view: WindowPage) -> str:
    links = _export_links(view.asked) if view.computed_at else []
    return render("window.html", page=view, links=links)


def draw_channels(view: ChannelsPage) -> str:
    return render("channels.html", page=view)


def draw_empty(why: str, *, grpc_at: str, origin: str, asks_for_token: bool) -> str:
    """A page that says what to do when there are no figures.

    why     `first`, `waiting`, or `policy`
    origin  of the page, as http://127.0.0.1:8080
    """
    curl = curl_command(origin, token=asks_for_token)
    return render("empty.html", why=why, grpc_at=grpc_at, curl=curl)


def curl_command(origin: str, *, token: bool) -> str:
    """A first sample, to be pasted into a shell."""
    asked = "-H 'authorization: Bearer dt_…' " if token else ""
    return (
        f"curl {asked}-H 'content-type: application/json' "
        '-d \'{"reporter": {"receiver_public_key": "0x04aa"}, "samples": ['
        '{"message_id": "m1", "channel_id": "general", "sent_at": \'$(date +%s000)\'}]}\' '
        + shlex.quote(origin + PUSH)
    )


def _draw(page: str, view: Overview | SubjectPage, span: Fact) -> str:
    return render(
        f"{page}.html",
        page=view,
        span=span,
        line=line_chart(view.points, view.asked, view.beside) if view.points else None,
        losses=losses_chart(view.points, view.asked) if view.points else None,
        hours=hours_of(view.points, view.asked, view.beside.objective),
        links=_export_links(view.asked),
    )


def _export_links(asked: PageState | WindowPageState) -> Sequence[Link]:
    page = path_of(asked).removeprefix("/") or "overview"
    return [
        Link(kind.upper(), address(asked, f"{EXPORTS}{page}.{kind}")) for kind in ("csv", "json")
    ]
