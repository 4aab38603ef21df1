"""`report missing` and /api/v1/missing: what they show, and that clients' texts cannot do harm."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.api.missing import MissingDocument
from devtelemetry.causes import document
from devtelemetry.causes.document import COLUMNS, cell
from devtelemetry.model import HOUR_MS, Sample
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import parse_receiver, pseudonym
from devtelemetry.store.tokens import Scope, create_token
from support.losses import worked_channel, worked_outcomes
from support.program import Run
from support.store import LATER, START, compute_window, store
from test_api import client_of, get

MISSING = "/api/v1/missing"
AT = "--window-start=2026-03-02T10:00"


@pytest_asyncio.fixture
async def worked(database: Database) -> AsyncIterator[Database]:
    """The worked channel, computed."""
    await store(database, worked_channel())
    await compute_window(database)
    yield database


async def name_of(database: Database, key: str) -> str:
    return pseudonym((await database.keyring()).receiver(key, "")).split(":")[1]


# -------------------------------------------------------------------------------------- command


def test_the_report_says_what_is_missing_in_80_columns(
    worked: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run("report", "missing", "--channel=general")
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    text = " ".join(done.out.split())
    assert "general, 1h window of 2026-03-02 10:00 UTC, membership present" in text
    assert "10 messages, 5 receivers: 10 of 40 pairs missing (25.00 %), 0 unknown." in text
    assert "Lost by everyone 4, in a burst 3, by one 1, scattered 2." in text
    assert "10:15:00 m3 CHAT_MESSAGE android 0 of 4 by everyone" in text
    assert "10:40:00 m8 CHAT_MESSAGE desktop 2 of 4 scattered" in text
    assert "ios 2.36.0 4 of 9 3 2 2.0 3 10:25:00–10:35:00" in text
    assert "have changed since" not in text


LONG_IDS = [f"0x{number:064x}" for number in range(10)]


@pytest_asyncio.fixture
async def long_ids(database: Database) -> None:
    """A channel with long ids; ben lacks the fifth message."""
    await store(
        database,
        [
            Sample(name, "c" * 70, who, at, at + 1_000)
            for number, name in enumerate([*LONG_IDS, "after"])
            for at in [START + number * HOUR_MS // 10]
            for who in ("ann", "ben", "cleo")
            if (who, number) != ("ben", 4)
        ],
    )


@pytest.mark.usefixtures("long_ids")
def test_a_pipe_gets_whole_ids(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("report", "missing", f"--channel={'c' * 70}", AT)
    monkeypatch.delenv("COLUMNS", raising=False)
    piped = run(*asked).out
    assert LONG_IDS[4] in piped
    assert "c" * 70 in piped
    monkeypatch.setenv("COLUMNS", "80")
    assert LONG_IDS[4] not in run(*asked).out


@pytest_asyncio.fixture
async def outcomes(database: Database) -> None:
    await store(database, worked_outcomes())
    await compute_window(database)


@pytest.mark.usefixtures("outcomes")
def test_the_report_says_what_became_of_what_is_missing_and_why(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = run("report", "missing", "--channel=outcomes").out
    assert max(map(len, out.splitlines())) <= 80
    assert "have changed since" not in out
    text = " ".join(out.split())
    assert (
        "Of 7 missing: 3 were never sent, 2 did not arrive, 1 could not be read, "
        "1 was dropped by the app." in text
    )
    assert "Of 8 delivered: 3 live, 1 from a history, 4 not said." in text
    assert "by everyone not arrived, dropped: too_large" in text
    assert "by one unreadable: no_session_key" in text
    assert "by everyone not sent: no_peers" in text


@pytest.mark.usefixtures("outcomes")
def test_exports_say_what_became_of_what_is_missing_and_why(run: Run) -> None:
    found = run("report", "missing", "--channel=outcomes", "--json").document
    assert (found["not_arrived"], found["unreadable"]) == (2, 1)
    assert (found["not_sent"], found["dropped"]) == (3, 1)
    m4, m5, m3 = found["missing_messages"]
    assert [one["class"] for one in m4["lacking"]].count("not_arrived") == m4["not_arrived"] == 2
    assert (m5["went_out"], m5["not_sent"], m5["lacking"][0]["reason"]) == (False, 3, "no_peers")
    assert m3["ways"] == {"live": 0, "history": 1, "resent": 0, "not_said": 1}
    table = run("report", "missing", "--channel=outcomes", "--csv=-").out
    rows = {row["message_id"]: row for row in csv.DictReader(io.StringIO(table))}
    assert (rows["m4"]["dropped"], rows["m4"]["reasons"]) == ("1", "too_large")
    assert (rows["m3"]["went_out"], rows["m3"]["history"]) == ("True", "1")
    assert rows["m5"]["went_out"] == "False"


def test_the_report_of_nothing_missing_has_no_tables(worked: Database, run: Run) -> None:
    text = run("report", "missing", "--channel=general", AT, "--timeframe=15m").out
    assert "0 of 8 pairs missing" in text
    assert "Missing messages" not in text
    text = run("report", "missing", "--channel=general", AT, "--timeframe=5m").out
    assert "Nothing in it counts" in text


def test_what_was_computed_otherwise_is_said(worked: Database, run: Run) -> None:
    text = " ".join(run("report", "missing", "--channel=general", "--quorum=2").out.split())
    assert "9 messages, 5 receivers: 6 of 36 pairs missing" in text
    assert "When the window was computed, 10 of 40 pairs were missing and" in text


def test_only_so_many_are_shown_and_the_rest_is_said(worked: Database, run: Run) -> None:
    text = run("report", "missing", "--channel=general", "--limit=2").out
    assert "Missing messages, the worst 2 of 6" in text
    assert "Receivers that lack messages, the worst 2 of 5" in text
    assert " m9 " not in text


def test_json_is_the_document_of_the_api(worked: Database, run: Run) -> None:
    done = run("report", "missing", "--channel=general", "--json")
    parsed = MissingDocument.model_validate_json(done.out)
    assert json.loads(parsed.model_dump_json(by_alias=True)).keys() == done.document.keys()
    assert done.document["patterns"] == {
        "lost_by_everyone": 4,
        "burst": 3,
        "lost_by_one": 1,
        "scattered": 2,
    }
    first = done.document["missing_messages"][0]
    assert (first["message_id"], first["sent_at_iso"]) == ("m3", "2026-03-02T10:15:00.000Z")
    assert first["topics"] == "L3dha3UvMi9jMQ=="


def test_an_export_has_a_line_a_message_with_all_that_is_needed_to_find_it(
    worked: Database, run: Run, tmp_path: Path
) -> None:
    lines = [
        json.loads(line)
        for line in run("report", "missing", "--channel=general", "--ndjson").out.splitlines()
    ]
    assert [line["message_id"] for line in lines] == ["m3", "m8", "m5", "m6", "m7", "m9"]
    file = tmp_path / "missing.csv"
    done = run("report", "missing", "--channel=general", f"--csv={file}")
    assert (done.status, done.out) == (0, "")
    rows = list(csv.DictReader(file.open(encoding="utf-8", newline="")))
    assert [row["message_id"] for row in rows] == [line["message_id"] for line in lines]
    assert rows[0].keys() == dict.fromkeys(COLUMNS).keys()
    for row, line in zip(rows, lines, strict=True):
        assert row["envelope_id"] == line["envelope_id"] == f"0xe{row['message_id']}"
        assert row["topics"] == line["topics"]
        assert int(row["sent_at"]) == line["sent_at"]
        assert row["sent_at_iso"] == line["sent_at_iso"]
        assert (int(row["held"]), int(row["expected"])) == (line["held"], line["expected"])
        assert row["lacking"].split() == [one["receiver"] for one in line["lacking"]]
    assert rows[0]["author_platforms"] == "android"
    assert run("report", "missing", "--channel=general", "--csv=-").out == file.read_text()


async def receiver_names(database: Database, key: str) -> list[str]:
    ids = (await database.keyring()).receiver(key, "")
    return [pseudonym(ids), pseudonym(ids).split(":")[1]]


@pytest_asyncio.fixture
async def names_of_dan(worked: Database) -> list[str]:
    return await receiver_names(worked, "dan")


def test_of_one_receiver_only_what_it_lacks_is_shown(names_of_dan: list[str], run: Run) -> None:
    for name in names_of_dan:
        shown = run("report", "missing", "--channel=general", "--json", f"--receiver={name}")
        assert [m["message_id"] for m in shown.document["missing_messages"]] == ["m3", "m9"]
        (dan,) = shown.document["lossy_receivers"]
        assert dan["receiver"] == names_of_dan[1]
        assert (dan["missing"], dan["loss_periods"], dan["loss_distance_mean"]) == (2, 2, 5.0)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--channel=nope"], 1, "there is no channel 'nope'"),
        (["--channel=general", "--timeframe=1d"], 1, "no 1d window with figures of this channel"),
        (["--channel=general", "--window-start=soon"], 2, "'soon' is not a time"),
        (
            ["--channel=general", "--receiver=dan"],
            2,
            "--receiver: 'dan' is not a receiver; allowed",
        ),
        (["--channel=general", "--receiver=0000000000000000"], 1, "does not count"),
        (["--channel=general", "--json", "--csv=-"], 2, "allowed: one of them"),
        (["--channel=general", "--burst=1"], 2, "--burst"),
        ([], 2, "--channel"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(
    worked: Database, run: Run, arguments: list[str], status: int, text: str
) -> None:
    done = run("report", "missing", *arguments)
    assert done.status == status
    assert text in done.err
    assert done.out == ""


def test_an_option_of_the_report_before_its_command_is_refused(worked: Database, run: Run) -> None:
    done = run("report", "--timeframe=1h", "missing", "--channel=general")
    assert done.status == 2
    assert "--timeframe: given before missing; allowed: after it" in done.err


# -------------------------------------------------------------------------------- hostile texts

HOSTILE = [
    '=HYPERLINK("http://x","y")',
    "+1;=2+3",
    "[bold red]m[/bold red]",
    "\x1b[2J\x1b]0;title\x07",
    'a\nb,"c"\t\r',
    "\u202egnp.exe",
    "@SUM(1)" + "x" * 490,
]


@pytest_asyncio.fixture
async def hostile(database: Database) -> AsyncIterator[str]:
    """A channel in which every text is hostile; yields its id."""
    channel = HOSTILE[2] + HOSTILE[3]
    around = [("before", START - 1), ("after", START + HOUR_MS)]
    await store(
        database,
        [
            Sample(
                message,
                channel,
                receiver,
                sent_at,
                START + HOUR_MS,
                sent_by_receiver=receiver == "x",
                topics=b"\xfb\xff",
                envelope_id=message[:100],
                message_type=message[:60],
                platform=HOSTILE[0],
                app_version=HOSTILE[3],
            )
            for receiver in ("x", "y")
            for message, sent_at in (
                *around,
                *((text, START + at) for at, text in enumerate(HOSTILE) if receiver == "x"),
            )
        ],
    )
    yield channel


def test_nothing_that_clients_sent_acts_on_a_terminal_or_a_spreadsheet(
    hostile: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = run("report", "missing", f"--channel={hostile}", AT).out
    assert max(map(len, out.splitlines())) <= 80
    assert "[bold red]" in out, "markup is text"
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    out = run("report", "missing", f"--channel={hostile}", AT, "--csv=-").out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    rows = list(csv.reader(io.StringIO(out)))
    assert len(rows) == len(HOSTILE) + 1
    for text in (text for row in rows for text in row):
        assert not re.match(r"\s*[=+\-@]", text), text
        assert ";" not in text
    lines = run("report", "missing", f"--channel={hostile}", AT, "--ndjson").out.splitlines()
    assert {json.loads(line)["message_id"] for line in lines} == set(HOSTILE), "JSON has them whole"
    done = run("report", "missing", "--channel=\x1b[2J" + "x" * 600)
    assert done.status == 1
    assert len(done.err) < 300
    assert all(letter.isprintable() or letter == "\n" for letter in done.err)


@given(st.text())
def test_a_cell_shows_a_text_and_does_nothing(text: str) -> None:
    shown = cell(text)
    assert shown.isprintable()
    assert ";" not in shown
    assert not shown.lstrip().startswith(tuple("=+-@＝＋－＠"))
    # The text can be read back from its escapes.
    letters = re.sub(
        r"\\U([0-9a-f]{8})|\\u([0-9a-f]{4})", lambda code: chr(int(code[1] or code[2], 16)), shown
    )
    assert text in (letters, letters.removeprefix("'"))


# ------------------------------------------------------------------------------------------ API


async def test_the_api_answers_as_its_models_say(worked: Database) -> None:
    answer = await get(worked, MISSING, channel="general", start="2026-03-02T10:00")
    assert answer.status_code == 200
    MissingDocument.model_validate_json(answer.text)
    assert answer.json()["missing"] == answer.json()["stored"]["missing"] == 10
    assert (await get(worked, MISSING, channel="general")).json() == answer.json()
    ben = await name_of(worked, "ben")
    worst = answer.json()["lossy_receivers"][0]
    assert (worst["receiver"], worst["platform"], worst["loss_periods"]) == (ben, "ios", 2)
    assert worst["runs"] == [
        {"first_sent_at": START + 900_000, "last_sent_at": START + 900_000, "length": 1,
         "held_by_others": 0},
        {"first_sent_at": START + 1_500_000, "last_sent_at": START + 2_100_000, "length": 3,
         "held_by_others": 3},
    ]  # fmt: skip


async def test_the_api_answers_page_by_page(worked: Database) -> None:
    found: list[str] = []
    for offset in range(0, 8, 2):
        page = (await get(worked, MISSING, channel="general", limit="2", offset=str(offset))).json()
        assert page["missing_messages_total"] == 6
        assert len(page["lossy_receivers"]) == min(2, max(0, 5 - offset))
        found += [message["message_id"] for message in page["missing_messages"]]
    assert found == ["m3", "m8", "m5", "m6", "m7", "m9"]


async def test_an_answer_names_so_many_receivers_and_counts_all(
    worked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "LISTED", 1)
    answer = (await get(worked, MISSING, channel="general")).json()
    first = answer["missing_messages"][0]
    assert (first["missing"], len(first["lacking"])) == (4, 1)
    worst = answer["lossy_receivers"][0]
    assert worst["loss_periods"] == 2
    assert [run["length"] for run in worst["runs"]] == [3], "the longest"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"membership": "window"}, "window"),
        ({"burst": "4"}, "present"),
        ({"timeframe": "60m", "start": "2026-03-02T10:00:00Z"}, "present"),
    ],
)
async def test_what_is_asked_for_is_what_is_looked_into(
    worked: Database, params: dict[str, str], expected: str
) -> None:
    answer = await get(
        worked, MISSING, **{"channel": "general", "start": "2026-03-02T10:00", **params}
    )
    document = answer.json()
    assert document["membership"] == expected
    assert document["timeframe"] == params.get("timeframe", "1h")
    assert (document["patterns"]["burst"] == 0) == ("burst" in params)
    assert (document["stored"] is None) == (params.keys() & {"membership", "timeframe"} != set())


@pytest.mark.parametrize(
    ("params", "status", "text"),
    [
        ({}, 422, "Field required"),
        ({"channel": "general", "page": "1"}, 422, "Extra inputs"),
        ({"channel": "general", "limit": "1001"}, 422, "less than or equal to 1000"),
        ({"channel": "general", "limit": "0"}, 422, "greater than or equal to 1"),
        ({"channel": "general", "receiver": "dan"}, 422, "'dan' is not a receiver"),
        ({"channel": "general", "start": "soon"}, 422, "'soon' is not a time"),
        ({"channel": "general", "start": "2026-03-02T10:01"}, 422, "no 1h window starts at"),
        ({"channel": "general", "start": "2999-01-01"}, 422, "in the future"),
        ({"channel": "nope"}, 404, "there is no channel 'nope'"),
        ({"channel": "\x00"}, 404, "there is no channel"),
        ({"channel": "general", "receiver": "0" * 16}, 404, "does not count"),
    ],
)
async def test_a_bad_question_is_answered_with_what_is_wrong(
    worked: Database, params: dict[str, str], status: int, text: str
) -> None:
    answer = await get(worked, MISSING, **params)
    assert answer.status_code == status
    detail: Any = answer.json()["detail"]
    assert text in (detail if isinstance(detail, str) else detail[0]["msg"])


async def test_of_cleaned_samples_the_answer_is_that_they_are_gone(worked: Database) -> None:
    async with worked.acquire() as connection:
        await connection.execute(
            "insert into cleaned_day values ($1)", START // 86_400_000 * 86_400_000
        )
    answer = await get(worked, MISSING, channel="general")
    assert answer.status_code == 410
    assert "allowed: windows from 2026-03-03" in answer.json()["detail"]


async def test_beyond_loopback_only_a_read_token_shows_single_messages(worked: Database) -> None:
    read = await create_token(worked, "wall", Scope.READ, now=LATER)
    ingest = await create_token(worked, "phone", Scope.INGEST, now=LATER)
    async with client_of(worked, http_listen="0.0.0.0:8080") as client:
        for token, status in ((read, 200), (ingest, 401), ("", 401)):
            answer = await client.get(
                MISSING,
                params={"channel": "general"},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code == status


def test_a_receiver_is_known_by_the_name_it_is_shown_and_exported_under() -> None:
    assert parse_receiver("ffffffffffffffff") == -1
    assert parse_receiver("dt-receiver:0000000000000001:0000000000000002:-") == 1
    for text in ("", "FFFFFFFFFFFFFFFF", "0" * 15, "0" * 17, "dt-receiver:1:2:-"):
        with pytest.raises(ValueError, match="is not a receiver; allowed"):
            parse_receiver(text)
