"""What the modules share: their state outlives the process, and an opt-out deletes it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from devtelemetry.client import Settings
from devtelemetry.integrations.core import SENT_IDS, Core, guarded
from support.clients import eventually
from support.told import Call, Told

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


def core_of(path: Path) -> Core:
    return Core(Told(Settings(path), NOWHERE))


def remembered(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        if ("telemetry_remembered",) not in connection.execute("select name from sqlite_master"):
            return []
        rows = connection.execute("select channel_id, message_id from telemetry_remembered")
        return sorted(rows.fetchall())


def test_what_was_sent_and_joined_is_known_to_the_next_process(path: Path) -> None:
    Settings(path).enable()
    before = core_of(path)
    before.joined("c1")
    before.joined("c2")
    before.wrote("c1", "m1", 1_700_000_000_000)
    before.left("c2")
    eventually(lambda: remembered(path) == [("c1", ""), ("c1", "m1")])

    after = core_of(path)
    assert after.written_at("c1", "m1") == 1_700_000_000_000
    assert after.written_at("c2", "m1") is None
    after.connected()
    assert [(call.name, call.channel) for call in told(after)] == [("channels_are", ["c1"])]


def told(core: Core) -> list[Call]:
    assert isinstance(core.client, Told)
    return core.client.taken()


def test_while_off_nothing_is_stored_and_an_opt_out_wipes_what_was(path: Path) -> None:
    settings = Settings(path)
    core = core_of(path)
    core.joined("c1")
    core.wrote("c1", "m1", 1)
    core.close()
    with sqlite3.connect(path) as connection:
        tables = connection.execute("select name from sqlite_master").fetchall()
    assert ("telemetry_remembered",) not in tables

    settings.enable()
    core = core_of(path)
    core.joined("c1")
    core.wrote("c1", "m2", 1)
    eventually(lambda: len(remembered(path)) == 2)
    settings.disable()
    assert remembered(path) == []
    core.wrote("c1", "m3", 1)
    core.close()
    assert core_of(path).written_at("c1", "m2") is None


def test_who_opts_in_is_in_the_channels_of_before_since_the_opt_in(path: Path) -> None:
    settings = Settings(path)
    core = core_of(path)
    core.joined("c1")
    told(core)
    before = core.now()
    settings.enable()
    assert core.is_new("c1", "m1")
    (call,) = told(core)
    assert (call.name, call.channel) == ("channel_joined", "c1")
    assert call.fields["at"] < before
    assert settings.status().faults == {}
    eventually(lambda: remembered(path) == [("c1", "")])
    assert not core.is_new("c1", "m1")
    assert told(core) == []


def test_an_app_that_has_the_whole_list_says_it(path: Path) -> None:
    Settings(path).enable()
    core = core_of(path)
    core.joined("c1")
    core.joined("c2")
    assert len(told(core)) == 2
    core.joined("c1")
    assert told(core) == []
    core.connected(["c2", "c3"])
    assert [(call.name, call.channel) for call in told(core)] == [("channels_are", ["c2", "c3"])]
    eventually(lambda: remembered(path) == [("c2", ""), ("c3", "")])


def test_memory_and_file_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devtelemetry.integrations.core.SENT_IDS", 3)
    Settings(path).enable()
    core = core_of(path)
    core.joined("c1")
    for number in range(10):
        core.wrote("c1", f"m{number}", 1)
    assert core.written_at("c1", "m6") is None
    assert core.written_at("c1", "m7") == 1
    eventually(lambda: remembered(path) == [("c1", ""), ("c1", "m7"), ("c1", "m8"), ("c1", "m9")])
    assert SENT_IDS == 10_000


def test_a_file_that_cannot_be_written_holds_nobody_up(path: Path, tmp_path: Path) -> None:
    Settings(path).enable()
    core = core_of(path)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("begin immediate")
        core.wrote("c1", "m1", 1)
        assert core.written_at("c1", "m1") == 1
        connection.execute("rollback")
    eventually(lambda: remembered(path) == [("c1", "m1")])


def test_a_failure_is_logged_and_does_not_reach_the_messenger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail: Callable[[int], None] = guarded(lambda number: 1 // number)
    fail(0)
    (record,) = caplog.records
    assert record.name == "devtelemetry.integrations"
    assert "ZeroDivisionError" in caplog.text
