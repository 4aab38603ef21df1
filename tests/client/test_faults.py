"""Real processes are killed, cables are cut, disks are full.

In all tests, each sample is on the server exactly once or, if there was no room for it, counted as
dropped.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtelemetry.client import Limits, Problem, Settings, shown
from support.cable import Cable
from support.ci import missing_part
from support.clients import QUICK, eventually, receive, running_client, wall_clock
from support.ports import free_port
from support.server import ServerProcess, exported_samples

pytestmark = pytest.mark.slow

NODE = Path(__file__).parents[1] / "support" / "node.py"
DAY_MS = 86_400_000


class Node:
    """tests/support/node.py as a process. begun, done: message numbers in its log."""

    def __init__(self, settings: Path, server: str, name: str, log: Path) -> None:
        self._arguments = (settings, server, name)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, rate: float, count: int | None = None, **environment: str) -> None:
        settings, server, name = self._arguments
        self._process = subprocess.Popen(
            [
                *(sys.executable, NODE, settings, server, name),
                *(str(len(self.begun)), str(rate), self._log),
                *([] if count is None else [str(count)]),
            ],
            env={**os.environ, **environment},
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def wait(self) -> None:
        assert self._process is not None
        assert self._process.wait(timeout=120) == 0

    def _said(self, word: str) -> set[int]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return {int(line.split()[1]) for line in lines if line.startswith(word)}

    @property
    def begun(self) -> set[int]:
        return self._said("begun")

    @property
    def done(self) -> set[int]:
        return self._said("done")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, shared_database_url: str
) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with ServerProcess(data_dir, f"--database={shared_database_url}") as running:
        yield running


def exported(server: ServerProcess, name: str) -> list[int]:
    """The numbers of a node's messages on the server, one for each receipt."""
    ids = [sample["messageId"].rpartition("-") for sample in exported_samples(server)]
    return sorted(int(number) for of, _, number in ids if of == name)


def assert_all_once(node: Node, settings: Settings, stored: list[int]) -> None:
    """A call that the kill interrupted may count or not; every other one counts once."""
    assert len(stored) == len(set(stored))
    assert node.done <= set(stored) <= node.begun
    assert settings.status().dropped == 0


def opted_in(path: Path) -> Settings:
    settings = Settings(path)
    settings.enable()
    return settings


def test_sigkill_of_the_client_at_random_moments(tmp_path: Path, server: ServerProcess) -> None:
    settings = opted_in(tmp_path / "node.db")
    node = Node(tmp_path / "node.db", server.grpc, "killed", tmp_path / "log")
    dice = random.Random(3)
    for _ in range(8):
        before = len(node.done)
        node.start(rate=2000)
        eventually(lambda before=before: len(node.done) > before)  # type: ignore[misc]
        time.sleep(dice.uniform(0.0, 0.3))  # the test needs a random moment
        node.kill()
    node.start(rate=2000, count=100)
    node.wait()
    stored = exported(server, "killed")
    assert len(stored) > 200
    assert_all_once(node, settings, stored)


def test_sigkill_of_the_server_in_the_middle_of_pushes(tmp_path: Path) -> None:
    settings = opted_in(tmp_path / "node.db")
    data_dir = tmp_path / "data"
    address = f"127.0.0.1:{free_port()}"
    with ServerProcess(data_dir, grpc_listen=address) as first:
        node = Node(tmp_path / "node.db", address, "served", tmp_path / "log")
        node.start(rate=500, count=6000)
        eventually(lambda: settings.status().acknowledged > 200)
        first.kill(with_database=True)
    with ServerProcess(data_dir, grpc_listen=address) as second:
        acknowledged = settings.status().acknowledged
        eventually(lambda: settings.status().acknowledged > acknowledged + 200, 60.0)
        second.kill(with_database=False)
    with ServerProcess(data_dir, grpc_listen=address) as third:
        node.wait()
        eventually(lambda: settings.status().waiting == 0)
        stored = exported(third, "served")
    assert settings.status().dropped == 0
    assert stored == sorted(node.begun)


def test_a_network_cut_for_longer_than_the_outbox_holds(
    tmp_path: Path, server: ServerProcess
) -> None:
    settings = opted_in(tmp_path / "node.db")
    limits = Limits(samples=300)
    with (
        Cable(server.grpc) as cable,
        running_client(settings, cable.address, limits=limits) as client,
    ):
        for number in range(100):
            receive(client, f"cut-{number}", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged == 100)
        cable.cut()
        for number in range(100, 1000):
            receive(client, f"cut-{number}", wall_clock() + 1000)
        eventually(lambda: settings.status().dropped == 600)
        cable.mend()
        # Samples under way take room too, so that new ones could be dropped.
        eventually(lambda: settings.status().waiting == 0)
        for number in range(1000, 1100):
            receive(client, f"cut-{number}", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged == 500)
        status = settings.status()
    stored = exported(server, "cut")
    assert len(stored) == len(set(stored)) == status.acknowledged
    assert len(stored) + status.dropped == 1100
    assert set(range(100)) <= set(stored)
    assert set(range(1000, 1100)) <= set(stored)


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size at `path`."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        missing_part(f"no file system of a small size can be mounted: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_a_full_disk_costs_the_oldest_and_says_so(tmp_path: Path, server: ServerProcess) -> None:
    with small_disk(tmp_path / "disk", 4096) as disk:
        settings = opted_in(disk / "node.db")
        limits = Limits(buffered=200)
        with running_client(settings, server.grpc, limits=limits, timing=QUICK) as client:
            for number in range(50):
                receive(client, f"full-{number}", wall_clock() + 1000)
            eventually(lambda: settings.status().acknowledged == 50)
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            for number in range(50, 2000):
                receive(client, f"full-{number}", wall_clock() + 1000)
                if number % 100 == 0:
                    time.sleep(0.02)  # so that the thread finds the disk full more than once
            eventually(lambda: settings.status().problem is Problem.DISK)
            ballast.unlink()
            receive(client, "full-2000", wall_clock() + 1000)
            eventually(lambda: "full-2000" not in waiting_ids(settings) and no_waiting(settings))
        status = settings.status()
        assert status.problem is None
    stored = exported(server, "full")
    assert len(stored) == len(set(stored)) == status.acknowledged
    assert len(stored) + status.dropped == 2001
    assert status.dropped > 1000
    assert set(range(50)) <= set(stored)
    assert 2000 in stored


def waiting_ids(settings: Settings) -> list[str]:
    samples = shown(settings, limit=10_000)["samples"]
    return [s["sample"]["message_id"] for s in samples if s["state"] != "acknowledged"]


def no_waiting(settings: Settings) -> bool:
    status = settings.status()
    return status.waiting == 0 and status.acknowledged + status.dropped == 2001


def test_two_processes_on_one_outbox(tmp_path: Path, server: ServerProcess) -> None:
    settings = opted_in(tmp_path / "node.db")
    nodes = [
        Node(tmp_path / "node.db", server.grpc, f"pair{which}", tmp_path / f"log{which}")
        for which in range(2)
    ]
    for node in nodes:
        node.start(rate=500, count=1500)
    # One process dies. The other goes on, and takes over what the first had under way.
    eventually(lambda: settings.status().acknowledged > 300)
    nodes[0].kill()
    nodes[1].wait()
    nodes[0].start(rate=500, count=100)
    nodes[0].wait()
    eventually(lambda: settings.status().waiting == 0)
    stored = [exported(server, f"pair{which}") for which in range(2)]
    assert stored[1] == list(range(1500))
    assert_all_once(nodes[0], settings, stored[0])


def test_a_clock_that_was_set_back_a_day(tmp_path: Path, server: ServerProcess) -> None:
    settings = opted_in(tmp_path / "node.db")
    node = Node(tmp_path / "node.db", server.grpc, "clock", tmp_path / "log")
    node.start(rate=1000, count=200)
    node.wait()
    node.start(rate=1000, count=200, NODE_CLOCK_SHIFT_MS=str(-DAY_MS))
    node.wait()
    node.start(rate=1000, count=200)
    node.wait()
    assert exported(server, "clock") == list(range(600))
    assert settings.status().dropped == 0


def test_nothing_is_sent_while_off(tmp_path: Path, server: ServerProcess) -> None:
    settings = Settings(tmp_path / "node.db")
    node = Node(tmp_path / "node.db", server.grpc, "off", tmp_path / "log")
    node.start(rate=1000, count=300)
    node.wait()
    assert len(node.done) == 300
    assert exported(server, "off") == []
    settings.enable()
    node.start(rate=1000, count=100)
    node.wait()
    assert exported(server, "off") == list(range(300, 400))
    # An opt-out has all of it deleted.
    settings.disable()
    node.start(rate=1000, count=100)
    node.wait()
    assert settings.status().leaving == 0
    assert exported(server, "off") == []
