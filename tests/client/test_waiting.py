"""When an app or a server wants clients to wait: paused, a push interval, and close in a hurry."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from devtelemetry.client import Limits, Settings, TelemetryClient, Timing
from devtelemetry.client.cli import run
from devtelemetry.v1 import telemetry_pb2
from support.clients import QUICK, eventually, receive, running_client, wall_clock
from support.push_server import Answer, PushServer, push_server, refuse

AT_ONCE = replace(QUICK, batch=0.0)  # so that a client waits only if the server asks for it


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    opened = Settings(tmp_path / "node.db")
    opened.enable()
    return opened


def told_to_wait(seconds: int) -> Answer:
    def answer(request: telemetry_pb2.PushRequest, _: object) -> telemetry_pb2.PushResponse:
        return telemetry_pb2.PushResponse(
            accepted=len(request.samples), push_interval_seconds=seconds
        )

    return answer


def report(client: TelemetryClient, settings: Settings, message_id: str, *, waiting: int) -> None:
    """Reports a message, and waits until it is stored."""
    receive(client, message_id, wall_clock() + 1000)
    eventually(lambda: settings.status().waiting == waiting)


def batches(server: PushServer) -> list[list[str]]:
    return [[sample.message_id for sample in push.samples] for push in server.pushed]


def test_what_comes_waits_as_the_server_told_until_the_app_goes_to_sleep(
    settings: Settings,
) -> None:
    with push_server() as server:
        server.answer = told_to_wait(3600)
        with running_client(settings, server.address, timing=AT_ONCE) as client:
            receive(client, "m1", wall_clock() + 1000)
            eventually(lambda: settings.status().acknowledged == 1)
            report(client, settings, "m2", waiting=1)
            report(client, settings, "m3", waiting=2)
            client.flush()
            eventually(lambda: settings.status().acknowledged == 3)
            report(client, settings, "m4", waiting=1)
            report(client, settings, "m5", waiting=2)
        assert batches(server) == [["m1"], ["m2", "m3"], ["m4", "m5"]]  # close() sent the last


def test_an_interval_outlives_the_app_and_its_first_batch_does_not_wait(
    settings: Settings,
) -> None:
    with push_server() as server:
        server.answer = told_to_wait(2**32 - 1)
        for start in range(2):
            with running_client(settings, server.address, timing=AT_ONCE) as client:
                receive(client, f"first{start}", wall_clock() + 1000)
                eventually(lambda start=start: settings.status().acknowledged == 3 * start + 1)  # type: ignore[misc]
                report(client, settings, f"a{start}", waiting=1)
                report(client, settings, f"b{start}", waiting=2)
            with settings.connected() as connection:
                row = connection.execute("select push_interval from telemetry_identity").fetchone()
            assert row[0] == 86_400  # no longer than a day
        assert batches(server) == [["first0"], ["a0", "b0"], ["first1"], ["a1", "b1"]]


def test_what_could_be_lost_does_not_wait_for_the_interval(settings: Settings) -> None:
    with push_server() as server:
        server.answer = told_to_wait(3600)
        limits = Limits(samples=8)
        with running_client(settings, server.address, timing=AT_ONCE, limits=limits) as client:
            receive(client, "m0", wall_clock() + 1000)
            eventually(lambda: settings.status().acknowledged == 1)
            for number in range(1, 5):
                report(client, settings, f"m{number}", waiting=number)
            receive(client, "m5", wall_clock() + 1000)
            eventually(lambda: settings.status().acknowledged == 6)
            assert batches(server) == [["m0"], [f"m{number}" for number in range(1, 6)]]


def test_a_flush_stores_what_was_taken_and_sends_all_of_it(settings: Settings) -> None:
    slow = Timing(flush=3600.0, batch=3600.0, batch_samples=10)
    with push_server() as server, running_client(settings, server.address, timing=slow) as client:
        report(client, settings, "m0", waiting=1)
        for number in range(1, 9):
            receive(client, f"m{number}", wall_clock() + 1000)
        client.channel_joined("c1")
        client.flush()
        eventually(lambda: settings.status().acknowledged == 9)
        assert len(batches(server)) == 1
        receive(client, "m9", wall_clock() + 1000)
        client.flush()
        eventually(lambda: settings.status().acknowledged == 10)


def test_a_flush_does_not_go_on_asking_a_server_that_failed(settings: Settings) -> None:
    slow = Timing(batch=3600.0, first_retry=0.01, longest_retry=0.01)
    with push_server() as server, running_client(settings, server.address, timing=slow) as client:
        server.answer = refuse(grpc.StatusCode.UNAVAILABLE, "not now")
        report(client, settings, "m1", waiting=1)
        client.flush()
        eventually(lambda: settings.status().problem)
        report(client, settings, "m2", waiting=2)
        client.paused = False  # wakes the thread, which has nothing to send
        report(client, settings, "m3", waiting=3)
        assert len(server.pushed) == 1


def test_nothing_is_sent_while_the_app_wants_none_and_everything_is_recorded(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with push_server() as server:
        timing = replace(AT_ONCE, flush=3600.0)
        client = TelemetryClient(settings, server.address, timing=timing)
        assert not client.paused
        client.paused = True
        client.start()
        try:
            report(client, settings, "m1", waiting=1)
            receive(client, "m2", wall_clock() + 1000)
            client.flush()
            eventually(lambda: settings.status().waiting == 2)  # only stored
            assert settings.status().paused
            assert run(["status", "--settings", str(settings.storage.path)]) == 0
            assert "paused by the app: nothing is sent" in capsys.readouterr().out
        finally:
            client.close()
        assert not settings.status().paused
        assert client.paused
        assert server.pushed == []
        client.start()
        try:
            report(client, settings, "m3", waiting=3)
            client.paused = False
            eventually(lambda: settings.status().acknowledged == 3)
            assert not settings.status().paused
        finally:
            client.close()
        assert batches(server) == [["m1", "m2", "m3"]]


def test_an_opt_out_is_told_to_the_servers_while_nothing_else_is_sent(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "m1", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged == 1)
        client.paused = True
        settings.disable()
        eventually(lambda: settings.status().leaving == 0)
        assert [request.forget for request in server.pushed] == [False, True]


def test_calls_before_start_and_while_off_do_nothing(settings: Settings) -> None:
    settings.disable()
    with push_server() as server:
        client = TelemetryClient(settings, server.address, timing=AT_ONCE)
        client.flush()
        client.start()
        client.flush()
        client.close()
        client.flush()
        assert server.pushed == []
