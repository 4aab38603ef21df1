"""Writes what clients say beside their samples: memberships, the numbers of their samples, lost
reports, sampling that was too coarse, and how many of their times were refused."""

from collections.abc import Mapping

from devtelemetry.ingest.batch import union
from devtelemetry.ingest.known import Writing
from devtelemetry.model import DAY_MS
from devtelemetry.store.database import Connection
from devtelemetry.store.sql import arrays, queries

MOST_WRONG_TIMES = 1_000  # rows; a client that sends nonsense may make up platforms and versions

_QUERIES = queries(__package__, "reported.sql")


async def write_membership_reports(writing: Writing) -> None:
    reported = writing.batch.membership_reports
    if not reported:
        return
    rows = sorted((*key, *report) for key, reports in reported.items() for report in reports)
    await writing.connection.execute(
        _QUERIES["write_membership_reports"],
        **arrays(rows, "channel_ids", "receiver_ids", "created_at", "joined_at", "left_at"),
    )


async def write_runs(writing: Writing) -> None:
    """Writes the runs of numbers of samples that arrived."""
    if not writing.batch.runs:
        return
    rows = [
        (installation_id, *run)
        for installation_id, runs in sorted(writing.batch.runs.items())
        for run in union(runs)
    ]
    await writing.connection.execute(
        _QUERIES["write_runs"],
        **arrays(
            rows,
            *("installation_ids", "first_sequences", "last_sequences"),
            *("first_sent_at", "last_sent_at"),
        ),
    )


async def write_lost(writing: Writing) -> None:
    """Writes the numbers of samples that clients say they lost."""
    if not writing.batch.lost:
        return
    await writing.connection.execute(
        _QUERIES["write_lost"],
        **arrays(
            sorted(writing.batch.lost),
            *("installation_ids", "first_sequences", "last_sequences"),
            *("first_sent_at", "last_sent_at"),
        ),
    )


async def write_coarse(writing: Writing) -> None:
    """Writes which receivers recorded fewer messages than the rules of sampling asked for."""
    if not writing.batch.coarse:
        return
    rows = [(*key, until) for key, until in sorted(writing.batch.coarse.items())]
    await writing.connection.execute(
        _QUERIES["write_coarse"],
        **arrays(rows, "channel_ids", "receiver_ids", "since_at", "one_in", "until_at"),
    )


async def write_wrong_times(
    connection: Connection, times: Mapping[tuple[str, str], int], now_ms: int
) -> None:
    """Counts the times that were refused because they are not milliseconds, by platform and
    version."""
    if not times:
        return
    rows = [(*app, number) for app, number in sorted(times.items())]
    await connection.execute(
        _QUERIES["write_wrong_times"],
        **arrays(rows, "platforms", "app_versions", "times"),
        day_start=now_ms // DAY_MS * DAY_MS,
        most=MOST_WRONG_TIMES,
    )
