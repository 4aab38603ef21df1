"""The frame of a page around its main part: title, breadcrumbs, age of the figures. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from starlette.responses import HTMLResponse

from devtelemetry.dashboard import assets, texts
from devtelemetry.dashboard.render import render
from devtelemetry.dashboard.views.values import Link

THEME_COOKIE = "devtelemetry_theme"
THEMES = ("system", "light", "dark")
OVERVIEW = Link("Overview", "/")


@dataclass(frozen=True, slots=True)
class Frame:
    """What is around the main part.

    name         of the page, in its title
    crumbs       breadcrumbs; empty if there are no links to other pages
    theme        one of THEMES
    state        of the figures on the page; the script asks whether it is still the same
    until        where the latest window ends; ago: how long ago that is
    signed_in    whether there is a viewer to sign out
    tries_again  whether a browser without scripts loads the page again
    """

    name: str
    crumbs: Sequence[Link] = ()
    theme: str = THEMES[0]
    state: str = ""
    until: datetime | None = None
    ago: str = ""
    signed_in: bool = False
    tries_again: bool = False

    @property
    def title(self) -> str:
        return f"{self.name} · {texts.PRODUCT}" if self.name else texts.PRODUCT


def framed(main: str, frame: Frame, status: int = 200) -> HTMLResponse:
    """main  HTML of a template"""
    # `main` comes from a template, which escaped every value.
    page = render("layout.html", main=Markup(main), frame=frame, assets=assets)  # noqa: S704
    return HTMLResponse(page, status)


def problem(title: str, said: str, frame: Frame, status: int) -> HTMLResponse:
    """A page that says why the page asked for is not shown."""
    return framed(render("problem.html", title=title, problem=said), frame, status)


def theme_of(cookies: dict[str, str]) -> str:
    theme = cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else THEMES[0]
