"""All attackers of docs/security.md at once, in a process of their own.

    python -m bench.attackers JSON

JSON has `grpc` and `http`, the addresses of a server on loopback. Each attacker goes on until the
process ends, whatever the server answers. They use loopback addresses that no honest client has.
"""

import gzip
import itertools
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import grpc
import httpx

from devtelemetry.v1 import PUSH, SERVICE, telemetry_pb2

_ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
_BIG = bytes(16 * 2**20)
_CHANNEL_SIZE = 60  # calls in one connection


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _connect(address: str, number: int) -> socket.socket:
    source = (_ADDRESSES[number % len(_ADDRESSES)], 0)
    return socket.create_connection(_place(address), timeout=10, source_address=source)


def silent_connections(grpc_address: str, http_address: str) -> None:
    """900 connections by HTTP and 300 by gRPC that send nothing, and reconnect when closed."""
    places = [http_address] * 900 + [grpc_address] * 300
    opened: dict[int, socket.socket] = {}
    while True:
        for number, address in enumerate(places):
            with suppress(OSError):
                opened.setdefault(number, _connect(address, number)).settimeout(0)
                with suppress(BlockingIOError):
                    if not opened[number].recv(1000):
                        raise ConnectionResetError
                continue
            if number in opened:
                opened.pop(number).close()
        time.sleep(5)


def unfinished_bodies(_: str, http_address: str) -> None:
    """60 requests that announce 4 MiB and send a byte every two seconds."""
    head = f"POST {PUSH} HTTP/1.1\r\nhost: {http_address}\r\ncontent-type: application/proto\r\n"
    begun = f"{head}content-length: {4 * 2**20}\r\n\r\n".encode()
    opened: dict[int, socket.socket] = {}
    while True:
        for number in range(60):
            with suppress(OSError):
                if number not in opened:
                    opened[number] = _connect(http_address, number)
                    opened[number].sendall(begun)
                opened[number].sendall(b"\n")
                continue
            if number in opened:
                opened.pop(number).close()
        time.sleep(2)


def _hold(address: str, method: str, calls: int, first: bytes | None) -> None:
    """So many gRPC calls that send `first`, and then nothing."""
    ended = threading.Event()

    def silence() -> Iterator[bytes]:
        if first is not None:
            yield first
        ended.wait()

    channels = [
        grpc.insecure_channel(
            address, options=[("grpc.use_local_subchannel_pool", 1), ("n", number)]
        )
        for number in range(-(-calls // _CHANNEL_SIZE))
    ]
    held: dict[int, Any] = {}
    while True:
        for number in range(calls):
            if number not in held or held[number].done():
                channel = channels[number // _CHANNEL_SIZE]
                call: Any = channel.stream_stream(method, None, None)
                held[number] = call(silence())
        time.sleep(5)


def health_watches(grpc_address: str, _: str) -> None:
    _hold(grpc_address, "/grpc.health.v1.Health/Watch", 300, b"")


def pushes_without_a_body(grpc_address: str, _: str) -> None:
    _hold(grpc_address, f"/{SERVICE}/Push", 120, None)


def refused_bodies(grpc_address: str, http_address: str) -> None:
    """Bodies of 16 MiB, a few KiB on the wire, without a valid token or undecodable."""
    packed = gzip.compress(_BIG)
    with grpc.insecure_channel(grpc_address) as channel, _web(http_address, 1) as web:
        push: Any = channel.unary_unary(PUSH, None, None)
        for number in itertools.count():
            token = "Bearer dt_none"
            metadata = (("authorization", token),) if number % 2 else ()
            with suppress(grpc.RpcError):
                push(_BIG, metadata=metadata, compression=grpc.Compression.Gzip, timeout=30)
            headers = {"content-type": "application/json", "content-encoding": "gzip"}
            with suppress(httpx.HTTPError):
                web.post(PUSH, content=packed, headers=headers)
            time.sleep(1)


def names_without_end(grpc_address: str, _: str) -> None:
    """Ever new keys, installations, channels, types, versions and servers."""
    dice = random.Random("names")
    with grpc.insecure_channel(grpc_address) as channel:
        push: Any = channel.unary_unary(PUSH, None, None)
        for number in itertools.count():
            now_ms = time.time_ns() // 1_000_000
            samples = [
                telemetry_pb2.Sample(
                    message_id=f"m{dice.randrange(50)}",
                    channel_id=f"noise-{dice.randrange(200)}",
                    receiver_public_key=f"0x04{number}{position}",
                    sent_at=now_ms - dice.randrange(60_000),
                    message_type=f"TYPE_{dice.getrandbits(40)}",
                )
                for position in range(50)
            ]
            reporter = telemetry_pb2.Reporter(
                installation_id=f"noise-{number}",
                platform=f"platform {number}",
                app_version=f"{number}.{dice.randrange(100)}",
                server=f"{number}.example",
            )
            request = telemetry_pb2.PushRequest(samples=samples, reporter=reporter)
            with suppress(grpc.RpcError):
                push(request.SerializeToString(), timeout=30)
            time.sleep(0.5)


def floods_of_pages(_: str, http_address: str) -> None:
    """Ten GETs a second of the dashboard, the metrics and the figures."""
    paths = ("/", "/channel", "/metrics", "/api/v1/reliability")
    with _web(http_address, 2) as web:
        for number in itertools.count():
            with suppress(httpx.HTTPError):
                web.get(paths[number % len(paths)])
            time.sleep(0.1)


def _web(http_address: str, number: int) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=_ADDRESSES[number])
    return httpx.Client(base_url=f"http://{http_address}", transport=transport, timeout=30)


ATTACKERS: tuple[Callable[[str, str], None], ...] = (
    silent_connections,
    unfinished_bodies,
    health_watches,
    pushes_without_a_body,
    refused_bodies,
    names_without_end,
    floods_of_pages,
)


def main() -> None:
    addresses = json.loads(sys.argv[1])
    for attacker in ATTACKERS:
        threading.Thread(
            target=attacker, args=(addresses["grpc"], addresses["http"]), daemon=True
        ).start()
    sys.stdin.read()  # until the parent closes it


if __name__ == "__main__":
    main()
