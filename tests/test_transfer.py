"""Samples in and out as NDJSON, on real PostgreSQL."""

import asyncio
import base64
import contextlib
import gzip
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.figures.document import window_as_json
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    LostReports,
    MembershipPolicy,
    Outcome,
    ReportedMembership,
    ReportRun,
    Sample,
    SentAtClock,
    Source,
    Via,
    WindowReliability,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.retention.forget import forget_installation
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import ReceiverIds, pseudonym
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.transfer.exporting import export_samples
from devtelemetry.transfer.fields import BadLine
from devtelemetry.transfer.files import MAX_LINE_BYTES, InputFile, TransferError
from devtelemetry.transfer.importing import Imported, import_samples
from devtelemetry.transfer.parse import PSEUDONYM_PREFIX, Line, parse_line
from devtelemetry.transfer.plain import plain_line
from devtelemetry.transfer.reading import BATCH_LINES
from support.store import LATER, START, compute_window, empty
from support.waiting import until_waiting
from support.worlds import prefix_of

MONDAY = 1_772_409_600_000  # 2026-03-02T00:00Z
NOW_MS = MONDAY + 3 * DAY_MS
HOUR = parse_timeframe("1h")
LIMITS = AgeLimits()

SAMPLE: dict[str, Any] = {
    "messageId": "m1",
    "channelId": "c1",
    "receiverPublicKey": "0x04aa",
    "sentAt": START,
    "createdAt": START + 2_000,
}
FULL: dict[str, Any] = SAMPLE | {
    "installationId": "phone",
    "sentByReceiver": True,
    "topics": base64.b64encode(b"\x00topic\xff").decode(),
    "envelopeId": "0xe1",
    "platform": "android",
    "appVersion": "2.31.0",
    "receivedAt": START + 1_000,
    "messageType": "CHAT_MESSAGE",
    "messageSize": 77,
    "source": "status-go",
    "outcome": "dropped",
    "reason": "too_large",
    "via": "history",
    "sentAtClock": "server",
    "server": "example.org",
}
RUN: dict[str, Any] = {
    "installationId": "phone",
    "firstSequence": 3,
    "lastSequence": 5,
    "firstSentAt": START,
    "lastSentAt": START + 1_000,
}

MEMBERSHIP: dict[str, Any] = {
    "channelId": "c1",
    "receiverPublicKey": "0x04aa",
    "installationId": "phone",
    "joinedAt": START - 5,
    "joinedSaidAt": START,
    "leftAt": 0,
    "leftSaidAt": START + 1_000,
}


def line(**changes: Any) -> bytes:
    """SAMPLE as a line, with changes; `...` removes a field."""
    values = {name: value for name, value in (SAMPLE | changes).items() if value is not ...}
    return json.dumps(values).encode() + b"\n"


def run_line(**changes: Any) -> bytes:
    """RUN as a line, with changes."""
    values = {name: value for name, value in (RUN | changes).items() if value is not ...}
    return json.dumps(values).encode() + b"\n"


def membership_line(**changes: Any) -> bytes:
    """MEMBERSHIP as a line, with changes."""
    values = {name: value for name, value in (MEMBERSHIP | changes).items() if value is not ...}
    return json.dumps(values).encode() + b"\n"


def sample_of(text: bytes, limits: AgeLimits = LIMITS) -> Sample:
    said = parse_line(text, limits)
    assert said.sample is not None
    return said.sample


def lines(samples: Iterable[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(sample).encode() + b"\n" for sample in samples]


@dataclass
class Told:
    """What an import reported meanwhile."""

    rejected: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def on_rejected(self, number: int, why: str) -> None:
        self.rejected.append((number, why))


async def run_import(
    database: Database,
    source: Iterable[bytes],
    told: Told | None = None,
    *,
    limits: AgeLimits = LIMITS,
    on_batch: Callable[[], None] = lambda: None,
) -> Imported:
    told = told or Told()
    return await import_samples(
        database,
        source,
        limits,
        SettleRule(),
        now_ms=lambda: NOW_MS,
        on_rejected=told.on_rejected,
        on_note=told.notes.append,
        on_batch=on_batch,
    )


async def exported(database: Database) -> bytes:
    return b"".join([piece async for piece in export_samples(database)])


async def count(database: Database, table: str = "receipt") -> int:
    async with database.acquire() as connection:
        number: int = await connection.fetchval(f"select count(*) from {table}")
        return number


# ------------------------------------------------------------------------------------ one line


def test_every_field_of_a_line_reaches_the_sample() -> None:
    sample = sample_of(json.dumps(FULL).encode())
    assert sample == (
        "m1",
        "c1",
        "0x04aa",
        START,
        START + 2_000,
        "phone",
        True,
        b"\x00topic\xff",
        "0xe1",
        START + 1_000,
        "CHAT_MESSAGE",
        77,
        "android",
        "2.31.0",
        Source.STATUS_GO,
        Outcome.DROPPED,
        "too_large",
        Via.HISTORY,
        SentAtClock.SERVER,
        "example.org",
    )


def test_a_line_without_source_is_as_if_it_came_by_grpc() -> None:
    assert sample_of(line()).source is Source.GRPC


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{", "not JSON: "),
        (b"\xff\xfe", "not JSON: "),
        (b"null", "null is not an object; allowed: one JSON object a line"),
        (b"[1]", "[1] is not an object"),
        (b"NaN", "not JSON: "),
        (line(messageId=...), "messageId: missing; every line needs messageId, channelId, "),
        (line(createdAt=...), "createdAt: missing; "),
        (line(messageId=""), "messageId: empty; allowed: 1 to 512 bytes (missing_field)"),
        (line(messageId=5), "messageId: 5 is not text; allowed: text"),
        (line(messageId=None), "messageId: null is not text"),
        (line(channelId="c" * 513), "channelId: 513 bytes; allowed: up to 512 (too_long)"),
        (line(channelId="a\0b"), "channelId: holds a NUL character"),
        (line(receiverPublicKey=["k"]), 'receiverPublicKey: ["k"] is not text'),
        (line(sentAt=str(START)), f'sentAt: "{START}" is not a whole number; allowed: Unix milli'),
        (line(sentAt=True), "sentAt: true is not a whole number"),
        (line(sentAt=START + 0.5), f"sentAt: {START}.5 is not a whole number"),
        (line(sentAt=10**30), "sentAt: 1e+30 is not a whole number"),
        (line(sentAt=-1), "sentAt: -1 is negative; allowed: Unix milliseconds"),
        (line(sentAt=START // 1000), "looks like seconds; allowed: Unix milliseconds"),
        (line(sentAt=START * 1000), "looks like microseconds; "),
        (line(sentAt=2**64 - 1), "looks like nanoseconds; "),
        (line(createdAt=START // 1000), "is not a time in Unix milliseconds"),
        (
            line(createdAt=2**63),
            "createdAt: 9223372036854775808 is not a time in Unix milliseconds",
        ),
        (line(createdAt=0), "createdAt: 0 is not a time in Unix milliseconds"),
        (line(createdAt=None), "createdAt: null; allowed: Unix milliseconds, or null if sentBy"),
        (line(createdAt=None, sentByReceiver=False), "createdAt: null; allowed: "),
        (line(receivedAt=-5), "receivedAt: -5 is negative; "),
        (line(receivedAt=1.0), "receivedAt: 1.0 is not a whole number"),
        (line(sentByReceiver=1), "sentByReceiver: 1 is neither true nor false"),
        (line(topics="=="), 'topics: "==" is not base64; allowed: base64 with padding'),
        (line(topics="aGVsbG8"), 'topics: "aGVsbG8" is not base64'),
        (line(topics="é"), "is not base64"),
        (line(topics=base64.b64encode(bytes(4097)).decode()), "topics: 4097 bytes; allowed: "),
        (line(messageSize=-1), "messageSize: -1 is not a size; allowed: 0 to 4294967295 bytes"),
        (line(messageSize=2**32), "messageSize: 4294967296 is not a size"),
        (line(messageSize=False), "messageSize: false is not a size"),
        (line(messageType="x" * 129), "messageType: 129 bytes; allowed: up to 128"),
        (
            line(installationId="phone", sequence=0),
            "sequence: 0 is not the number of a sample; allowed:",
        ),
        (
            line(installationId="phone", sequence=2**53 + 1),
            "is not the number of a sample; allowed: 1 to",
        ),
        (
            line(installationId="phone", sequence=None),
            "sequence: null is not the number of a sample",
        ),
        (line(sequence=7), "sequence: 7 is given without installationId"),
        (
            run_line(installationId=...),
            "installationId: missing; every line needs inst",
        ),
        (run_line(installationId=""), "installationId: empty, too long or with NUL"),
        (run_line(firstSequence=0), "firstSequence: 0 is not the number of a sample"),
        (run_line(lastSequence=2), "lastSequence: 2; allowed: firstSequence or more, here 3"),
        (
            run_line(lastSentAt=...),
            "firstSentAt, lastSentAt: one is missing; allowed: both",
        ),
        (
            run_line(lost=True, firstSentAt=..., lastSentAt=...),
            "firstSentAt, lastSentAt: missing; a line with lost needs both",
        ),
        (
            run_line(lost=True, lastSentAt=START - 1),
            f"lastSentAt: {START - 1}; allowed if lost: firstSentAt or more, here {START}",
        ),
        (run_line(lost="yes"), 'lost: "yes" is neither true nor false'),
        (run_line(firstSentAt=5), "firstSentAt: 5 is not a time in Unix milliseconds"),
        (
            membership_line(channelId=""),
            "channelId: empty; allowed: 1 to 512 bytes (missing_field)",
        ),
        (membership_line(channelId=...), "channelId: missing; every line needs channelId, "),
        (membership_line(receiverPublicKey=""), "receiverPublicKey: empty; "),
        (membership_line(installationId="a\0b"), "installationId: holds a NUL character"),
        (membership_line(joinedAt=0), "joinedAt: 0 is not a time in Unix milliseconds"),
        (membership_line(leftAt=-1), "leftAt: -1 is not a time in Unix milliseconds"),
        (membership_line(joinedAt=...), "joinedAt, joinedSaidAt: one is missing; allowed: both"),
        (line(source="http"), 'source: "http" is not a source; allowed: grpc or status-go'),
        (line(message_id="m1"), '"message_id" is not a field; did you mean messageId?'),
        (line(receiverpublickey="k"), "is not a field; did you mean receiverPublicKey?"),
    ],
)
def test_what_is_no_sample_is_refused_with_the_field_what_it_was_and_what_is_allowed(
    bad: bytes, why: str
) -> None:
    with pytest.raises(BadLine) as caught:
        parse_line(bad, LIMITS)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None)
@given(
    st.binary()
    | st.dictionaries(st.sampled_from([*FULL, "sequence"]), JSON_VALUES).map(
        lambda values: json.dumps(FULL | values).encode()
    )
    | st.dictionaries(st.sampled_from(list(MEMBERSHIP)), JSON_VALUES).map(
        lambda values: json.dumps(MEMBERSHIP | values).encode()
    )
    | st.dictionaries(st.sampled_from(list(RUN)), JSON_VALUES).map(
        lambda values: json.dumps(RUN | values).encode()
    )
)
def test_whatever_the_line_is_it_is_a_sample_or_a_bad_line(text: bytes) -> None:
    with contextlib.suppress(BadLine):
        assert parse_line(text, LIMITS) != Line()


ODD_TEXTS = (
    *("", "\0", "é", "\ud800", "x" * 513, "held", "HELD", "live", "grpc"),
    *("YQ==", "YQ=", "YQ", "YR==", "Y Q==", "YQ==\n", "=YQ=", "a-_b"),
)
ODD_NUMBERS = (0, 1, -1, 2**31, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**64, 10**30, START)
ODD_VALUES = st.sampled_from(
    [*ODD_TEXTS, *ODD_NUMBERS, None, True, 1.0, -0.0, float(START), [], {}, [1], {"a": 1}]
)
ODD_BYTES = st.sampled_from(
    (
        *(
            b" ",
            b"\x0c",
            b"\0",
            b"0",
            b"-",
            b".0",
            b"e0",
            b",",
            b"\n",
            b"//",
            b"x",
            b"{}",
            b'"',
            b"",
        ),
        *(b"\\u0000", b"\\ud800", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
        *(b'"sentAt":1,', b'"oneIn":8,'),
    )
)
NUMBERED = FULL | {"sequence": 4, "oneIn": 8}


@settings(max_examples=1_000)
@given(
    st.sets(st.sampled_from(list(NUMBERED)), max_size=5),
    st.dictionaries(st.sampled_from([*NUMBERED, "mood"]), ODD_VALUES, max_size=2),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 3), ODD_BYTES), max_size=2),
)
def test_what_is_read_at_once_means_what_the_line_means(
    left_out: set[str], odd: dict[str, Any], spoilt: list[tuple[int, int, bytes]]
) -> None:
    values = {name: value for name, value in NUMBERED.items() if name not in left_out} | odd
    text = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for at, gone, more in spoilt:
        text = text[:at] + more + text[at + gone :]
    read = plain_line(text, LIMITS)
    if read is None:
        return
    sample, run, one_in = read
    meant = parse_line(text, LIMITS)
    assert meant == Line(sample, run, one_in=one_in)
    assert [*map(type, sample)] == [*map(type, meant.sample or ())]


def test_most_lines_are_read_at_once() -> None:
    for values in (SAMPLE, FULL, NUMBERED, {name: FULL[name] for name in [*SAMPLE, "topics"]}):
        assert plain_line(json.dumps(values).encode() + b"\r\n", LIMITS) is not None


def test_age_is_judged_by_the_recorded_created_at_and_not_by_the_clock() -> None:
    limits = AgeLimits(retention_ms=DAY_MS, clock_skew_ms=HOUR_MS)
    created_at = START + 3 * DAY_MS
    with pytest.raises(BadLine, match=r"^sentAt: .* old; allowed: .* \(too_old\)$"):
        parse_line(line(createdAt=created_at), limits)
    with pytest.raises(BadLine, match=r"^sentAt: .* ahead of .* \(in_the_future\)$"):
        parse_line(line(createdAt=START - 2 * HOUR_MS), limits)
    assert sample_of(line(createdAt=START - HOUR_MS), limits).created_at == START - HOUR_MS


def test_an_authors_time_that_is_no_time_is_taken_from_who_received_it() -> None:
    ahead = START + 2_000 + 2 * HOUR_MS
    sample = sample_of(line(sentAt=ahead, receivedAt=START + 1_000))
    assert (sample.sent_at, sample.sent_at_clock) == (START + 1_000, SentAtClock.RECEIVER)
    with pytest.raises(BadLine, match=r"^sentAt: .* \(in_the_future\)$"):
        sample_of(line(sentAt=ahead, receivedAt=START + 1_000, sentAtClock="server"))


def test_an_exported_sample_is_not_too_old_since_it_was_taken_once() -> None:
    exported_one = line(
        receiverPublicKey="dt-receiver:0000000000000001:0000000000000002:-",
        createdAt=START + 30 * DAY_MS,
    )
    assert sample_of(exported_one).sent_at == START


def test_an_authors_mark_has_no_created_at() -> None:
    sample = sample_of(line(createdAt=None, sentByReceiver=True))
    assert (sample.created_at, sample.sent_by_receiver) == (None, True)


def test_a_sample_says_its_number_and_a_run_those_of_many() -> None:
    said = parse_line(line(installationId="phone", sequence=7), LIMITS)
    assert said.run == ReportRun("phone", 7, 7, START, START)
    assert parse_line(run_line(), LIMITS) == Line(
        run=ReportRun("phone", 3, 5, START, START + 1_000)
    )


def test_numbers_that_are_lost_are_no_run() -> None:
    assert parse_line(run_line(lost=True), LIMITS) == Line(
        lost=LostReports("phone", 3, 5, START, START + 1_000)
    )
    assert parse_line(run_line(lost=False), LIMITS) == parse_line(run_line(), LIMITS)


def test_a_membership_says_when_it_was_said() -> None:
    assert parse_line(membership_line(), LIMITS) == Line(
        memberships=(
            ReportedMembership("c1", "0x04aa", "phone", START, joined_at=START - 5),
            ReportedMembership("c1", "0x04aa", "phone", START + 1_000),
        )
    )


async def test_a_line_that_is_exported_is_one_report(database: Database) -> None:
    who = {"channelId": "c1", "receiverPublicKey": "0x04aa"}
    said = [
        who | {"joinedAt": START - 9, "joinedSaidAt": START, "leftAt": START, "leftSaidAt": START},
        who | {"joinedAt": START, "joinedSaidAt": START + 1},
        who | {"leftAt": 0, "leftSaidAt": START + 2},  # "is in"
        who | {"leftAt": START, "leftSaidAt": START + 3},
    ]
    assert await run_import(database, lines(said)) == Imported()
    found = [json.loads(one) for one in (await exported(database)).splitlines()]
    assert [one | {"receiverPublicKey": "0x04aa"} for one in found] == said


def test_the_number_of_a_sample_that_is_refused_arrived() -> None:
    with pytest.raises(BadLine) as caught:
        parse_line(line(installationId="phone", sequence=7, messageId=""), LIMITS)
    assert caught.value.run == ReportRun("phone", 7, 7, None, None)


# -------------------------------------------------------------------------------------- import


async def test_import_stores_the_recorded_times(database: Database) -> None:
    held = {name: value for name, value in FULL.items() if name not in ("outcome", "reason")}
    assert await run_import(database, lines([held])) == Imported(imported=1)
    async with database.acquire() as connection:
        receipt = await connection.fetchrow(
            "select sent_at, created_at, received_at, sent_by_receiver from whole_receipt"
        )
    assert receipt is not None
    assert tuple(receipt) == (START, START + 2_000, START + 1_000, True)


async def test_importing_twice_counts_duplicates_and_changes_nothing(database: Database) -> None:
    samples = lines([SAMPLE, SAMPLE | {"messageId": "m2"}])
    assert await run_import(database, samples) == Imported(imported=2)
    before = await exported(database)
    assert await run_import(database, samples) == Imported(duplicates=2)
    assert await exported(database) == before


async def test_bad_lines_are_told_by_number_and_cost_the_good_ones_nothing(
    database: Database,
) -> None:
    told = Told()
    source = [line(), b"\n", b"no\n", line(messageId="m2"), line(sentAt=1), b"  \r\n", line()]
    assert await run_import(database, source, told) == Imported(1 + 1, 1, 2)
    assert [number for number, _ in told.rejected] == [3, 5]
    assert await count(database) == 2


async def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(database: Database) -> None:
    told = Told()
    source = [b"\xef\xbb\xbf" + line().strip() + b"\r\n", line(messageId="m2").strip() + b"\r\n"]
    assert await run_import(database, source, told) == Imported(imported=2)
    assert told == Told()


async def test_byte_order_marks_between_files_that_were_put_together_are_no_fault(
    database: Database,
) -> None:
    mark = b"\xef\xbb\xbf"
    one, two, three = (line(messageId=f"m{number}").rstrip() for number in range(3))
    # The second file has no newline at its end. The last message's id looks like such a joint.
    named = line(messageId="}\ufeff{").replace(b"\\ufeff", mark)
    found = await run_import(
        database, [mark + one + b"\n", mark + two + mark + three + b"\n", mark + b"\n", named]
    )
    assert (found.imported, found.rejected) == (4, 0)
    assert {json.loads(one)["messageId"] for one in (await exported(database)).splitlines()} == {
        *("m0", "m1", "m2"),
        "}\ufeff{",
    }


_DEEP = b"[" * 900 + b"]" * 900

# Lines from careless programs, and from people who want to stop an import.
_ODD_LINES = (
    _DEEP,
    b"[" * 100_000,
    b'{"a":' * 10_000,
    *(line(**{name: "DEEP"}).replace(b'"DEEP"', _DEEP) for name in (*FULL, "sequence", "outcome")),
    *(line(sentAt="BIG").replace(b'"BIG"', big) for big in (b"9" * 400, b"1e400", b"-1e308")),
    *(line(messageSize="BIG").replace(b'"BIG"', big) for big in (b"9" * 20, b"1e308", b"-0.0")),
    run_line(lastSequence="BIG").replace(b'"BIG"', b"9" * 30),
    membership_line(joinedAt="BIG").replace(b'"BIG"', b"9" * 30),
    *(
        b"null",
        b"NaN",
        b"[]",
        b"\x00",
        b"\xff\xfe{\x00",
        b"}\xef\xbb\xbf{",
        b'{"":""}',
        b"\xef\xbb\xbf{",
    ),
    line(messageId="UNPAIRED").replace(b"UNPAIRED", b"\\ud800"),
)


async def test_no_line_stops_an_import_or_costs_a_good_one(database: Database) -> None:
    written: list[bytes] = []
    for number, odd in enumerate(_ODD_LINES):
        written += [line(messageId=f"good-{number}"), odd]
    found = await run_import(database, written)
    assert found.imported == len(_ODD_LINES)
    assert found.rejected == len(_ODD_LINES) + 1  # one of them has two parts


async def test_unknown_fields_are_ignored_and_told_once_each(database: Database) -> None:
    told = Told()
    source = [line(mood="good", messageId=f"m{n}") for n in range(3)] + [
        line(weather="?", messageId="m4")
    ]
    assert (await run_import(database, source, told)).imported == 4
    assert told.notes == [
        'line 1: the field "mood" is not known and is ignored',
        'line 4: the field "weather" is not known and is ignored',
    ]


async def test_names_that_differ_from_line_to_line_are_not_told_for_ever(
    database: Database,
) -> None:
    told = Told()
    await run_import(database, [line(**{f"field{n}": n}) for n in range(100)], told)
    assert len(told.notes) == 20


async def test_a_line_longer_than_any_sample_is_refused(database: Database) -> None:
    told = Told()
    source = [line(note="x" * MAX_LINE_BYTES), line()]
    assert await run_import(database, source, told) == Imported(imported=1, rejected=1)
    assert told.rejected == [(1, f"longer than {MAX_LINE_BYTES} bytes")]


async def test_import_reads_no_more_than_a_batch_ahead_of_what_is_committed(
    database: Database,
) -> None:
    read = 0
    read_at_commit = []

    def many() -> Iterator[bytes]:
        nonlocal read
        for number in range(2 * BATCH_LINES + 10):
            read += 1
            yield line(messageId=f"m{number}")

    result = await run_import(database, many(), on_batch=lambda: read_at_commit.append(read))
    assert result == Imported(imported=2 * BATCH_LINES + 10)
    assert read_at_commit == [BATCH_LINES, 2 * BATCH_LINES, 2 * BATCH_LINES + 10]


async def test_an_authors_mark_takes_the_author_out_of_what_is_expected(database: Database) -> None:
    holders = [SAMPLE | {"receiverPublicKey": key} for key in ("a", "b")]
    mark = SAMPLE | {"receiverPublicKey": "author", "createdAt": None, "sentByReceiver": True}
    assert await run_import(database, lines([mark, *holders])) == Imported(imported=3)
    async with database.acquire() as connection:
        rows = await connection.fetch("select created_at, sent_by_receiver from whole_receipt")
    assert sorted(map(tuple, rows), key=str) == [
        (START + 2_000, False),
        (START + 2_000, False),
        (None, True),
    ]


async def test_a_mark_of_a_message_that_no_sample_reports_is_nothing(database: Database) -> None:
    told = Told()
    mark = line(messageId="unreported", createdAt=None, sentByReceiver=True)
    other = line(createdAt=None, sentByReceiver=True, receiverPublicKey="author")
    result = await run_import(database, [mark, other, line()], told)
    assert result == Imported(imported=2, rejected=1)
    assert told.notes == [
        "1 lines without createdAt were rejected: no sample reports their messages"
    ]
    assert (await count(database), await count(database, "message")) == (2, 1)


async def test_what_opted_out_does_not_come_back_from_a_file(database: Database) -> None:
    told = Told()
    samples = lines([SAMPLE | {"installationId": "phone"}, SAMPLE])
    await run_import(database, samples)
    backup = await exported(database)
    await forget_installation(database, "phone", now_ms=NOW_MS)
    result = await run_import(database, backup.splitlines(keepends=True), told)
    assert result == Imported(duplicates=1, rejected=1)
    assert told.notes == [
        "1 lines were rejected: their installations opted out or are being forgotten"
    ]
    assert await count(database) == 1


async def test_no_window_is_computed_of_a_file_that_is_half_read(database: Database) -> None:
    async with database.acquire() as holder:
        # A repair holds this lock, so the import has to wait in the middle.
        await holder.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.INGEST)
        task = asyncio.create_task(run_import(database, [line()]))
        await until_waiting(holder, lock=Lock.INGEST)
        rules = AggregateRules((HOUR,))
        assert await compute_due(database, rules, now=lambda: LATER) == 0
        await holder.execute("select pg_advisory_unlock($1, $2)", NAMESPACE, Lock.INGEST)
        assert await task == Imported(imported=1)
    assert await compute_due(database, rules, now=lambda: LATER) > 0


async def test_import_waits_for_windows_that_are_being_computed(database: Database) -> None:
    told = Told()
    async with database.acquire() as holder:
        await holder.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.AGGREGATE)
        task = asyncio.create_task(run_import(database, [line()], told))
        await until_waiting(holder, lock=Lock.AGGREGATE)
        assert await count(database) == 0
        assert told.notes == ["windows are being computed; the import waits until they are done"]
        await holder.execute("select pg_advisory_unlock($1, $2)", NAMESPACE, Lock.AGGREGATE)
        assert await task == Imported(imported=1)


async def test_a_lost_connection_costs_nothing_and_counts_nothing_twice(database: Database) -> None:
    told = Told()
    async with database.acquire() as holder:
        await holder.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.INGEST)
        task = asyncio.create_task(run_import(database, [line()], told))
        (pid,) = await until_waiting(holder, lock=Lock.INGEST)
        await holder.execute("select pg_terminate_backend($1)", pid)
        await holder.execute("select pg_advisory_unlock($1, $2)", NAMESPACE, Lock.INGEST)
        assert await task == Imported(imported=1)
    assert await count(database) == 1
    assert len(told.notes) == 1
    assert "the import tries again" in told.notes[0]


# --------------------------------------------------------------------------------------- files


def read(path: Path) -> list[bytes]:
    with InputFile(str(path)) as file:
        return list(file.lines())


def test_a_file_and_its_gz_hold_the_same_lines(tmp_path: Path) -> None:
    text = b"one\ntwo\nthe end"
    plain, packed = tmp_path / "a.ndjson", tmp_path / "a.ndjson.gz"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    assert read(plain) == read(packed) == [b"one\n", b"two\n", b"the end"]


def test_a_line_without_an_end_takes_no_more_memory_than_the_longest(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"x" * (3 * MAX_LINE_BYTES + 7) + b"\nnext\n")
    long, after = read(path)
    assert len(long) == MAX_LINE_BYTES + 1
    assert after == b"next\n"


def test_position_and_size_tell_how_much_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"x" * 999 + b"\n")
    with InputFile(str(path)) as file:
        assert (file.position_bytes, file.size_bytes) == (0, 1000)
        assert len(list(file.lines())) == 1
        assert (file.position_bytes, file.size_bytes) == (1000, 1000)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(TransferError, match=r"absent\.ndjson cannot be read: No such file"),
        InputFile(str(tmp_path / "absent.ndjson")),
    ):
        pass


async def test_what_comes_before_the_damage_of_a_file_is_imported(
    database: Database, tmp_path: Path
) -> None:
    text = b"".join(line(messageId=f"m{n}") for n in range(BATCH_LINES + 1_000))
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(gzip.compress(text)[:-10])
    with (
        InputFile(str(path)) as opened,
        pytest.raises(TransferError, match=r"cut\.ndjson\.gz cannot be read after line") as caught,
    ):
        await run_import(database, opened.lines())
    read_lines = int(str(caught.value).partition("after line ")[2].partition(":")[0])
    assert read_lines > BATCH_LINES
    assert await count(database) == read_lines


# -------------------------------------------------------------------------------------- export


async def test_nothing_exports_as_nothing(database: Database) -> None:
    assert await exported(database) == b""


async def test_export_writes_what_was_said_and_no_public_key(database: Database) -> None:
    await run_import(database, lines([FULL, SAMPLE | {"messageId": "m2", "sentAt": START + 1}]))
    first, second = map(json.loads, (await exported(database)).splitlines())
    # A sample that is not held has no way and no receivedAt.
    gone = ("installationId", "via", "receivedAt")
    said = {name: value for name, value in FULL.items() if name not in gone}
    assert first == said | {"receiverPublicKey": first["receiverPublicKey"]}
    assert first["receiverPublicKey"].startswith("dt-receiver:")
    assert set(second) == {"messageId", "channelId", "receiverPublicKey", "sentAt", "createdAt"}


async def test_export_shows_the_sent_at_that_each_said(database: Database) -> None:
    first = SAMPLE | {"sentAt": START + 5, "createdAt": START + 10}
    other = SAMPLE | {"receiverPublicKey": "b", "sentAt": START + 7, "createdAt": START + 20}
    # The sample recorded first comes last. Its sentAt counts, and stored rows have to move.
    await run_import(database, lines([other]))
    await run_import(database, lines([first]))
    values = [json.loads(one) for one in (await exported(database)).splitlines()]
    assert sorted(value["sentAt"] for value in values) == [START + 5, START + 7]
    async with database.acquire() as connection:
        rows = await connection.fetch("select distinct sent_at from receipt")
    assert [row["sent_at"] for row in rows] == [START + 5]


async def test_export_writes_which_numbers_arrived_and_no_installation(database: Database) -> None:
    source = [
        line(installationId="phone", sequence=2),
        line(installationId="phone", sequence=1, messageId="m2", sentAt=START + 7),
        line(installationId="phone", sequence=3, sentAt=1),
        line(installationId="phone", sequence=6),
        run_line(firstSequence=4, lost=True),
    ]
    assert await run_import(database, source) == Imported(imported=2, duplicates=1, rejected=1)
    *_, first, second, lost = map(json.loads, (await exported(database)).splitlines())
    installation = first.pop("installationId")
    assert installation.startswith("dt-installation:")
    assert first == {
        "firstSequence": 1,
        "lastSequence": 3,
        "firstSentAt": START + 7,
        "lastSentAt": START,
    }
    assert second == {
        "installationId": installation,
        "firstSequence": 6,
        "lastSequence": 6,
        "firstSentAt": START,
        "lastSentAt": START,
    }
    assert lost == RUN | {"installationId": installation, "firstSequence": 4, "lost": True}


async def test_export_is_ordered_by_event_time_over_days(database: Database) -> None:
    times = [START, START + DAY_MS, START - DAY_MS, START + 1]
    samples = [
        SAMPLE | {"messageId": f"m{n}", "sentAt": at, "createdAt": at + 5}
        for n, at in enumerate(times)
    ]
    await run_import(database, lines(samples))
    values = [json.loads(one) for one in (await exported(database)).splitlines()]
    assert [value["sentAt"] for value in values] == sorted(times)


# ---------------------------------------------------------------------------------- round trip

INSTANTS = st.one_of(
    st.sampled_from([START, START + HOUR_MS, START - 1, START + HOUR_MS - 1, MONDAY, MONDAY - 1]),
    st.integers(START, START + HOUR_MS),
    st.integers(MONDAY - DAY_MS, MONDAY + DAY_MS),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


SAID = st.fixed_dictionaries(
    {
        "channelId": st.sampled_from(["c1", "c2", "empty"]),
        "receiverPublicKey": st.sampled_from("abcd"),
    },
    optional={"installationId": st.sampled_from(["phone", "desk"])},
)
NOTHING: dict[str, int] = {}
JOINED = st.just(NOTHING) | st.fixed_dictionaries({"joinedAt": INSTANTS, "joinedSaidAt": INSTANTS})
LEFT = st.fixed_dictionaries({"leftAt": st.just(0) | INSTANTS, "leftSaidAt": INSTANTS})
MEMBERSHIPS = st.builds(lambda said, joined, left: said | joined | left, SAID, JOINED, LEFT)


LOST = st.builds(
    lambda installation, first, more, at: {
        "installationId": installation,
        "firstSequence": first,
        "lastSequence": first + more,
        "firstSentAt": min(at),
        "lastSentAt": max(at),
        "lost": True,
    },
    st.sampled_from(["phone", "desk"]),
    st.integers(1, 12),
    st.integers(0, 2),
    st.tuples(INSTANTS, INSTANTS),
)


CLOCK_OF = {"c": "server", "d": "receiver"}


@st.composite
def sample_files(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines that contradict each other, lack things, and repeat each other."""
    samples = []
    for _ in range(draw(st.integers(1, 25))):
        sent_at = draw(INSTANTS)
        is_mark = draw(st.integers(0, 9)) == 0
        delay = draw(st.sampled_from([0, 2_000, HOUR_MS, 2 * DAY_MS, -HOUR_MS]))
        sample: dict[str, Any] = {
            "messageId": f"m{draw(st.integers(0, 5))}",
            "channelId": draw(st.sampled_from(["c1", "c1", "c2", "ünï"])),
            "receiverPublicKey": draw(st.sampled_from("abcd")),
            "sentAt": sent_at,
            "createdAt": None if is_mark else sent_at + delay,
        }
        optional = {
            "installationId": st.sampled_from(["phone", "desk"]),
            "sentByReceiver": st.booleans(),
            "topics": st.binary(max_size=4).map(lambda raw: base64.b64encode(raw).decode()),
            "envelopeId": st.sampled_from(["e1", "e2"]),
            "platform": TEXTS,
            "appVersion": TEXTS,
            "receivedAt": INSTANTS,
            "messageType": st.sampled_from(["CHAT", "NOISE"]),
            "messageSize": st.integers(0, 2**32 - 1),
            "source": st.sampled_from(["grpc", "status-go"]),
            "outcome": st.sampled_from([outcome.name.lower() for outcome in Outcome]),
            "reason": st.sampled_from(["no_session_key", "timeout"]),
            "via": st.sampled_from([via.name.lower() for via in Via]),
            "server": TEXTS,
        }
        for name in draw(st.sets(st.sampled_from(list(optional)), max_size=7)):
            sample[name] = draw(optional[name])
        if not is_mark and sample["receiverPublicKey"] in CLOCK_OF:
            # A receiver that reports a message by two clocks is exported with the better one only.
            sample["sentAtClock"] = CLOCK_OF[sample["receiverPublicKey"]]
        if is_mark:
            sample["sentByReceiver"] = True
            if sample.get("outcome") != "send_failed":
                sample.pop("outcome", None)
        if "installationId" in sample and draw(st.integers(0, 3)):
            sample["sequence"] = draw(st.integers(1, 12))
        samples.append(sample)
    return samples + draw(st.lists(MEMBERSHIPS, max_size=4)) + draw(st.lists(LOST, max_size=2))


async def figures(database: Database) -> list[dict[str, Any]]:
    """The figures of the window and of its day under every policy."""
    found = []
    for name, membership in itertools.product(("1h", "1d"), MembershipPolicy):
        start_ms = START if name == "1h" else MONDAY
        window = await compute_window(database, start_ms, timeframe=name, membership=membership)
        found.append(window_as_json(window) | {"revision": 0})
    return found


async def delays(database: Database) -> list[tuple[Any, ...]]:
    """The key of every receipt, its delay, and the time from which that is counted."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select sent_at, channel_id, message_id, receiver_id, sent_by_receiver, received_at, "
            "state from whole_receipt order by 1, 2, 3, 4"
        )
    return [tuple(row) for row in rows]


def as_one_file(files: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All files in one, each with its own channels, keys and installations."""
    names = ("channelId", "receiverPublicKey", "installationId")
    return [
        line | {name: prefix_of(number) + line[name] for name in names if name in line}
        for number, file in enumerate(files)
        for line in file
    ]


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 5])
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_import_export_import_changes_nothing(
    together: int, data: st.DataObject, database: Database
) -> None:
    samples = as_one_file([data.draw(sample_files()) for _ in range(together)])
    await empty(database)
    await run_import(database, lines(samples))
    text = await exported(database)
    expected = await figures(database)
    expected_delays = await delays(database)

    # Import into the database from which the export came.
    told = Told()
    again = await run_import(database, text.splitlines(keepends=True), told)
    exported_samples = text.count(b'"messageId":')
    assert again == Imported(duplicates=exported_samples)
    assert told == Told()
    assert await exported(database) == text
    assert await figures(database) == expected

    # Import into an empty database.
    await empty(database)
    fresh = await run_import(database, text.splitlines(keepends=True), told)
    assert fresh == Imported(imported=exported_samples)
    assert told == Told()
    assert await exported(database) == text
    assert await figures(database) == expected
    assert await delays(database) == expected_delays


async def test_another_deployment_exports_the_same_lines(
    database: Database, database_url: str
) -> None:
    samples = [
        SAMPLE | {"messageId": f"m{n}", "channelId": f"c{n % 3}", "receiverPublicKey": f"r{n % 4}"}
        for n in range(40)
    ]
    await run_import(database, [*lines(samples), run_line(), membership_line()])
    text = await exported(database)
    await empty(database)
    connection = await asyncpg.connect(database_url)
    await connection.execute("update deployment set id_key = decode(repeat('5a', 32), 'hex')")
    await connection.close()

    await run_import(database, text.splitlines(keepends=True))
    elsewhere = await exported(database)
    assert elsewhere != text  # the other database orders by its own ids
    assert sorted(elsewhere.splitlines()) == sorted(text.splitlines())


RULE = {"samplingSalt": base64.b64encode(b"salt").decode(), "oneIn": 8, "from": START}


async def test_a_sample_of_the_messages_and_its_rules_go_elsewhere_and_back(
    database: Database, database_url: str
) -> None:
    rules = lines([RULE, RULE | {"oneIn": 1, "from": START + HOUR_MS, "channelId": "c1"}])
    samples = lines(
        SAMPLE | {"messageId": f"m{n}", "channelId": "c1", "sentAt": at, "createdAt": at + 5}
        for n in range(64)
        for at in [START + 2 * n * MINUTE_MS]
    )
    # A client that does not know yet that all messages of this channel are wanted.
    late = START + 2 * HOUR_MS
    coarse = lines([SAMPLE | {"messageId": "m", "sentAt": late, "createdAt": late, "oneIn": 8}])
    told = Told()
    result = await run_import(database, [*rules, *samples, *coarse], told)
    beyond = 65 - result.imported
    assert 0 < beyond < 30  # only some of the first hour
    assert told.notes == [
        f"{beyond} lines were not stored: the rule of sampling leaves their messages out"
    ]
    assert await count(database, "coarse_receiver") == 1

    text = await exported(database)
    assert text.splitlines(keepends=True)[0] == lines([RULE])[0].replace(b" ", b"")
    await empty(database)
    connection = await asyncpg.connect(database_url)
    await connection.execute("update deployment set sampling_salt = 'another'")
    await connection.close()
    assert (await run_import(database, text.splitlines(keepends=True))).imported == result.imported
    assert await exported(database) == text

    with pytest.raises(TransferError, match="samplingSalt: the file and this database"):
        await run_import(database, lines([RULE | {"samplingSalt": "AAAA"}]))


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [("oneIn", 3, "a power of two"), ("from", 5, "Unix milliseconds"), ("samplingSalt", 1, "text")],
)
def test_a_rule_that_cannot_be_is_refused(field: str, value: object, allowed: str) -> None:
    with pytest.raises(BadLine, match=f"^{field}: .*allowed: {allowed}"):
        parse_line(lines([RULE | {field: value}])[0], LIMITS)


async def test_an_import_makes_windows_due_that_were_computed_before(database: Database) -> None:
    rules = AggregateRules((HOUR,), recompute_interval=timedelta(0))
    await run_import(database, [line()])
    now = from_unix_ms(NOW_MS)
    assert await compute_due(database, rules, now=lambda: now) > 0
    soon = now + timedelta(minutes=1)
    await run_import(database, [line(receiverPublicKey="b")])
    computed: list[WindowReliability] = []
    await compute_due(database, rules, now=lambda: soon, on_window=computed.append)
    assert from_unix_ms(START) in [window.window.start for window in computed]


def test_the_exported_name_is_the_one_that_import_knows() -> None:
    ids = ReceiverIds(1, 2, None)
    assert pseudonym(ids).startswith(PSEUDONYM_PREFIX)
