"""What goes over the wire and when, seen by a real gRPC server that answers as the test decides."""

import contextlib
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy
import pytest
import trustme

from devtelemetry.client import (
    Limits,
    Outcome,
    Problem,
    SentAtClock,
    Settings,
    TelemetryClient,
    Timing,
    Unwritable,
    Via,
    blind_channel,
    blind_envelope,
    blind_message,
    shown,
    wire,
)
from devtelemetry.v1 import telemetry_pb2
from support.clients import QUICK, Clock, eventually, receive, running_client, wall_clock
from support.push_server import PushServer, accept, push_server, refuse


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    opened = Settings(tmp_path / "node.db")
    opened.enable()
    return opened


def told_lost(server: PushServer) -> list[list[tuple[int, int, int, int]]]:
    """The `lost` entries of each push that has some."""
    return [
        [
            (one.first_sequence, one.last_sequence, one.first_sent_at, one.last_sent_at)
            for one in request.lost
        ]
        for request in server.pushed
        if request.lost
    ]


def later() -> int:
    return wall_clock() + 1000


def test_a_message_becomes_a_sample_with_all_that_was_said(settings: Settings) -> None:
    with push_server() as server:
        with running_client(settings, server.address) as client:
            client.message_received(
                message_id="0x01",
                channel_id="general",
                sent_at=1_900_000_000_000,
                topics=b"\x01\x02",
                envelope_id="0xe1",
                message_type="CHAT_MESSAGE",
                message_size=120,
                received_at=1_900_000_000_500,
            )
            client.message_sent(message_id="0x02", channel_id="general", sent_at=1_900_000_000_001)
            server.wait(lambda: len(server.samples) == 2)
            now = wall_clock()
        request = server.pushed[0]
        assert request.samples[0] == telemetry_pb2.Sample(
            message_id="0x01",
            channel_id="general",
            sent_at=1_900_000_000_000,
            topics=b"\x01\x02",
            envelope_id="0xe1",
            received_at=1_900_000_000_500,
            message_type="CHAT_MESSAGE",
            message_size=120,
        )
        own = request.samples[1]
        assert own == telemetry_pb2.Sample(
            message_id="0x02",
            channel_id="general",
            sent_at=1_900_000_000_001,
            sent_by_receiver=True,
            received_at=own.received_at,
        )
        assert now - 60_000 < own.received_at <= now
        assert request.reporter.platform == "desktop"
        assert request.reporter.app_version == "2.31.0"
        assert request.reporter.server == "relay.example"
        assert request.reporter.installation_id == settings.status().installation_id
        assert request.first_sequence == 1
        assert abs(request.client_time - wall_clock()) < 60_000


def test_what_became_of_a_message_and_how_it_came_is_said(settings: Settings) -> None:
    at: dict[str, Any] = {"channel_id": "c", "sent_at": 1_900_000_000_000}
    with push_server() as server, running_client(settings, server.address) as client:
        client.message_received(
            message_id="m1", via=Via.HISTORY, sent_at_clock=SentAtClock.SERVER, **at
        )
        client.message_unreadable(envelope_id="e", reason="no_session_key", via=Via.LIVE, **at)
        client.message_dropped(
            message_id="m2", reason="too_large", sent_at_clock=SentAtClock.RECEIVER, **at
        )
        client.send_failed(message_id="m3", reason="timeout", **at)
        client.message_sent(message_id="m4", sent_at_clock=SentAtClock.SERVER, **at)
        client.message_unreadable(message_id="m5", reason="No key of Ann's", **at)
        eventually(lambda: settings.status().acknowledged == 6)
        told = [one["sample"] for one in reversed(shown(settings)["samples"])]
        for one in told:
            assert one.pop("received_at")
        of_key = {"envelope_id": "e", "reason": "no_session_key", "via": "LIVE"}
        of_size = {"message_id": "m2", "reason": "too_large", "sent_at_clock": "RECEIVER"}
        of_time = {"message_id": "m3", "reason": "timeout", "sent_by_receiver": True}
        assert told == [
            at | {"message_id": "m1", "via": "HISTORY", "sent_at_clock": "SERVER"},
            at | of_key | {"outcome": "UNREADABLE"},
            at | of_size | {"outcome": "DROPPED"},
            at | of_time | {"outcome": "SEND_FAILED"},
            at | {"message_id": "m4", "sent_by_receiver": True, "sent_at_clock": "SERVER"},
            at | {"message_id": "m5", "outcome": "UNREADABLE"},
        ]


def test_the_numbers_are_the_wires() -> None:
    pairs: list[tuple[Any, Any]] = [
        (Outcome, telemetry_pb2.Sample.Outcome),
        (SentAtClock, telemetry_pb2.Sample.Clock),
    ]
    for ours, of_wire in pairs:
        assert [(one.name, one.value) for one in ours] == of_wire.items()
    assert [one.value for one in Via] == telemetry_pb2.Sample.Via.values()


def test_the_key_that_goes_out_is_a_pseudonym_unless_the_settings_say_so(
    settings: Settings,
) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "m1", later())
        server.wait(lambda: server.samples)
        settings.send_real_key = True
        receive(client, "m2", later())
        server.wait(lambda: len(server.samples) == 2)
        keys = [request.reporter.receiver_public_key for request in server.pushed]
        assert keys[0] != "0x04aa"
        assert len(keys[0]) == 32
        assert keys[-1] == "0x04aa"


def test_blinded_ids_hide_channel_message_envelope_and_topics(settings: Settings) -> None:
    settings.blind_ids = True
    with push_server() as server, running_client(settings, server.address) as client:
        client.message_received(
            message_id="m1", channel_id="c1", sent_at=later(), topics=b"t", envelope_id="e1"
        )
        client.channel_joined("c1")
        server.wait(lambda: server.samples)
        (request,) = server.pushed
        (sample,) = request.samples
        assert sample.channel_id == blind_channel("c1")
        assert sample.message_id == blind_message("c1", "m1")
        assert sample.envelope_id == blind_envelope("c1", "e1")
        assert sample.topics == b""
        assert request.memberships[0].channel_id == blind_channel("c1")


def test_nothing_from_before_the_opt_in_is_sent(settings: Settings) -> None:
    assert settings.opted_in_at is not None
    opted_in_at = round(settings.opted_in_at.timestamp() * 1000)
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "before", opted_in_at - 1)
        receive(client, "after", opted_in_at)
        client.channel_joined("old", at=opted_in_at - 1000)
        client.channel_left("gone", at=opted_in_at - 1)
        server.wait(lambda: server.samples)
        client.close()
        assert server.message_ids == ["after"]
        assert server.sequences == [1]
        assert [(m.channel_id, m.joined_at) for m in server.pushed[0].memberships] == [
            ("old", opted_in_at)
        ]


def test_a_clock_that_is_set_back_silences_nobody_and_opens_no_past(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(tmp_path / "node.db", clock=clock)
    settings.enable()
    clock.now_ms -= 86_400_000
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "m1", clock.now_ms + 1)
        server.wait(lambda: server.samples)
        receive(client, "before-the-opt-in", clock.now_ms - 60_000)
        receive(client, "m2", clock.now_ms + 2)
        server.wait(lambda: len(server.samples) == 2)
        clock.now_ms += 86_400_000
        receive(client, "yesterdays", clock.now_ms - 80_000_000)
        receive(client, "m3", clock.now_ms + 3)
        server.wait(lambda: len(server.samples) == 3)
        assert server.message_ids == ["m1", "m2", "m3"]


def test_a_clock_of_another_run_of_the_machine_opens_no_past(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(tmp_path / "node.db", clock=clock)
    settings.enable()
    opted_in_at = clock.now_ms
    with settings.connected() as connection:
        connection.execute("update telemetry_settings set opted_in_boot = 'an earlier one'")
    clock.now_ms = 60_000  # in 1970, as before a clock is set
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "before-the-opt-in", opted_in_at - 1)
        clock.now_ms = opted_in_at + 1000
        receive(client, "after", opted_in_at + 1)
        server.wait(lambda: server.samples)
        assert server.message_ids == ["after"]


def test_a_refused_sample_is_set_aside_with_its_reason_and_not_sent_again(
    settings: Settings,
) -> None:
    def refuse_second(
        request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        return telemetry_pb2.PushResponse(
            accepted=len(request.samples) - 1,
            rejections=[
                telemetry_pb2.Rejection(
                    index=1, reason=telemetry_pb2.Rejection.TOO_OLD, detail="sent_at: 8 d old"
                )
            ],
        )

    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = refuse_second
        for number in range(3):
            receive(client, f"m{number}", later())
        eventually(lambda: settings.status().set_aside == 1)
        client.close()
        assert server.message_ids == ["m0", "m1", "m2"]
    (aside,) = [s for s in shown(settings)["samples"] if s["state"] == "set_aside"]
    assert aside["reason"] == "too_old: sent_at: 8 d old"
    assert aside["sample"]["message_id"] == "m1"
    status = settings.status()
    assert (status.acknowledged, status.waiting) == (2, 0)


def test_a_batch_that_the_server_cannot_read_is_set_aside(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = refuse(grpc.StatusCode.INVALID_ARGUMENT, "cannot be decoded")
        receive(client, "m1", later())
        eventually(lambda: settings.status().set_aside == 1)
        assert settings.status().problem is Problem.REFUSED
        server.answer = accept
        receive(client, "m2", later())
        eventually(lambda: settings.status().acknowledged == 1)
        assert server.message_ids == ["m1", "m2"]
        # The server did not get the number of the first sample. The next push reports it as lost.
        sent_at = server.samples[0].sent_at
        assert told_lost(server) == [[(1, 1, sent_at, sent_at)]]
        assert shown(settings)["lost"] == []


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED],
)
def test_a_batch_that_fails_is_sent_again_with_the_same_numbers(
    settings: Settings, code: grpc.StatusCode
) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = refuse(code, "not now")
        receive(client, "m1", later())
        server.wait(lambda: len(server.pushed) >= 3)
        assert settings.status().waiting == 1
        server.answer = accept
        eventually(lambda: settings.status().acknowledged == 1)
        assert settings.status().problem is None
        assert set(server.message_ids) == {"m1"}
        assert set(server.sequences) == {1}


def test_the_server_is_left_alone_for_as_long_as_it_said(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = refuse(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "over the rate", retry_seconds=600
        )
        receive(client, "m1", later())
        eventually(lambda: settings.status().problem is Problem.BUSY)
        receive(client, "m2", later())
        eventually(lambda: settings.status().waiting == 2)
        assert len(server.pushed) == 1


def test_a_refused_token_is_told_and_a_new_one_tried_at_once(settings: Settings) -> None:
    def want_token(
        request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        sent = dict(context.invocation_metadata())
        if sent.get("authorization") != "Bearer dt_good":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid token")
        return telemetry_pb2.PushResponse(accepted=len(request.samples))

    with (
        push_server() as server,
        running_client(settings, server.address, token="dt_old") as client,
    ):
        server.answer = want_token
        receive(client, "m1", later())
        eventually(lambda: settings.status().problem is Problem.TOKEN_REFUSED)
        receive(client, "m2", later())
        eventually(lambda: settings.status().waiting == 2)
        assert len(server.pushed) == 1, "tried again before anyone mended it"
        settings.token = "dt_good"
        eventually(lambda: settings.status().acknowledged == 2)


@pytest.mark.parametrize("is_leaving", [False, True])
def test_a_token_mended_while_the_old_one_is_being_refused_is_tried_at_once(
    settings: Settings, is_leaving: bool
) -> None:
    def mend_then_refuse(
        request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        if dict(context.invocation_metadata()).get("authorization") != "Bearer dt_good":
            if request.forget == is_leaving:
                settings.token = "dt_good"
                time.sleep(0.3)  # the client looks at its settings meanwhile
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid token")
        return telemetry_pb2.PushResponse(accepted=len(request.samples))

    with (
        push_server() as server,
        running_client(settings, server.address, token="dt_old") as client,
    ):
        if not is_leaving:
            server.answer = mend_then_refuse
        receive(client, "m1", later())
        if is_leaving:
            eventually(lambda: settings.status().acknowledged == 1)
            server.answer = mend_then_refuse
            settings.disable()
            eventually(lambda: settings.status().leaving == 0)
        else:
            eventually(lambda: settings.status().acknowledged == 1)


def test_tls_with_ones_own_authority_and_a_token(settings: Settings, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(roots)
    credentials = grpc.ssl_server_credentials(
        [
            (
                certificate.private_key_pem.bytes(),
                b"".join(pem.bytes() for pem in certificate.cert_chain_pems),
            )
        ]
    )
    with push_server(credentials) as server:
        with running_client(settings, server.address, token="dt_a", tls=roots) as client:
            receive(client, "m1", later())
            eventually(lambda: settings.status().acknowledged == 1)
        assert server.metadata[0]["authorization"] == "Bearer dt_a"
        # A client that does not know the authority sends nothing.
        with running_client(settings, server.address, tls=True) as client:
            receive(client, "m2", later())
            eventually(lambda: settings.status().problem is Problem.UNREACHABLE)
        assert server.message_ids == ["m1"]


def test_who_has_nothing_to_say_sends_a_heartbeat(settings: Settings) -> None:
    timing = Timing(batch=0.05, heartbeat=0.2)
    with push_server() as server, running_client(settings, server.address, timing=timing) as client:
        receive(client, "m1", later())
        server.wait(lambda: len(server.pushed) >= 4)
        beat = server.pushed[-1]
        assert not beat.samples
        assert beat.reporter.installation_id == settings.status().installation_id
        assert beat.first_sequence == 2


def test_memberships_are_sent_until_they_are_acknowledged(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = refuse(grpc.StatusCode.UNAVAILABLE, "not now")
        client.channel_joined("c1", at=later())
        server.wait(lambda: server.pushed)
        left_at = later()
        client.channel_left("c1", at=left_at)
        server.answer = accept
        server.wait(lambda: any(m.left_at for r in server.pushed for m in r.memberships))
        eventually(lambda: not shown(settings)["memberships"])
        last = server.pushed[-1].memberships[0]
        assert (last.channel_id, last.left_at) == ("c1", left_at)
        assert last.joined_at > 0


def test_an_opt_out_asks_every_server_that_got_samples_until_it_answers(
    settings: Settings,
) -> None:
    installation = settings.status().installation_id
    with push_server() as one, push_server() as other:
        with running_client(settings, one.address) as client:
            receive(client, "m1", later())
            eventually(lambda: settings.status().acknowledged == 1)
            settings.server = other.address
            receive(client, "m2", later())
            eventually(lambda: settings.status().acknowledged == 2)
            one.answer = refuse(grpc.StatusCode.UNAVAILABLE, "not now")
            settings.disable()
            one.wait(lambda: sum(r.forget for r in one.pushed) >= 3)
            assert settings.status().leaving >= 1
            one.answer = accept
            eventually(lambda: settings.status().leaving == 0)
        for server in (one, other):
            asked = [request for request in server.pushed if request.forget]
            assert asked
            assert asked[0] == telemetry_pb2.PushRequest(
                forget=True, reporter=telemetry_pb2.Reporter(installation_id=installation)
            )
        assert one.message_ids == ["m1"]
        assert other.message_ids == ["m2"]


def test_what_an_opt_out_could_not_say_is_said_by_the_next_client(settings: Settings) -> None:
    with push_server() as server:
        with running_client(settings, server.address) as client:
            receive(client, "m1", later())
            eventually(lambda: settings.status().acknowledged == 1)
        settings.disable()
        settings.enable()
        with running_client(settings, server.address) as client:
            receive(client, "m2", later())
            eventually(lambda: settings.status().acknowledged == 1)
        kinds = ["forget" if request.forget else "push" for request in server.pushed]
        assert kinds == ["push", "forget", "push"]
        assert server.pushed[2].first_sequence == 1


def test_what_a_sender_had_under_way_when_it_ended_is_sent_by_the_next(settings: Settings) -> None:
    with running_client(settings, "127.0.0.1:1") as client:
        for number in range(5):
            receive(client, f"m{number}", later())
        eventually(lambda: settings.status().waiting == 5)
    with settings.connected() as connection:
        connection.execute("update telemetry_outbox set state = 'in_flight'")  # and then SIGKILL
    with push_server() as server, running_client(settings, server.address):
        eventually(lambda: settings.status().acknowledged == 5)
        assert server.sequences == [1, 2, 3, 4, 5]


def test_an_opt_out_that_failed_is_ended_by_the_running_client(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "m1", later())
        eventually(lambda: settings.status().acknowledged == 1)
        with settings.connected() as other:
            other.execute("begin immediate")
            with pytest.raises(Unwritable):
                settings.disable()
            other.execute("rollback")
        receive(client, "while-off", later())
        server.wait(lambda: server.pushed[-1].forget)
        assert not settings.telemetry_enabled
        assert server.message_ids == ["m1"]


def test_an_opt_in_after_an_opt_out_that_failed_is_a_new_one(settings: Settings) -> None:
    installation = settings.status().installation_id
    settings.switch.consent = 0  # disable() got this far
    settings.enable()
    assert settings.switch.consent == 2
    assert settings.status().installation_id != installation


def test_opting_in_and_out_in_two_processes_leaves_switch_and_file_of_one_mind(
    tmp_path: Path,
) -> None:
    script = (
        "import sys; from devtelemetry.client import Settings\n"
        f"settings = Settings({str(tmp_path / 'node.db')!r})\n"
        "for _ in range(150): getattr(settings, sys.argv[1])()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, name]) for name in ("enable", "disable")
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    settings = Settings(tmp_path / "node.db")
    with settings.connected() as connection:
        enabled, consent = connection.execute(
            "select telemetry_enabled, consent from telemetry_settings"
        ).fetchone()
    assert settings.switch.consent == (consent if enabled else 0)


def test_one_of_several_clients_speaks_and_the_others_sleep(settings: Settings) -> None:
    timing = Timing(batch=0.05, heartbeat=0.5)
    with push_server() as server, contextlib.ExitStack() as running:
        clients = [
            running.enter_context(running_client(settings, server.address, timing=timing))
            for _ in range(3)
        ]
        receive(clients[0], "m1", later())
        server.wait(lambda: len(server.pushed) >= 5)
        # Five heartbeat intervals passed. Each client wakes a few times in each, and does not spin.
        assert max(client.wakeups for client in clients) < 60
        assert len(server.pushed) < 12


def test_a_client_without_a_server_leaves_the_word_to_one_that_has(settings: Settings) -> None:
    with push_server() as server, running_client(settings, "") as mute:
        receive(mute, "m1", later())
        eventually(lambda: settings.status().problem is Problem.NO_SERVER)
        with running_client(settings, server.address):
            eventually(lambda: settings.status().acknowledged == 1)


def test_a_farewell_is_said_with_a_token_that_was_mended(settings: Settings) -> None:
    def want_new(
        request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        if dict(context.invocation_metadata()).get("authorization") != "Bearer dt_new":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid token")
        return telemetry_pb2.PushResponse()

    with (
        push_server() as server,
        running_client(settings, server.address, token="dt_old") as client,
    ):
        receive(client, "m1", later())
        eventually(lambda: settings.status().acknowledged == 1)
        server.answer = want_new
        settings.disable()
        server.wait(lambda: server.pushed[-1].forget)
        settings.token = "dt_new"
        eventually(lambda: settings.status().leaving == 0)


def test_losses_under_one_consent_are_not_counted_under_the_next(settings: Settings) -> None:
    limits = Limits(buffered=10)
    with push_server() as server, settings.connected() as other:
        with running_client(settings, server.address, limits=limits) as client:
            other.execute("begin immediate")  # nothing can be stored
            for number in range(100):
                receive(client, f"m{number}", later())
            other.execute("rollback")
            settings.disable()
            settings.enable()
            receive(client, "m100", later())
            eventually(lambda: settings.status().acknowledged == 1)
        assert settings.status().dropped == 0
        assert server.sequences[-1] == 1


def test_a_child_of_a_fork_takes_nothing(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        child = os.fork()
        if child == 0:
            receive(client, "of-the-child", later())
            client.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        receive(client, "m1", later())
        eventually(lambda: settings.status().acknowledged == 1)
        assert server.message_ids == ["m1"]


def test_close_sends_what_waits(settings: Settings) -> None:
    with push_server() as server:
        slow = Timing(batch=3600.0)
        with running_client(settings, server.address, timing=slow) as client:
            for number in range(1200):
                receive(client, f"m{number}", later())
        assert server.message_ids == [f"m{number}" for number in range(1200)]
        assert server.sequences == list(range(1, 1201))


def test_a_client_that_is_closed_right_away_sends_all_the_same(settings: Settings) -> None:
    with push_server() as server:
        for number in range(20):
            client = TelemetryClient(settings, server.address)
            client.start()
            receive(client, f"m{number}", later())
            client.close()
        assert server.message_ids == [f"m{number}" for number in range(20)]


def test_a_full_outbox_drops_the_oldest_and_the_numbers_show_the_gap(settings: Settings) -> None:
    limits = Limits(samples=100)
    start = later()
    with push_server() as server:
        with running_client(settings, "127.0.0.1:1", limits=limits) as client:
            for number in range(250):
                receive(client, f"m{number}", later())
            eventually(lambda: settings.status().dropped == 150)
        shown_lost = [tuple(one.values()) for one in shown(settings)["lost"]]
        with running_client(settings, server.address, limits=limits):
            eventually(lambda: settings.status().waiting == 0)
        assert server.message_ids == [f"m{number}" for number in range(150, 250)]
        assert server.sequences == list(range(151, 251))
        (told,) = told_lost(server)
    assert told == shown_lost
    assert (told[0][0], told[-1][1]) == (1, 150)
    assert start <= told[0][2] <= told[-1][3] <= later()


def test_one_sample_nobody_can_send_costs_no_other(settings: Settings) -> None:
    with push_server() as server:
        with running_client(settings, server.address) as client:
            receive(client, "m1", later())
            receive(client, 7, later())  # type: ignore[arg-type]
            receive(client, "negative", -1)
            receive(client, "never", 2**63)
            receive(client, "of-numpy", numpy.int64(later()))  # type: ignore[arg-type]
            client.message_received(
                message_id="m", channel_id="c1", sent_at=later(), topics=b"x" * 100_000
            )
            client.message_received(message_id="m2", channel_id="c1", sent_at="noon")  # type: ignore[arg-type]
            receive(client, "m3", later())
            eventually(lambda: settings.status().acknowledged == 3)
        assert server.message_ids == ["m1", "of-numpy", "m3"]
        # The numbers of the samples between them are skipped, so the server sees a loss.
        assert server.sequences == [1, 5, 8]
    reasons = [s["reason"] for s in shown(settings)["samples"] if s["state"] == "set_aside"]
    assert len(reasons) == 5


def test_what_a_fault_of_ours_costs_is_counted_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise KeyError("a fault of ours")

    with push_server() as server, running_client(settings, server.address) as client:
        monkeypatch.setattr(wire, "to_sample", fault)
        receive(client, "lost", later())
        eventually(lambda: settings.status().dropped == 1)
        monkeypatch.undo()
        receive(client, "m1", later())
        eventually(lambda: settings.status().acknowledged == 1)
        assert server.sequences == [2]


@pytest.mark.parametrize(
    ("channel_id", "at"),
    [
        ("", 1),
        ("x" * 513, 1),
        ("\ud800", 1),
        (b"c1", 1),
        ("c1", -1),
        ("c1", 2**63),
        ("c1", "noon"),
    ],
)
def test_a_membership_nobody_can_send_costs_no_sample(
    settings: Settings, channel_id: str, at: int
) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        client.channel_joined(channel_id, at=at)
        client.channel_left(channel_id, at=at)
        receive(client, "m1", later())
        eventually(lambda: settings.status().acknowledged == 1)
        assert not any(request.memberships for request in server.pushed)


def test_a_token_goes_to_no_server_but_its_own(settings: Settings) -> None:
    with push_server() as apps, push_server() as users:
        with running_client(settings, apps.address, token="dt_apps") as client:
            receive(client, "m1", later())
            eventually(lambda: settings.status().acknowledged == 1)
            settings.server = users.address
            receive(client, "m2", later())
            eventually(lambda: settings.status().acknowledged == 2)
            settings.token = "dt_users"
            receive(client, "m3", later())
            eventually(lambda: settings.status().acknowledged == 3)
            settings.disable()
            eventually(lambda: settings.status().leaving == 0)
        tokens = [
            [
                (bool(r.forget), m.get("authorization"))
                for r, m in zip(s.pushed, s.metadata, strict=True)
            ]
            for s in (apps, users)
        ]
        assert tokens[0] == [(False, "Bearer dt_apps"), (True, "Bearer dt_apps")]
        assert tokens[1] == [
            (False, None),
            (False, "Bearer dt_users"),
            (True, "Bearer dt_users"),
        ]


def test_what_a_server_says_is_cut_and_moves_no_cursor(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = refuse(grpc.StatusCode.INVALID_ARGUMENT, "\x1b[2J" + "x" * 5000)
        receive(client, "m1", later())
        eventually(lambda: settings.status().set_aside == 1)
        for said in (settings.status().detail, shown(settings)["samples"][0]["reason"]):
            assert said.isprintable()
            assert len(said) < 400


def test_authorities_that_cannot_be_read_are_a_problem_that_is_shown(
    settings: Settings, tmp_path: Path
) -> None:
    with running_client(settings, "example:1", tls=tmp_path / "none.pem") as client:
        receive(client, "m1", later())
        eventually(lambda: settings.status().problem is Problem.UNREACHABLE)
        assert "none.pem" in settings.status().detail
        assert settings.status().waiting == 1


def test_batches_are_cut_where_the_apps_version_changes(settings: Settings) -> None:
    with push_server() as server:
        for version in ("1.0", "1.1"):
            client = TelemetryClient(settings, "127.0.0.1:1", app_version=version, timing=QUICK)
            client.start()
            receive(client, f"of-{version}", later())
            client.close(timeout=0.2)
        with running_client(settings, server.address):
            eventually(lambda: settings.status().waiting == 0)
        assert [
            (r.reporter.app_version, [s.message_id for s in r.samples]) for r in server.pushed
        ] == [("1.0", ["of-1.0"]), ("1.1", ["of-1.1"])]


def test_without_a_server_it_is_said_what_is_missing(settings: Settings) -> None:
    with running_client(settings, "") as client:
        receive(client, "m1", later())
        eventually(lambda: settings.status().problem is Problem.NO_SERVER)
        assert settings.status().waiting == 1


def test_what_is_shown_is_what_is_sent(settings: Settings) -> None:
    with push_server() as server, running_client(settings, server.address) as client:
        client.message_received(
            message_id="m1", channel_id="c1", sent_at=1_900_000_000_000, topics=b"\xff"
        )
        eventually(lambda: settings.status().acknowledged == 1)
        page = shown(settings)
        (request,) = server.pushed
        sample = request.samples[0]
        assert page["samples"][0]["sample"] == {
            "message_id": "m1",
            "channel_id": "c1",
            "sent_at": 1_900_000_000_000,
            "topics": "/w==",
            "received_at": sample.received_at,
        }
        assert page["samples"][0]["state"] == "acknowledged"
        assert page["reporter"] == {
            "receiver_public_key": request.reporter.receiver_public_key,
            "installation_id": request.reporter.installation_id,
            "platform": "desktop",
            "app_version": "2.31.0",
            "server": "relay.example",
        }
        assert page["server"] == server.address


def test_calls_do_nothing_before_start_and_after_close(settings: Settings) -> None:
    client = TelemetryClient(settings, "127.0.0.1:1", timing=QUICK)
    receive(client, "early", later())
    client.start()
    client.start()
    client.close()
    client.close()
    receive(client, "late", later())
    client.channel_joined("c1")
    assert settings.status().waiting == 0


def test_a_client_that_cannot_start_leaves_the_app_alone(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    (settings.storage.directory / "sender.lock").mkdir()
    client = TelemetryClient(settings, "127.0.0.1:1", timing=QUICK)
    client.start()
    receive(client, "m1", later())
    client.close()
    assert settings.status().waiting == 0


def was_pushed(server: PushServer, message_id: str) -> bool:
    return message_id in server.message_ids


def test_what_was_taken_while_off_is_never_sent_however_often_it_is_switched(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)
    settings = Settings(tmp_path / "node.db")
    allowed = set[str]()
    timing = replace(QUICK, batch=0.0)
    with push_server() as server:
        with running_client(settings, server.address, timing=timing) as client:
            for number in range(3000):
                if dice.random() < 0.01:
                    if settings.telemetry_enabled:
                        if dice.random() < 0.5:
                            # While pushes are under way, not only before the first one.
                            allowed.add(awaited := f"awaited{number}")
                            receive(client, awaited, later())
                            server.wait(partial(was_pushed, server, awaited))
                        settings.disable()
                    else:
                        settings.enable()
                        allowed.add(f"m{number}")
                elif settings.switch.consent:
                    allowed.add(f"m{number}")
                receive(client, f"m{number}", later())
            settings.disable()
            eventually(lambda: settings.status().leaving == 0)
        assert len(server.message_ids) > 100
        assert set(server.message_ids) <= allowed
        forgotten = {r.reporter.installation_id for r in server.pushed if r.forget}
        assert {r.reporter.installation_id for r in server.pushed if r.samples} <= forgotten
