"""A whole page around its main part: title, way to it, how fresh the figures are. Pure."""

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
    """What stands around a main part.

    name         of the page, in its title
    crumbs       the way to it; empty: there is nowhere to go from it
    theme        one of THEMES
    state        of the figures that it shows; a script looks whether that is the state still
    until        where the latest window ends, and `ago`, how long ago that is
    signed_in    whether there is somebody to sign out
    tries_again  without a script it is to be loaded again
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
    # It is a template's own output, which escaped all that it was given.
    page = render("layout.html", main=Markup(main), frame=frame, assets=assets)  # noqa: S704
    return HTMLResponse(page, status)


def problem(title: str, said: str, frame: Frame, status: int) -> HTMLResponse:
    """A page that says why there is no other."""
    return framed(render("problem.html", title=title, problem=said), frame, status)


def theme_of(cookies: dict[str, str]) -> str:
    theme = cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else THEMES[0]
