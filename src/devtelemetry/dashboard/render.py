"""Views as HTML. The templates escape every value; ids are also put in bdi elements."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.state import address, kept_of, path_of
from devtelemetry.dashboard.views.values import Overview, SubjectPage
from devtelemetry.figures.document import iso
from devtelemetry.model import Window, unix_ms

MOST_ROWS = 200  # of a chart's table; the export has all


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("devtelemetry.dashboard"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, texts=texts, spark=spark, most_rows=MOST_ROWS)
    environment.globals.update(path_of=path_of, kept_of=kept_of, fixed_of=_fixed_of)
    environment.filters.update(
        iso=iso,
        local=_local,
        unix_ms=unix_ms,
        whole=whole,
        interval=words.interval,
        utc=words.utc,
        percent=words.percent,
        count=words.count,
    )
    return environment


def render(template: str, **values: Any) -> str:
    """HTML from a file of `templates/`."""
    return _environment().get_template(template).render(**values)


def _local(moment: datetime) -> str:
    """The moment in UTC, as a form's field has it: without a zone."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}"


def _fixed_of(page: Overview | SubjectPage) -> str:
    """A link to the span that the page shows now, which stays the same when windows are added."""
    shown = Window(page.points[0].start, page.points[-1].end)
    return address(replace(page.asked, fixed=shown))


def whole(text: str) -> str:
    """The same text, with no-break spaces between numbers and their units."""
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


_UNIT = re.compile(r"(?<=\d) (?=(?:%|points|min|h|UTC)(?:\W|$))")


def spark(values: list[float | None], width: int = 120, height: int = 28) -> str:
    """An SVG path through the values, `M…L…`, with gaps where there is no value."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    reach = max(high - low, 0.002)  # so that a line that hardly moves does not look wild
    step = width / (len(values) - 1)
    path, pen = [], "M"
    for number, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        y = height - 3 - (height - 6) * (value - low) / reach
        path.append(f"{pen}{number * step:.1f} {y:.1f}")
        pen = "L"
    return "".join(path)
