"""Writes all samples of the database as lines."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from devtelemetry.store import whole
from devtelemetry.store.database import Database
from devtelemetry.store.repair import repaired_snapshot
from devtelemetry.store.sql import queries
from devtelemetry.transfer.write import membership_line, rule_line, run_line, sample_line

CURSOR_ROWS = 5_000

_QUERIES = queries(__package__, "transfer.sql", first_said_at=whole.FIRST_SAID_AT)
_AsLine = Callable[[Mapping[str, Any]], bytes]
# The query, the writer of its lines, and whether its rows have the time when they were reported.
_EXPORTED: tuple[tuple[str, _AsLine, bool], ...] = (
    ("samples", sample_line, True),
    ("islands", run_line, False),
    ("lost", partial(run_line, is_lost=True), False),
    ("memberships", membership_line, True),
)


async def export_samples(
    database: Database,
    receivers: Sequence[int] | None = None,
    said_between: tuple[int, int] | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yields the lines of one snapshot of the database, some thousands at a time.

    In this order: the rules of sampling; samples by event time, and then runs of numbers, lost
    reports and memberships.

    receivers     only what these reported, beside the rules; None for all
    said_between  only what was first reported in this span, without numbers and lost reports, which
                  have no such time: Unix ms, half-open

    Raises Unavailable if the database cannot be reached.
    """
    async with repaired_snapshot(database) as connection:
        since_ms, before_ms = said_between or (None, None)
        # First, because a reader must know which samples there should be.
        rules = await connection.fetch(_QUERIES["rules"])
        if rules:
            yield b"".join(map(rule_line, rules))
        for query, as_line, is_dated in _EXPORTED:
            if said_between is not None and not is_dated:
                continue
            span = {"since_ms": since_ms, "before_ms": before_ms} if is_dated else {}
            async for rows in connection.slices(
                _QUERIES[query], CURSOR_ROWS, receiver_ids=receivers, **span
            ):
                yield b"".join(map(as_line, rows))
