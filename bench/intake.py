"""The server's own way from a request to the database, at simulated times.

All of ingest but the socket: a request is decoded, checked, put right by its client's clock and
committed by the code that a server runs, with a clock that stands at the moment at which it came.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from typing import NoReturn, cast

import grpc

from bench.pushes import Push
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.grpc_server import Access, PushService
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.ingest.writer import GroupCommit, QueueLimits
from devtelemetry.model import Reason
from devtelemetry.runtime.rates import RateLimit
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, TokenBook
from devtelemetry.v1 import telemetry_pb2

_AT_ONCE = 200  # requests under way, few enough that none is refused for want of room
_RATE = 1e9  # samples a second: none has a token

_now_ms: ContextVar[int] = ContextVar("now_ms")  # each request has its own


class Refused(Exception):
    """A whole request was refused; the text says why."""


class _Context:
    """What a request without metadata comes with."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def abort(self, code: grpc.StatusCode, details: str, _: object = ()) -> NoReturn:
        raise Refused(f"{code.name}: {details}")


async def take_in(database: Database, pushes: Sequence[Push]) -> Counter[Reason]:
    """Commits the pushes in their order; returns how many samples were refused, by reason.

    Raises Refused if a whole request is.
    """
    refused: Counter[Reason] = Counter()
    writer = GroupCommit(
        database,
        await database.keyring(),
        settle_rule=SettleRule(),
        limits=QueueLimits(),
        now_ms=lambda: pushes[-1].at_ms,  # when windows changed, which nobody asks
    )
    access = Access(TokenBook(database, Scope.INGEST), required=False, rate=RateLimit(_RATE))
    service = PushService(
        writer, access, age_limits=AgeLimits(), now_ms=_now_ms.get, forget=_forget
    )
    async with writer:
        for first in range(0, len(pushes), _AT_ONCE):
            answers = await asyncio.gather(
                *(_push(service, push) for push in pushes[first : first + _AT_ONCE])
            )
            for answer in answers:
                refused.update(Reason(rejection.reason) for rejection in answer.rejections)
    return refused


async def _push(service: PushService, push: Push) -> telemetry_pb2.PushResponse:
    _now_ms.set(push.at_ms)  # in this task alone: each has a context of its own
    context = _Context(push.request.SerializeToString())
    return await service.push(
        None, cast("grpc.aio.ServicerContext[bytes, telemetry_pb2.PushResponse]", context)
    )


async def _forget(_: str) -> None:
    raise AssertionError("nobody in a world opts out")
