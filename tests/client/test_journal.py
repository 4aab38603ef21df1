"""A sample in the journal outlives its process, and is moved once, whenever the process dies."""

import contextlib
import errno
import itertools
import random
import socket
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtelemetry.client import Limits, Settings, TelemetryClient, journal, shown
from devtelemetry.client.journal import HALF_BYTES, Journal, wipe_all
from devtelemetry.client.lost import Loss, Span
from devtelemetry.client.outbox import Outbox
from devtelemetry.client.record import pack_message, unpack
from devtelemetry.client.recorder import Recorder
from devtelemetry.client.storage import transaction
from devtelemetry.client.values import Outcome, Recorded, SentAtClock, Via
from devtelemetry.client.wake import Alarm, ring_all
from support.clients import QUICK, Clock, eventually, receive, running_client, wall_clock
from support.push_server import push_server

START = Clock().now_ms
NOBODY = "127.0.0.1:1"


def record(sent_at: int = START, message_id: str = "m") -> bytes:
    return pack_message(*said(sent_at, message_id))


def said(sent_at: int = START, message_id: str = "m") -> Recorded:
    return Recorded(
        *(1, START, message_id, "c", sent_at, b"\0t", "é", False, START, "", 0),
        *(Outcome.HELD, "", Via.NOT_SAID, SentAtClock.AUTHOR, "1.0"),
    )


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal.first_free(tmp_path)) as journal:
        journal.open()
        yield journal


def left_after_a_kill(journal: Journal) -> list[list[bytes]]:
    """What another process would find in the file now, by turn."""
    return [half.records for half in journal.left()]


def test_a_record_is_what_was_said() -> None:
    assert unpack(record()) == said()


def test_what_is_written_is_there_until_it_is_settled(opened: Journal) -> None:
    records = [record(START + number) for number in range(4)]
    assert all(opened.append(one) for one in records[:2])
    first = opened.turn()
    assert opened.append(records[2])
    assert left_after_a_kill(opened) == [records[:2], records[2:3]]
    opened.settle(first)
    assert left_after_a_kill(opened) == [records[2:3]]
    opened.settle(opened.turn())
    assert opened.append(records[3])
    assert left_after_a_kill(opened) == [records[3:]]
    content = opened.path.read_bytes()
    assert content.count(b"\0t") == 1, "what was moved is not in the file"


def test_a_half_takes_what_fits_and_no_more(opened: Journal) -> None:
    large = record(message_id="x" * 60_000)
    taken = sum(opened.append(large) for _ in range(30))
    assert taken == HALF_BYTES // len(large)
    assert left_after_a_kill(opened) == [[large] * taken]


def test_what_an_earlier_filling_left_is_no_record(opened: Journal) -> None:
    stale = [record(message_id=f"stale{number}") for number in range(3)]
    for one in stale:
        opened.append(one)
    content = opened.path.read_bytes()
    opened.settle(opened.turn())
    opened.settle(opened.turn())  # the same half again
    fresh = record(message_id="fresh0")
    assert opened.append(fresh)
    # After a loss of power, some of the wiped bytes are still on the disk, after the new record.
    with opened.path.open("r+b") as file:
        file.seek(64 + 8 + len(fresh))
        file.write(content[64 + 8 + len(fresh) : HALF_BYTES])
    assert left_after_a_kill(opened) == [[fresh]]


def test_a_torn_record_is_none_and_costs_no_other(opened: Journal) -> None:
    dice = random.Random(5)
    records = [record(message_id=f"m{number}") for number in range(20)]
    for one in records:
        opened.append(one)
    whole = opened.path.read_bytes()
    for _ in range(200):
        at = dice.randrange(64, 64 + sum(8 + len(one) for one in records))
        with opened.path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([whole[at] ^ dice.randrange(1, 256)]))
        (found,) = left_after_a_kill(opened)
        assert set(found) < set(records)
        with opened.path.open("r+b") as file:
            file.seek(at)
            file.write(whole[at : at + 1])


def test_the_owner_alone_can_read_it(opened: Journal) -> None:
    assert stat.S_IMODE(opened.path.stat().st_mode) == 0o600


def test_each_client_has_a_slot_of_its_own_and_what_one_left_stays(opened: Journal) -> None:
    directory = opened.path.parent
    with contextlib.closing(Journal.first_free(directory)) as second:
        assert (opened.slot, second.slot) == (0, 1)
        assert Journal.take(directory, 0) is None
        second.open()
        second.append(record())
    # The second ended and left its file, so the next one takes another slot.
    with contextlib.closing(Journal.first_free(directory)) as third:
        assert third.slot == 2
    found = Journal.take(directory, 1)
    assert found is not None
    with contextlib.closing(found):
        assert left_after_a_kill(found) == [[record()]]


def test_an_opt_out_wipes_it_though_its_client_runs(opened: Journal) -> None:
    opened.append(record(message_id="a-secret"))
    opened.count_beyond(1, START)
    wipe_all(opened.path.parent)
    content = opened.path.read_bytes()
    assert b"a-secret" not in content
    assert START.to_bytes(8, "little") not in content
    # The client goes on under the next opt-in.
    opened.append(record(message_id="of-the-next"))
    assert left_after_a_kill(opened) == [[record(message_id="of-the-next")]]


def test_an_opt_out_removes_what_a_killed_client_left(opened: Journal) -> None:
    opened.append(record())
    opened.close()
    wipe_all(opened.path.parent)
    assert not opened.path.exists()


def test_what_memory_had_no_room_for_is_lost_with_its_times(tmp_path: Path) -> None:
    with contextlib.closing(Journal.first_free(tmp_path)) as journal:
        recorder = Recorder(journal, Alarm(tmp_path, 0), capacity=2)
        for number in range(4):
            recorder.take(record(START + number))
        assert recorder.drain() is not None
        recorder.put_back()
        recorder.take(record(START + 4))
        drained = recorder.drain()
        assert drained is not None
        assert drained.lost == {1: Loss(3, Span(START, START + 2))}
        assert list(drained.records) == [record(START + 3)]
        recorder.settled()
        again = recorder.drain()
        assert again is not None
        assert (list(again.records), again.lost) == ([record(START + 4)], {})
        recorder.alarm.close()


def test_what_had_no_room_in_the_journal_is_lost_by_a_kill_alone(
    tmp_path: Path,
) -> None:
    settings = opted_in(tmp_path)
    directory = settings.storage.directory
    with contextlib.closing(Journal.first_free(directory)) as killed:
        recorder = Recorder(killed, Alarm(directory, 0), capacity=10)
        for number in range(7):
            recorder.take(record(START + number, "x" * 250_000))  # four of them fit
        drained = recorder.drain()
        assert drained is not None
        assert (len(drained.records), drained.lost) == (7, {})
        recorder.alarm.close()
        (half,) = [half for half in killed.left() if half.records]
        assert len(half.records) == 4
        assert half.lost == {1: Loss(3, Span(START + 4, START + 6))}


def opted_in(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "node.db", clock=Clock())
    settings.enable()
    return settings


class Killed(BaseException):
    """Ends a step at the point at which SIGKILL would end the process."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("steps", range(1, 14))
def test_killed_at_any_step_of_a_move_each_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """A client is killed at a step of moving its samples, the next one at a step of recovering, and
    so on. The last client is not killed."""
    at = wall_clock() + 1000
    path = tmp_path / "node.db"
    Settings(path).enable()
    count = itertools.count()
    is_deadly = True

    def deadly(of: Any, name: str) -> None:
        real = getattr(of, name)

        def step(*arguments: Any, **named: Any) -> Any:
            if is_deadly and next(count) == steps:
                raise Killed
            result = real(*arguments, **named)
            if is_deadly and next(count) == steps:
                raise Killed
            return result

        monkeypatch.setattr(of, name, step)

    for of, name in (
        *((Outbox, "add"), (Outbox, "end"), (Outbox, "open"), (Journal, "turn")),
        *((Journal, "settle"), (Journal, "left"), (Journal, "remove")),
    ):
        deadly(of, name)
    taken = []
    with push_server() as server:
        for life in range(4):
            if life == 3:
                is_deadly = False
            count = itertools.count()
            client = start_dying(Settings(path), server.address)
            for number in range(5):
                taken.append(f"m{life}-{number}")
                receive(client, taken[-1], at)
            if is_deadly:
                die(client)
        settings = Settings(path)
        eventually(lambda: settings.status().acknowledged == len(taken))
        client.close()
        # A push that was under way is sent again, with the same numbers.
        numbered = set(zip(server.sequences, server.message_ids, strict=True))
        assert sorted(message_id for _, message_id in numbered) == taken
        assert settings.status().dropped == 0


def start_dying(settings: Settings, server: str) -> TelemetryClient:
    """A client whose thread ends at once at Killed, without cleaning up."""
    client = TelemetryClient(settings, server, receiver_public_key="0x04aa", timing=QUICK)
    client.start()
    return client


def die(client: TelemetryClient) -> None:
    """Stops the client's thread where it is, and releases what the process held."""
    sender = client._sender
    assert sender is not None
    sender._end = lambda: None  # type: ignore[method-assign]
    sender._stop_at = 0.0
    sender._alarm.ring()
    sender._thread.join(20)
    assert not sender._thread.is_alive()
    client._sender = client._recorder = None
    sender._on_end()  # the system would close files and release locks


def test_a_loss_of_power_is_told_with_its_times(tmp_path: Path) -> None:
    settings = opted_in(tmp_path)
    clock = settings.clock
    assert isinstance(clock, Clock)
    outbox = Outbox(settings.storage.connect(), Limits(), "1.0")
    outbox.open(1, 0, 0, clock.now_ms)
    with settings.connected() as connection, transaction(connection):
        connection.execute("update telemetry_journal set boot_id = 'an earlier one'")
    clock.now_ms += 86_400_000_000  # longer than any machine runs
    assert outbox.open(1, 0, 0, clock.now_ms) == 1
    (told,) = shown(settings)["lost"]
    assert (told["first_sequence"], told["last_sequence"]) == (1, 1)
    assert told["first_sent_at"] == START
    assert START < told["last_sent_at"] < clock.now_ms
    assert settings.status().dropped == 1
    # It is counted once.
    assert outbox.open(1, 0, 0, clock.now_ms) == 0


def test_an_orderly_end_leaves_no_journal_and_no_gap(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    with running_client(settings, NOBODY) as client:
        receive(client, "m1", wall_clock() + 1000)
        assert not list(settings.storage.directory.glob("*.lock-journal"))
    directory = settings.storage.directory
    assert {file.suffix for file in directory.iterdir()} == {"", ".lock"}
    with settings.connected() as connection, transaction(connection):
        connection.execute(
            "update telemetry_journal set boot_id = 'an earlier one' where boot_id <> ''"
        )
    with running_client(settings, NOBODY) as client:
        receive(client, "m2", wall_clock() + 1000)
        eventually(lambda: settings.status().waiting == 2)
    assert settings.status().dropped == 0


def test_what_cannot_be_stored_at_the_end_is_stored_by_the_next(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    client = TelemetryClient(settings, NOBODY, receiver_public_key="0x04aa", timing=QUICK)
    client.start()
    eventually(lambda: shown(settings)["reporter"])
    with contextlib.closing(sqlite3.connect(settings.storage.path, isolation_level=None)) as other:
        other.execute("begin immediate")  # nothing can be stored
        receive(client, "m1", wall_clock() + 1000)
        client.close(timeout=0.1)
        other.execute("rollback")
    with push_server() as server, running_client(settings, server.address):
        eventually(lambda: settings.status().acknowledged == 1)
        assert server.message_ids == ["m1"]


def test_a_version_is_of_the_app_that_recorded(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    directory = settings.storage.directory
    killed = Journal.first_free(directory)
    killed.open()
    now = wall_clock() + 1000
    killed.append(pack_message(*said(now)._replace(recorded_at=now, received_at=now)))
    killed.close()
    with push_server() as server, running_client(settings, server.address):
        eventually(lambda: settings.status().acknowledged == 1)
        assert [request.reporter.app_version for request in server.pushed] == ["1.0"]
    assert sorted(file.name for file in directory.glob("*.journal")) == []


def test_what_a_killed_client_left_is_stored_by_one_that_runs_beside_it(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "before", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged == 1)
        killed = Journal.first_free(settings.storage.directory)
        killed.open()
        now = wall_clock() + 1000
        of_killed = said(now, "of-the-killed")._replace(recorded_at=now)
        killed.append(pack_message(*of_killed))
        killed.append(b"\xff of a newer version")
        killed.close()
        receive(client, "after", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged == 3)
        assert sorted(server.message_ids) == ["after", "before", "of-the-killed"]
        assert settings.status().dropped == 0


def test_nothing_but_its_word_wakes_a_client(tmp_path: Path) -> None:
    alarm = Alarm(tmp_path, 0)
    port, word = (tmp_path / "0.port").read_text().split()
    assert stat.S_IMODE((tmp_path / "0.port").stat().st_mode) == 0o600
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for wrong in (b"", b"x" * 16, b"x" * 60_000, word.encode(), bytes.fromhex(word) + b"x"):
            other.sendto(wrong, ("127.0.0.1", int(port)))
    assert not alarm._event.wait(0.2)
    ring_all(tmp_path)
    assert alarm._event.wait(20)
    alarm.close()
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_journal_reports_go_out_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, size: int) -> None:
        path.write_bytes(b"a part of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = Settings(tmp_path / "node.db")
    settings.enable()
    monkeypatch.setattr(journal, "mapped", full)
    with push_server() as server, running_client(settings, server.address) as client:
        receive(client, "m1", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged == 1)
        assert not list(settings.storage.directory.glob("*.journal"))
    assert any("No space left" in record.message for record in caplog.records)
