"""The server's own path from a request to the database, at simulated times.

It is all of ingest without the socket. The server's code decodes a request, checks it, corrects it
by its client's clock and commits it. Its clock stands at the moment when the request came.
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

_AT_ONCE = 200  # requests at once, so few that the queue has room for all
_RATE = 1e9  # samples a second, so that the rate limits nothing

_now_ms: ContextVar[int] = ContextVar("now_ms")  # each request has its own time


class Refused(Exception):
    """A whole request was refused; the text says why."""


async def take_in(database: Database, pushes: Sequence[Push]) -> Counter[Reason]:
    """Commits the pushes in order; returns how many samples were refused, by reason.

    Raises Refused if a whole request is refused.
    """
    refused: Counter[Reason] = Counter()
    writer = GroupCommit(
        database,
        await database.keyring(),
        settle_rule=SettleRule(),
        limits=QueueLimits(),
        now_ms=lambda: pushes[-1].at_ms,  # the time noted for changed windows, not used here
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
    _now_ms.set(push.at_ms)  # for this task only, because each task has its own context

    async def read() -> bytes:
        return push.request.SerializeToString()

    answer = await service.answer(Incoming("grpc", push.address, None, False, read, decode_binary))
    if answer.response is None:
        raise Refused(f"{answer.code.name}: {answer.details}")
    return answer.response


async def _forget(_: str) -> None:
    raise AssertionError("nobody in a world opts out")
