"""Writes what clients say beside their samples: memberships, and the numbers of their samples."""

from devtelemetry.ingest.batch import union
from devtelemetry.ingest.known import Writing
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "reported.sql")


async def write_reported_memberships(writing: Writing) -> None:
    if not writing.batch.memberships:
        return
    rows = []
    for key, new in sorted(writing.batch.memberships.items(), key=lambda item: item[0]):
        joined_said_at, joined_at = new.joined or (None, None)
        left_said_at, left_at = new.left or (None, None)
        rows.append((*key, joined_at, joined_said_at, left_at, left_said_at))
    await writing.connection.execute(
        _QUERIES["upsert_reported_memberships"],
        **arrays(
            rows,
            *("channel_ids", "receiver_ids"),
            *("joined_at", "joined_said_at", "left_at", "left_said_at"),
        ),
    )


async def write_runs(writing: Writing) -> None:
    """Runs of numbers of samples that arrived."""
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
    """Numbers of samples that will not come."""
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
