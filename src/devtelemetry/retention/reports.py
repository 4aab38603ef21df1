"""Drops reports of joining and leaving that no longer affect any window."""

from devtelemetry.aggregate.stays import MOST_REPORTS, latest_reports, outdated
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection
from devtelemetry.store.repair import holding_ingest_out
from devtelemetry.store.sql import arrays, queries

PAGE_MEMBERSHIPS = 5_000  # in one transaction: ingest waits no longer than for a group commit

_BEFORE_ALL = (-(2**63), -(2**63))  # a channel and a receiver
_MEMBERSHIP = ("channel_ids", "receiver_ids")
_QUERIES = queries(__package__, "reports.sql")


async def drop_surplus(connection: Connection) -> None:
    """Drops all reports of a membership but the latest MOST_REPORTS, because only these count."""
    dropped: int = await connection.fetchval(_QUERIES["delete_surplus"], most=MOST_REPORTS)
    metrics.MEMBERSHIPS_IGNORED.labels("too_many").inc(dropped)


async def drop_outdated(connection: Connection, before_ms: int, *, lock_timeout: str) -> None:
    """Drops all reports that do not affect windows from `before_ms` on.

    Raises DatabaseAway if ingest cannot be held out within `lock_timeout`.
    """
    last = _BEFORE_ALL
    while rows := await connection.fetch(
        _QUERIES["reports_before"],
        after_channel=last[0],
        after_receiver=last[1],
        before_ms=before_ms,
        most=PAGE_MEMBERSHIPS,
    ):
        gone, had_stays = [], []
        for row in rows:
            last = (row["channel_id"], row["receiver_id"])
            reports, had = latest_reports(row)
            dropped, has_had = outdated(reports, row["first_sent_at"], before_ms, had_stays=had)
            gone += [(*last, *report) for report in dropped]
            if has_had > row["had_stays"]:
                had_stays.append(last)
        if not gone:
            continue
        # Ingest updates memberships too, perhaps in another order, which could deadlock.
        async with holding_ingest_out(connection, lock_timeout=lock_timeout):
            await connection.execute(
                _QUERIES["delete_reports"],
                **arrays(gone, *_MEMBERSHIP, "created_at", "joined_at", "left_at"),
            )
            await connection.execute(_QUERIES["remember_stays"], **arrays(had_stays, *_MEMBERSHIP))
