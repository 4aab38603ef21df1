"""The example messenger, run as people run it: three at terminals, a real broker, a real server.

Two independent sources show what each of them holds: the lines that it printed, and a subscriber of
the broker that knows the id and the time of every message.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from paho.mqtt import publish
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from devtelemetry.client import Settings
from support.broker import mqtt_broker
from support.server import ServerProcess, exported_samples

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "examples" / "messenger.py"
SECONDS = 60.0


class Receipt(NamedTuple):
    """A receipt, with the fields of the export."""

    channel: str
    message_id: str
    sent_at: int
    sent_by_receiver: bool


class Witness:
    """A subscriber that sees all messages at the broker."""

    def __init__(self, broker: str) -> None:
        host, _, port = broker.rpartition(":")
        self._came = threading.Condition()
        self._is_there = threading.Event()
        self._seen: dict[str, tuple[str, str, int]] = {}  # line → channel, id, sentAt
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _, __, message: self._see(message)
        self.client.on_subscribe = lambda *_: self._is_there.set()
        self.client.connect(host, int(port))
        self.client.loop_start()
        self.client.subscribe("messenger/#", qos=1)
        assert self._is_there.wait(SECONDS)

    def _see(self, message: MQTTMessage) -> None:
        said = json.loads(message.payload)
        channel = message.topic.removeprefix("messenger/")
        with self._came:
            line = f"[{channel}] {said['from']}: {said['text']}"
            self._seen[line] = (channel, said["id"], said["at"])
            self._came.notify_all()

    def receipt(self, line: str, reader: str) -> Receipt:
        with self._came:
            assert self._came.wait_for(lambda: line in self._seen, SECONDS), line
            channel, message_id, sent_at = self._seen[line]
        return Receipt(channel, message_id, sent_at, f"] {reader}: " in line)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Messenger:
    """The messenger of one person at a terminal."""

    def __init__(self, name: str, directory: Path, broker: str, server: str) -> None:
        self.name = name
        self.settings_path = directory / f"{name}.db"
        self.lines: list[str] = []
        self._printed = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM, name, f"--broker={broker}", f"--telemetry={server}"],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._printed:
                self.lines.append(line.rstrip("\n"))
                self._printed.notify_all()

    def type(self, *lines: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{line}\n" for line in lines)
        self._process.stdin.flush()

    def wait_for(self, line: str) -> None:
        with self._printed:
            is_there = self._printed.wait_for(lambda: line in self.lines, SECONDS)
            assert is_there, f"{self.name} printed {self.lines}, and not {line!r}"

    def do(self, command: str, printed: str) -> None:
        self.type(command)
        self.wait_for(printed)

    def quit(self) -> None:
        """Ends it properly: waiting samples are sent first."""
        self.type("/quit")
        assert self._process.wait(SECONDS) == 0
        self._reader.join(SECONDS)

    def held(self, witness: Witness) -> frozenset[Receipt]:
        """The messages that it printed, each once."""
        lines = [line for line in self.lines if line.startswith("[")]
        assert len(set(lines)) == len(lines)
        return frozenset(witness.receipt(line, self.name) for line in lines)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    with mqtt_broker(tmp_path) as address:
        yield address


@pytest.fixture
def witness(broker: str) -> Iterator[Witness]:
    seen = Witness(broker)
    yield seen
    seen.close()


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


Sit = Callable[[str], Messenger]


@pytest.fixture
def sit(tmp_path: Path, broker: str, server: ServerProcess) -> Iterator[Sit]:
    """Yields a function that starts a messenger for a person."""
    sitting: list[Messenger] = []

    def take_a_seat(name: str) -> Messenger:
        sitting.append(Messenger(name, tmp_path, broker, server.grpc))
        return sitting[-1]

    yield take_a_seat
    for messenger in sitting:
        messenger.kill()


def exported(server: ServerProcess) -> list[frozenset[Receipt]]:
    """The receipts that the server stored, by receiver."""
    of_receiver: dict[str, set[Receipt]] = {}
    for said in exported_samples(server):
        of_receiver.setdefault(said["receiverPublicKey"], set()).add(
            Receipt(
                said["channelId"],
                said["messageId"],
                said["sentAt"],
                said.get("sentByReceiver", False),
            )
        )
    return [frozenset(receipts) for receipts in of_receiver.values()]


def requests(server: ServerProcess) -> list[str]:
    """The series that count gRPC requests; empty if nobody ever sent one."""
    with urllib.request.urlopen(f"http://{server.http}/metrics") as response:
        text: str = response.read().decode()
    return [
        line
        for line in text.splitlines()
        if line.startswith('devtelemetry_requests_total{interface="grpc"')
    ]


def say_and_read(author: Messenger, channel: str, text: str, *readers: Messenger) -> None:
    author.type(text)
    for reader in (author, *readers):
        reader.wait_for(f"[{channel}] {author.name}: {text}")


def test_the_server_has_exactly_what_opted_in_messengers_hold(
    sit: Sit, server: ServerProcess, witness: Witness
) -> None:
    ann, ben, cleo = sit("ann"), sit("ben"), sit("cleo")
    for messenger in (ann, ben, cleo):
        messenger.do("/telemetry on", "telemetry is on")
        messenger.do("/join general", "you are in: general")
    say_and_read(ann, "general", "hello", ben, cleo)
    say_and_read(ben, "general", "hi", ann, cleo)
    for messenger in (ann, ben):
        messenger.do("/join random", "you are in: general, random")
    say_and_read(ben, "random", "only for ann", ann)
    say_and_read(cleo, "general", "still here", ann, ben)
    ben.do("/leave general", "you are in: random")
    say_and_read(cleo, "general", "ben does not read this", ann)
    for messenger in (ann, ben, cleo):
        messenger.quit()

    held = [messenger.held(witness) for messenger in (ann, ben, cleo)]
    assert [len(receipts) for receipts in held] == [5, 4, 4]
    assert sum(receipt.sent_by_receiver for receipts in held for receipt in receipts) == 5
    assert sorted(map(sorted, exported(server))) == sorted(map(sorted, held))


def test_nothing_is_sent_while_off_and_nothing_of_then_afterwards(
    sit: Sit, server: ServerProcess, witness: Witness
) -> None:
    ann, ben, cleo = sit("ann"), sit("ben"), sit("cleo")
    for messenger in (ann, ben, cleo):
        messenger.do("/join general", "you are in: general")
    say_and_read(ann, "general", "before", ben, cleo)
    for messenger in (ann, ben, cleo):
        messenger.quit()
    assert requests(server) == []

    ann, ben, cleo = sit("ann"), sit("ben"), sit("cleo")
    for messenger in (ann, ben):
        messenger.do("/telemetry on", "telemetry is on")
    for messenger in (ann, ben, cleo):
        messenger.do("/join general", "you are in: general")
    say_and_read(cleo, "general", "one", ann, ben)
    say_and_read(ann, "general", "two", ben, cleo)
    for messenger in (ann, ben, cleo):
        messenger.quit()
    held = [messenger.held(witness) for messenger in (ann, ben)]
    assert [len(receipts) for receipts in held] == [2, 2]
    assert sorted(map(sorted, exported(server))) == sorted(map(sorted, held))


def test_who_opts_out_is_forgotten_by_the_server_and_nobody_else_is(
    sit: Sit, server: ServerProcess, witness: Witness
) -> None:
    ann, ben = sit("ann"), sit("ben")
    for messenger in (ann, ben):
        messenger.do("/telemetry on", "telemetry is on")
        messenger.do("/join general", "you are in: general")
    say_and_read(ann, "general", "hello", ben)
    for messenger in (ann, ben):
        messenger.quit()
    assert len(exported(server)) == 2
    ann_held = ann.held(witness)

    ben = sit("ben")  # opt-in and opt-out both outlive the process
    ben.do("/telemetry off", "telemetry is off")
    settings = Settings(ben.settings_path)
    deadline = time.monotonic() + SECONDS
    while settings.status().leaving:
        assert time.monotonic() < deadline, settings.status()
        time.sleep(0.05)
    assert exported(server) == [ann_held]


def test_what_others_write_cannot_steer_the_terminal_nor_end_the_messenger(
    sit: Sit, broker: str
) -> None:
    ann = sit("ann")
    ann.do("/telemetry on", "telemetry is on")
    ann.do("/join general", "you are in: general")
    payloads = [b"no JSON", b"[]", b"{}", b'{"id": [], "at": 1, "from": "x", "text": ""}']
    hostile = {"id": "1", "at": 2**70, "from": "mallory", "text": "\x1b[2J\x9b2Jclear"}
    payloads.append(json.dumps(hostile).encode())
    host, _, port = broker.rpartition(":")
    topic = "messenger/general"
    publish.multiple([(topic, payload, 1, False) for payload in payloads], host, int(port))
    ann.wait_for("[general] mallory: �[2J�2Jclear")
    ann.quit()


def test_the_example_is_short_enough_to_be_read() -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) < 150
