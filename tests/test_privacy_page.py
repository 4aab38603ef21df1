"""docs/privacy.md names everything that is sent and kept, and nothing else."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.descriptor import Descriptor

from devtelemetry.client import Limits, outbox
from devtelemetry.v1 import PUSH, telemetry_pb2
from support.server import ServerProcess

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")

# None of these columns may be empty: purpose, who learns it, how long it is kept where.
FIELD_COLUMNS = 5
BESIDE_COLUMNS = 4
TABLE_COLUMNS = 3

_CELL = re.compile(r" *\| *")
_EMPTY = {"", "-", "–", "?", "…"}
_NOT_STORED = re.compile("(not|never) stored")


def rows(section: str, table: int = 0) -> Iterator[list[str]]:
    """The cells of each row of a table in a section."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    assert text, f"no section {section}"
    tables: list[str] = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    for line in tables[table].splitlines()[2:]:
        yield _CELL.split(line.strip().strip("|").strip())


def messages(found: list[Descriptor]) -> Iterator[Descriptor]:
    for message in found:
        yield message
        yield from messages(list(message.nested_types))


def fields_of_the_proto() -> list[str]:
    declared = list(telemetry_pb2.DESCRIPTOR.message_types_by_name.values())
    return [
        f"`{message.name}.{field.name}`"
        for message in messages(declared)
        for field in message.fields
    ]


def tables_of(schema: str) -> list[str]:
    parts = (ROOT / "src/devtelemetry").glob(schema)
    text = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    return re.findall(r"^create table (?:if not exists )?(\w+) \(", text, re.MULTILINE)


def test_every_field_of_the_proto_is_there_once_and_no_other() -> None:
    fields = fields_of_the_proto()
    assert len(fields) > 20
    assert sorted(row[0] for row in rows("Every field")) == sorted(fields)


def test_all_that_is_told_has_a_purpose_who_learns_it_and_how_long_it_is_kept() -> None:
    for table, columns in enumerate((FIELD_COLUMNS, BESIDE_COLUMNS)):
        for row in rows("Every field", table):
            assert len(row) == columns, row
            assert not _EMPTY & set(row), row


@pytest.mark.parametrize(
    ("section", "schema"),
    [
        ("What the device keeps", "client/schema.sql"),
        ("What the server keeps", "store/schema/*.sql"),
    ],
)
def test_every_table_is_there_with_what_it_holds_and_until_when(section: str, schema: str) -> None:
    tables = tables_of(schema)
    assert len(tables) > 5
    told = []
    for row in rows(section):
        assert len(row) == TABLE_COLUMNS, row
        assert not _EMPTY & set(row), row
        told += re.findall(r"`(\w+)`", row[0])
    assert sorted(told) == sorted(tables)


async def everything_stored(url: str) -> str:
    """All rows of all tables and views as text, with bytes in hexadecimal."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "select relname from pg_class"
            " where relkind in ('r', 'v') and relnamespace = 'public'::regnamespace"
        )
        rows = [
            row["stored"]
            for name in names
            for row in await connection.fetch(f"select t::text as stored from {name[0]} t")
        ]
    finally:
        await connection.close()
    return "\n".join(rows)


async def test_what_the_page_says_is_not_stored_is_not_in_the_database_and_the_rest_is(
    database_url: str, tmp_path: Path
) -> None:
    now_ms = time.time_ns() // 1_000_000
    sample: dict[str, Any] = {
        "message_id": "the-message",
        "channel_id": "the-channel",
        "sent_at": now_ms - 1,
        "topics": b"the-topics",
        "envelope_id": "the-envelope",
        "received_at": now_ms - 1_111_111,
        "message_type": "THE_TYPE",
        "message_size": 271_828,
    }
    other_key: dict[str, Any] = {"receiver_public_key": "0x04-another-key"}
    reporter = {
        "receiver_public_key": "0x04-the-key",
        "installation_id": "the-installation",
        "platform": "the-platform",
        "app_version": "the-version",
        "server": "the-server",
    }
    # Times that occur nowhere else, even when those are rounded to a minute.
    membership: dict[str, Any] = {
        "channel_id": "the-membership",
        "joined_at": now_ms - 3_333_333,
        "left_at": now_ms - 2_222_222,
    }
    lost: dict[str, Any] = {
        "first_sequence": 2_718_281_828_459_045,
        "last_sequence": 2_718_281_828_459_046,
        "first_sent_at": now_ms - 6_666_666,
        "last_sent_at": now_ms - 5_555_555,
    }
    push: dict[str, Any] = {
        "first_sequence": 3_141_592_653_589_793,
        "client_time": now_ms - 4_444_444,
    }
    request = telemetry_pb2.PushRequest(
        samples=[
            telemetry_pb2.Sample(**sample),
            telemetry_pb2.Sample(**sample, **other_key),
        ],
        reporter=telemetry_pb2.Reporter(**reporter),
        memberships=[telemetry_pb2.Membership(**membership)],
        lost=[telemetry_pb2.Lost(**lost)],
        **push,
    )
    with (
        ServerProcess(tmp_path / "data", f"--database={database_url}") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        answer: Any = channel.unary_unary(
            PUSH,
            request_serializer=telemetry_pb2.PushRequest.SerializeToString,
            response_deserializer=telemetry_pb2.PushResponse.FromString,
        )(request)
        assert answer.accepted == 2
    stored = await everything_stored(database_url)

    is_stored = {row[0].strip("`"): not _NOT_STORED.match(row[4]) for row in rows("Every field")}
    said = [
        ("Sample", sample | other_key),
        ("Reporter", reporter),
        ("Membership", membership),
        ("Lost", lost),
        ("PushRequest", push),
    ]
    for message, fields in said:
        for name, value in fields.items():
            text = value.hex() if isinstance(value, bytes) else str(value)
            assert (text in stored) == is_stored[f"{message}.{name}"], (message, name)


def test_the_bounds_on_the_device_are_the_clients() -> None:
    limits = Limits()
    size, days = limits.size_bytes // 2**20, limits.age_ms // outbox.DAY_MS
    (kept,) = (row[2] for row in rows("What the device keeps") if "telemetry_outbox" in row[0])
    assert f"at most {limits.samples:,} samples, {size} MiB, and {days} days" in kept
    assert f"the last {outbox._SHOWN_ROWS} of each" in kept
    assert f"none older than {outbox._SHOWN_MS // 3_600_000} hours" in kept
