"""HTTP connections: how many there may be, how long each may take to send a request, and how they
end."""

import asyncio
from collections import Counter
from collections.abc import Collection

import h11
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from devtelemetry.runtime import metrics
from devtelemetry.runtime.rates import address_key

MOST_CONNECTIONS = 2_000
MOST_OF_ADDRESS = 256  # of one IPv4 address, or of one IPv6 /64
HEADER_SECONDS = (
    20.0  # from a connection, or the first byte of a request, to the end of its headers
)


def limited_protocol(proxies: Collection[str]) -> type[H11Protocol]:
    """A protocol class for uvicorn, whose instances share limits. Each instance is a connection.

    proxies  addresses that speak for many clients, and so may have more connections
    """
    opened = Counter[str]()

    class Limited(H11Protocol):
        _address: str | None = None  # None if the connection is not counted
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            host = self.client[0] if self.client else ""
            address = address_key(host)
            if opened.total() >= MOST_CONNECTIONS or (
                opened[address] >= MOST_OF_ADDRESS and host not in proxies
            ):
                metrics.PLACES_REFUSED.labels("http_connection").inc()
                transport.abort()
                return
            self._address = address
            opened[address] += 1
            self._await_request()

        def connection_lost(self, exc: Exception | None) -> None:
            self._release()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self._deadline is None and self._address is not None:
                self._await_request()

        def _unsupported_upgrade_warning(self) -> None:
            """Does nothing, so that nobody can fill the log. The request is answered anyway."""

        def on_response_complete(self) -> None:
            self._stop_waiting()
            super().on_response_complete()

        def _await_request(self) -> None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

        def _give_up(self) -> None:
            metrics.PLACES_REFUSED.labels("http_headers").inc()
            self.transport.abort()

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _release(self) -> None:
            self._stop_waiting()
            if self._address is not None:
                opened[self._address] -= 1
                if not opened[self._address]:
                    del opened[self._address]
                self._address = None

    return Limited


def told_of_the_end(app: ASGIApp) -> ASGIApp:
    """Wraps `app`: a request that is still running when the server ends is answered with 503.

    Only uvicorn cancels requests, after it has waited for them. Without this it would answer with
    500 and log a traceback.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await app(scope, receive, note)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not has_begun:
                headers = {"Retry-After": "5", "Connection": "close"}
                response = PlainTextResponse("the server is stopping; send again\n", 503, headers)
                await response(scope, receive, send)

    return answer
