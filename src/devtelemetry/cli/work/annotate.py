"""Makes, shows and removes the team's notes."""

from datetime import datetime

import orjson
from rich.console import Console

from devtelemetry.cli.output import say, tell, write
from devtelemetry.releases.notes import (
    MOST_NOTES,
    add_note,
    notes_as_json,
    read_notes,
    remove_note,
)
from devtelemetry.report.sentences import of_notes
from devtelemetry.runtime.clock import utc_now
from devtelemetry.server.wiring import opened_database
from devtelemetry.settings.settings import Settings


async def add(settings: Settings, text: str, at: datetime | None, version: str) -> None:
    now = utc_now()
    async with opened_database(settings) as database:
        note = await add_note(database, text, at=at or now, version=version, now=now)
    say(f"note {note.note_id}")


async def remove(settings: Settings, note_id: int) -> None:
    async with opened_database(settings) as database:
        await remove_note(database, note_id)
    say(f"removed note {note_id}")


async def show(settings: Settings, *, as_json: bool) -> None:
    async with opened_database(settings) as database:
        notes = await read_notes(database, limit=MOST_NOTES)
    if as_json:
        write(orjson.dumps({"notes": notes_as_json(notes)}) + b"\n")
    elif notes:
        console = Console(highlight=False)
        for line in of_notes(notes):
            console.print(line)
    else:
        tell("There are no notes; `devtelemetry annotate TEXT` makes one.")
