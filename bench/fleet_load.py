"""The devices of bench/fleet.py, in a process of their own: `python -m bench.fleet_load FILE`.

It replays requests at their times. A device connects, pushes and leaves, like the client, which
closes a connection that it did not need for three seconds. Or connections are held and used in
turn. All bytes of HTTP/2 were made before, so no code of a client runs here.
"""

import asyncio
import json
import pickle
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devtelemetry.v1 import SERVICE, telemetry_pb2

_FRAME = struct.Struct(">BHBBI")  # length as 8 and 16 bits, type, flags, stream
_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY = 0, 1, 4, 6, 7
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_TCP_INFO_SEGMENTS = struct.Struct("=II")  # segments out and in, at byte 136 of struct tcp_info
_HEADER_BYTES = 52  # of IP and TCP with time stamps, in each segment
_GOODBYE_SEGMENTS = 3  # to end a connection
_WAIT_SECONDS = 60.0
_ATTEMPTS = 6

_FIELDS = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", f"/{SERVICE}/Push"),
    (":authority", "telemetry.example.org"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-python-asyncio/1.85.1 grpc-c/50.0.0 (linux; chttp2)"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
    ("grpc-timeout", "30S"),
)


@dataclass(frozen=True, slots=True)
class Push:
    """at_seconds  since the start"""

    at_seconds: float
    device: int
    samples: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """held  how many connections are held; 0: each push has its own"""

    host: str
    port: int
    pushes: Sequence[Push]
    held: int


@dataclass(slots=True)
class Outcome:
    """Bytes are those on the wire, with the headers of IP and TCP, without TLS."""

    pushes: int = 0
    samples: int = 0
    refused: int = 0  # attempts that were repeated
    failed: int = 0  # pushes, after all attempts
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    wire_bytes: int = 0
    most_open: int = 0
    latest_ms: float = 0.0  # how late a push began at most
    latencies_ms: dict[str, float] = field(default_factory=dict)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header field without indexing (RFC 7541, 6.2.2); name and value below 127 bytes."""
    return b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())


_HEADER_BLOCK = b"".join(_literal(*one) for one in _FIELDS)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b"")


def _request(stream: int, body: bytes) -> bytes:
    message = struct.pack(">BI", 0, len(body)) + body
    parts = [message[at : at + 16_384] for at in range(0, len(message), 16_384)]
    return _frame(_HEADERS, _END_HEADERS, stream, _HEADER_BLOCK) + b"".join(
        _frame(_DATA, _END_STREAM if number == len(parts) else 0, stream, part)
        for number, part in enumerate(parts, 1)
    )


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self._data = b""
        self._next_stream = 1
        self._payload_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._write(_PREFACE)

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self._payload_bytes += len(data)
        self.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._payload_bytes += len(data)
        while len(self._buffer) >= _FRAME.size:
            high, low, kind, flags, _ = _FRAME.unpack_from(self._buffer)
            end = _FRAME.size + (high << 16) + low
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_FRAME.size : end])
            del self._buffer[:end]
            self._take(kind, flags, payload)

    def _take(self, kind: int, flags: int, payload: bytes) -> None:
        assert self.transport is not None
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            answer = payload if kind == _PING else b""
            self._write(_frame(kind, _ACK, 0, answer))
        elif kind == _DATA:
            self._data += payload
        elif kind == _HEADERS and flags & _END_STREAM and self._answer is not None:
            self._answer.set_result(self._data)
        elif kind == _GOAWAY:
            self.transport.close()

    async def push(self, body: bytes) -> bytes | None:
        """The response's message; None: the server answered with an error."""
        self._answer = asyncio.get_running_loop().create_future()
        self._data = b""
        self._write(_request(self._next_stream, body))
        self._next_stream += 2
        async with asyncio.timeout(_WAIT_SECONDS):
            data = await self._answer
        return data[5:] if data else None

    def wire_bytes(self) -> int:
        """Bytes so far, in both directions."""
        assert self.transport is not None
        made: socket.socket = self.transport.get_extra_info("socket")
        info = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
        segments: int = sum(_TCP_INFO_SEGMENTS.unpack_from(info, 136))
        return self._payload_bytes + segments * _HEADER_BYTES


class _Fleet:
    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._outcome = Outcome()
        self._latencies: list[float] = []
        self._open = 0
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Outcome:
        outcome = self._outcome
        for number in range(self._replay.held):
            self._free.put_nowait(await self._connect(number))
        started, cpu = time.perf_counter(), time.process_time()
        for push in self._replay.pushes:
            wait = started + push.at_seconds - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                outcome.latest_ms = max(outcome.latest_ms, -wait * 1000)
            task = asyncio.create_task(self._push(push))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        while self._tasks:
            await asyncio.wait(self._tasks)
        outcome.seconds = time.perf_counter() - started
        outcome.cpu_seconds = time.process_time() - cpu
        self._latencies.sort()
        for percent in (50, 99):
            found = self._latencies[len(self._latencies) * percent // 100]
            outcome.latencies_ms[f"p{percent}"] = found * 1000
        return outcome

    async def _connect(self, device: int) -> _Connection:
        # From many networks, because the server counts by address, and for enough ports.
        network = f"127.{1 + device % 200}.{device // 200 % 250}.1"
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, self._replay.host, self._replay.port, local_addr=(network, 0)
        )
        self._open += 1
        self._outcome.most_open = max(self._outcome.most_open, self._open)
        return connection

    async def _push(self, push: Push) -> None:
        """Pushes, and tries again later if it was not taken, as the client does."""
        outcome = self._outcome
        begun = time.perf_counter()
        for attempt in range(_ATTEMPTS):
            if await self._attempt(push):
                outcome.pushes += 1
                outcome.samples += push.samples
                self._latencies.append(time.perf_counter() - begun)
                return
            outcome.refused += 1
            await asyncio.sleep((1 + push.device % 7 / 7) * 2**attempt)
        outcome.failed += 1

    async def _attempt(self, push: Push) -> bool:
        connection = None
        try:
            if self._replay.held:
                connection = await self._free.get()
            else:
                connection = await self._connect(push.device)
            before = connection.wire_bytes() if self._replay.held else 0
            answer = await connection.push(push.body)
            self._outcome.wire_bytes += connection.wire_bytes() - before
            if not self._replay.held:
                self._outcome.wire_bytes += _GOODBYE_SEGMENTS * _HEADER_BYTES
        except (OSError, TimeoutError):
            return False
        finally:
            if connection is not None:
                self._leave(connection)
        if answer is None:
            return False
        return telemetry_pb2.PushResponse.FromString(answer).accepted == push.samples

    def _leave(self, connection: _Connection) -> None:
        if self._replay.held:
            self._free.put_nowait(connection)
            return
        self._open -= 1
        if connection.transport is not None:
            connection.transport.close()


def main() -> None:
    replay = pickle.loads(Path(sys.argv[1]).read_bytes())
    print(json.dumps(asdict(asyncio.run(_Fleet(replay).run()))))


if __name__ == "__main__":
    main()
