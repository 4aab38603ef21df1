"""Runs a world: starts the processes of its nodes, kills those that crash, counts.

Most nodes share a few processes. A node whose app crashes has a process to itself. SIGKILL ends it
at that moment. So the client library cannot clean up, and no other node is hit.
"""

import math
import multiprocessing
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.simulator.node import (
    Account,
    Failed,
    Finished,
    Progress,
    ReadyToCrash,
    Said,
    Target,
    work,
)
from devtelemetry.simulator.spec import Action, Node, Operation, World

CONNECT_SECONDS = 10.0
NODES_A_PROCESS = 60  # a node has a dozen open files, and many systems allow 1,024 a process
LEAST_PROCESSES = 2
_LOOK_SECONDS = 0.25  # between two looks at `stop`
_spawn = multiprocessing.get_context("spawn")  # a fork would share the threads of gRPC


class SimulationError(DevTelemetryError):
    """The world could not be run against the server; the text says why."""


def run_world(
    world: World,
    target: Target,
    *,
    is_live: bool,
    on_progress: Callable[[int], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> list[Account]:
    """Does all operations of `world` against a server; returns the clients' accounts, by node.

    is_live      does each operation at its time, which must be in the future; else as fast as
                 possible, with the clients' clocks in the world's time
    on_progress  called with the number of operations done
    stop         if another thread sets it, the run ends at once, with the accounts so far

    Raises SimulationError.
    """
    check_reachable(target.server)
    with TemporaryDirectory(prefix="devtelemetry-nodes-") as directory:
        hosts = [
            _Host(nodes, operations, target, Path(directory), is_live)
            for nodes, operations in _share_out(world)
        ]
        try:
            for host in hosts:
                host.start()
            while not all(host.is_done for host in hosts):
                if stop is not None and stop.is_set():
                    break
                running = {host.connection: host for host in hosts if not host.is_done}
                for connection in wait(list(running), _LOOK_SECONDS):
                    assert isinstance(connection, Connection)
                    running[connection].listen()
                on_progress(sum(host.done for host in hosts))
        finally:
            for host in hosts:
                host.kill()
        return sorted(account for host in hosts for account in host.accounts)


def check_reachable(server: str) -> None:
    """Reports a wrong address at once; else each client would, after its last attempt."""
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise SimulationError(
            f"{server} cannot be reached: {error.strerror or error}; start a server, or name "
            "another one with --target HOST:PORT"
        ) from error


def _share_out(world: World) -> Iterator[tuple[list[Node], list[Operation]]]:
    """The nodes of each process, and their operations."""
    crashing = {
        operation.node for operation in world.operations if operation.action is Action.CRASH
    }
    steady = [node for node in world.nodes if node.number not in crashing]
    processes = max(LEAST_PROCESSES, math.ceil(len(steady) / NODES_A_PROCESS))
    groups = [steady[first::processes] for first in range(processes)]
    groups += [[node] for node in world.nodes if node.number in crashing]
    group_of = {node.number: position for position, group in enumerate(groups) for node in group}
    shares: defaultdict[int, list[Operation]] = defaultdict(list)
    for operation in world.operations:
        shares[group_of[operation.node]].append(operation)
    for position, group in enumerate(groups):
        if group:
            yield group, shares[position]


def _split_at_crashes(operations: Sequence[Operation]) -> list[list[Operation]]:
    """The operations of each process in turn: each list but the last ends in a crash."""
    lives: list[list[Operation]] = [[]]
    for operation in operations:
        lives[-1].append(operation)
        if operation.action is Action.CRASH:
            lives.append([])
    return lives


class _Host:
    """The process of some nodes. When it is killed, the next one takes its place."""

    def __init__(
        self,
        nodes: Sequence[Node],
        operations: Sequence[Operation],
        target: Target,
        directory: Path,
        is_live: bool,
    ) -> None:
        self._nodes = nodes
        self._lives = _split_at_crashes(operations)
        self._target = target
        self._directory = directory
        self._is_live = is_live
        self._process: BaseProcess | None = None
        self._done_before = 0  # operations of earlier processes
        self.done = 0
        self.is_done = False
        self.accounts: Sequence[Account] = ()

    def start(self) -> None:
        operations = self._lives.pop(0)
        self.connection, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=work,
            args=(
                theirs,
                self._nodes,
                operations,
                self._target,
                self._directory,
                self._is_live,
            ),
            name="simulated-nodes",
            daemon=True,
        )
        self._process.start()
        theirs.close()  # else the pipe would stay open when the process ends
        self._operations = len(operations)

    def listen(self) -> None:
        """Takes the next message of the process. Raises SimulationError."""
        assert self._process is not None
        try:
            said: Said = self.connection.recv()
        except EOFError:
            self._process.join()
            raise SimulationError(
                f"a process of nodes ended by itself, with status {self._process.exitcode}"
            ) from None
        match said:
            case Progress(done):
                self.done = self._done_before + done
            case ReadyToCrash():
                self.kill()
                self._done_before += self._operations
                self.done = self._done_before
                self.start()
            case Finished(accounts):
                self.accounts = accounts
                self.is_done = True
                self._process.join()
            case Failed(why):
                raise SimulationError(why)

    def kill(self) -> None:
        """Sends SIGKILL, if a process runs."""
        if self._process is None:
            return
        self._process.kill()
        self._process.join()
        self.connection.close()
