"""One gRPC channel to the current server: opened when it is needed, closed when it is idle."""

import math
import time
from pathlib import Path
from typing import Any

import grpc

from devtelemetry.client.schedule import retry_delay_seconds
from devtelemetry.client.settings import is_loopback
from devtelemetry.v1 import PUSH, telemetry_pb2

_OPTIONS = (
    ("grpc.enable_retries", 0),  # the sender itself tries again
    ("grpc.use_local_subchannel_pool", 1),  # a new channel does not inherit an old one's failures
)


class Connection:
    """Used by one thread.

    tls           None: TLS except on loopback. True, False: always, never. A path: a PEM file with
                  the authorities to trust instead of gRPC's own list
    idle_seconds  a channel that was not used for so long is closed
    """

    def __init__(self, tls: bool | Path | None, idle_seconds: float) -> None:
        self._tls = tls
        self._idle_seconds = idle_seconds
        self._channel: grpc.Channel | None = None
        self._server = ""
        self._used_at = 0.0

    def push(
        self, server: str, token: str, request: telemetry_pb2.PushRequest, deadline: float
    ) -> Any:
        """Starts a call; returns it as a grpc.Future. Raises OSError if the authorities cannot be
        read."""
        if self._channel is None or server != self._server:
            self.close()
            self._channel = self._open(server)
            self._server = server
        self._used_at = time.monotonic()
        call = self._channel.unary_unary(
            PUSH,
            request_serializer=telemetry_pb2.PushRequest.SerializeToString,
            response_deserializer=telemetry_pb2.PushResponse.FromString,
        )
        return call.future(
            request,
            timeout=deadline,
            metadata=(("authorization", f"Bearer {token}"),) if token else None,
            compression=grpc.Compression.Gzip,
        )

    def close_if_idle(self, now: float) -> float:
        """Closes the channel if it is idle. Returns when it will be; infinite if none is open."""
        closes_at = self._used_at + self._idle_seconds
        if self._channel is not None and closes_at > now:
            return closes_at
        self.close()
        return math.inf

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _open(self, server: str) -> grpc.Channel:
        is_near = is_loopback(server)
        options = [*_OPTIONS, ("grpc.enable_http_proxy", int(not is_near))]
        if self._tls is False or (self._tls is None and is_near):
            return grpc.insecure_channel(server, options)
        roots = self._tls.read_bytes() if isinstance(self._tls, Path) else None
        return grpc.secure_channel(server, grpc.ssl_channel_credentials(roots), options)


def told_delay_seconds(call: Any) -> float | None:
    """How long the server asked to wait in its answer; None: it did not ask."""
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return retry_delay_seconds(value)
    return None
