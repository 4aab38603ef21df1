"""Reads lines, batch by batch. Pure, except that the lines come from an iterator."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from devtelemetry.ingest.check import AgeLimits
from devtelemetry.model import LostReports, ReportedMembership, ReportRun, Sample
from devtelemetry.transfer.fields import BadLine, show
from devtelemetry.transfer.files import MAX_LINE_BYTES, TransferError
from devtelemetry.transfer.parse import Line, Rule, is_json, parse_line
from devtelemetry.transfer.plain import plain_line

BATCH_LINES = 20_000  # in one transaction
_MOST_UNKNOWN = 20  # unknown names may differ in each line, and would fill the memory

_MARK = b"\xef\xbb\xbf"  # a byte order mark; some programs write it at the start of a file


@dataclass(slots=True)
class Listener:
    """Where notes about lines go.

    on_rejected  called with the number (from 1) and the fault of each line that is skipped
    on_note      called with everything else that a person should know
    """

    on_rejected: Callable[[int, str], None]
    on_note: Callable[[str], None]
    _unknown: set[str] = field(default_factory=set)

    def on_unknown(self, number: int, name: str) -> None:
        """Notes that a line has an unknown field, which is ignored; once for each name."""
        if name not in self._unknown and len(self._unknown) < _MOST_UNKNOWN:
            self._unknown.add(name)
            self.tell_unknown(number, name)

    def tell_unknown(self, number: int, name: str) -> None:
        self.on_note(f"line {number}: the field {show(name)} is not known and is ignored")


@dataclass(slots=True)
class Said:
    """What the lines of a batch say.

    samples    by `oneIn`: the client recorded one of so many messages
    lines      how many lines say something
    has_marks  whether some samples are authors' marks
    """

    samples: defaultdict[int, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    memberships: list[ReportedMembership] = field(default_factory=list)
    runs: list[ReportRun] = field(default_factory=list)
    lost: list[LostReports] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    lines: int = 0
    has_marks: bool = False

    def add(self, line: Line) -> None:
        self.lines += 1
        if line.sample is not None:
            self.samples[line.one_in].append(line.sample)
            self.has_marks |= line.sample.created_at is None
        if line.run is not None:
            self.runs.append(line.run)
        if line.lost is not None:
            self.lost.append(line.lost)
        if line.rule is not None:
            self.rules.append(line.rule)
        self.memberships += line.memberships


@dataclass(slots=True)
class Reader:
    """Reads lines, batch by batch; counts and reports the bad ones.

    number  how many lines of the file come before the next one
    """

    lines: Iterator[bytes]
    limits: AgeLimits
    listener: Listener
    number: int = 0
    rejected: int = 0
    broken: TransferError | None = None

    def batch(self) -> Said | None:
        """Reads the next lines; None at the end. If the file is broken, its last lines are returned
        first, and the next call raises TransferError."""
        said = Said()
        samples = said.samples
        try:
            for line in self.lines:
                self.number += 1
                plain = plain_line(line, self.limits) if len(line) <= MAX_LINE_BYTES else None
                if plain is None:
                    for part in _parts(line):
                        self._add(part, said)
                else:
                    sample, run, one_in = plain
                    samples[one_in].append(sample)
                    said.lines += 1
                    if run is not None:
                        said.runs.append(run)
                if said.lines >= BATCH_LINES:
                    break
        except TransferError as error:
            self.broken = error
        if said.lines:
            return said
        if self.broken is not None:
            raise self.broken
        return None

    def _add(self, line: bytes, said: Said) -> None:
        if not line.strip():
            return
        try:
            if len(line) > MAX_LINE_BYTES:
                raise BadLine(f"longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301
            said.add(parse_line(line, self.limits, on_unknown=self._note_unknown))
        except BadLine as error:
            self.rejected += 1
            self.listener.on_rejected(self.number, str(error))
            if error.run is not None:
                said.add(Line(run=error.run))

    def _note_unknown(self, name: str) -> None:
        self.listener.on_unknown(self.number, name)


def _parts(line: bytes) -> list[bytes]:
    """Splits a line at byte order marks and removes them. They are inside a file if it was put
    together from several, and inside a line if one of these did not end with a newline."""
    if _MARK not in line:
        return [line]
    line = line.removeprefix(_MARK)
    first, mark, rest = line.partition(b"}" + _MARK + b"{")
    if not mark or is_json(line):  # then the mark is inside a text
        return [line]
    return [first + b"}", *_parts(b"{" + rest)]
