"""One ingest process: a group commit, and a gRPC server in front of it."""

import codecs
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc

from devtelemetry.ingest.grpc_server import make_server, set_health
from devtelemetry.ingest.push import Access, PushService
from devtelemetry.ingest.writer import GroupCommit
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.retention.forget import forget_installation
from devtelemetry.runtime.clock import Hear
from devtelemetry.runtime.hosts import is_loopback
from devtelemetry.runtime.rates import RateLimit
from devtelemetry.server.wiring import (
    age_limits,
    caps,
    push_interval,
    queue_limits,
    settle_rule,
)
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, TokenBook

GRACE_SECONDS = 10.0  # for running requests when the server stops; a commit takes far less


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What runs inside `ingest_endpoint`.

    push  answers requests that come by other protocols
    port  the gRPC port in use
    """

    writer: GroupCommit
    push: PushService
    port: int


@contextlib.asynccontextmanager
async def ingest_endpoint(
    settings: Settings,
    database: Database,
    *,
    port: int,
    now_ms: Callable[[], int],
    hear: Hear | None = None,
) -> AsyncIterator[Endpoint]:
    """Listens at the host of `settings.grpc_listen` until the block ends.

    At the end it accepts no more, answers running requests, and commits what was accepted.

    port    0 for any free port. If settings.workers is more than 1, processes share the port
    now_ms  returns Unix ms, or raises ClockInDoubt
    hear    is called with a client's times while now_ms raises
    """
    writer = GroupCommit(
        database,
        await database.keyring(),
        settle_rule=settle_rule(settings),
        limits=queue_limits(settings),
        caps=caps(settings),
        now_ms=now_ms,
    )
    is_open = is_loopback(settings.grpc_listen.host) or settings.insecure
    access = Access(tokens=TokenBook(database, Scope.INGEST), rate=RateLimit(settings.token_rate))

    async def forget(installation_id: str) -> None:
        await forget_installation(database, installation_id, now_ms=now_ms())

    service = PushService(
        writer,
        access,
        age_limits=age_limits(settings),
        now_ms=now_ms,
        hear=hear,
        forget=forget,
        interval=push_interval(settings),
    )
    server, health = make_server(
        service,
        needs_token=settings.require_tokens or not is_open,
        shares_port=settings.workers > 1,
        proxies=settings.trusted_proxies,
    )
    bound = _listen(server, settings, port)
    async with writer:
        await server.start()
        await set_health(health, is_serving=True)
        try:
            yield Endpoint(writer, service, bound)
        finally:
            await set_health(health, is_serving=False)
            await server.stop(GRACE_SECONDS)


def _listen(server: grpc.aio.Server, settings: Settings, port: int) -> int:
    host = settings.grpc_listen.host
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if settings.tls_cert is None or settings.tls_key is None:
            return server.add_insecure_port(address)
        key, chain = (
            # HTTP reads these files by OpenSSL, which ignores a byte order mark. gRPC must, too.
            path.read_bytes().removeprefix(codecs.BOM_UTF8)
            for path in (settings.tls_key, settings.tls_cert)
        )
        return server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
    except RuntimeError as error:
        raise ConfigurationError(
            f"grpc_listen: cannot listen on {address}: is another program listening there?"
        ) from error
