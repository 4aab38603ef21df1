"""Which samples go together in one push.

The samples of a push have consecutive numbers and are of one kind: recorded under one sampling and
by one version of the app. Channels are sampled differently, so samples of different kinds come
mixed, and without renumbering a push would hold only one or two. So waiting samples get new
numbers, by which those of one kind follow each other. A sample that was in a push before keeps its
number, because such samples are the oldest, and all of one kind.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple


class Batch(NamedTuple):
    """first_sequence: the number of samples[0]. Without samples, no field has a meaning."""

    first_sequence: int
    samples: Sequence[bytes]
    app_version: str
    one_in: int


def oldest(connection: sqlite3.Connection, max_samples: int, max_bytes: int) -> Batch:
    """The oldest samples that fit into one push: at least one, if any are queued."""
    _put_together(connection, max_samples)
    rows = connection.execute(
        "select sequence, app_version, one_in, sample from telemetry_outbox"
        " where state = 'queued' order by sequence limit ?",
        (max_samples,),
    )
    first, app_version, one_in, size = 0, "", 1, 0
    samples = list[bytes]()
    for row in rows:
        if not samples:
            first, app_version, one_in = row["sequence"], row["app_version"], row["one_in"]
        size += len(row["sample"])
        if samples and (
            (row["sequence"], row["app_version"], row["one_in"])
            != (first + len(samples), app_version, one_in)
            or size > max_bytes
        ):
            break
        samples.append(row["sample"])
    return Batch(first, samples, app_version, one_in)


def _put_together(connection: sqlite3.Connection, max_samples: int) -> None:
    """Deals the oldest samples' numbers out to them again, sorted by kind: first the kind of the
    oldest sample."""
    rows = connection.execute(
        "select sequence, one_in, app_version from telemetry_outbox where state = 'queued'"
        " order by sequence limit ?",
        (max_samples,),
    ).fetchall()
    kinds = {number: (one_in, app_version) for number, one_in, app_version in rows}
    first = next(iter(kinds.values()), None)
    by_kind = sorted(kinds, key=lambda number: (kinds[number] != first, kinds[number]))
    moved = [(new, old) for new, old in zip(kinds, by_kind, strict=True) if new != old]
    if moved:
        # Negative numbers in between, because the numbers are unique.
        connection.executemany(
            "update telemetry_outbox set sequence = -? where sequence = ?", moved
        )
        connection.execute("update telemetry_outbox set sequence = -sequence where sequence < 0")
