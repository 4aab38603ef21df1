"""Wrong use by an app: a sample is set aside, counted and logged once, or a call is refused."""

import asyncio
import os
import sqlite3
import threading
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import grpc
import numpy
import pytest

from devtelemetry.client import (
    BadSetting,
    Settings,
    TelemetryClient,
    Unwritable,
    shown,
)
from devtelemetry.v1 import telemetry_pb2
from support.clients import QUICK, eventually, receive, running_client, wall_clock
from support.push_server import accept, push_server

NOBODY = "127.0.0.1:1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    opened = Settings(tmp_path / "node.db")
    opened.enable()
    return opened


def later() -> int:
    return wall_clock() + 1000


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"sent_at": 1_772_445_600},
        "not_milliseconds: sent_at: 1772445600, which looks like seconds; allowed",
    ),
    (
        {"sent_at": 1_772_445_600.25},
        "not_milliseconds: sent_at: 1772445600.25, which looks like seconds",
    ),
    (
        {"sent_at": 1_772_445_600_000_000},
        "not_milliseconds: sent_at: 1772445600000000, which looks like micro",
    ),
    ({"sent_at": 1_772_445_600_000_000_000}, "not_milliseconds: sent_at: 17724456000"),
    ({"sent_at": 1_772_445_600_000.5}, "wrong_type: sent_at: float; allowed: an int, Unix milli"),
    ({"sent_at": float("nan")}, "not_milliseconds: sent_at: a number far out of range"),
    ({"sent_at": -1}, "not_milliseconds: sent_at: -1"),
    ({"sent_at": 10**5000}, "not_milliseconds: sent_at: a number far out of range"),
    ({"sent_at": datetime(2026, 3, 2, tzinfo=UTC)}, "wrong_type: sent_at: datetime; allowed"),
    ({"sent_at": None}, "wrong_type: sent_at: NoneType"),
    ({"sent_at": "1772445600000"}, "wrong_type: sent_at: str"),
    ({"sent_at": True}, "wrong_type: sent_at: bool"),
    ({"received_at": 1_772_445_600}, "not_milliseconds: received_at: 1772445600"),
    ({"received_at": "now"}, "wrong_type: received_at: str"),
    ({"message_id": 7}, "wrong_type: message_id: int; allowed: a str"),
    ({"message_id": b"m"}, "wrong_type: message_id: bytes"),
    ({"message_id": "\ud800"}, "wrong_value: message_id: half of a surrogate pair"),
    ({"channel_id": None}, "wrong_type: channel_id: NoneType"),
    ({"envelope_id": 1}, "wrong_type: envelope_id: int"),
    ({"message_type": ["text"]}, "wrong_type: message_type: list"),
    ({"topics": "general"}, "wrong_type: topics: str; allowed: bytes"),
    ({"message_size": 1.5}, "wrong_type: message_size: float"),
    ({"message_size": -1}, "wrong_value: message_size: out of range; allowed: 0 to 4294967295"),
    ({"via": "live"}, "wrong_type: via: str; allowed: a Via"),
    ({"via": 9}, "wrong_value: via: an unknown number; allowed: Via: NOT_SAID, LIVE, HISTORY"),
    ({"sent_at_clock": None}, "wrong_type: sent_at_clock: NoneType"),
]


@pytest.mark.parametrize("is_blinded", [False, True])
def test_what_is_said_wrongly_is_set_aside_with_the_fields_name(
    settings: Settings, is_blinded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings.blind_ids = is_blinded
    with push_server() as server, running_client(settings, server.address) as client:
        for changed, _ in WRONG:
            said: dict[str, Any] = {
                "message_id": "m",
                "channel_id": "c",
                "sent_at": later(),
            } | changed
            for _ in range(3):
                client.message_received(**said)
        receive(client, "right", later())
        receive(client, "of-numpy", numpy.int64(later()))  # type: ignore[arg-type]
        eventually(lambda: settings.status().acknowledged == 2)
        assert len(server.message_ids) == 2
    status = settings.status()
    assert status.set_aside == 3 * len(WRONG)
    assert sum(status.faults.values()) == status.set_aside
    samples = reversed(shown(settings, limit=1000)["samples"])
    reasons = [one["reason"] for one in samples if one["state"] == "set_aside"]
    for reason, (_, told) in zip(reasons[::3], WRONG, strict=True):
        assert reason.startswith(told)
    assert shown(settings)["faults"] == status.faults
    # One line for each kind and field, however often it happens.
    lines = [record.message for record in caplog.records if "set aside" in record.message]
    assert len(lines) == len(status.faults)
    assert any("wrong_type: sent_at" in line for line in lines)


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        (1_772_445_600, "not_milliseconds: at"),
        (1_772_445_600.25, "not_milliseconds: at"),
        (datetime(2026, 3, 2, tzinfo=UTC), "wrong_type: at"),
        (True, "wrong_type: at"),
    ],
)
def test_a_membership_with_a_wrong_time_is_counted(
    settings: Settings, at: Any, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running_client(settings, NOBODY) as client:
        client.channel_joined("c", at=at)
        client.channel_left("c", at=at)
        eventually(lambda: settings.status().faults == {fault: 2})
        assert shown(settings)["memberships"] == []
    assert sum(fault in record.message for record in caplog.records) == 1


def test_a_channel_is_no_list_of_its_letters(settings: Settings) -> None:
    with running_client(settings, NOBODY) as client:
        client.channels_are("general")
        client.channels_are(None)  # type: ignore[arg-type]
        eventually(lambda: settings.status().faults == {"wrong_type: channel_ids": 2})
        assert shown(settings)["memberships"] == []


def test_what_lies_before_the_opt_in_is_counted(settings: Settings) -> None:
    assert settings.opted_in_at is not None
    opted_in_at = round(settings.opted_in_at.timestamp() * 1000)
    with running_client(settings, NOBODY) as client:
        receive(client, "m1", opted_in_at - 1)
        receive(client, "m2", opted_in_at - 86_400_000)
        receive(client, "m3", opted_in_at)
        eventually(lambda: settings.status().before_opt_in == 2)
        eventually(lambda: settings.status().waiting == 1)
    assert settings.status().faults == {}
    settings.disable()
    assert settings.status().before_opt_in == 0


def test_what_an_event_loop_closes_does_not_hold_it_up(settings: Settings) -> None:
    released = threading.Event()

    def late(
        request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        released.wait(60)
        return accept(request, context)

    async def close_and_go_on() -> None:
        with push_server() as server:
            server.answer = late
            client = TelemetryClient(settings, server.address, timing=QUICK)
            client.start()
            receive(client, "m1", later())
            closing = asyncio.create_task(client.aclose(30.0))
            while not server.pushed:
                await asyncio.sleep(0.01)
            assert not closing.done()  # the server does not answer, and the loop goes on
            released.set()
            await closing

    asyncio.run(close_and_go_on())


LONG = "x" * 510 + "é€"


def test_ids_that_are_too_long_are_shortened_alike(tmp_path: Path, settings: Settings) -> None:
    other = Settings(tmp_path / "other.db")
    other.enable()
    with push_server() as server:
        for one in (settings, other):
            with running_client(one, server.address) as client:
                client.message_received(
                    message_id=LONG, channel_id=LONG, envelope_id=LONG, sent_at=later()
                )
                client.message_received(message_id="y" * 512, channel_id="c", sent_at=later())
                client.channel_joined(LONG)
                eventually(lambda one=one: one.status().acknowledged == 2)  # type: ignore[misc]
        shortened = "blake2b-256:" + blake2b(LONG.encode(), digest_size=32).hexdigest()
        for request in server.pushed:
            long, fits = request.samples
            assert {long.message_id, long.channel_id, long.envelope_id} == {shortened}
            assert fits.message_id == "y" * 512
            assert request.memberships[0].channel_id == shortened


def test_a_relative_path_is_of_the_directory_it_was_said_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = Settings("node.db")
    settings.enable()
    os.chdir(tmp_path / "elsewhere")
    settings.disable()
    assert not Settings(tmp_path / "node.db").telemetry_enabled
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("path", [":memory:", "", "file:node.db?mode=memory"])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(BadSetting, match="path"):
        Settings(path)


def test_a_file_system_without_wal_is_said_to_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect: Any = sqlite3.connect

    def connect_without_wal(path: Path, **options: Any) -> Any:
        # SQLite's locking without shared memory, as on many network disks.
        return connect(f"{path.as_uri()}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_without_wal)
    with pytest.raises(Unwritable, match=r"node\.db: .*WAL.*allowed: a local disk"):
        Settings(tmp_path / "node.db")


def test_each_account_has_an_identity_and_an_outbox_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    accounts = {name: Settings(path, account=name) for name in ("ann@example", "ben@example")}
    with push_server() as server:
        for name, settings in accounts.items():
            settings.enable()
            client = TelemetryClient(
                settings, server.address, receiver_public_key=name, timing=QUICK
            )
            client.start()
            receive(client, f"of-{name}", later())
            eventually(lambda settings=settings: settings.status().acknowledged == 1)  # type: ignore[misc]
            client.close()
        keys = {request.reporter.receiver_public_key for request in server.pushed}
        installations = {request.reporter.installation_id for request in server.pushed}
        assert len(keys) == len(installations) == 2
    accounts["ann@example"].disable()
    assert Settings(path, account="ben@example").telemetry_enabled
    assert not Settings(path, account="ann@example").telemetry_enabled
    assert not any("example" in file.name for file in tmp_path.iterdir())


def test_a_second_key_in_one_file_is_refused(settings: Settings) -> None:
    with push_server() as server:
        with running_client(settings, server.address):
            with pytest.raises(BadSetting, match="account"):
                TelemetryClient(settings, server.address, receiver_public_key="0x04bb")
            eventually(lambda: shown(settings)["reporter"])
        # The same after the first client has ended.
        with pytest.raises(BadSetting, match="account"):
            TelemetryClient(settings, server.address, receiver_public_key="0x04bb")
        settings.send_real_key = True
        TelemetryClient(settings, server.address, receiver_public_key="0x04aa")
        settings.disable()
        settings.enable()
        TelemetryClient(settings, server.address, receiver_public_key="0x04bb")


def test_a_second_key_is_seen_before_anyone_opts_in(tmp_path: Path) -> None:
    first = TelemetryClient(Settings(tmp_path / "node.db"), NOBODY, receiver_public_key="0x04aa")
    second = Settings(tmp_path / "node.db")
    with pytest.raises(BadSetting, match="account"):
        TelemetryClient(second, NOBODY, receiver_public_key="0x04bb")
    first.close()
    TelemetryClient(second, NOBODY, receiver_public_key="0x04bb")


def test_a_second_key_of_another_process_reports_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.disable()
    with push_server() as server, running_client(settings, server.address) as first:
        monkeypatch.setattr("devtelemetry.client.client._OPEN", set())  # as in another process
        second = TelemetryClient(
            settings, server.address, receiver_public_key="0x04bb", timing=QUICK
        )
        settings.enable()
        receive(first, "m1", later())
        eventually(lambda: settings.status().acknowledged == 1)
        second.start()
        receive(second, "of-the-second", later())
        eventually(lambda: any("account" in record.message for record in caplog.records))
        second.close()
        receive(first, "m2", later())
        eventually(lambda: settings.status().acknowledged == 2)
        assert server.message_ids == ["m1", "m2"]
