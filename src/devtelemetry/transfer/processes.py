"""Imports a file by several processes, to use more than one core.

This process reads the file and hands out its lines. The others parse and store them, each in
transactions of its own. To the database they are like several servers: what is stored does not
depend on which was faster. If one of them dies, the import ends.
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

_RULE = b'"samplingSalt"'  # shows that a line is a rule of sampling
_LEAVE_SECONDS = 30.0  # within which a process must leave the database

_TASKS_A_COLLECTION = 50  # a million lines

_spawn = multiprocessing.get_context("spawn")  # a fork would share the parent's open files


@dataclass(frozen=True, slots=True)
class Storing:
    """What each process needs.

    database_url  None for the bundled database in data_dir
    now_ms        returns Unix ms of the wall clock; a module's function, so that it can be pickled
    """

    database_url: str | None
    data_dir: Path
    limits: AgeLimits
    settle_rule: SettleRule
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Task:
    """Lines to be stored.

    text    each line ends with a newline. To send one text costs a tenth of sending single lines
    before  how many lines of the file come before these
    rules   how many tasks with rules of sampling came before
    """

    text: bytes
    before: int
    rules: int

    @classmethod
    def of(cls, lines: list[bytes], before: int, rules: int) -> "_Task":
        # A line that was cut off has no newline, and the last line may have none.
        ended = (line if line.endswith(b"\n") else line + b"\n" for line in lines)
        return cls(b"".join(ended), before, rules)

    def lines(self) -> Iterator[bytes]:
        return iter(self.text[:-1].split(b"\n"))


@dataclass(slots=True)
class _Done:
    """The result of a task. The notes are kept, to be passed on in the order of the file."""

    tally: Tally = field(default_factory=Tally)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    unknown: list[tuple[int, str]] = field(default_factory=list)


class _Noting(Listener):
    """Keeps the notes about lines until their task is done."""

    def __init__(self, on_note: Callable[[str], None]) -> None:
        super().__init__(self._note_rejected, on_note)
        self._noted = _Done()

    def done(self, tally: Tally) -> _Done:
        """The kept notes, together with the tally of the lines."""
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
    """Like `import_samples`, by `count` processes if the file has more than one batch."""
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
    # Only now, with all lines stored, it shows which marks have a message.
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
    """Processes that store lines. At the end of the `with`, none of them is left.

    total  the sum over all tasks
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
        self._busy: dict[Pipe, int] = {}  # the number of its task
        self._handed_out = 0
        self._done: dict[int, _Done] = {}  # by number of the task
        self._told = 0  # tasks whose notes were passed on

    def __enter__(self) -> Self:
        for _ in range(self._count):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(
                target=_main, args=(self._storing, theirs), name="import", daemon=True
            )
            self._processes.append(process)
            process.start()
            theirs.close()  # else the end of the process would not close the pipe
            self._idle.append(ours)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def store(self, first: list[bytes], rest: Iterator[bytes]) -> None:
        """Stores all lines. Raises what a process raised. If the file is broken, raises its
        TransferError after all lines before that are stored."""
        lines, broken = first, None
        before = rules = 0
        while lines:
            has_rules = any(_RULE in line for line in lines)
            if has_rules:
                self._finish()  # the rule holds for lines after it, but not for lines before it
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
        """Lets the processes leave the database and give up their locks."""
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
        """Waits for the next message of a process, and handles it."""
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
        "a process of this import died; import the same file again, no line will count twice"
    )


def _main(storing: Storing, pipe: Pipe) -> None:
    # The parent decides when to stop, but a Ctrl-C at the terminal reaches all processes.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Batches make many objects, but only errors make cycles: see runtime/garbage.py.
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
    """The next task; None if there are no more, or if the parent died."""
    try:
        task: _Task | None = pipe.recv()
    except EOFError:
        return None
    return task
