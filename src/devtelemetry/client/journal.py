"""Keeps the records that are not in the outbox yet, in memory that outlives the process.

The app's thread writes a record before a call returns: it copies the record into a mapped file,
which the kernel keeps if the process dies. Some milliseconds later the background thread moves the
records to the outbox. A file has two halves: one is written while the other is being moved. Each
filling of a half has a number, its generation. Together with the records, the outbox notes the
generation up to which it has everything. So a process may be killed at any point: the next client
moves the records that are left, once.

    half     words of 64 bits: generation (0: empty); then, for samples that had no room in this
             half, their number, consent, least and greatest sentAt (0: not known). Then records
    record   length and checksum, 32 bits each, and the bytes. The checksum starts from the
             generation, so what an earlier filling left is not taken for a record. Length 0: the
             end

Never truncate the file: that kills the processes that have it mapped.
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
# Words of the first half. Not 0: the app paused sending; the client cannot write its outbox.
_PAUSED, _STUCK = 6, 7
_HALF_WORDS = HALF_BYTES // 8
_HEAD_BYTES = 64
_32_BITS = 0xFFFFFFFF
_RECORD = struct.Struct("<II")


class Half(NamedTuple):
    """What a client that ended left in one half.

    lost  by consent: samples that were only in the memory of its process
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
        """The halves that have something in them, in the order in which they were filled."""
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
        """Overwrites all records and times with zeros. The records' lengths stay, because a running
        client goes on writing behind them."""
        for half in range(2):
            for start, end, _ in self._records(half):
                self.bytes[start - 4 : end] = bytes(4 + end - start)  # with the checksum
            for word in (_BEYOND, _FIRST, _LAST):
                self.words[half * _HALF_WORDS + word] = 0
        self.bytes.flush()

    def _records(self, half: int) -> Iterator[tuple[int, int, int]]:
        """Start, end and checksum of each record, whether it is whole or not."""
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
    """One slot and its file. The journal holds the slot until it is closed.

    settled  the outbox has everything up to this generation
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
        """Takes the first slot that is not held and has no file left in it."""
        for slot in itertools.count():
            journal = cls.take(directory, slot)
            if journal is not None:
                if not journal.path.exists():
                    return journal
                journal.close()
        raise AssertionError("there is always another slot")

    @classmethod
    def take(cls, directory: Path, slot: int) -> "Journal | None":
        """Takes that slot; None if somebody else holds it."""
        lock = Lock(directory / f"{slot}.lock")
        try:
            if lock.take():
                return cls(directory, slot, lock)
        except BaseException:
            lock.close()
            raise
        lock.close()
        return None

    # ------------------------------------------------------------------ of a client that is running

    def open(self) -> None:
        """Makes the file if there is none yet. Raises OSError if the disk has no room for it."""
        if self._file is None:
            make_private(self.path)
            try:
                self._file = _File(self.path)
            except OSError:
                self.path.unlink()  # else the part that was written would fill up the disk
                raise
            self._begin(0)

    def append(self, record: bytes) -> bool:
        """Writes a record. Returns whether there was room for it."""
        used = self._used[self._active]
        end = used + _RECORD.size + len(record)
        if self._file is None or end > HALF_BYTES:
            return False
        start = self._active * HALF_BYTES
        # The same as _checksum, written out here because an app waits for it.
        head = _RECORD.pack(len(record), crc32(record, self._generation & _32_BITS))
        self._file.bytes[start + used : start + end] = head + record
        self._used[self._active] = end
        return True

    @property
    def is_half_full(self) -> bool:
        return self._used[self._active] > HALF_BYTES // 2

    def count_beyond(self, consent: int, sent_at: int) -> None:
        """Counts a sample that had no room here: if the process is killed, the sample is lost.

        sent_at  Unix ms; 0: not known
        """
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
        """Switches to the other half, which is empty. Returns the generation of the one before."""
        generation = self._generation
        if self._file is not None:
            self._begin(1 - self._active)
        return generation

    def settle(self, generation: int) -> None:
        """Empties the half that `turn` left: its records are stored, or may not be kept."""
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

    # ------------------------------------------------------------------- of a client that has ended

    def left(self) -> list[Half]:
        """The halves of the file that have something in them, in the order they were filled."""
        if not self.path.exists():
            return []
        with contextlib.closing(_File(self.path)) as file:
            return file.left()

    def remove(self) -> None:
        """Removes the file: everything in it is stored, or may not be kept."""
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
    """The slots that have a file, ascending."""
    paths = directory.glob(f"*{_SUFFIX}")
    return sorted(int(path.stem) for path in paths if path.stem.isdecimal())


def abandoned(directory: Path, unended: Iterable[int]) -> Iterator[Journal]:
    """The journals of clients that were killed. unended: slots to look at even without a file."""
    for slot in sorted({*slots(directory), *unended}):
        journal = Journal.take(directory, slot)
        if journal is not None:  # else its client is running, perhaps this one
            with contextlib.closing(journal):
                yield journal


def wipe_all(directory: Path) -> None:
    """Wipes all journals, for an opt-out: no record of any client is left. Raises OSError."""
    for slot in slots(directory):
        path = directory / f"{slot}{_SUFFIX}"
        # FileNotFoundError: its client has ended meanwhile and removed it.
        with contextlib.suppress(FileNotFoundError), contextlib.closing(_File(path)) as file:
            file.wipe()
        journal = Journal.take(directory, slot)
        if journal is not None:  # no running client uses it
            journal.remove()
            journal.close()


class State(NamedTuple):
    """is_stuck: the outbox cannot be written; is_paused: the app paused sending"""

    is_stuck: bool
    is_paused: bool


def state_of_all(directory: Path) -> State:
    """Whether any running client is stuck, and whether any is paused."""
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
