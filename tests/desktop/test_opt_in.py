"""Opting in and out by mouse and by keyboard, down to the settings file and the server."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from devtelemetry.client import Settings, shown
from support.clients import receive, running_client, wall_clock
from support.farewells import opted_in_with
from support.server import ServerProcess, exported_samples

if TYPE_CHECKING:
    from PySide6.QtGui import QGuiApplication

    from support.page import OpenPage

pytestmark = pytest.mark.slow

SWITCH = "Send reliability telemetry"


@pytest.fixture(scope="module")
def server(
    qt: "QGuiApplication", tmp_path_factory: pytest.TempPathFactory, shared_database_url: str
) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with ServerProcess(data_dir, f"--database={shared_database_url}") as running:
        yield running


def stored(server: ServerProcess) -> list[str]:
    """The ids of the messages that the server stored."""
    return sorted(sample["messageId"] for sample in exported_samples(server))


def is_on(settings: Settings) -> bool:
    """Whether telemetry is on, as another process reads it."""
    return Settings(settings.storage.path).telemetry_enabled


def test_it_is_off_until_someone_opts_in(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    assert not page.is_on(SWITCH)
    assert not is_on(settings)


def test_the_switch_alone_turns_nothing_on(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    page.click(SWITCH)
    page.find("Turn on")
    assert not page.is_on(SWITCH)
    assert not is_on(settings)
    page.click("Cancel")
    page.eventually(lambda: not page.has("Turn on"))
    assert not page.is_on(SWITCH)
    assert not is_on(settings)


@pytest.mark.parametrize("real_key", [False, True])
@pytest.mark.parametrize("blind", [False, True])
def test_the_confirmation_says_what_goes_where_for_how_long_and_how_to_leave(
    open_page: "OpenPage", settings: Settings, real_key: bool, blind: bool
) -> None:
    settings.send_real_key = real_key
    settings.blind_ids = blind
    page = open_page(settings, app_server="telemetry.example:50051")
    page.click(SWITCH)
    page.find("Turn on")
    for said in (
        "message id, channel id, when it was sent and received, topics",
        "id of the envelope",
        "type and size of the message",
        "platform and version",
        "Never the content of a message.",
        "telemetry.example:50051",
        "whether you wrote it",
        "who is in which channel with whom, and when each device is online",
        "deletes the reports after 7 days",
        "keeps until you leave",
        "Figures that name nobody stay.",
        "Switch it off. That stops it at once, wipes what is queued on this device",
        "asks the server to delete what it got.",
    ):
        assert page.has(said), said
    assert page.has("Instead of your public key, a pseudonym.") is not real_key
    assert page.has("Your public key itself, because you have set it so.") is real_key
    assert page.has("only blinded, and no topics") is blind


def test_from_the_opt_in_to_the_opt_out_with_a_real_server(
    open_page: "OpenPage", settings: Settings, server: ServerProcess
) -> None:
    other = Settings(settings.storage.path)
    with running_client(other, server.grpc) as client:
        page = open_page(settings, app_server=server.grpc)
        receive(client, "before", wall_clock() + 1000)

        page.click(SWITCH)
        page.click("Turn on")
        page.eventually(lambda: page.is_on(SWITCH))
        assert is_on(settings)
        assert page.has("On since: ")

        for number in range(3):
            receive(client, f"m{number}", wall_clock() + 1000)
        page.eventually(lambda: page.has("Acknowledged: 3"))
        assert page.has("Waiting: 0")
        assert page.has("Server: Reachable")
        assert not page.has("Last sent: never")
        assert stored(server) == ["m0", "m1", "m2"]

        page.click("Show")
        page.find("Report 1: acknowledged")
        page.click("Report 3: acknowledged")
        page.eventually(lambda: page.has('"message_id": "m2"'))
        page.click("With every push: who reports")
        page.eventually(lambda: page.has(other.status().installation_id))
        page.click("Copy as JSON")
        page.eventually(lambda: page.has("Copied"))
        assert json.loads(page.clipboard) == shown(other)
        page.click("Close")

        page.click(SWITCH)
        page.eventually(lambda: page.has("no server keeps reports of this installation"))
        assert not page.is_on(SWITCH)
        assert not is_on(settings)
        assert shown(other)["samples"] == []
        assert other.status().installation_id == ""
        assert stored(server) == []


def test_an_opt_out_takes_one_click_and_says_what_is_still_asked(
    open_page: "OpenPage", settings: Settings
) -> None:
    """The server cannot be reached meanwhile. It is asked to delete the data until it confirms."""
    opted_in_with(settings, "127.0.0.1:9")
    page = open_page(settings)
    page.click(SWITCH)
    page.eventually(lambda: page.has("Asked to forget"))
    assert page.has("Nothing is recorded or sent any more, and what was queued here is wiped.")
    assert not page.is_on(SWITCH)
    assert Settings(settings.storage.path).status().leaving == 1


def test_the_keyboard_alone_opts_in_and_out(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    page.tab_to(SWITCH)
    page.press("space")
    page.eventually(lambda: page.focused == "Cancel")
    page.press("escape")
    page.eventually(lambda: page.focused == SWITCH)
    assert not is_on(settings)

    page.press("enter")
    page.eventually(lambda: page.focused == "Cancel")
    page.tab_to("Turn on")
    page.press("space")
    page.eventually(lambda: page.is_on(SWITCH))
    assert is_on(settings)

    page.eventually(lambda: page.focused == SWITCH)
    page.press("space")
    page.eventually(lambda: not page.is_on(SWITCH))
    assert not is_on(settings)


def test_enter_pressed_twice_is_no_opt_in(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    page.tab_to(SWITCH)
    page.press("enter")
    page.eventually(lambda: page.focused == "Cancel")
    page.press("enter")
    page.eventually(lambda: page.focused == SWITCH)
    assert not is_on(settings)


def test_the_tab_key_stays_in_the_dialog(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    page.click(SWITCH)
    page.eventually(lambda: page.focused == "Cancel")
    met = set()
    for _ in range(6):
        page.press("tab")
        met.add(page.focused)
    assert met == {"Cancel", "Turn on"}


def test_what_another_process_chooses_is_seen(open_page: "OpenPage", settings: Settings) -> None:
    page = open_page(settings)
    Settings(settings.storage.path).enable()
    page.eventually(lambda: page.is_on(SWITCH))
    Settings(settings.storage.path).disable()
    page.eventually(lambda: not page.is_on(SWITCH))
