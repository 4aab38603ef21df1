"""Tells each target, now and then, what it has not been told yet."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from devtelemetry.client.schedule import Backoff
from devtelemetry.model import MembershipPolicy
from devtelemetry.notify.message import message_of
from devtelemetry.notify.notices import mark_told, note, waiting
from devtelemetry.notify.targets import Services, Target, Webhook
from devtelemetry.problems.problem import Problems
from devtelemetry.problems.read import LatestProblems
from devtelemetry.publish.answer import StoreAway
from devtelemetry.publish.publisher import BACKOFF, fall_back
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import Lock, try_lock

NEWS = timedelta(days=2)  # nobody is told of problems in older windows, as after an import

_log = structlog.get_logger(__name__)


class Notifier:
    """Each run tells the targets; of several servers only one does. A target that fails is left
    alone for a while, and the other targets are told.

    public_url  where people open the pages; None: messages have no links
    """

    def __init__(
        self,
        database: Database,
        problems: LatestProblems,
        membership: MembershipPolicy,
        *,
        webhook: Webhook | None,
        services: Services | None,
        public_url: str | None,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._problems = problems
        self._membership = membership
        self._webhook = webhook
        self._services = services
        self._public_url = public_url
        self._now = now
        self._monotonic = monotonic
        self._backoff = defaultdict[str, Backoff](lambda: Backoff(BACKOFF))
        self._noted: dict[str, Problems] = {}

    async def run(self) -> None:
        """Does nothing if another server is doing it."""
        now = self._now()
        problems = await self._problems.read(self._membership)
        async with (
            self._database.acquire() as session,
            try_lock(session, Lock.NOTIFY) as is_ours,
        ):
            if not is_ours:
                return
            for target in await self._targets():
                await self._look(session, target, problems, now)
                if self._is_due(target.name):
                    await self._tell(session, target)

    async def _targets(self) -> Sequence[Target]:
        targets: list[Target] = [] if self._webhook is None else [self._webhook]
        if self._services is not None and self._is_due("apprise"):
            try:
                targets += await self._services.read()
                self._backoff["apprise"].succeeded()
            except StoreAway as error:
                self._failed("apprise", "apprise", error)
        return targets

    async def _look(
        self, session: Connection, target: Target, problems: Problems, now: datetime
    ) -> None:
        is_known = self._noted.get(target.name) is problems
        if is_known or problems.until is None or problems.until < now - NEWS:
            return
        await note(session, target.name, problems)
        self._noted[target.name] = problems

    async def _tell(self, session: Connection, target: Target) -> None:
        notices = await waiting(session, target.name, self._membership)
        if not notices:
            return
        try:
            await target.tell(message_of(notices, self._public_url))
        except StoreAway as error:
            self._failed(target.name, target.way, error)
            return
        # Only now, so that a server that dies before this line tells it again.
        await mark_told(session, target.name, self._membership, notices)
        self._backoff[target.name].succeeded()
        metrics.NOTIFY_MESSAGES.labels(target.way).inc()
        _log.info("sent a message about problems", to=target.said, problems=len(notices))

    def _is_due(self, name: str) -> bool:
        return self._monotonic() >= self._backoff[name].until

    def _failed(self, name: str, way: str, error: StoreAway) -> None:
        backoff = self._backoff[name]
        fall_back(backoff, error, self._monotonic())
        metrics.NOTIFY_FAILURES.labels(way).inc()
        _log.warning(
            "a message about problems is not sent yet",
            error=str(error),
            next_try_in_seconds=round(backoff.until - self._monotonic(), 1),
        )
