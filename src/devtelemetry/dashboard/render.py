"""Views as HTML. Every value is escaped by the templates; ids come in bdi elements besides."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.figures.document import iso


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("devtelemetry.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, texts=texts, spark=spark)
    environment.filters.update(
        iso=iso,
        interval=words.interval,
        utc=words.utc,
        percent=words.percent,
        count=words.count,
    )
    return environment


def render(template: str, **values: Any) -> str:
    """HTML of a file of `templates/`."""
    return _environment().get_template(template).render(**values)


def spark(values: list[float | None], width: int = 120, height: int = 28) -> str:
    """The points of an SVG's polyline through the values, `M…L…`; gaps are left out."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    reach = max(high - low, 0.002)  # a line that hardly moves shall not look like a storm
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
