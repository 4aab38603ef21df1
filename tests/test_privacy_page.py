"""docs/privacy.md names all that is told and kept, and nothing that is not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from devtelemetry.client import Limits, outbox
from devtelemetry.v1 import telemetry_pb2

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")

# Of these columns none may be empty: what it is for, who learns it, how long it is kept where.
FIELD_COLUMNS = 5
BESIDE_COLUMNS = 4
TABLE_COLUMNS = 3

_CELL = re.compile(r" *\| *")
_EMPTY = {"", "-", "–", "?", "…"}


def rows(section: str, table: int = 0) -> Iterator[list[str]]:
    """The cells of each row of a table of a section."""
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


def tables_of(schema: Path) -> list[str]:
    text = schema.read_text(encoding="utf-8")
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
        ("What the device keeps", ROOT / "src/devtelemetry/client/schema.sql"),
        ("What the server keeps", ROOT / "src/devtelemetry/store/schema.sql"),
    ],
)
def test_every_table_is_there_with_what_it_holds_and_until_when(section: str, schema: Path) -> None:
    tables = tables_of(schema)
    assert len(tables) > 5
    told = []
    for row in rows(section):
        assert len(row) == TABLE_COLUMNS, row
        assert not _EMPTY & set(row), row
        told += re.findall(r"`(\w+)`", row[0])
    assert sorted(told) == sorted(tables)


def test_the_bounds_on_the_device_are_the_clients() -> None:
    limits = Limits()
    size, days = limits.size_bytes // 2**20, limits.age_ms // outbox.DAY_MS
    (kept,) = (row[2] for row in rows("What the device keeps") if "telemetry_outbox" in row[0])
    assert f"at most {limits.samples:,} samples, {size} MiB, and {days} days" in kept
    assert f"the last {outbox._SHOWN_ROWS} of each" in kept
    assert f"none older than {outbox._SHOWN_MS // 3_600_000} hours" in kept
