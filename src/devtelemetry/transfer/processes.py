"""A file stored by several processes, for more than one core.

One reads the file and hands out its lines; the others say what they say and store it, each in
transactions of its own. To the database they are as several servers: what is stored does not depend
on who was faster. A process that dies ends the import.
"""

import asyncio
import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.store.database import Database
from devtelemetry.store.open import open_database
from devtelemetry.transfer.files import TransferError
from devtelemetry.transfer.importing import Imported, Importer, Tally, import_samples
from devtelemetry.transfer.reading import BATCH_LINES, Listener, Reader

_RULE = b'"samplingSalt"'  # what a line with a rule of sampling has
_LEAVE_SECONDS = 30.0  # that a process has to leave the database

_TASKS_A_COLLECTION = 50  # a million lines

_spawn = multiprocessing.get_context("spawn")  # a fork would share what the parent has open


@dataclass(frozen=True, slots=True)
class Storing:
    """What each process needs.

    database_url  None: the bundled database in data_dir
    now_ms        a function of a module: Unix ms of the wall clock
    """

    database_url: str | None
    data_dir: Path
    limits: AgeLimits
    settle_rule: SettleRule
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Task:
    """Lines to be stored.

    text    each ends with a newline: as one text they cost a tenth of what each by itself does
    before  how many lines of the file come before these
    rules   how many tasks with rules of sampling came before
    """

    text: bytes
    before: int
    rules: int

    @classmethod
    def of(cls, lines: list[bytes], before: int, rules: int) -> "_Task":
        # One that was cut off has none, nor has the last.
        ended = (line if line.endswith(b"\n") else line + b"\n" for line in lines)
        return cls(b"".join(ended), before, rules)

    def lines(self) -> Iterator[bytes]:
        return iter(self.text[:-1].split(b"\n"))


@dataclass(slots=True)
class _Done:
    """What came of a task. What is to be told is told in the order of the file."""

    tally: Tally = field(default_factory=Tally)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    unknown: list[tuple[int, str]] = field(default_factory=list)


class _Noting(Listener):
    """Keeps what is to be told of lines, until the task is done."""

    def __init__(self, on_note: Callable[[str], None]) -> None:
        super().__init__(self._note_rejected, on_note)
        self._noted = _Done()

    def done(self, tally: Tally) -> _Done:
        """All of it, with what came of the lines."""
        noted, self._noted = self._noted, _Done()
        noted.tally = tally
        return noted

    def _note_rejected(self, number: int, why: str) -> None:
        self._noted.rejected.append((number, why))

    def tell_unknown(self, number: int, name: str) -> None:
        self._noted.unknown.append((number, name))


async def import_by_processes(
    database: Database,
    lines: Iterator[bytes],
    storing: Storing,
    count: int,
    *,
    on_rejected: Callable[[int, str], None],
    on_note: Callable[[str], None],
    on_batch: Callable[[], None] = lambda: None,
) -> Imported:
    """As `import_samples`, by `count` processes if the file has more than one batch."""
    first, broken = _take(lines)
    if broken is not None or len(first) < BATCH_LINES:
        return await import_samples(
            database,
            _with_error(first, broken),
            storing.limits,
            storing.settle_rule,
            now_ms=storing.now_ms,
            on_rejected=on_rejected,
            on_note=on_note,
            on_batch=on_batch,
        )
    with _Processes(storing, count, Listener(on_rejected, on_note), on_batch) as processes:
        processes.store(first, lines)
        processes.leave()
    # They have left: whether a mark is of a message shows only now.
    async with Importer(database, storing.settle_rule, storing.now_ms, on_note) as importer:
        return await importer.finish(processes.total)


def _take(lines: Iterator[bytes]) -> tuple[list[bytes], TransferError | None]:
    """The next lines, and why there are no more if the file is broken."""
    taken: list[bytes] = []
    try:
        taken.extend(islice(lines, BATCH_LINES))
    except TransferError as error:
        return taken, error
    return taken, None


def _with_error(lines: list[bytes], error: TransferError | None) -> Iterator[bytes]:
    yield from lines
    if error is not None:
        raise error


class _Processes:
    """Processes that store lines. None of them is left at the end of the `with`.

    total  what came of all
    """

    def __init__(
        self, storing: Storing, count: int, listener: Listener, on_batch: Callable[[], None]
    ) -> None:
        self.total = Tally()
        self._storing = storing
        self._count = count
        self._listener = listener
        self._on_batch = on_batch
        self._processes: list[BaseProcess] = []
        self._idle: list[Pipe] = []
        self._busy: dict[Pipe, int] = {}  # and the number of the task
        self._handed_out = 0
        self._done: dict[int, _Done] = {}  # by number of the task
        self._told = 0  # tasks of which all was told

    def __enter__(self) -> Self:
        for _ in range(self._count):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(
                target=_main, args=(self._storing, theirs), name="import", daemon=True
            )
            self._processes.append(process)
            process.start()
            theirs.close()  # so that its end is seen
            self._idle.append(ours)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def store(self, first: list[bytes], rest: Iterator[bytes]) -> None:
        """All lines. Raises what a process raised, and TransferError of a broken file at last."""
        lines, broken = first, None
        before = rules = 0
        while lines:
            has_rules = any(_RULE in line for line in lines)
            if has_rules:
                self._finish()  # samples before the rule do not know it, those after it do
            self._hand_out(_Task.of(lines, before, rules))
            if has_rules:
                self._finish()
                rules += 1
            before += len(lines)
            lines, broken = ([], broken) if broken is not None else _take(rest)
        self._finish()
        if broken is not None:
            raise broken

    def leave(self) -> None:
        """Has them leave the database, and what they hold there."""
        for pipe in self._idle:
            pipe.send(None)
        for process in self._processes:
            process.join(_LEAVE_SECONDS)

    def _hand_out(self, task: _Task) -> None:
        while not self._idle:
            self._hear()
        pipe = self._idle.pop()
        self._busy[pipe] = self._handed_out
        self._handed_out += 1
        try:
            pipe.send(task)
        except BrokenPipeError:
            raise _died() from None

    def _finish(self) -> None:
        while self._busy:
            self._hear()

    def _hear(self) -> None:
        """Waits until one of them says something."""
        for pipe in wait(list(self._busy)):
            assert isinstance(pipe, Pipe)
            try:
                said: _Done | str | DevTelemetryError = pipe.recv()
            except (EOFError, ConnectionError):
                raise _died() from None
            match said:
                case str():
                    self._listener.on_note(said)
                case _Done():
                    self._done[self._busy.pop(pipe)] = said
                    self._idle.append(pipe)
                    self.total.add(said.tally)
                    self._tell()
                    self._on_batch()
                case _:
                    raise said

    def _tell(self) -> None:
        while (done := self._done.pop(self._told, None)) is not None:
            self._told += 1
            for number, why in done.rejected:
                self._listener.on_rejected(number, why)
            for number, name in done.unknown:
                self._listener.on_unknown(number, name)


def _died() -> DevTelemetryError:
    return DevTelemetryError(
        "a process of this import died; import the same file again, nothing of it will count twice"
    )


def _main(storing: Storing, pipe: Pipe) -> None:
    # The parent decides when to stop: a Ctrl-C at the terminal reaches the whole group.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Batches make many objects, and errors alone make cycles of some: see runtime/garbage.py.
    gc.disable()
    try:
        asyncio.run(_work(storing, pipe))
    except DevTelemetryError as error:
        pipe.send(error)


async def _work(storing: Storing, pipe: Pipe) -> None:
    listener = _Noting(pipe.send)
    rules = tasks = 0
    async with (
        open_database(storing.database_url, storing.data_dir) as database,
        Importer(database, storing.settle_rule, storing.now_ms, pipe.send) as importer,
    ):
        while (task := _next(pipe)) is not None:
            if task.rules != rules:
                importer.forget_rules()
                rules = task.rules
            reader = Reader(task.lines(), storing.limits, listener, task.before)
            tally = Tally()
            while said := reader.batch():
                tally.add(await importer.store(said))
            tally.rejected = reader.rejected
            pipe.send(listener.done(tally))
            del task, reader
            tasks += 1
            if tasks % _TASKS_A_COLLECTION == 0:
                gc.collect()


def _next(pipe: Pipe) -> _Task | None:
    """None: there are no more, or the parent died."""
    try:
        task: _Task | None = pipe.recv()
    except EOFError:
        return None
    return task
