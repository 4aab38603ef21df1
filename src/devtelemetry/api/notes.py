"""`/api/v1/notes`: docs/protocol.md, "Notes as JSON"."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import Field

from devtelemetry.api.parameters import Moment, Problem, Strict
from devtelemetry.releases.notes import MOST_NOTES, MOST_SHOWN, notes_as_json, read_notes
from devtelemetry.store.database import Database


class NoteFigures(Strict):
    id: int
    at: datetime = Field(description="The moment that the note is about.")
    version: str | None = Field(
        description="The app version that the note is about; null if it is about none."
    )
    text: str


class NotesDocument(Strict):
    """Notes, the oldest first."""

    notes: list[NoteFigures]


class _Query(Strict):
    start: Moment | None = Field(
        None, alias="from", description="Only notes about this time or later."
    )
    end: Moment | None = Field(None, alias="to", description="Only notes about earlier times.")
    limit: int = Field(
        MOST_SHOWN, ge=1, le=MOST_NOTES, description="The greatest number of notes, the newest."
    )


def add_notes(app: FastAPI, database: Database, may_read: list[Any]) -> None:
    @app.get(
        "/api/v1/notes",
        summary="Notes of the team",
        tags=["figures"],
        response_model=NotesDocument,
        responses={401: {"model": Problem}, 503: {"model": Problem}},
        dependencies=may_read,
    )
    async def notes(query: Annotated[_Query, Query()]) -> dict[str, Any]:
        """Notes are about deployments, incidents and the like. `devtelemetry annotate` writes
        them."""
        found = await read_notes(database, start=query.start, end=query.end, limit=query.limit)
        return {"notes": notes_as_json(found)}
