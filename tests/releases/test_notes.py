"""Notes of the team: a command makes, shows and removes them, and the API returns them."""

from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from devtelemetry.api.app import create_app
from devtelemetry.model import from_unix_ms
from devtelemetry.model.errors import ConfigurationError, UnknownName
from devtelemetry.releases import notes
from devtelemetry.releases.notes import Note, add_note, read_notes, remove_note
from devtelemetry.server.wiring import aggregate_rules, http_access
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from support.program import Run
from support.store import START, compute_window, store_hours

AT = from_unix_ms(START)


async def test_notes_are_read_by_their_moment_and_not_by_when_they_were_made(
    database: Database,
) -> None:
    for hours, text in [(2, "later"), (0, "  first\n of all "), (1, "between")]:
        await add_note(database, text, at=AT + timedelta(hours=hours), version="2.32.0", now=AT)
    found = await read_notes(database)
    assert [one.text for one in found] == ["first of all", "between", "later"]
    assert found[0] == Note(2, AT, "2.32.0", "first of all")
    hour = timedelta(hours=1)
    assert [one.text for one in await read_notes(database, start=AT + hour)] == ["between", "later"]
    assert [one.text for one in await read_notes(database, end=AT + hour)] == ["first of all"]
    assert [one.text for one in await read_notes(database, limit=1)] == ["later"]
    await remove_note(database, 2)
    assert [one.text for one in await read_notes(database)] == ["between", "later"]
    with pytest.raises(UnknownName, match="there is no note 2; allowed"):
        await remove_note(database, 2)


@pytest.mark.parametrize(
    ("text", "version", "said"),
    [
        (" \n", "", "text: it is empty"),
        ("x" * 501, "", "text: it has 501 characters; allowed: up to 500"),
        ("fine", "9" * 257, "version: it has 257 characters; allowed: up to 256"),
        ("no\0", "", "text: it is not Unicode text"),
        ("no\udc80", "", "text: it is not Unicode text"),
    ],
)
async def test_what_does_not_do_is_said(
    database: Database, text: str, version: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await add_note(database, text, at=AT, version=version, now=AT)
    assert await read_notes(database) == []


async def test_there_are_no_more_than_so_many(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "MOST_NOTES", 1)
    await add_note(database, "one", at=AT, now=AT)
    with pytest.raises(ConfigurationError, match="there are 1 notes"):
        await add_note(database, "two", at=AT, now=AT)


def test_the_command_makes_shows_and_removes(run: Run) -> None:
    made = run("annotate", "2.32.0 to a tenth", "--at=2026-03-02T10:00", "--version=2.32.0")
    assert (made.out, made.err) == ("note 1\n", "")
    shown = run("annotate", "--list").out
    assert " ".join(shown.split()) == "1 2026-03-02 10:00 UTC [2.32.0] 2.32.0 to a tenth"
    document = run("annotate", "--list", "--json").document
    assert document == {
        "notes": [
            {
                "id": 1,
                "at": "2026-03-02T10:00:00Z",
                "version": "2.32.0",
                "text": "2.32.0 to a tenth",
            }
        ]
    }
    assert run("annotate", "--remove=1").out == "removed note 1\n"
    assert "There are no notes" in run("annotate", "--list").err
    for wrong in ([], ["text", "--list"], ["--json", "text"], ["--list", "--version=1"]):
        assert run("annotate", *wrong, check=False).status == 2


@pytest_asyncio.fixture
async def noted(database: Database) -> Database:
    await store_hours(database, 1)
    await compute_window(database)
    await add_note(database, "in the window", at=AT + timedelta(minutes=5), now=AT)
    await add_note(database, "long before", at=AT - timedelta(days=5), now=AT)
    return database


@pytest.mark.usefixtures("noted")
def test_the_report_shows_those_of_its_windows(run: Run) -> None:
    text = run("report").out
    assert "in the window" in text
    assert "long before" not in text
    shown = run("report", "--json", "--from=2026-03-02").document["notes"]
    assert [one["text"] for one in shown] == ["in the window"]


async def test_the_api_answers_them(noted: Database) -> None:
    settings = Settings(http_listen="127.0.0.1:8080")
    app = create_app(noted, aggregate_rules(settings), http_access(settings))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080"
    ) as client:
        answer = await client.get("/api/v1/notes", params={"from": "2026-03-01"})
        assert [one["text"] for one in answer.json()["notes"]] == ["in the window"]
        assert answer.json()["notes"][0]["version"] is None
        assert (await client.get("/api/v1/notes", params={"limit": "0"})).status_code == 422
