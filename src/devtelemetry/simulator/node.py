"""Some nodes of a world in a process, each with a real client library and its own settings file.

The process gets its nodes and their operations, and reports progress to its parent. It knows only
what an app knows, which messages it gets and writes, and nothing of the truth.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, TypedDict

from devtelemetry.client import (
    Limits,
    Problem,
    SentAtClock,
    Settings,
    TelemetryClient,
    Timing,
    Via,
)
from devtelemetry.runtime.clock import now_ms
from devtelemetry.simulator.spec import (
    SMALL_OUTBOX,
    Action,
    Message,
    Node,
    Operation,
    said_sent_at,
)

DRAIN_SECONDS = 60.0  # in which a client sends what it has before its app is closed
_TELL_SECONDS = 0.25
_STORED_SECONDS = 30.0
_AGAIN_SECONDS = 0.5

# An hour passes in seconds. The client's own intervals must fit into that, and its outbox must not
# overflow with samples that would have been sent long ago.
_COMPRESSED = Timing(batch=1.0, heartbeat=86_400.0, flush=0.25, first_retry=0.1, longest_retry=5.0)
_AMPLE = Limits(samples=10_000_000, size_bytes=2**34, buffered=10_000_000)

# So short that seconds after its end a minute is complete, and everyone is seen to report.
_LIVE = Timing(batch=2.0, heartbeat=5.0, first_retry=0.5, longest_retry=10.0)


class NotSent(Exception):
    """A client could not send what it had; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server.

    token   `dt_…`, if it asks for one
    tls_ca  PEM with the authorities to trust; None: the client's default
    """

    server: str
    token: str | None = None
    tls_ca: Path | None = None


class Account(NamedTuple):
    """What became of a node's samples, by its client's last status."""

    node: int
    acknowledged: int
    dropped: int
    left: int  # not sent, or refused
    problem: str  # why; empty: none


class Progress(NamedTuple):
    """How many operations of this process are done."""

    done: int


class ReadyToCrash(NamedTuple):
    """The next thing that happens to this process is SIGKILL."""


class Finished(NamedTuple):
    accounts: Sequence[Account]


class Failed(NamedTuple):
    why: str


Said = Progress | ReadyToCrash | Finished | Failed


def work(
    parent: Connection,
    nodes: Sequence[Node],
    operations: Sequence[Operation],
    target: Target,
    directory: Path,
    is_live: bool,
) -> None:
    """The process's main function: does the operations in order, and returns.

    is_live  does each operation at its time; else as fast as possible

    It does not return from a CRASH, which ends the operations.
    """
    # Ctrl-C at the terminal reaches the whole process group, but the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    apps = {node.number: _App(node, target, directory, is_live) for node in nodes}
    try:
        _work(parent, apps, operations, is_live)
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except NotSent as error:
        parent.send(Failed(str(error)))
    except Exception as error:
        parent.send(Failed(f"a fault in a node: {type(error).__name__}: {error}"))


def _work(
    parent: Connection, apps: Mapping[int, "_App"], operations: Sequence[Operation], is_live: bool
) -> None:
    told_at = time.monotonic()
    for done, operation in enumerate(operations):
        if is_live:
            _wait(parent, operation.at_ms)
        if time.monotonic() - told_at > _TELL_SECONDS:
            told_at = time.monotonic()
            parent.send(Progress(done))
        if operation.action is Action.CRASH:
            apps[operation.node].wait_until_stored()
            parent.send(ReadyToCrash())
            parent.recv()
        apps[operation.node].do(operation)
    parent.send(Progress(len(operations)))
    parent.send(Finished([app.account() for app in apps.values()]))


def _wait(parent: Connection, until_ms: int) -> None:
    """Waits until it is time. Raises EOFError if the parent has gone meanwhile."""
    while (left_ms := until_ms - now_ms()) > 0:
        if parent.poll(left_ms / 1000):
            parent.recv()


class _Said(TypedDict):
    """The arguments that an app passes for every message."""

    message_id: str
    channel_id: str
    sent_at: int
    sent_at_clock: SentAtClock
    message_type: str
    message_size: int


class _Clock:
    """A node's clock, off by its skew. In real time it runs, else it stands at each operation."""

    def __init__(self, skew_ms: int) -> None:
        self._skew_ms = skew_ms
        self.stands_at_ms: int | None = None

    def __call__(self) -> int:
        at_ms = now_ms() if self.stands_at_ms is None else self.stands_at_ms
        return at_ms + self._skew_ms


class _App:
    """One node: what a messenger does with its client library."""

    def __init__(self, node: Node, target: Target, directory: Path, is_live: bool) -> None:
        self._node = node
        self._target = target
        self._settings_path = directory / f"{node.number}" / "node.db"
        self._is_live = is_live
        self._clock = _Clock(node.skew_ms)
        self._settings: Settings | None = None
        self._client: TelemetryClient | None = None
        self._recorded = 0
        self._wiped = (0, 0)  # acknowledged and dropped samples of earlier installations

    def do(self, operation: Operation) -> None:
        self._clock.stands_at_ms = None if self._is_live else operation.at_ms
        match operation:
            case Operation(action=Action.START):
                self._opt_in(operation.at_ms)
                self._open()
            case Operation(action=Action.STOP):
                self._close()
            case Operation(action=Action.CUT):
                self._close()
                self._open(is_cut_off=True)
            case Operation(action=Action.MEND):
                self._close(is_cut_off=True)
                self._open()
            case Operation(action=Action.WIPE):
                self._wipe()
                self._opt_in(operation.at_ms)
                self._open()
            case Operation(action=Action.JOIN, channel_id=channel_id, since_ms=since_ms):
                self._running.channel_joined(channel_id, at=since_ms + self._node.skew_ms)
            case Operation(action=Action.LEAVE, channel_id=channel_id, since_ms=since_ms):
                self._running.channel_left(channel_id, at=since_ms + self._node.skew_ms)
            case Operation(message=Message() as message):
                self._tell(operation, message)
                self._recorded += 1
            case _:
                raise AssertionError(f"nobody does {operation}")

    def _tell(self, operation: Operation, message: Message) -> None:
        """Tells the client what became of a message."""
        client, reason, via = self._running, operation.reason, Via(operation.via)
        sent_at, sent_at_clock = said_sent_at(message, self._node, operation.at_ms)
        said = _Said(
            message_id=message.message_id,
            channel_id=message.channel_id,
            sent_at=sent_at,
            sent_at_clock=SentAtClock(sent_at_clock),
            message_type=message.message_type,
            message_size=message.size_bytes,
        )
        match operation.action:
            case Action.WRITE:
                client.message_sent(**said)
            case Action.FAIL:
                client.send_failed(**said, reason=reason)
            case Action.HOLD:
                client.message_received(**said, via=via)
            case Action.DROP:
                client.message_dropped(**said, reason=reason, via=via)
            case Action.FAIL_TO_READ:
                said["message_type"] = ""  # it is inside the encrypted message
                client.message_unreadable(**said, reason=reason, via=via)
            case _:
                raise AssertionError(f"nobody tells {operation.action}")

    def account(self) -> Account:
        status = self._file.status()
        acknowledged, dropped = self._wiped
        return Account(
            self._node.number,
            acknowledged + status.acknowledged,
            dropped + status.dropped,
            status.waiting + status.set_aside,
            "" if status.problem is None else f"{status.problem}: {status.detail}",
        )

    def wait_until_stored(self) -> None:
        """Waits until all recorded samples are in the outbox; the node's clock stands meanwhile."""
        deadline = time.monotonic() + _STORED_SECONDS
        while True:
            status = self._file.status()
            stored = status.waiting + status.acknowledged + status.set_aside + status.dropped
            stored += sum(status.not_in_sample.values())
            if stored >= self._recorded:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{stored} of {self._recorded} samples are in the outbox")
            time.sleep(0.01)

    @property
    def _file(self) -> Settings:
        assert self._settings is not None, "it was never started"
        return self._settings

    @property
    def _running(self) -> TelemetryClient:
        assert self._client is not None, "its app does not run"
        return self._client

    def _opt_in(self, at_ms: int) -> None:
        """Opts in as of `at_ms`, however late this process does it: the world decides the time."""
        self._settings_path.parent.mkdir(exist_ok=True)
        if self._settings is None:
            self._settings = Settings(self._settings_path, clock=self._clock)
        with self._standing_at(at_ms):
            self._settings.enable()

    @contextlib.contextmanager
    def _standing_at(self, at_ms: int) -> Iterator[None]:
        before = self._clock.stands_at_ms
        self._clock.stands_at_ms = at_ms
        try:
            yield
        finally:
            self._clock.stands_at_ms = before

    def _open(self, *, is_cut_off: bool = False) -> None:
        """Runs the client. If it is cut off, it has no server and a small outbox.

        Otherwise the outbox is large, because in compressed time an hour of messages comes within a
        second.
        """
        assert self._client is None, "its app runs already"
        limits = Limits() if self._is_live else _AMPLE
        self._client = TelemetryClient(
            self._file,
            "" if is_cut_off else self._target.server,
            self._target.token,
            self._target.tls_ca,
            receiver_public_key=self._node.public_key,
            platform=self._node.platform,
            app_version=self._node.app_version,
            messenger_server=self._node.server,
            limits=Limits(samples=SMALL_OUTBOX) if is_cut_off else limits,
            timing=_LIVE if self._is_live else _COMPRESSED,
        )
        self._client.start()

    def _close(self, *, is_cut_off: bool = False) -> None:
        """Ends the client once all is sent; if it is cut off, at once. Raises NotSent."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while True:
            self._running.close(DRAIN_SECONDS)
            self._client = None
            status = self._file.status()
            if is_cut_off or not status.waiting:
                return
            if time.monotonic() > deadline or status.problem is Problem.TOKEN_REFUSED:
                raise NotSent(
                    f"{status.waiting} samples of node {self._node.number} could not be sent: "
                    f"{status.problem or 'no answer'}: {status.detail}"
                )
            # A client that closes does not wait for a server that was away or busy a moment ago. It
            # would send the rest when the app runs again, but here the app may not run again.
            time.sleep(_AGAIN_SECONDS)
            self._open()

    def _wipe(self) -> None:
        self._close(is_cut_off=True)
        status = self._file.status()
        acknowledged, dropped = self._wiped
        self._wiped = acknowledged + status.acknowledged, dropped + status.dropped
        self._settings = None
        shutil.rmtree(self._settings_path.parent)
