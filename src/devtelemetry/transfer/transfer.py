"""Samples as NDJSON, in and out: one JSON object a line, as docs/protocol.md has it under `import`.

What is read goes the way of what is pushed (check → batch → rows), with the recorded createdAt
instead of the clock. What is written are the samples as they are stored: one line a receipt, with
the sentAt that counts; a receiver by its pseudonym, since its public key is not known. Into the
same database that imports as nothing but duplicates, into another one as the same samples, so that
exporting it again gives the same bytes if both have the same id key, and the same lines in another
order if not. Which numbers of an installation's reports arrived, and what receivers said of joining
and leaving, comes after the samples. Heartbeats, which show that a receiver without new messages
was still there, are no samples and are not in it.
"""

import asyncio
import base64
import contextlib
import gzip
import io
import os
import stat
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import orjson

from devtelemetry.ingest.batch import NEVER, Batch
from devtelemetry.ingest.check import (
    MAX_SEQUENCE,
    AgeLimits,
    check,
    check_channel,
    check_reporter,
    is_milliseconds,
    is_numbered,
)
from devtelemetry.ingest.rows import RowWriter, SettleRule, Stored
from devtelemetry.model import Reason, ReportedMembership, ReportRun, Sample, Source
from devtelemetry.model.errors import DatabaseAway, DevTelemetryError, Unavailable
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.keyring import ReceiverIds, installation_pseudonym, pseudonym
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.repair import repaired_snapshot, rewriting
from devtelemetry.store.sql import queries

BATCH_SAMPLES = 5_000  # lines of one transaction
MAX_LINE_BYTES = 64 * 1024  # the longest that passes the checks, all of it escaped, has 50,000
RETRY_SECONDS = 60.0  # how long a batch is tried again: a database that restarts is back by then
CURSOR_ROWS = 5_000
PSEUDONYM_PREFIX = "dt-receiver:"  # of store.keyring.pseudonym

_GREATEST_SIZE = 2**32 - 1  # the wire's uint32
_WAIT_SECONDS = 7 * 86_400.0  # a lock is waited for as long as it takes
_BUFFER_BYTES = 256 * 1024
_SHOWN = 60  # characters of a bad value in an error

_QUERIES = queries(__package__, "transfer.sql")
_WINDOWS = (NAMESPACE, Lock.AGGREGATE)


class TransferError(DevTelemetryError):
    """A file cannot be read or written."""


class BadLine(ValueError):
    """Why a line is no sample: the field, what it was, what is allowed.

    run  the number of a sample that is refused: it arrived
    """

    def __init__(self, why: str, run: ReportRun | None = None) -> None:
        super().__init__(why)
        self.run = run


class Line(NamedTuple):
    """What one line says: a sample, perhaps with its number, a run of numbers or a membership."""

    sample: Sample | None = None
    run: ReportRun | None = None
    membership: ReportedMembership | None = None


@dataclass(slots=True)
class Imported:
    """What became of the lines. Samples = imported + duplicates."""

    imported: int = 0
    duplicates: int = 0
    rejected: int = 0


# ------------------------------------------------------------------------------------ one line


def _text(value: object) -> str:
    if type(value) is not str:
        raise BadLine(f"{_show(value)} is no text; allowed: text")
    return value


def _whole_number(value: object) -> int:
    # type(), not isinstance(): true is an int for Python, and no number in a file.
    if type(value) is not int:
        raise BadLine(f"{_show(value)} is no whole number; allowed: Unix milliseconds")
    return value


def _created_at(value: object) -> int | None:
    return None if value is None else _time(value)


def _time(value: object) -> int:
    number = _whole_number(value)
    if not is_milliseconds(number):
        raise BadLine(f"{number} is no time in Unix milliseconds; allowed: Unix milliseconds")
    return number


def _sequence(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SEQUENCE:
        raise BadLine(f"{_show(value)} is no number of a sample; allowed: 1 to {MAX_SEQUENCE}")
    return value


def _left_at(value: object) -> int:
    return 0 if type(value) is int and value == 0 else _time(value)


def _size(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _GREATEST_SIZE:
        raise BadLine(f"{_show(value)} is no size; allowed: 0 to {_GREATEST_SIZE} bytes")
    return value


def _yes_or_no(value: object) -> bool:
    if type(value) is not bool:
        raise BadLine(f"{_show(value)} is neither true nor false; allowed: true or false")
    return value


def _bytes(value: object) -> bytes:
    text = _text(value)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error is one, and so is a letter beyond ASCII
        raise BadLine(f"{_show(value)} is no base64; allowed: base64 with padding") from None


def _source(value: object) -> Source:
    try:
        return Source(_text(value))
    except ValueError:
        allowed = " or ".join(Source)
        raise BadLine(f"{_show(value)} is no source; allowed: {allowed}") from None


def _show(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# Names in a file, the fields of Sample that they fill, and how.
_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "messageId": ("message_id", _text),
    "channelId": ("channel_id", _text),
    "receiverPublicKey": ("receiver_public_key", _text),
    "sentAt": ("sent_at", _whole_number),
    "createdAt": ("created_at", _created_at),
    "installationId": ("installation_id", _text),
    "sentByReceiver": ("sent_by_receiver", _yes_or_no),
    "topics": ("topics", _bytes),
    "envelopeId": ("envelope_id", _text),
    "platform": ("platform", _text),
    "appVersion": ("app_version", _text),
    "receivedAt": ("received_at", _whole_number),
    "messageType": ("message_type", _text),
    "messageSize": ("message_size", _size),
    "source": ("source", _source),
}
# Of a line that says which numbers of an installation's samples arrived.
_RUN_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "installationId": ("installation_id", _text),
    "firstSequence": ("first_sequence", _sequence),
    "lastSequence": ("last_sequence", _sequence),
    "firstSentAt": ("first_sent_at", _time),
    "lastSentAt": ("last_sent_at", _time),
}
# Of a line that says when a receiver was in a channel.
_MEMBERSHIP_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "channelId": ("channel_id", _text),
    "receiverPublicKey": ("receiver_public_key", _text),
    "installationId": ("installation_id", _text),
    "joinedAt": ("joined_at", _time),
    "joinedSaidAt": ("joined_said_at", _time),
    "leftAt": ("left_at", _left_at),
    "leftSaidAt": ("left_said_at", _time),
}
_MEMBERSHIP_REQUIRED = ("channelId", "receiverPublicKey")
_RUN_REQUIRED = ("installationId", "firstSequence", "lastSequence")
_REQUIRED = ("messageId", "channelId", "receiverPublicKey", "sentAt", "createdAt")
_NAMES = {attribute: name for name, (attribute, _) in _FIELDS.items()}
_SPELLINGS = {
    name.lower(): name for name in (*_FIELDS, *_RUN_FIELDS, *_MEMBERSHIP_FIELDS, "sequence")
}


def parse_line(
    line: bytes, limits: AgeLimits, *, on_unknown: Callable[[str], None] | None = None
) -> Line:
    """What one line says, its sample checked as a pushed one at the time of its createdAt.

    on_unknown  told of a field that is not known and therefore ignored

    Raises BadLine.
    """
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"no JSON: {error.msg} at column {error.colno}") from None
    if type(values) is not dict:
        raise BadLine(f"{_show(values)} is no object; allowed: one JSON object a line")
    if "firstSequence" in values:
        return Line(run=_parse_run(values, on_unknown))
    if "joinedSaidAt" in values or "leftSaidAt" in values:
        return Line(membership=_parse_membership(values, on_unknown))
    sequence = _parse("sequence", values.pop("sequence"), _sequence) if "sequence" in values else 0
    sample = Sample(**_said(values, _FIELDS, _REQUIRED, on_unknown))
    if sequence and not sample.installation_id:
        raise BadLine(f"sequence: {sequence} without installationId, whose count it is")
    run = None
    if is_numbered(sample.installation_id, sequence):
        run = ReportRun(
            sample.installation_id,
            sequence,
            sequence,
            sample.sent_at,
            sample.sent_at,
            sample.source,
        )
    if sample.created_at is None and not sample.sent_by_receiver:
        raise BadLine("createdAt: null; allowed: Unix milliseconds, or null with sentByReceiver")
    # A mark has no time of its own: it goes with its message.
    age_judged_at = sample.sent_at if sample.created_at is None else sample.created_at
    refusal = check(sample, limits, age_judged_at)
    if refusal is None or (refusal.reason is Reason.TOO_OLD and _was_exported(sample)):
        return Line(sample, run)
    attribute, _, why = refusal.detail.partition(":")
    raise BadLine(
        f"{_NAMES.get(attribute, attribute)}:{why} ({refusal.reason.label})",
        run and run._replace(first_sent_at=None, last_sent_at=None),
    )


def _parse_run(values: dict[str, Any], on_unknown: Callable[[str], None] | None) -> ReportRun:
    said = _said(values, _RUN_FIELDS, _RUN_REQUIRED, on_unknown)
    run = ReportRun(**({"first_sent_at": None, "last_sent_at": None} | said))
    if not is_numbered(run.installation_id, run.first_sequence):
        raise BadLine("installationId: empty, too long or with NUL; allowed: as in a sample")
    if run.last_sequence < run.first_sequence:
        raise BadLine(
            f"lastSequence: {run.last_sequence}; allowed: firstSequence or more, here "
            f"{run.first_sequence}"
        )
    if (run.first_sent_at is None) != (run.last_sent_at is None):
        raise BadLine("firstSentAt, lastSentAt: one is missing; allowed: both or none")
    return run


def _parse_membership(
    values: dict[str, Any], on_unknown: Callable[[str], None] | None
) -> ReportedMembership:
    said = _said(values, _MEMBERSHIP_FIELDS, _MEMBERSHIP_REQUIRED, on_unknown)
    for name in ("joined", "left"):
        if (f"{name}_at" in said) != (f"{name}_said_at" in said):
            raise BadLine(f"{name}At, {name}SaidAt: one is missing; allowed: both or none")
    membership = ReportedMembership(
        said["channel_id"],
        said["receiver_public_key"],
        said.get("installation_id", ""),
        joined_at=said.get("joined_at"),
        joined_said_at=said.get("joined_said_at"),
        left_at=said.get("left_at"),
        left_said_at=said.get("left_said_at"),
    )
    refusal = check_channel(membership.channel_id) or check_reporter(
        membership.receiver_public_key, membership.installation_id, "", ""
    )
    if refusal is not None:
        attribute, _, why = refusal.detail.partition(":")
        raise BadLine(f"{_NAMES[attribute]}:{why} ({refusal.reason.label})")
    return membership


def _said(
    values: dict[str, Any],
    fields: Mapping[str, tuple[str, Callable[[object], Any]]],
    required: tuple[str, ...],
    on_unknown: Callable[[str], None] | None,
) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in values.items():
        known = fields.get(name)
        if known is None:
            _take_note_of(name, on_unknown)
            continue
        attribute, take = known
        said[attribute] = _parse(name, value, take)
    for name in required:
        if fields[name][0] not in said:
            raise BadLine(f"{name}: missing; every line needs {', '.join(required)}")
    return said


def _parse(name: str, value: object, take: Callable[[object], Any]) -> Any:
    try:
        return take(value)
    except BadLine as error:
        raise BadLine(f"{name}: {error}") from None


def _was_exported(sample: Sample) -> bool:
    """An exported sample was taken once, and shows its message's sentAt instead of its own.

    Those differ where clocks do: it may look older than it was when it was taken.
    """
    return sample.receiver_public_key.startswith(PSEUDONYM_PREFIX) and not sample.installation_id


def _take_note_of(name: str, on_unknown: Callable[[str], None] | None) -> None:
    """An unknown field is ignored, so that later versions may add some; a misspelt one is not."""
    meant = _SPELLINGS.get(name.replace("_", "").replace("-", "").lower())
    if meant is not None and meant != name:
        raise BadLine(f"{_show(name)} is no field; did you mean {meant}?")
    if on_unknown is not None:
        on_unknown(name)


# -------------------------------------------------------------------------------------- import


@dataclass(slots=True)
class _Reader:
    """Lines to what they say, batch by batch; counts and tells what is wrong on the way."""

    lines: Iterator[bytes]
    limits: AgeLimits
    on_rejected: Callable[[int, str], None]
    on_note: Callable[[str], None]
    number: int = 0
    rejected: int = 0
    unknown: set[str] = field(default_factory=set)
    has_marks: bool = False
    broken: TransferError | None = None

    def batch(self) -> list[Line]:
        """The next lines; empty at the end. A broken file's last ones come before its error."""
        said: list[Line] = []
        try:
            said.extend(islice(self._said(), BATCH_SAMPLES))
        except TransferError as error:
            self.broken = error
        if not said and self.broken is not None:
            raise self.broken
        return said

    def _said(self) -> Iterator[Line]:
        for line in self.lines:
            self.number += 1
            if self.number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901 - a byte order mark
            if not line.strip():
                continue
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise BadLine(f"longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301
                said = parse_line(line, self.limits, on_unknown=self._note_unknown)
            except BadLine as error:
                self.rejected += 1
                self.on_rejected(self.number, str(error))
                if error.run is not None:
                    yield Line(run=error.run)
                continue
            self.has_marks |= said.sample is not None and said.sample.created_at is None
            yield said

    def _note_unknown(self, name: str) -> None:
        # Bounded: names that differ from line to line would fill the memory.
        if name not in self.unknown and len(self.unknown) < 20:
            self.unknown.add(name)
            self.on_note(f"line {self.number}: the field {_show(name)} is not known; ignored")


class InputFile:
    """A file of lines, or `-` for standard input; `.gz` is unpacked. Use it in a `with`.

    size_bytes  of the file as it lies on the disk; None: not known, as of a pipe
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack = contextlib.ExitStack()
        self._raw: io.FileIO
        self._file: io.BufferedReader | gzip.GzipFile
        self.size_bytes: int | None = None

    def __enter__(self) -> "InputFile":
        try:
            if self._path == "-":
                self._raw = io.FileIO(0, closefd=False)
            else:
                self._raw = self._stack.enter_context(io.FileIO(self._path))
        except OSError as error:
            raise TransferError(
                f"{self._path} cannot be read: {error.strerror or error}"
            ) from error
        status = os.fstat(self._raw.fileno())
        if stat.S_ISREG(status.st_mode):
            self.size_bytes = status.st_size
        self._file = io.BufferedReader(self._raw, _BUFFER_BYTES)
        if self._path.endswith(".gz"):
            self._file = gzip.GzipFile(fileobj=self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def position_bytes(self) -> int:
        """How much of size_bytes is read."""
        return self._raw.tell() if self.size_bytes is not None else 0

    def lines(self) -> Iterator[bytes]:
        """Each is cut off a little beyond MAX_LINE_BYTES: memory stays bounded.

        Raises TransferError where the file ends or breaks before it should.
        """
        number = 0
        try:
            while line := self._file.readline(MAX_LINE_BYTES + 1):
                rest = line
                while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                    rest = self._file.readline(MAX_LINE_BYTES + 1)
                number += 1
                yield line
        except (OSError, EOFError, zlib.error) as error:
            raise TransferError(
                f"{self._path} cannot be read after line {number}: {error}; "
                "what comes before that is imported"
            ) from error


async def import_samples(
    database: Database,
    lines: Iterable[bytes],
    limits: AgeLimits,
    settle_rule: SettleRule,
    *,
    now_ms: Callable[[], int],
    on_rejected: Callable[[int, str], None],
    on_note: Callable[[str], None],
    on_batch: Callable[[], None] = lambda: None,
) -> Imported:
    """Stores what `lines` say, in order, in transactions of BATCH_SAMPLES.

    limits       applied at each sample's createdAt
    now_ms       Unix ms of the wall clock, for noting which windows changed
    on_rejected  told the number (from 1) and the fault of each line that is skipped
    on_note      told what else a person should know

    An author's mark counts if a sample of its message is in the same file or was stored before.
    on_batch     called after each commit

    While it runs no window is computed. Raises Unavailable if the database stays away; what is
    committed by then stays, and importing the same lines again counts it as duplicates.
    """
    reader = _Reader(iter(lines), limits, on_rejected, on_note)
    rows = RowWriter(await database.keyring(knows_pseudonyms=True), settle_rule)
    total = Imported()
    forgotten = 0
    async with _Session(database, on_note) as session:
        while lines_read := reader.batch():
            batch = Batch()
            batch.add_samples(rows.keyring, [said.sample for said in lines_read if said.sample])
            batch.add_memberships(
                rows.keyring, [said.membership for said in lines_read if said.membership]
            )
            batch.add_runs(rows.keyring, [said.run for said in lines_read if said.run])
            stored = await session.write(rows, batch, now_ms)
            total.imported += stored.new
            total.duplicates += stored.duplicates
            forgotten += stored.dropped
            on_batch()
        if reader.has_marks:
            dropped = await session.drop_unreported()
            if dropped:
                on_note(f"{dropped} lines without createdAt are of messages that no sample reports")
                total.imported -= dropped
                reader.rejected += dropped
    if forgotten:
        on_note(f"{forgotten} lines are of who opted out or is being forgotten")
    total.rejected = reader.rejected + forgotten
    return total


class _Session:
    """A connection that keeps windows from being computed; another one if it is lost."""

    def __init__(self, database: Database, on_note: Callable[[str], None]) -> None:
        self._database = database
        self._on_note = on_note
        self._stack = contextlib.AsyncExitStack()
        self._connection: Connection | None = None

    async def __aenter__(self) -> "_Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def write(self, rows: RowWriter, batch: Batch, now_ms: Callable[[], int]) -> Stored:
        give_up = time.monotonic() + RETRY_SECONDS
        delay = 0.05
        while True:
            try:
                connection = self._connection or await self._join()
                return await rows.write(connection, batch, now_ms=now_ms())
            except DatabaseAway as error:
                # The commit may have succeeded; writing once more is harmless.
                if time.monotonic() + delay > give_up:
                    raise Unavailable(
                        f"the database cannot be reached: {error.detail}; import the same file "
                        "again later, nothing of it will count twice"
                    ) from error
                self._on_note(f"the database cannot be reached: {error.detail}; trying again")
                await self._leave()
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)

    async def drop_unreported(self) -> int:
        """Takes out the authors of messages that nobody reports: they are nothing.

        That shows only at the end, since a mark may come before the sample of its message.
        """
        connection = self._connection or await self._join()
        async with rewriting(connection):
            # Another import may have brought the mark and not yet the sample: then it clears up.
            if not await connection.fetchval(_QUERIES["is_only_import"], *_WINDOWS):
                return 0
            dropped: int = await connection.fetchval(_QUERIES["drop_unreported"], NEVER)
            return dropped

    async def _join(self) -> Connection:
        connection = await self._stack.enter_async_context(self._database.acquire())
        # Released with the connection: the pool resets what a session holds.
        if not await connection.fetchval(_QUERIES["try_hold_windows"], *_WINDOWS):
            self._on_note("windows are being computed; waiting for the end of that")
            await connection.execute(_QUERIES["hold_windows"], *_WINDOWS, seconds=_WAIT_SECONDS)
        self._connection = connection
        return connection

    async def _leave(self) -> None:
        self._connection = None
        await self._stack.aclose()


# -------------------------------------------------------------------------------------- export


async def export_samples(database: Database) -> AsyncGenerator[bytes, None]:
    """All samples, some thousand lines at a time, by event time, then the runs of numbers and
    the memberships that were reported: one state of the database.

    Raises Unavailable if the database cannot be reached.
    """
    async with repaired_snapshot(database) as connection:
        for query, as_line in _EXPORTED:
            async for rows in connection.slices(_QUERIES[query], CURSOR_ROWS):
                yield b"".join(map(as_line, rows))


def _line(row: Mapping[str, Any]) -> bytes:
    ids = ReceiverIds(row["receiver_id"], row["owner_id"], row["installation_id"])
    values: dict[str, Any] = {
        "messageId": row["message"],
        "channelId": row["channel"],
        "receiverPublicKey": pseudonym(ids),
        "sentAt": row["sent_at"],
        "createdAt": row["created_at"],
    }
    if row["sent_by_receiver"]:
        values["sentByReceiver"] = True
    if row["topics"]:
        values["topics"] = base64.b64encode(row["topics"]).decode()
    for name, column in _OPTIONAL:
        if row[column]:
            values[name] = row[column]
    if row["source"] != Source.GRPC:
        values["source"] = row["source"]
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _run_line(row: Mapping[str, Any]) -> bytes:
    values = {
        "installationId": installation_pseudonym(row["installation_id"]),
        "firstSequence": row["first_sequence"],
        "lastSequence": row["last_sequence"],
    }
    if row["begins_at"] is not None:
        values |= {"firstSentAt": row["begins_at"], "lastSentAt": row["ends_at"]}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _membership_line(row: Mapping[str, Any]) -> bytes:
    ids = ReceiverIds(row["receiver_id"], row["owner_id"], row["installation_id"])
    values = {"channelId": row["channel"], "receiverPublicKey": pseudonym(ids)}
    if row["joined_said_at"] is not None:
        values |= {"joinedAt": row["joined_at"], "joinedSaidAt": row["joined_said_at"]}
    if row["left_said_at"] is not None:
        values |= {"leftAt": row["left_at"] or 0, "leftSaidAt": row["left_said_at"]}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


_EXPORTED: tuple[tuple[str, Callable[[Mapping[str, Any]], bytes]], ...] = (
    ("samples", _line),
    ("islands", _run_line),
    ("memberships", _membership_line),
)
_OPTIONAL = (
    ("envelopeId", "envelope_id"),
    ("platform", "platform"),
    ("appVersion", "app_version"),
    ("receivedAt", "received_at"),
    ("messageType", "message_type"),
    ("messageSize", "message_size"),
)
