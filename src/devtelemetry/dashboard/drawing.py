"""A view as what a page holds: sections of HTML, and the chart. Pure.

Made once for all viewers of a view: a page in memory then holds little of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devtelemetry.dashboard import charts, texts
from devtelemetry.dashboard.guard import EXPORTS
from devtelemetry.dashboard.render import render
from devtelemetry.dashboard.state import PageState, WindowPageState, address
from devtelemetry.dashboard.views.values import ChannelPage, Fact, Link, Overview, Point, WindowPage

_LINE = "Delivery ratio over time"


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """points  of its windows, oldest first
    head  HTML over the chart
    options  of the chart; nobody may change them
    in_words  for who does not see it
    table  the template of the same as a table
    """

    points: Sequence[Point]
    head: str
    options: dict[str, Any]
    in_words: str
    table: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """top, bottom  HTML over and under the charts
    empty  why there is nothing to draw: `first`, `waiting`; else nothing
    """

    top: str
    line: DrawnChart
    losses: DrawnChart
    bottom: str
    empty: str


def draw_overview(view: Overview) -> Drawn:
    links = _export_links("overview", view.asked)
    return Drawn(
        render("overview_top.html", page=view),
        _line(view.points, view.span),
        _losses(view.points),
        render("overview_bottom.html", page=view, links=links),
        view.empty,
    )


def draw_channel(view: ChannelPage) -> Drawn:
    span = Fact(
        f"{texts.SPANS[view.asked.span]}, windows of {view.asked.timeframe.name}",
        view.headline or view.reason.partition(":")[0],
        f"95 % interval {view.interval}" if view.headline else "",
    )
    links = _export_links("channel", view.asked)
    return Drawn(
        render("channel_top.html", page=view),
        _line(view.points, span),
        _losses(view.points),
        render("channel_bottom.html", page=view, links=links),
        view.empty,
    )


def draw_window(view: WindowPage) -> str:
    links = _export_links("window", view.asked) if view.computed_at else []
    return render("window.html", page=view, links=links)


def _line(points: Sequence[Point], span: Fact) -> DrawnChart:
    return DrawnChart(
        points,
        render("line_head.html", title=_LINE, span=span),
        charts.line(points),
        charts.in_words(points),
        "points.html",
    )


def _losses(points: Sequence[Point]) -> DrawnChart:
    return DrawnChart(
        points,
        render("losses_head.html"),
        charts.losses(points),
        charts.losses_in_words(points),
        "losses_points.html",
    )


def _export_links(page: str, asked: PageState | WindowPageState) -> Sequence[Link]:
    return [
        Link(kind.upper(), address(asked, f"{EXPORTS}{page}.{kind}")) for kind in ("csv", "json")
    ]
