"""Which fillings of clients' journals are in the outbox, and which clients are running."""

import sqlite3
from typing import NamedTuple

from devtelemetry.client.lost import Loss, Span
from devtelemetry.client.machine import boot_id, uptime_ms


class Source(NamedTuple):
    """A filling of a client's journal (journal.py). generation: 0: it was only in memory."""

    slot: int
    generation: int


def generation_of(connection: sqlite3.Connection, slot: int) -> int:
    """The generation up to which that slot's journal is in the outbox; 0: none is known."""
    row = connection.execute(
        "select generation from telemetry_journal where slot = ?", (slot,)
    ).fetchone()
    return row[0] if row else 0


def unended(connection: sqlite3.Connection) -> list[int]:
    """Slots of clients that are running or were killed."""
    rows = connection.execute("select slot from telemetry_journal where boot_id <> ''")
    return [slot for (slot,) in rows]


def note(connection: sqlite3.Connection, source: Source) -> None:
    """Notes that everything up to this filling is in the outbox."""
    connection.execute(
        "insert into telemetry_journal (slot, generation, boot_id) values (?, ?, ?)"
        " on conflict (slot) do update set generation = max(generation, excluded.generation)",
        (*source, boot_id()),
    )


def note_run(connection: sqlite3.Connection, slot: int, *, runs: bool) -> None:
    """Notes whether the slot's client is running, or has ended and left nothing behind."""
    connection.execute(
        "update telemetry_journal set boot_id = ? where slot = ?",
        (boot_id() if runs else "", slot),
    )


def lost_with_the_power(connection: sqlite3.Connection, slot: int, since: int, now_ms: int) -> Loss:
    """What the slot's client lost if it was running when the machine went down.

    Nobody knows how many samples it lost. It counts as one, so that the server sees a gap. They
    were recorded after the latest one in the outbox, and before the machine's present start.
    """
    row = connection.execute(
        "select boot_id from telemetry_journal where slot = ?", (slot,)
    ).fetchone()
    if row is None or row[0] in ("", "?", boot_id()):
        return Loss(0, None)
    (latest,) = connection.execute("select max(sent_at) from telemetry_outbox").fetchone()
    started = max(since, now_ms - uptime_ms())
    return Loss(1, Span(min(max(since, latest or since), started), started))
