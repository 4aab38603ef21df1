"""The ingest endpoint of a server, and a client that sends bytes to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from devtelemetry.ingest.push import PushService
from devtelemetry.runtime.clock import now_ms
from devtelemetry.server.endpoint import ingest_endpoint
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.v1 import PUSH, telemetry_pb2


class Wire:
    """A client that sends bytes, so that it can send what no library would send.

    service  the server's Push, for tests of other protocols
    """

    def __init__(self, address: str, service: PushService) -> None:
        self.address = address
        self.service = service
        self.channel = grpc.aio.insecure_channel(address)
        self._push: Any = self.channel.unary_unary(
            PUSH, response_deserializer=telemetry_pb2.PushResponse.FromString
        )

    async def push(
        self, request: telemetry_pb2.PushRequest | bytes, token: str | None = None
    ) -> telemetry_pb2.PushResponse:
        body = request if isinstance(request, bytes) else request.SerializeToString()
        metadata = [("authorization", f"Bearer {token}")] if token else []
        response: telemetry_pb2.PushResponse = await self._push(body, metadata=metadata, timeout=30)
        return response

    async def refusal(
        self, request: telemetry_pb2.PushRequest | bytes, token: str | None = None
    ) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.push(request, token)
        return caught.value


@asynccontextmanager
async def served(
    database: Database, *, clock: Callable[[], int] = now_ms, **settings: object
) -> AsyncIterator[Wire]:
    configured = Settings(grpc_listen="127.0.0.1:0", **settings)
    async with ingest_endpoint(configured, database, port=0, now_ms=clock) as endpoint:
        wire = Wire(f"127.0.0.1:{endpoint.port}", endpoint.push)
        try:
            yield wire
        finally:
            await wire.channel.close()


def sample(**fields: Any) -> telemetry_pb2.Sample:
    defaults = {"message_id": "m1", "channel_id": "c1", "sent_at": now_ms() - 60_000}
    return telemetry_pb2.Sample(**{**defaults, **fields})


def request(*samples: telemetry_pb2.Sample, **fields: Any) -> telemetry_pb2.PushRequest:
    reporter = telemetry_pb2.Reporter(
        receiver_public_key="0x04aa",
        installation_id="phone",
        platform="android",
        app_version="2.31.0",
        server="relay.example",
    )
    return telemetry_pb2.PushRequest(**{"samples": samples, "reporter": reporter, **fields})


async def count(database: Database, table: str) -> int:
    async with database.acquire() as connection:
        number: int = await connection.fetchval(f"select count(*) from {table}")
        return number
