"""Group commit: concurrent requests are written together in one transaction.

While one group is being written, the next one gathers. So groups grow with the load, and no request
waits for a timer. Each request is answered after the commit of its group, never before, because an
answer that a client trusts must survive a crash.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.caps import Bytes, Caps, TurnedAway, named_by, turned_away
from devtelemetry.ingest.rows import RowWriter, SettleRule, Stored
from devtelemetry.ingest.sampled import add_wanted
from devtelemetry.ingest.submission import Submission
from devtelemetry.model.errors import Busy, DatabaseAway, Unavailable, for_operator
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.sampling import SamplingBook

GROUP_SAMPLES = 10_000  # a transaction takes ~0.2 s, so that a long queue is answered in slices
RETRY_SECONDS = 10.0  # how long a group is retried before its clients are asked to send again
TROUBLE_SECONDS = 60.0  # how long a failed commit counts: no push may come to show that it is over

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may wait for its commit. Beyond it a request is refused at once (`Busy`)."""

    samples: int = 50_000  # ~1 s of work
    size_bytes: int = 64 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    submission: Submission
    done: asyncio.Future[TurnedAway] = field(default_factory=asyncio.Future)


class GroupCommit:
    """Writes everything that clients push into the database.

    Use: `async with GroupCommit(...) as writer: await writer.submit(...)`. When the block ends,
    all submissions that were accepted are committed.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        *,
        settle_rule: SettleRule,
        limits: QueueLimits,
        caps: Caps = Caps(),  # noqa: B008 - it cannot be changed
        now_ms: Callable[[], int],
    ) -> None:
        self.sampling = SamplingBook(database)
        self._database = database
        self._rows = RowWriter(keyring, settle_rule, caps)
        self._caps = caps
        self._bytes = Bytes(keyring.memory, caps)
        self._limits = limits
        self._now_ms = now_ms
        self._queue: deque[_Waiting] = deque()
        self._queued_samples = 0
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._trouble: tuple[str, float] | None = None  # what, and when
        self._task: asyncio.Task[None] | None = None

    @property
    def keyring(self) -> Keyring:
        """The keyring that rows are written with."""
        return self._rows.keyring

    @property
    def fullness(self) -> float:
        """How full the queue is: from 0, empty, to 1, full."""
        return max(
            self._queued_samples / self._limits.samples,
            self._queued_bytes / self._limits.size_bytes,
        )

    @property
    def trouble(self) -> str | None:
        """Why groups cannot be committed, for the operator; None if no commit failed lately."""
        if self._trouble is None or time.monotonic() - self._trouble[1] > TROUBLE_SECONDS:
            return None
        return self._trouble[0]

    async def __aenter__(self) -> "GroupCommit":
        self._task = asyncio.create_task(self._run(), name="group-commit")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def submit(self, submission: Submission) -> TurnedAway:
        """Returns once `submission` is committed; what its caps forbid is returned as turned away.

        Raises Busy if too much waits already, and Unavailable if the database cannot be reached or
        the server is stopping. Then any part may be stored or not, and it is safe to send again.
        """
        if self._closing:
            raise Unavailable("the server is stopping; send again later or to another server")
        if self._queue and (
            self._queued_samples + submission.weight > self._limits.samples
            or self._queued_bytes + submission.size_bytes > self._limits.size_bytes
        ):
            raise Busy(
                f"{self._queued_samples} samples wait for their commit; allowed: "
                f"{self._limits.samples}",
                retry_after_seconds=1.0,
            )
        fitting, refusal = self._bytes.fit(self._rows.keyring, submission, self._now_ms())
        waiting = _Waiting(fitting)
        self._queue.append(waiting)
        self._account(fitting, 1)
        self._arrived.set()
        turned = await asyncio.shield(waiting.done)
        if refusal is None:
            return turned
        beyond = range(len(fitting.samples), len(submission.samples))
        return turned._replace(
            samples={**turned.samples, **dict.fromkeys(beyond, refusal)},
            memberships=turned.memberships + len(submission.memberships),
        )

    def _account(self, submission: Submission, sign: int) -> None:
        self._queued_samples += sign * submission.weight
        self._queued_bytes += sign * submission.size_bytes
        metrics.QUEUE_SAMPLES.set(self._queued_samples)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                group = self._take_group()
                try:
                    await self._write(group)
                finally:
                    for waiting in group:
                        self._account(waiting.submission, -1)
            if self._closing:
                return

    def _take_group(self) -> list[_Waiting]:
        group = [self._queue.popleft()]
        weight = group[0].submission.weight
        while self._queue and weight + self._queue[0].submission.weight <= GROUP_SAMPLES:
            group.append(self._queue.popleft())
            weight += group[-1].submission.weight
        return group

    async def _write(self, group: list[_Waiting]) -> None:
        """Writes the group and answers each request in it."""
        try:
            stored = await self._commit([waiting.submission for waiting in group])
        except Unavailable as error:
            for waiting in group:
                _answer(waiting, error)
        except Exception as error:
            if len(group) > 1:
                # One request has something that nobody foresaw. It must not affect the others.
                for waiting in group:
                    await self._write([waiting])
                return
            _log.exception("a request could not be stored", samples=group[0].submission.weight)
            _answer(group[0], error)
        else:
            metrics.SAMPLES_DUPLICATE.inc(stored.duplicates)
            metrics.SAMPLES_DROPPED.inc(stored.dropped)
            metrics.SAMPLES_CONFLICTING.inc(stored.conflicts)
            metrics.SAMPLES_LATE.inc(stored.late)
            for waiting in group:
                turned = turned_away(
                    self._rows.keyring, waiting.submission, stored.refused, self._caps
                )
                _answer(waiting, turned)

    async def _commit(self, submissions: Sequence[Submission]) -> Stored:
        batch = Batch()
        keyring = self._rows.keyring
        sampling = await self.sampling.current()
        unsampled = 0
        for submission in submissions:
            unsampled += add_wanted(batch, sampling, keyring, submission.samples, submission.one_in)
            for beat in submission.heartbeats:
                batch.add_heartbeat(keyring, beat)
            batch.add_said_of_envelopes(keyring, submission.said_of_envelopes)
            batch.add_memberships(keyring, submission.memberships)
            batch.add_runs(keyring, submission.runs)
            batch.add_lost(keyring, submission.lost)
            batch.add_clocks(keyring, submission.clocks)
            batch.add_origins(keyring, submission.origins)
            batch.wrong_times.update(submission.wrong_times)
            batch.named.update(named_by(keyring, submission))
        batch.brought = self._bytes.untold(keyring, submissions, self._now_ms())
        give_up = time.monotonic() + RETRY_SECONDS
        delay = 0.05
        while True:
            started = time.monotonic()
            try:
                async with (
                    asyncio.timeout(RETRY_SECONDS),
                    self._database.acquire() as connection,
                ):
                    now_ms = self._now_ms()
                    stored = await self._rows.write(connection, batch, now_ms=now_ms)
            except (DatabaseAway, TimeoutError) as error:
                # The commit may have succeeded; then it is harmless to write again.
                why = for_operator(error) if isinstance(error, DatabaseAway) else "it took too long"
                self._trouble = f"samples cannot be stored: {why}", time.monotonic()
                if self._closing or time.monotonic() + delay > give_up:
                    raise Unavailable("the database cannot be reached; send again later") from error
                _log.warning("commit failed, trying again", error=why, seconds=delay)
                with contextlib.suppress(TimeoutError):
                    await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
            else:
                self._trouble = None
                self._bytes.told(batch.brought, stored.brought, now_ms)
                metrics.SAMPLES_UNSAMPLED.inc(unsampled)
                metrics.COMMIT_SECONDS.observe(time.monotonic() - started)
                metrics.COMMIT_SAMPLES.observe(sum(s.weight for s in submissions))
                return stored


def _answer(waiting: _Waiting, answer: TurnedAway | Exception) -> None:
    if waiting.done.done():
        return
    if isinstance(answer, TurnedAway):
        waiting.done.set_result(answer)
    else:
        waiting.done.set_exception(answer)
        # If the client is gone, nobody fetches the error. This keeps asyncio from logging that.
        waiting.done.exception()
