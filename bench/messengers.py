"""Real messengers on real servers: measured and true figures, and how long their loops are held."""

import argparse
import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from bench.machine import conditions
from bench.report import Result, Table
from support.cable import Cable
from support.driven import Driven, Measured, Truth, measured, truth
from support.prosody import ROOMS, Prosody
from support.server import ServerProcess
from support.synapse import Synapse
from support.watched import Held, held

_SUPPORT = Path(__file__).parents[1] / "tests" / "support"
ROOM_COUNT = 3
BETWEEN_MESSAGES = 0.7
BETWEEN_KILLS, DOWN = 15.0, (10.0, 40.0)
BETWEEN_CUTS, CUT = 25.0, (5.0, 20.0)
TO_START, TO_CONNECT = 10.0, 4.0  # from a start, or a mended cable, to the next command
TO_LOG = 0.3  # until both the handler that logs and the handler that reports are done
BLOCKED_MS = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messenger", choices=("xmpp", "matrix"), default="xmpp")
    parser.add_argument(
        "--clients",
        type=int,
        default=15,
        help="clients; a third is behind a cable that is cut at times",
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    with tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        server = stack.enter_context(ServerProcess(directory / "data"))
        make = _xmpp if options.messenger == "xmpp" else _matrix
        network = stack.enter_context(make(directory, server.grpc, options.clients))
        started_ms = time.time_ns() // 1_000_000
        play = _Play(network, random.Random(options.seed))
        try:
            play.run(60 * options.minutes)
            found = measured(server, network.clients, network.rooms, started_ms)
        finally:
            for client in network.clients:
                client.quit()
        true = {room: truth(network.clients, room) for room in network.rooms}
        calls = [
            call
            for client in network.clients
            for call in held(directory / f"{client.name}.log.calls")
        ]
    return _result(options, about, network, play, found, true, calls)


@dataclass
class _Network:
    clients: Sequence[Driven]
    rooms: Sequence[str]
    cables: Mapping[str, Cable]  # name of the client behind it → cable
    catch_up: Callable[[Driven, str, int], None]  # reads the room's history since (Unix ms)
    enters_again: bool  # after a kill a client must enter its rooms again


@contextlib.contextmanager
def _xmpp(directory: Path, telemetry: str, number: int) -> Iterator[_Network]:
    names = [f"user{one}" for one in range(number)]
    with ExitStack() as stack:
        prosody = stack.enter_context(Prosody(directory, names))
        cables = {
            name: stack.enter_context(Cable(prosody.address)) for name in names[: number // 3]
        }
        clients = []
        for name in names:
            address = cables[name].address if name in cables else prosody.address
            clients.append(
                Driven(
                    _SUPPORT / "xmpp_node.py",
                    directory,
                    name,
                    user=name,
                    nick=name,
                    port=int(address.rpartition(":")[2]),
                    telemetry=telemetry,
                    watched=True,
                )
            )
        rooms = [f"room{number}@{ROOMS}" for number in range(ROOM_COUNT)]
        yield _Network(
            clients,
            rooms,
            cables,
            lambda client, room, since_ms: client.do("catch_up", room, since_ms),
            enters_again=True,
        )


@contextlib.contextmanager
def _matrix(directory: Path, telemetry: str, number: int) -> Iterator[_Network]:
    names = [f"user{one}" for one in range(number)]
    with ExitStack() as stack:
        synapse = stack.enter_context(Synapse(directory))
        address = f"127.0.0.1:{synapse.port}"
        logins = {name: synapse.register(name) for name in names}
        cables = {name: stack.enter_context(Cable(address)) for name in names[: number // 3]}
        clients = [
            Driven(
                _SUPPORT / "matrix_node.py",
                directory,
                name,
                url=f"http://{cables[name].address}" if name in cables else synapse.url,
                store=str(directory / f"{name}-store"),
                telemetry=telemetry,
                watched=True,
                **{key: logins[name][key] for key in ("user_id", "device_id", "access_token")},
            )
            for name in names
        ]
        token = logins[names[0]]["access_token"]
        rooms = [synapse.create_room(token, is_encrypted=False) for _ in range(ROOM_COUNT)]
        yield _Network(
            clients,
            rooms,
            cables,
            lambda client, room, _: client.do("backfill_if_gap", room),
            enters_again=False,
        )


@dataclass
class _Play:
    """The events of a run, at random times. A client that is away gets no commands."""

    network: _Network
    dice: random.Random
    kills: int = 0
    cuts: int = 0
    _away: set[str] = field(default_factory=set)
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)

    def run(self, seconds: float) -> None:
        for client in self.network.clients:
            client.start()
        for client in self.network.clients:
            client.ready()
            for room in self.network.rooms:
                client.do("join", room)
        self._end = time.monotonic() + seconds
        self._often(BETWEEN_MESSAGES, self._say)
        self._often(BETWEEN_KILLS, self._kill)
        self._often(BETWEEN_CUTS, self._cut)
        while self._queue:
            at, _, do = heappop(self._queue)
            time.sleep(max(0.0, at - time.monotonic()))
            do()
        assert not self._away
        for room in self.network.rooms:
            for client in self.network.clients:
                client.do("say", room)
        time.sleep(TO_START)

    def _at(self, seconds: float, do: Callable[[], None]) -> None:
        heappush(self._queue, (time.monotonic() + seconds, next(self._order), do))

    def _often(self, between: float, do: Callable[[], None]) -> None:
        def again() -> None:
            # No client goes away so late that it is not back before the end.
            if time.monotonic() < self._end:
                do()
                self._often(between, do)

        self._at(self.dice.expovariate(1 / between), again)

    def _here(self, among: Sequence[Driven]) -> list[Driven]:
        return [client for client in among if client.name not in self._away]

    def _say(self) -> None:
        room = self.dice.choice(self.network.rooms)
        if here := self._here(self.network.clients):
            self.dice.choice(here).do("say", room)

    def _kill(self) -> None:
        here = self._here(self.network.clients)
        if len(here) < len(self.network.clients) // 2:
            return
        client = self.dice.choice(here)
        self._away.add(client.name)
        self.kills += 1
        since_ms = time.time_ns() // 1_000_000
        time.sleep(TO_LOG)
        client.kill()
        catches_up = self.dice.random() < 0.5
        down = self.dice.uniform(*DOWN)
        self._at(down, client.start)
        self._at(down + TO_START, lambda: self._back(client, since_ms if catches_up else None))

    def _back(self, client: Driven, since_ms: int | None) -> None:
        client.ready()
        for room in self.network.rooms:
            if self.network.enters_again:
                client.do("join", room)
            if since_ms is not None:
                self.network.catch_up(client, room, since_ms)
        self._away.discard(client.name)

    def _cut(self) -> None:
        here = [one for one in self._here(self.network.clients) if one.name in self.network.cables]
        if not here:
            return
        client = self.dice.choice(here)
        cable = self.network.cables[client.name]
        self._away.add(client.name)
        self.cuts += 1
        cable.cut()
        cut = self.dice.uniform(*CUT)
        self._at(cut, cable.mend)
        self._at(cut + TO_CONNECT, lambda: self._mended(client))

    def _mended(self, client: Driven) -> None:
        if self.network.enters_again:
            client.do("wait", True)
        self._away.discard(client.name)


def _result(
    options: argparse.Namespace,
    about: Mapping[str, str],
    network: _Network,
    play: _Play,
    found: Mapping[str, Measured],
    true: Mapping[str, Truth],
    calls: Sequence[Held],
) -> Result:
    rows, figures = [], {}
    for number, room in enumerate(network.rooms, start=1):
        expected, missing = len(true[room].expected), len(true[room].missing)
        counts = found[room].figures
        of_true = 1 - missing / expected
        of_measured = 1 - counts["missing"] / counts["corroborated"]
        rows.append(
            (
                f"{options.messenger} {number}",
                f"{expected:,}",
                f"{missing:,}",
                f"{100 * of_true:.2f} %",
                f"{counts['expected']:,}",
                f"{counts['missing']:,}",
                f"{counts['unknown']:,}",
                f"{100 * of_measured:.2f} %",
                f"{100 * (of_measured - of_true):+.3f}",
                f"{len(true[room].fetched):,}",
                f"{counts['by_history']:,}",
            )
        )
        figures[f"room {number}"] = {"true": [expected, missing], "measured": dict(counts)}
    measured_beside_true = Table(
        f"{len(network.clients)} clients, {len(network.rooms)} rooms, {options.minutes:g} minutes, "
        f"{play.kills} kills, {play.cuts} cuts",
        ("room", "pairs", "missing", "true", "expected", "missing", "unknown", "measured", "points",
         "fetched", "by history"),
        rows,
    )  # fmt: skip
    of_thread = [call for call in calls if not call.preemptions]
    loop = Table(
        f"How long a call of the module holds the event loop, ms ({len(calls):,} calls)",
        ("", "p50", "p99", "p99.9", "max", f"over {BLOCKED_MS} ms"),
        [
            _row("wall clock", [call.wall_ns for call in calls]),
            _row(
                "wall clock, of calls in which no other process took the processor",
                [call.wall_ns for call in of_thread],
            ),
            _row("processor", [call.cpu_ns for call in calls]),
        ],
    )
    waited = sum(1 for call in calls if call.waits)
    notes = [f"{waited:,} of {len(calls):,} calls waited by themselves (a lock, or the disk)"]
    return Result("Messengers", about, [measured_beside_true, loop], notes, figures)


def _row(name: str, times_ns: Sequence[int]) -> tuple[str, ...]:
    ordered = sorted(times_ns)

    def quantile(share: float) -> str:
        return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6:.2f}"

    over = sum(1 for one in ordered if one > BLOCKED_MS * 1_000_000)
    return name, *map(quantile, (0.5, 0.99, 0.999, 1.0)), str(over)
