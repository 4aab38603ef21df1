"""All samples out of the database, as lines."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from devtelemetry.store.database import Database
from devtelemetry.store.repair import repaired_snapshot
from devtelemetry.store.sql import queries
from devtelemetry.transfer.write import membership_line, run_line, sample_line

CURSOR_ROWS = 5_000

_QUERIES = queries(__package__, "transfer.sql")
_EXPORTED: tuple[tuple[str, Callable[[Mapping[str, Any]], bytes]], ...] = (
    ("samples", sample_line),
    ("islands", run_line),
    ("lost", partial(run_line, is_lost=True)),
    ("memberships", membership_line),
)


async def export_samples(
    database: Database, receivers: Sequence[int] | None = None
) -> AsyncGenerator[bytes, None]:
    """All samples, or those of these receivers, some thousand lines at a time, by event time, then
    the runs of numbers, what is said to be lost, and the memberships that were reported: one state
    of the database.

    Raises Unavailable if the database cannot be reached.
    """
    async with repaired_snapshot(database) as connection:
        for query, as_line in _EXPORTED:
            async for rows in connection.slices(
                _QUERIES[query], CURSOR_ROWS, receiver_ids=receivers
            ):
                yield b"".join(map(as_line, rows))
