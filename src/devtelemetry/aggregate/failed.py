"""Windows that could not be computed. They are set aside, so that they stop no other window, and
tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import MembershipPolicy, Timeframe, Window
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import queries

_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=6)
_MOST_ERROR = 300  # characters

_QUERIES = queries(__package__, "failed.sql")


@dataclass(frozen=True, slots=True)
class FailedWindow:
    """failures   how many times in a row it failed
    failed_at  when it failed last
    """

    timeframe: str
    start: datetime
    failures: int
    failed_at: datetime
    error: str

    @property
    def tried_again_at(self) -> datetime:
        """The wait doubles with each failure, up to six hours."""
        wait = _FIRST_WAIT * (1 << min(self.failures - 1, 10))
        return self.failed_at + min(wait, _LONGEST_WAIT)


async def failed_windows(
    connection: Connection, membership: MembershipPolicy
) -> Sequence[FailedWindow]:
    rows = await connection.fetch(_QUERIES["failed"], membership=membership.value)
    return [
        FailedWindow(
            row["timeframe"],
            row["window_start"].astimezone(UTC),
            row["failures"],
            row["failed_at"].astimezone(UTC),
            row["error"],
        )
        for row in rows
    ]


async def read_failed_windows(
    database: Database, membership: MembershipPolicy
) -> Sequence[FailedWindow]:
    async with database.acquire() as connection:
        return await failed_windows(connection, membership)


async def note_failure(
    database: Database,
    rules: AggregateRules,
    timeframe: Timeframe,
    window: Window,
    error: Exception,
    now: datetime,
) -> None:
    """Notes that the window failed. If the database itself fails, this raises."""
    async with database.acquire() as connection:
        await connection.execute(
            _QUERIES["note_failure"],
            timeframe=timeframe.name,
            window_start=window.start,
            membership=rules.membership.value,
            failed_at=now,
            error=f"{type(error).__name__}: {error}"[:_MOST_ERROR],
        )


async def forget_failure(
    connection: Connection, rules: AggregateRules, timeframe: Timeframe, window: Window
) -> None:
    await connection.execute(
        _QUERIES["forget_failure"],
        timeframe=timeframe.name,
        window_start=window.start,
        membership=rules.membership.value,
    )
