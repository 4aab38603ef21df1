"""What a running client took from its app and has not stored yet, in memory that outlives it.

The app's thread writes a record before a call returns: a copy into a mapped file, which the kernel
keeps whatever becomes of the process. The background thread moves records to the outbox some
milliseconds later. A file has two halves: one is written while the other is being moved. Each
filling of a half has a number, its generation; the outbox notes, with what it stores, up to which
generation it has all. So a process may be killed at any point, and whoever comes next moves what is
left, once.

    half     words of 64 bits: generation (0: empty), then of samples that had no room in the half:
             how many, their consent, least and greatest sentAt (0: not known). Then records
    record   length and checksum, 32 bits each, and the bytes. The checksum begins with the
             generation, so that what an earlier filling left is none. Length 0: no more

Whoever truncates the file ends the processes that have it mapped.
"""

import contextlib
import itertools
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from devtelemetry.client.lock import Lock, is_held
from devtelemetry.client.lost import Loss, Span
from devtelemetry.client.storage import make_private
from devtelemetry.client.switch import mapped

HALF_BYTES = 2**20
_SUFFIX = ".journal"
_GENERATION, _BEYOND, _CONSENT, _FIRST, _LAST = range(5)
# Of the first half. Not 0: the app wants nothing to be sent; the client cannot write its outbox.
_PAUSED, _STUCK = 6, 7
_HALF_WORDS = HALF_BYTES // 8
_HEAD_BYTES = 64
_32_BITS = 0xFFFFFFFF
_RECORD = struct.Struct("<II")


class Half(NamedTuple):
    """What a client that ended left in one.

    lost  by consent: samples that were in the memory of its process alone
    """

    generation: int
    records: list[bytes]
    lost: dict[int, Loss]


class _File:
    """The mapped file at `path`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.bytes, self.words = mapped(path, 2 * HALF_BYTES)

    def close(self) -> None:
        self.words.release()
        self.bytes.close()

    def left(self) -> list[Half]:
        """What is in it, in the order in which it was taken."""
        halves = []
        for half in range(2):
            base = half * _HALF_WORDS
            generation, number, consent, first, last = self.words[base : base + 5]
            if generation:
                span = Span(first, last) if first else None
                lost = {consent: Loss(number, span)} if number else {}
                whole = [
                    self.bytes[start:end]
                    for start, end, checksum in self._records(half)
                    if _checksum(self.bytes[start:end], generation) == checksum
                ]
                halves.append(Half(generation, whole, lost))
        return sorted(halves, key=lambda half: half.generation)

    def wipe(self) -> None:
        """The bytes of all records go, and the times. Their lengths stay: a client that runs goes
        on behind them."""
        for half in range(2):
            for start, end, _ in self._records(half):
                self.bytes[start - 4 : end] = bytes(4 + end - start)  # with the checksum
            for word in (_BEYOND, _FIRST, _LAST):
                self.words[half * _HALF_WORDS + word] = 0
        self.bytes.flush()

    def _records(self, half: int) -> Iterator[tuple[int, int, int]]:
        """Where each begins and ends, whole or not, and its checksum."""
        at, beyond = half * HALF_BYTES + _HEAD_BYTES, (half + 1) * HALF_BYTES
        while at + _RECORD.size <= beyond:
            length, checksum = _RECORD.unpack_from(self.bytes, at)
            start = at + _RECORD.size
            if not length or start + length > beyond:
                return
            at = start + length
            yield start, at, checksum


def _checksum(record: bytes, generation: int) -> int:
    return crc32(record, generation & _32_BITS)


class Journal:
    """One slot and its file; the slot is held for as long as this is open.

    settled  the outbox has all up to this generation
    """

    def __init__(self, directory: Path, slot: int, lock: Lock) -> None:
        self.slot = slot
        self.settled = 0
        self.path = directory / f"{slot}{_SUFFIX}"
        self._lock = lock
        self._file: _File | None = None
        self._active = 0  # half
        self._used = [_HEAD_BYTES, _HEAD_BYTES]
        self._generation = 0

    @classmethod
    def first_free(cls, directory: Path) -> "Journal":
        """The first slot that no running client holds and in which none left a file."""
        for slot in itertools.count():
            journal = cls.take(directory, slot)
            if journal is not None:
                if not journal.path.exists():
                    return journal
                journal.close()
        raise AssertionError("there is always another slot")

    @classmethod
    def take(cls, directory: Path, slot: int) -> "Journal | None":
        """That slot, if nobody holds it."""
        lock = Lock(directory / f"{slot}.lock")
        try:
            if lock.take():
                return cls(directory, slot, lock)
        except BaseException:
            lock.close()
            raise
        lock.close()
        return None

    # ------------------------------------------------------------------- of the client that runs

    def open(self) -> None:
        """Makes the file, if there is none yet. Raises OSError where there is no room for it."""
        if self._file is None:
            make_private(self.path)
            try:
                self._file = _File(self.path)
            except OSError:
                self.path.unlink()  # what there is of it would take the last room on the disk
                raise
            self._begin(0)

    def append(self, record: bytes) -> bool:
        """Writes one; returns whether there was room."""
        used = self._used[self._active]
        end = used + _RECORD.size + len(record)
        if self._file is None or end > HALF_BYTES:
            return False
        start = self._active * HALF_BYTES
        # As _checksum has it; written out, as an app waits for it.
        head = _RECORD.pack(len(record), crc32(record, self._generation & _32_BITS))
        self._file.bytes[start + used : start + end] = head + record
        self._used[self._active] = end
        return True

    @property
    def is_half_full(self) -> bool:
        return self._used[self._active] > HALF_BYTES // 2

    def count_beyond(self, consent: int, sent_at: int) -> None:
        """A sample had no room: if the process is killed it is lost. sent_at: 0: not known."""
        if self._file is None:
            return
        words, base = self._file.words, self._active * _HALF_WORDS
        if words[base + _CONSENT] != consent:
            words[base + _BEYOND] = words[base + _FIRST] = words[base + _LAST] = 0
            words[base + _CONSENT] = consent
        if sent_at:
            words[base + _FIRST] = min(words[base + _FIRST] or sent_at, sent_at)
            words[base + _LAST] = max(words[base + _LAST], sent_at)
        words[base + _BEYOND] += 1

    def turn(self) -> int:
        """Goes on in the other half, which is empty; returns the generation of this one."""
        generation = self._generation
        if self._file is not None:
            self._begin(1 - self._active)
        return generation

    def settle(self, generation: int) -> None:
        """The outbox has what is in the half that was turned from, or it is nobody's: it goes."""
        self.settled = max(self.settled, generation)
        if self._file is None:
            return
        half = 1 - self._active
        start, used = half * HALF_BYTES, self._used[half]
        self._file.bytes[start + _HEAD_BYTES : start + used] = bytes(used - _HEAD_BYTES)
        for word in range(5):
            self._file.words[half * _HALF_WORDS + word] = 0
        self._used[half] = _HEAD_BYTES

    def _begin(self, half: int) -> None:
        assert self._file is not None
        self._active = half
        self._generation = max(self._generation, self.settled) + 1
        self._file.words[half * _HALF_WORDS + _GENERATION] = self._generation

    def set_stuck(self, is_stuck: bool) -> None:
        self._set(_STUCK, is_stuck)

    def set_paused(self, is_paused: bool) -> None:
        self._set(_PAUSED, is_paused)

    def _set(self, word: int, holds: bool) -> None:
        if self._file is not None:
            self._file.words[word] = int(holds)

    # ---------------------------------------------------------------------- of one that has ended

    def left(self) -> list[Half]:
        """What is in the file, in the order in which it was taken."""
        if not self.path.exists():
            return []
        with contextlib.closing(_File(self.path)) as file:
            return file.left()

    def remove(self) -> None:
        """The file goes: all that was in it is stored, or nobody's any more."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.close()


def slots(directory: Path) -> list[int]:
    """Those with a file."""
    paths = directory.glob(f"*{_SUFFIX}")
    return sorted(int(path.stem) for path in paths if path.stem.isdecimal())


def abandoned(directory: Path, unended: Iterable[int]) -> Iterator[Journal]:
    """Of clients that did not end in order; unended: slots, beside those with a file."""
    for slot in sorted({*slots(directory), *unended}):
        journal = Journal.take(directory, slot)
        if journal is not None:  # else that client runs, this one maybe
            with contextlib.closing(journal):
                yield journal


def wipe_all(directory: Path) -> None:
    """An opt-out: nothing stays of what any client had taken. Raises OSError."""
    for slot in slots(directory):
        path = directory / f"{slot}{_SUFFIX}"
        # It may have gone meanwhile: its client ended.
        with contextlib.suppress(FileNotFoundError), contextlib.closing(_File(path)) as file:
            file.wipe()
        journal = Journal.take(directory, slot)
        if journal is not None:  # no client goes on with it
            journal.remove()
            journal.close()


class State(NamedTuple):
    """is_stuck: the outbox cannot be written; is_paused: the app wants nothing to be sent"""

    is_stuck: bool
    is_paused: bool


def state_of_all(directory: Path) -> State:
    """Of all clients that run: whether any is so."""
    is_stuck = is_paused = False
    for slot in slots(directory):
        with (
            contextlib.suppress(OSError),
            contextlib.closing(_File(directory / f"{slot}{_SUFFIX}")) as file,
        ):
            stuck, paused = bool(file.words[_STUCK]), bool(file.words[_PAUSED])
            if (stuck or paused) and is_held(directory / f"{slot}.lock"):
                is_stuck |= stuck
                is_paused |= paused
    return State(is_stuck, is_paused)
