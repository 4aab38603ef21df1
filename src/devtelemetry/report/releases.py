"""Releases for a person: first seen when, by how many receivers, and whether to ship one. Pure."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from devtelemetry import words
from devtelemetry.releases.adoption import Release, Releases
from devtelemetry.releases.comparison import Comparison, sentences
from devtelemetry.releases.decide import Decision
from devtelemetry.words.tables import bare_table

_VERSION_WIDTH = 20
_STYLES = {Decision.SHIP: "green", Decision.HOLD: "red", Decision.NEEDS_MORE: "yellow"}


def of_comparison(found: Comparison) -> Iterable[Text]:
    of_platform = "" if found.asked.platform is None else f" on {found.asked.platform}"
    span = f"from {words.utc(found.span.start)} to {words.utc(found.span.end)}"
    yield Text(
        words.visible(
            f"{found.asked.candidate} beside {found.asked.baseline}{of_platform}, "
            f"{found.timeframe.name} windows {span}"
        ),
        style="bold",
    )
    verdict, *why = sentences(found)
    yield Text(verdict, style=_STYLES[found.decided.decision])
    for line in why:
        yield Text(line)


def releases_table(releases: Releases) -> Iterable[RenderableType]:
    """The newest version first."""
    if releases.until is None or not releases.found:
        yield Text("No window tells app versions apart yet.")
        return
    assert releases.timeframe is not None, "a window has one"
    until = words.utc(releases.until)
    yield Text(f"App versions ({releases.timeframe.name} windows until {until})", style="bold")
    table = bare_table()
    table.add_column("version", no_wrap=True)
    table.add_column("first seen", no_wrap=True)
    table.add_column("receivers", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("platforms now")
    for release in releases.found:
        table.add_row(*_row(release, releases))
    yield table


def _row(release: Release, releases: Releases) -> Iterable[str]:
    latest = release.adoption[-1] if release.adoption else None
    assert releases.timeframe is not None
    assert releases.until is not None
    is_there = latest is not None and latest.start + releases.timeframe.length == releases.until
    first = release.first_seen
    return (
        words.shorten(words.visible(release.version), _VERSION_WIDTH),
        "from the start" if first is None else f"{first:%Y-%m-%d %H:%M}",
        words.count(latest.receivers) if latest and is_there else "–",
        words.percent(latest.receivers_share) if latest and is_there else "–",
        ", ".join(
            f"{words.visible(name) or words.NOT_SAID} {words.count(receivers)}"
            for name, receivers in release.platforms.items()
        ),
    )
