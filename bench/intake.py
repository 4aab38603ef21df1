"""The server's own way from a request to the database, at simulated times.

All of ingest but the socket: a request is decoded, checked, put right by its client's clock and
committed by the code that a server runs, with a clock that stands at the moment at which it came.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar

from bench.pushes import Push
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.push import Access, Incoming, PushService, decode_binary
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
    access = Access(TokenBook(database, Scope.INGEST), RateLimit(_RATE))
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

    async def read() -> bytes:
        return push.request.SerializeToString()

    answer = await service.answer(Incoming("grpc", push.address, None, False, read, decode_binary))
    if answer.response is None:
        raise Refused(f"{answer.code.name}: {answer.details}")
    return answer.response


async def _forget(_: str) -> None:
    raise AssertionError("nobody in a world opts out")
