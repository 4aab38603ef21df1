"""Starts the rooms, prints `ready`, and stops them in an order that loses nothing."""

import asyncio
import contextlib
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Mapping

import structlog
import uvicorn
from starlette.types import ASGIApp

from devtelemetry.api.app import create_app
from devtelemetry.dashboard.serving import add_dashboard
from devtelemetry.ingest.push_http import PushApp
from devtelemetry.ingest.statusgo_http import statusgo_router
from devtelemetry.model import Listen
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.problems.read import LatestProblems
from devtelemetry.runtime.clock import utc_now
from devtelemetry.runtime.garbage import relax
from devtelemetry.runtime.hosts import is_loopback
from devtelemetry.server.connections import limited_protocol, told_of_the_end
from devtelemetry.server.endpoint import GRACE_SECONDS, ingest_endpoint
from devtelemetry.server.jobs import running_jobs
from devtelemetry.server.wiring import (
    age_limits,
    aggregate_rules,
    http_access,
    opened_database,
    watched_clock,
)
from devtelemetry.server.worker import ingest_workers
from devtelemetry.settings.names import option_name
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, list_tokens
from devtelemetry.v1 import SERVICE

_DESCRIPTORS = 65_536
_log = structlog.get_logger(__name__)


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP.

    Prints `ready grpc=HOST:PORT http=HOST:PORT` once it listens.

    Raises ConfigurationError if the settings do not fit together, and AlreadyServing if another
    process serves from the same data directory.
    """
    relax()
    _take_descriptors()
    # Before anything listens, because these may ask DNS.
    rules, access = aggregate_rules(settings), http_access(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            loop.add_signal_handler(number, stop.set)

    # Checked before a database is started or migrated, which may take long.
    _check_tls(settings)
    for name, listen in _places(settings).items():
        _socket(listen, name).close()

    # These end in the reverse order: the jobs, new requests, the commits, and last the database.
    async with (
        opened_database(settings, exclusive=True) as database,
        watched_clock(settings, database) as clock,
    ):
        grpc_is_near = is_loopback(settings.grpc_listen.host)
        http_is_near = access.hosts.loopback
        await _check_exposure(settings, database, grpc_is_near, http_is_near)
        grpc_port = _free_port(settings.grpc_listen)
        async with (
            ingest_endpoint(
                settings,
                database,
                port=grpc_port,
                now_ms=clock.now_ms,
                hear=clock.hear,
            ) as endpoint,
            ingest_workers(settings, database.url, endpoint.port, count=settings.workers - 1),
        ):
            problems = LatestProblems(database, rules.timeframes)
            app = create_app(
                database,
                rules,
                access,
                trouble=lambda: clock.doubt or endpoint.writer.trouble,
                objective=settings.objective,
                problems=problems,
                public_url=settings.public_url,
            )
            app.mount(
                f"/{SERVICE}",
                PushApp(
                    endpoint.push,
                    needs_token=access.asks_for_token,
                    origins=frozenset(settings.cors_origins),
                    hosts=access.hosts,
                ),
            )
            # status-go's clients have no tokens. So if others need one, `legacy_http` must be set.
            if settings.legacy_http or (http_is_near and not access.asks_for_token):
                app.include_router(
                    statusgo_router(
                        endpoint.writer,
                        age_limits=age_limits(settings),
                        now_ms=clock.now_ms,
                        hosts=access.hosts,
                        hear=clock.hear,
                        requests_per_second=settings.legacy_rate,
                    )
                )
            grpc_at = Listen(settings.grpc_listen.host, endpoint.port)
            await add_dashboard(
                app,
                database,
                rules,
                access,
                str(grpc_at),
                objective=settings.objective,
                log_link=settings.log_link,
                now=utc_now,
                problems=problems,
            )
            async with (
                _http(app, settings) as http_port,
                running_jobs(settings, database, problems, now=clock.now),
            ):
                http_at = Listen(settings.http_listen.host, http_port)
                sys.stdout.write(f"ready grpc={grpc_at} http={http_at}\n")
                sys.stdout.flush()
                await stop.wait()
                _log.info("stopping")


def _places(settings: Settings) -> Mapping[str, Listen]:
    return {"grpc_listen": settings.grpc_listen, "http_listen": settings.http_listen}


def _check_tls(settings: Settings) -> None:
    """Raises ConfigurationError if the TLS files are not a certificate with its key."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without this, OpenSSL would ask for a password at the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"tls_cert, tls_key: {settings.tls_cert} and {settings.tls_key} are not a certificate "
            f"and its key ({error.reason or 'not PEM'}); allowed: PEM, the key without a password"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"tls_cert, tls_key: {error.strerror}") from error


def _take_descriptors() -> None:
    """Raises the limit of open files as far as allowed, because each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _check_exposure(
    settings: Settings, database: Database, grpc_is_near: bool, http_is_near: bool
) -> None:
    """Raises ConfigurationError if anything would listen beyond loopback without TLS, or take
    samples by gRPC without a token."""
    if settings.insecure:
        return
    near = {"grpc_listen": grpc_is_near, "http_listen": http_is_near}
    for name, listen in _places(settings).items():
        if near[name]:
            continue
        if settings.tls_cert is None:
            raise ConfigurationError(
                f"{name}: {listen} is reachable from other machines without TLS; allowed: with "
                "--tls-cert and --tls-key, or behind something that does TLS with --insecure and "
                "--require-tokens"
            )
        if name == "grpc_listen" and not await _has_ingest_token(database):
            raise ConfigurationError(
                f"{name}: {listen} is reachable from other machines, but there is no ingest token; "
                "make one with `devtelemetry token create NAME`, or add --insecure"
            )


async def _has_ingest_token(database: Database) -> bool:
    return any(
        token.scope is Scope.INGEST and token.revoked_at is None
        for token in await list_tokens(database)
    )


def _free_port(listen: Listen) -> int:
    """The port that gRPC will listen on. Raises ConfigurationError if another program has it.

    gRPC itself would print lines of its own or, if processes share a port, join the other program.
    """
    with _socket(listen, "grpc_listen") as probe:
        port: int = probe.getsockname()[1]
        return port


def _socket(listen: Listen, name: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(listen.host, listen.port)[0][0]
        # asyncio sets TCP_NODELAY only if it sees that this is TCP. Else each answer waits 40 ms.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host, listen.port))
    except OSError as error:
        raise ConfigurationError(
            f"{name}: cannot listen on {listen}: {error.strerror}; choose another address with "
            f"{option_name(name)}"
        ) from error
    return bound


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`, which has more to stop than this server."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def _http(app: ASGIApp, settings: Settings) -> AsyncIterator[int]:
    """Serves `app` until the block ends; yields the port."""
    bound = _socket(settings.http_listen, "http_listen")
    config = uvicorn.Config(
        told_of_the_end(app),
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=int(GRACE_SECONDS),
        # Always h11, even if httptools is installed, so that old clients get the same answers.
        http=limited_protocol(settings.trusted_proxies),
        ws="none",
        lifespan="off",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]), name="http")
    while not server.started:
        if task.done():
            task.result()
            raise ConfigurationError("http_listen: the HTTP server did not start")
        await asyncio.sleep(0.01)
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        await task
