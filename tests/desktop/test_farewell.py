"""The client that the page runs by itself only asks servers to forget, and does nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from devtelemetry.client import Settings, shown
from devtelemetry.v1 import telemetry_pb2
from support.clients import eventually, receive, running_client, wall_clock
from support.farewells import opted_in_with, opted_out_of
from support.push_server import PushServer, accept, push_server, refuse

if TYPE_CHECKING:
    from PySide6.QtGui import QGuiApplication

    from devtelemetry.desktop.backend import Backend
    from devtelemetry.desktop.farewell import Farewell


@pytest.fixture
def server() -> Iterator[PushServer]:
    with push_server() as running:
        yield running


@contextmanager
def standing_alone(settings: Settings) -> Iterator[tuple["Backend", "Farewell"]]:
    """The parts that `devtelemetry desktop` runs beside its window."""
    from devtelemetry.desktop.backend import Backend  # noqa: PLC0415
    from devtelemetry.desktop.farewell import Farewell  # noqa: PLC0415

    backend = Backend(settings)
    farewell = Farewell(settings, backend)
    yield backend, farewell
    backend.close()
    farewell.finish()


def farewells(server: PushServer) -> list[telemetry_pb2.PushRequest]:
    return [request for request in server.pushed if request.forget]


def test_an_opt_out_just_before_the_window_closes_is_told(
    qt: "QGuiApplication", settings: Settings, server: PushServer
) -> None:
    opted_in_with(settings, server.address)
    with standing_alone(settings) as (backend, _):
        # The window is closed, so Qt handles no event after this.
        backend.disable()
    assert settings.status().leaving == 0
    assert len(farewells(server)) == 1


def test_while_the_user_is_opted_in_it_says_nothing(
    qt: "QGuiApplication", settings: Settings, server: PushServer
) -> None:
    """It sends not even a heartbeat. It gets no messages, and each would count as lost."""
    settings.server = server.address
    settings.enable()
    with standing_alone(settings):
        pass
    assert server.pushed == []
    assert shown(settings)["reporter"] == {}


def test_it_does_not_report_even_if_the_user_opts_in_meanwhile(
    qt: "QGuiApplication", settings: Settings, server: PushServer
) -> None:
    settings.server = server.address
    opted_out_of(settings, server.address)
    server.answer = refuse(grpc.StatusCode.UNAVAILABLE, "later")
    server.pushed.clear()
    with standing_alone(settings):
        server.wait(lambda: server.pushed)
        # Qt handles no event here, so the client does not end. But it sees the change.
        asked = len(server.pushed)
        settings.enable()
        server.wait(lambda: len(server.pushed) > asked)
    assert server.pushed == farewells(server)
    assert shown(settings)["reporter"] == {}


def test_it_leaves_the_floor_to_the_app_once_the_user_opts_in(
    qt: "QGuiApplication", settings: Settings, server: PushServer
) -> None:
    opted_out_of(settings, server.address)
    server.answer = refuse(grpc.StatusCode.UNAVAILABLE, "later")
    app = Settings(settings.storage.path)
    with standing_alone(settings):
        server.wait(lambda: farewells(server))  # from now on this client is the one that pushes
        with running_client(app, server.address) as client:
            app.enable()
            server.answer = accept
            receive(client, "m1", wall_clock() + 1000)
            eventually(lambda: qt.processEvents() or app.status().acknowledged == 1)
    assert server.message_ids[-1] == "m1"
    assert all(r.forget or r.reporter.platform == "desktop" for r in server.pushed)
