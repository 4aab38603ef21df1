"""Cleaning: drops days of samples that are older than the retention and fully settled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from devtelemetry.aggregate.find_due import unsettled
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.model import DAY_MS, from_unix_ms, unix_ms
from devtelemetry.model.errors import DatabaseAway
from devtelemetry.retention.forget import finish_forgetting
from devtelemetry.retention.names import drop_names
from devtelemetry.retention.reports import drop_outdated, drop_surplus
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.distribution import is_distributed
from devtelemetry.store.locks import Lock, try_lock
from devtelemetry.store.partitions import (
    day_name,
    day_of,
    day_start_ms,
    drop_day,
    existing_days,
    make_days,
    pack_day,
    packed_days,
)
from devtelemetry.store.repair import holding_ingest_out, rewriting
from devtelemetry.store.sql import queries
from devtelemetry.words import utc

SILENT_AFTER = timedelta(days=90)
LOCK_TIMEOUT = "5s"  # ingest waits at most this long; then the next cleaning tries again
PACKED_AFTER_DAYS = 2  # after a day's end: then nearly all of its samples have come
PACK_LOCK_TIMEOUT = "60s"  # longer, because nobody waits for packing

_LAST_HEARD_OF = (
    "greatest(coalesce(last_receipt_minute, 0), coalesce(last_heartbeat_minute, 0), "
    "platform_minute, app_version_minute, server_minute, origin_minute, coalesce(clock_said_at, 0))"
)
_QUERIES = queries(__package__, "clean.sql", last_heard_of=_LAST_HEARD_OF)
_OF_ENVELOPES = (
    *("delete_message_envelopes", "delete_unreadable_envelopes", "delete_envelope_events"),
)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CleanResult:
    """Days as ISO dates.

    dropped  days that were dropped
    kept     days that are old enough, each with the reason why it stays for now
    """

    dropped: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


async def clean(
    database: Database,
    rules: AggregateRules,
    retention: timedelta,
    *,
    silent_after: timedelta = SILENT_AFTER,
    now: Callable[[], datetime],
) -> CleanResult:
    """Drops every day that is older than `retention` and whose windows are all settled.

    It also deletes receivers that were silent for `silent_after`, with their memberships, and
    channels and types that only one installation ever named; opt-outs and reports of stays that are
    too old to matter; and what a forget that died has left.

    Days are whole days of event time, oldest first. Does nothing if another server is cleaning.
    """
    limits = AgeLimits(retention_ms=retention // timedelta(milliseconds=1))
    oldest_kept = day_of(limits.oldest_day_kept(unix_ms(now())))
    oldest_day = oldest_kept
    dropped: list[int] = []
    kept = []
    async with (
        database.acquire() as connection,
        try_lock(connection, Lock.CLEAN) as is_ours,
    ):
        if not is_ours:
            return CleanResult()
        for day in sorted(await existing_days(connection)):
            if day >= oldest_kept:
                break
            # Ingest must not store more samples of this day between the check and the drop, and
            # must forget what it remembers of the day's messages.
            async with rewriting(connection, lock_timeout=LOCK_TIMEOUT):
                reason = await _reason_to_keep(connection, rules, day)
                if reason is None:
                    await _drop_receipts(connection, day)
                    dropped.append(day)
                else:
                    kept.append((day_name(day), reason))
                    oldest_day = min(oldest_day, day)
        if dropped:
            async with connection.transaction():
                for name in _OF_ENVELOPES:
                    await connection.execute(_QUERIES[name], before_ms=day_start_ms(oldest_kept))
            # Ingest must not extend a run that is about to be deleted.
            async with holding_ingest_out(connection, lock_timeout=LOCK_TIMEOUT):
                for name in ("settle_lost", "delete_runs"):
                    await connection.execute(
                        _QUERIES[name], oldest_day_kept=day_start_ms(oldest_day)
                    )
            await drop_outdated(connection, day_start_ms(oldest_day), lock_timeout=LOCK_TIMEOUT)
        await drop_surplus(connection)
        before_ms = min(
            unix_ms(now()) - silent_after // timedelta(milliseconds=1), day_start_ms(oldest_day)
        )
        await _expire(connection, day_start_ms(oldest_day), before_ms)
        if dropped:
            await drop_names(connection, before_ms, lock_timeout=LOCK_TIMEOUT)
        await connection.execute(
            _QUERIES["delete_opt_outs"], before_ms=unix_ms(now()) - limits.retention_ms
        )
        for name in ("delete_sampling_rules", "delete_coarse_receivers"):
            await connection.execute(_QUERIES[name], before_ms=day_start_ms(oldest_day))
        await connection.execute(_QUERIES["delete_bytes"], before_ms=unix_ms(now()) - 2 * DAY_MS)
        if not await is_distributed(connection):
            await _pack(connection, day_of(unix_ms(now())))
    metrics.DAYS_DROPPED.inc(len(dropped))
    for day in dropped:
        _log.info("cleaned", day=day_name(day))
    await finish_forgetting(database)
    return CleanResult(tuple(map(day_name, dropped)), tuple(kept))


async def _pack(connection: Connection, today: int) -> None:
    """Packs the days that are nearly complete, so that they take less room."""
    unpacked = await existing_days(connection) - await packed_days(connection)
    for day in sorted(day for day in unpacked if day + PACKED_AFTER_DAYS < today):
        try:
            await pack_day(connection, day, lock_timeout=PACK_LOCK_TIMEOUT)
        except DatabaseAway as error:  # an older transaction still runs
            _log.info("day not packed yet", day=day_name(day), error=error.detail)
        else:
            _log.info("packed", day=day_name(day))


async def _expire(connection: Connection, oldest_day_kept: int, before_ms: int) -> None:
    """Clears the origins of receivers without samples, and deletes receivers silent for long."""
    await connection.execute(_QUERIES["forget_origins"], before_ms=oldest_day_kept)
    # Usually there are no silent receivers. Then ingest need not forget what it remembers.
    if not await connection.fetchval(_QUERIES["has_silent_receivers"], before_ms=before_ms):
        return
    async with rewriting(connection, lock_timeout=LOCK_TIMEOUT):
        gone = await connection.fetch(_QUERIES["expire_receivers"], before_ms=before_ms)
        if gone:
            receivers = [row["receiver_id"] for row in gone]
            installations = [row["installation_id"] or row["receiver_id"] for row in gone]
            for name in ("expire_memberships", "expire_named"):
                await connection.execute(_QUERIES[name], receiver_ids=receivers)
            await connection.execute(
                _QUERIES["expire_installations"], installation_ids=sorted(set(installations))
            )


async def make_days_ahead(
    database: Database, limits: AgeLimits, *, now: Callable[[], datetime]
) -> None:
    """Adds the days that samples may belong to, until two days from now."""
    now_ms = unix_ms(now())
    days = range(day_of(limits.oldest_day_kept(now_ms)), day_of(now_ms) + 3)
    async with database.acquire() as connection:
        await make_days(connection, days)


async def _reason_to_keep(connection: Connection, rules: AggregateRules, day: int) -> str | None:
    is_empty = not await connection.fetchval(
        _QUERIES["has_receipts"], start_ms=day_start_ms(day), end_ms=day_start_ms(day + 1)
    )
    if is_empty:
        return None
    start = from_unix_ms(day_start_ms(day))
    waiting = await unsettled(connection, rules, start, from_unix_ms(day * DAY_MS + DAY_MS))
    if not waiting:
        return None
    timeframe, window = waiting[-1]
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"the {timeframe.name} window of {utc(window.start)} is not settled{more}"


async def _drop_receipts(connection: Connection, day: int) -> None:
    await drop_day(connection, day)
    bounds = {"start_ms": day_start_ms(day), "end_ms": day_start_ms(day + 1)}
    await connection.execute(_QUERIES["delete_messages"], **bounds)
    await connection.execute(_QUERIES["delete_failures"], **bounds)
    await connection.execute(_QUERIES["delete_arrivals"], **bounds)
    await connection.execute(_QUERIES["remember_cleaned"], day_start=day_start_ms(day))
