"""What the page shows and accepts, how it looks, and who can use it."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devtelemetry.client import Build, Problem, Settings
from support.clients import running_client

if TYPE_CHECKING:
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QColor, QGuiApplication, QImage

    from support.page import Control, OpenPage, Page

pytestmark = pytest.mark.slow

SWITCH = "Send reliability telemetry"
ADDRESS = "Server address"
LAST = "Blind message and channel ids"


def with_problem(settings: Settings, problem: Problem, detail: str = "") -> Settings:
    """Settings that are opted in, with a problem as a client would note it."""
    settings.enable()
    with settings.connected() as connection:
        connection.execute(
            "insert or replace into telemetry_status values (1, null, ?, ?, 0)", (problem, detail)
        )
    return settings


# --------------------------------------------------------------------------------- what it shows


def test_every_problem_is_told_in_words_with_what_to_do(
    open_page: "OpenPage", settings: Settings
) -> None:
    page = open_page(with_problem(settings, Problem.UNREACHABLE, "refused by 192.0.2.1"))
    told = set()
    for problem in Problem:
        with_problem(settings, problem, f"detail of {problem}")
        page.eventually(lambda problem=problem: page.has(f"detail of {problem}"))  # type: ignore[misc]
        (note,) = [c for c in page.controls if c.role == "AlertMessage"]
        assert note.name != "Nothing can be sent just now"
        assert note.description.removesuffix(f"detail of {problem}").strip()
        told.add(note.name)
    assert len(told) == len(Problem)


def test_what_the_app_says_wrongly_and_what_lay_before_the_opt_in_is_shown(
    open_page: "OpenPage", settings: Settings
) -> None:
    settings.enable()
    page = open_page(settings)
    page.find("Set aside: 0")
    assert not page.has("Errors of the app")
    assert not page.has("From before")
    said: dict[str, Any] = {"channel_id": "c1", "sent_at": 1_772_445_600_000}
    with running_client(settings, "127.0.0.1:1") as client:
        client.message_received(message_id="m1", **said)  # long before
        client.message_received(message_id="m2", **said | {"sent_at": 1_772_445_600})
        client.message_received(message_id="m3", **said | {"sent_at": "today"})
        page.eventually(lambda: page.has("Errors of the app: 2"))
    errors = page.find("Errors of the app: 2")
    assert "not_milliseconds: sent_at" in errors.description
    assert "wrong_type: sent_at" in errors.description
    page.find("From before: 1")


def test_a_build_that_does_not_offer_telemetry_shows_none_of_it(
    open_page: "OpenPage", tmp_path: Path
) -> None:
    page = open_page(Settings(tmp_path / "node.db", build=Build.RELEASE))
    assert page.has("This build of the app does not offer telemetry.")
    assert {c.role for c in page.controls} == {"Heading", "StaticText"}
    assert len(page.controls) == 2


def test_a_file_that_cannot_be_read_is_a_line_on_the_page(
    open_page: "OpenPage", tmp_path: Path
) -> None:
    directory, elsewhere = tmp_path / "node", tmp_path / "elsewhere"
    directory.mkdir()
    page = open_page(Settings(directory / "node.db"))
    directory.rename(elsewhere)
    page.eventually(lambda: page.has("unable to open") or page.has("No such file"))
    assert page.has("That did not work")
    elsewhere.rename(directory)
    page.eventually(lambda: not page.has("That did not work"))


def test_a_file_that_another_process_keeps_does_not_hold_up_the_page(
    open_page: "OpenPage", settings: Settings
) -> None:
    settings.enable()
    page = open_page(settings)
    with closing(sqlite3.connect(settings.storage.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        page.click(SWITCH)
        # The page works while the opt-out waits for the file. If the page waited too, the opt-out
        # would have given up by now.
        page.click("Show")
        page.find("Copy as JSON")
        assert page.is_on(SWITCH)
        other.execute("rollback")
    page.eventually(lambda: not page.is_on(SWITCH))


def test_it_looks_only_while_somebody_can_see_it(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    backend = page.window.property("backend")
    assert backend.property("active")
    page.window.hide()
    page.eventually(lambda: not backend.property("active"))
    page.window.show()
    page.eventually(lambda: backend.property("active"))


# --------------------------------------------------------------------------------- what it takes


def test_an_address_that_is_none_is_not_saved_and_the_page_says_what_is_allowed(
    open_page: "OpenPage", settings: Settings
) -> None:
    page = open_page(settings)
    page.click(ADDRESS)
    page.type("nonsense")
    page.press("enter")
    page.eventually(lambda: page.has("server: 'nonsense' is not an address; allowed: HOST:PORT"))
    assert settings.server == ""

    page.click(ADDRESS)
    page.type("telemetry.example:50051")
    page.click("Save", of=ADDRESS)
    page.eventually(lambda: not page.has("is not an address"))
    assert Settings(settings.storage.path).server == "telemetry.example:50051"


def test_a_token_is_taken_masked_and_never_shown(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    assert page.find("Token").is_password
    page.click("Token")
    page.type("dt_secret")
    assert not page.has("dt_secret")
    page.press("enter")
    page.find("Remove")
    assert Settings(settings.storage.path).token == "dt_secret"
    assert not page.has("dt_secret")
    page.click("Remove")
    page.eventually(lambda: not page.has("Remove"))
    assert Settings(settings.storage.path).token == ""


@pytest.mark.parametrize(
    ("name", "setting"), [("Send my public key itself", "send_real_key"), (LAST, "blind_ids")]
)
def test_a_switch_sets_its_setting(
    open_page: "OpenPage", settings: Settings, name: str, setting: str
) -> None:
    page = open_page(settings)
    for wanted in (True, False):
        page.click(name)
        page.eventually(lambda wanted=wanted: page.is_on(name) is wanted)  # type: ignore[misc]
        assert getattr(Settings(settings.storage.path), setting) is wanted


# ---------------------------------------------------------------------------------- how it looks


def luminance(colour: "QColor") -> float:
    """As WCAG 2 defines it."""
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: "QColor", other: "QColor") -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def colours(picture: "QImage", place: "QRectF") -> set[int]:
    part = picture.copy(place.toAlignedRect())
    return {part.pixel(x, y) for x in range(part.width()) for y in range(part.height())}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(
    open_page: "OpenPage", settings: Settings, scheme: str
) -> None:
    page = open_page(settings, color_scheme=scheme)
    theme = page.theme.property
    on_surfaces = itertools.product(
        ("text", "secondaryText", "accent", "good", "warning", "bad"), ("card", "window", "field")
    )
    for front, back in [
        *on_surfaces,
        ("text", "warningCard"),
        ("secondaryText", "warningCard"),
        ("text", "badCard"),
        ("secondaryText", "badCard"),
        ("text", "hovered"),
        ("accentText", "accent"),
    ]:
        assert contrast(theme(front), theme(back)) >= 4.5, (front, back)  # WCAG 2, AA
    for back in ("card", "field"):
        assert contrast(theme("outline"), theme(back)) >= 3.0  # for parts that are not text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_window_is_drawn_in_the_scheme_that_is_asked_for(
    open_page: "OpenPage", settings: Settings, scheme: str, tmp_path: Path
) -> None:
    page = open_page(settings, color_scheme=scheme)
    picture = page.picture()
    assert picture.save(str(tmp_path / f"{scheme}.png"))
    ground = picture.pixelColor(2, 2)
    assert ground == page.theme.property("window")
    assert (luminance(ground) < 0.5) is (scheme == "dark")
    # There are letters with smooth edges, not blank or broken ones.
    assert len(colours(picture, page.find(SWITCH).place)) > 20


def test_the_system_decides_where_nobody_else_does(
    open_page: "OpenPage", settings: Settings, qt: "QGuiApplication"
) -> None:
    from PySide6.QtGui import QPalette  # noqa: PLC0415

    before = qt.palette()
    page = open_page(settings, color_scheme="system")
    try:
        for ground in ("#202020", "#f0f0f0"):
            palette = QPalette(ground)
            qt.setPalette(palette)
            is_dark = luminance(palette.window().color()) < 0.5
            page.eventually(lambda is_dark=is_dark: page.theme.property("isDark") is is_dark)  # type: ignore[misc]
    finally:
        qt.setPalette(before)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("width", [340, 760, 1600])
def test_nothing_is_cut_off(
    open_page: "OpenPage", settings: Settings, qt: "QGuiApplication", width: int, language: str
) -> None:
    from devtelemetry.desktop.translation import Translation  # noqa: PLC0415

    translation = Translation([language])
    qt.installTranslator(translation)
    try:
        page = open_page(with_problem(settings, Problem.TOKEN_REFUSED), width=width)
        page.picture()
        assert overflowing(page) == []
        settings.disable()
        page.eventually(lambda: overflowing(page) == [] and not switch(page).is_checked)
        page.click(switch(page).name)
        page.eventually(lambda: page.focused in {"Cancel", "Abbrechen"})
        page.picture()
        assert overflowing(page) == []
    finally:
        qt.removeTranslator(translation)


def switch(page: "Page") -> "Control":
    """The first switch, in any language."""
    return next(c for c in page.controls if c.role == "CheckBox")


def overflowing(page: "Page") -> list[str]:
    """The names or texts of items that are drawn beyond their place or the window."""
    beyond_window = [
        c.name
        for c in page.controls
        if c.place.left() < 0 or c.place.right() > page.window.width() + 0.5
    ]
    beyond_place = [
        item.property("text")
        for item in page.items
        if item.inherits("QQuickText")
        and (item.property("contentWidth") > item.width() + 1 or item.property("truncated"))
    ]
    return beyond_window + beyond_place


# -------------------------------------------------------------------------------- who can use it


def test_whatever_the_tab_key_reaches_has_a_name_and_shows_that_it_is_there(
    open_page: "OpenPage", settings: Settings
) -> None:
    page = open_page(with_problem(settings, Problem.TOKEN_REFUSED))
    settings.token = "dt_known"
    page.find("Remove")
    reached: list[str] = []
    page.press("tab")
    while page.focused not in reached:
        (control,) = [c for c in page.controls if c.is_focused]
        reached.append(control.name)
        place = control.place.adjusted(-6, -6, 6, 6).toAlignedRect()
        focused = page.picture().copy(place)
        page.press("tab")
        assert page.picture().copy(place) != focused, f"{control.name} looks the same"
    assert reached == [
        SWITCH,
        "Show",
        ADDRESS,
        "Token",
        "Remove",
        "Send my public key itself",
        LAST,
    ]


def test_every_control_has_a_name_and_every_switch_and_field_an_explanation(
    open_page: "OpenPage", settings: Settings
) -> None:
    page = open_page(with_problem(settings, Problem.UNREACHABLE))
    page.click("Show")
    page.find("Copy as JSON")
    for control in page.controls:
        assert control.name or not control.is_focusable, control
        assert control.description or control.role not in {"CheckBox", "EditableText"}, control
    roles = {c.role for c in page.controls}
    assert roles >= {"AlertMessage", "Button", "CheckBox", "EditableText", "Heading", "List"}


def test_what_the_tab_key_reaches_is_scrolled_into_view(
    open_page: "OpenPage", settings: Settings
) -> None:
    page = open_page(settings, height=400)
    assert page.find(LAST).place.top() > 400
    page.tab_to(LAST)
    page.eventually(lambda: page.find(LAST).place.bottom() <= 400)
    page.tab_to(SWITCH)
    page.eventually(lambda: page.find(SWITCH).place.top() >= 0)


def test_the_wheel_and_the_keys_scroll_to_the_end(
    open_page: "OpenPage", settings: Settings
) -> None:
    for scroll in ("wheel", "keys"):
        page = open_page(settings, height=400)
        page.tab_to(SWITCH)
        for _ in range(10):
            if scroll == "wheel":
                page.wheel_down()
            else:
                page.press("page down")
            page.picture()
        assert page.find(LAST).place.bottom() <= 400


def test_a_long_confirmation_is_read_by_keys_in_a_small_window(
    open_page: "OpenPage", settings: Settings
) -> None:
    page = open_page(settings, width=340, height=400)
    page.tab_to(SWITCH)
    page.press("space")
    page.eventually(lambda: page.focused == "Cancel")
    buttons = page.find("Turn on").place
    last = "Switch it off. That stops it at once"
    (words,) = [c for c in page.controls if c.name.startswith(last)]
    assert words.place.top() > buttons.top()
    page.tab_to("Send reliability telemetry?")
    for _ in range(20):
        page.press("page down")
    (words,) = [c for c in page.controls if c.name.startswith(last)]
    assert words.place.bottom() < buttons.top()
