"""Notes of the team about moments, such as a deployment or an incident."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devtelemetry.figures.document import iso
from devtelemetry.model.errors import ConfigurationError, UnknownName
from devtelemetry.store.database import Database
from devtelemetry.store.sql import is_text, queries

LONGEST_TEXT = 500  # characters
LONGEST_VERSION = 256  # characters; a client's version is shorter (ingest/check.py)
MOST_NOTES = 10_000  # in a deployment
MOST_SHOWN = 100  # in one answer by default

_QUERIES = queries(__package__, "notes.sql")


@dataclass(frozen=True, slots=True)
class Note:
    """at  the moment that the note is about, aware UTC
    version  the app version that it is about; empty: none
    """

    note_id: int
    at: datetime
    version: str
    text: str


async def add_note(
    database: Database, text: str, *, at: datetime, version: str = "", now: datetime
) -> Note:
    """Raises ConfigurationError if the text or version is not allowed, or there are too many
    notes."""
    text, version = " ".join(text.split()), version.strip()
    _check("text", text, LONGEST_TEXT)
    _check("version", version, LONGEST_VERSION)
    if not text:
        raise ConfigurationError(f"text: it is empty; allowed: 1 to {LONGEST_TEXT} characters")
    async with database.acquire() as connection:
        note_id = await connection.fetchval(
            _QUERIES["add"], at=at, version=version, text=text, now=now, most=MOST_NOTES
        )
    if note_id is None:
        raise ConfigurationError(
            f"there are {MOST_NOTES:,} notes, the most that are allowed; remove some first"
        )
    return Note(note_id, at, version, text)


def _check(name: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise ConfigurationError(
            f"{name}: it has {len(value):,} characters; allowed: up to {longest}"
        )
    if not is_text(value):
        raise ConfigurationError(f"{name}: it is not Unicode text; allowed: letters, no NUL")


async def remove_note(database: Database, note_id: int) -> None:
    """Raises UnknownName if there is no note with that number."""
    async with database.acquire() as connection:
        removed = await connection.fetchval(_QUERIES["remove"], note_id=note_id)
    if removed is None:
        raise UnknownName(
            f"there is no note {note_id}; allowed: a number that `devtelemetry annotate --list` "
            "shows"
        )


async def read_notes(
    database: Database,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = MOST_SHOWN,
) -> Sequence[Note]:
    """The newest `limit` notes about moments in [start, end), the oldest first; None: no bound."""
    async with database.read() as connection:
        rows = await connection.fetch(_QUERIES["read"], start=start, end=end, most=limit)
    return [
        Note(row["note_id"], row["noted_at"].astimezone(UTC), row["app_version"], row["text"])
        for row in rows
    ]


async def state_of_notes(database: Database) -> tuple[int, ...]:
    """A value that changes when the notes change."""
    async with database.read() as connection:
        return tuple(await connection.fetchval(_QUERIES["state"]))


def notes_as_json(notes: Sequence[Note]) -> list[dict[str, Any]]:
    """Source: docs/protocol.md, "Notes as JSON"."""
    return [
        {"id": one.note_id, "at": iso(one.at), "version": one.version or None, "text": one.text}
        for one in notes
    ]
