"""How many samples a client took from the app, in memory that outlives the process.

What is taken goes into the outbox some milliseconds later. A process that is killed in between
loses it; its tally then says how many those were, and from when to when their messages were sent,
so that they are counted as dropped, their numbers skipped, and the server told. The outbox holds
the other side: how many of the tally it has settled (stored, dropped, or passed over).

One slot a running client: a mapped file, locked for as long as the client runs.
"""

import contextlib
import fcntl
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from devtelemetry.client.lost import Loss, Span, hull, time_of
from devtelemetry.client.switch import mapped_words

_STUCK = 3  # these are words
_TAKEN, _STORING = 4, 6  # the first of two each
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Lock:
    """A file that one holder has at a time; the kernel releases it when its process ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.is_held = False

    def take(self) -> bool:
        """Takes it if nobody else has it; returns whether it is ours now."""
        if not self.is_held:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.is_held = True
        return self.is_held

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.is_held = False

    def close(self) -> None:
        os.close(self._descriptor)
        self.is_held = False


class Inherited(NamedTuple):
    """A slot's words as they were found."""

    taken: int
    consent: int
    begin: int
    span: Span | None  # of what was not settled, or of more; None: not known


class Tally:
    """One client's slot. Written by the app's threads, under the recorder's lock.

    word 0  how many samples were taken, since the slot was made
    word 1  the consent under which the last of them were
    word 2  word 0 at the beginning of that consent
    word 3  not 0: the client cannot write its outbox (where else could it say so?)
    words 4 and 5  least and greatest sentAt of what was taken since the outbox was written last;
                   0: nothing was
    words 6 and 7  the same of what is being written
    """

    def __init__(self, directory: Path, slot: int, lock: Lock) -> None:
        self.slot = slot
        self._lock = lock
        self._mapping, self._words = mapped_words(directory / f"{slot}.tally")
        taken, consent, begin = self._words[:3]
        span = hull(self._span(_TAKEN), self._span(_STORING))
        # What the slot's last holder left; None once that is settled.
        self.inherited: Inherited | None = Inherited(taken, consent, begin, span)

    @classmethod
    def first_free(cls, directory: Path) -> "Tally":
        """The first slot that no running client holds."""
        for slot in itertools.count():
            tally = cls._take(directory, slot)
            if tally is not None:
                return tally
        raise AssertionError("there is always another slot")

    @classmethod
    def all_free(cls, directory: Path) -> "Iterator[Tally]":
        """Each slot that was held once and is not now; to be closed by the caller."""
        for slot in _slots(directory):
            tally = cls._take(directory, slot)
            if tally is not None:
                yield tally

    @classmethod
    def _take(cls, directory: Path, slot: int) -> "Tally | None":
        lock = Lock(directory / f"{slot}.lock")
        try:
            if lock.take():
                return cls(directory, slot, lock)
        except BaseException:
            lock.close()
            raise
        lock.close()
        return None

    def count(self, consent: int, sent_at: object) -> None:
        """One more was taken, under `consent`. sent_at: as the app said it."""
        words = self._words
        if words[1] != consent:
            words[2] = words[0]
            words[1] = consent
            self._set_span(_TAKEN, None)
            self._set_span(_STORING, None)
        # Before it is counted: whatever is counted lies within.
        at = time_of(sent_at)
        if at:
            least = words[_TAKEN]
            if not least:
                words[_TAKEN + 1] = at
                words[_TAKEN] = at
            elif at < least:
                words[_TAKEN] = at
            elif at > words[_TAKEN + 1]:
                words[_TAKEN + 1] = at
        words[0] += 1

    def storing(self) -> None:
        """All that was taken goes to the outbox now. Under the recorder's lock."""
        self._set_span(_STORING, hull(self._span(_STORING), self._span(_TAKEN)))
        self._set_span(_TAKEN, None)

    def stored(self) -> None:
        """What was going there is settled."""
        self._set_span(_STORING, None)

    def _span(self, first: int) -> Span | None:
        return Span(*self._words[first : first + 2]) if self._words[first] else None

    def _set_span(self, first: int, span: Span | None) -> None:
        self._words[first], self._words[first + 1] = span or (0, 0)

    def begin_of(self, consent: int) -> int:
        """The count at the beginning of `consent`."""
        begin: int = self._words[2] if self._words[1] == consent else self._words[0]
        return begin

    @property
    def taken(self) -> int:
        taken: int = self._words[0]
        return taken

    def set_stuck(self, is_stuck: bool) -> None:
        self._words[_STUCK] = int(is_stuck)

    def close(self) -> None:
        self._words[_STUCK] = 0
        self._words.release()
        with contextlib.suppress(BufferError):
            self._mapping.close()
        self._lock.close()


@cache
def boot_id() -> str:
    """Differs after the machine was started anew; `?` where it cannot be told."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "?"


def uptime_ms() -> int:
    """How long the machine has run, asleep or not."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


def wipe_times(directory: Path) -> None:
    """An opt-out: when messages were sent that a killed client had taken is nobody's any more."""
    for slot in _slots(directory):
        with contextlib.suppress(OSError):
            descriptor = os.open(directory / f"{slot}.tally", os.O_WRONLY)
            try:
                os.pwrite(descriptor, bytes(8 * 4), 8 * _TAKEN)
            finally:
                os.close(descriptor)


def any_is_stuck(directory: Path) -> bool:
    """Whether a client that runs cannot write its outbox."""
    for slot in _slots(directory):
        with contextlib.suppress(OSError):
            words = (directory / f"{slot}.tally").read_bytes()[: 8 * (_STUCK + 1)]
            if any(words[8 * _STUCK :]) and _is_held(directory / f"{slot}.lock"):
                return True
    return False


def _is_held(path: Path) -> bool:
    lock = Lock(path)
    try:
        return not lock.take()
    finally:
        lock.close()


def _slots(directory: Path) -> list[int]:
    return sorted(int(p.stem) for p in directory.glob("*.tally") if p.stem.isdecimal())


def take_over(connection: sqlite3.Connection, tally: Tally, consent: int) -> Loss:
    """Opens the slot's account under `consent`; inside a transaction.

    Returns what samples its last holder took and did not settle. If the machine lost power in
    between that cannot be told: at least one, so that the gap is seen. Once that is committed,
    `inherited` has to be cleared.
    """
    row = connection.execute(
        "select settled, boot_id from telemetry_tally where slot = ? and consent = ?",
        (tally.slot, consent),
    ).fetchone()
    inherited = tally.inherited
    if inherited is None:
        # Under another consent before, or the same one again: what we took so far is in our hands.
        if row is None:
            settle(connection, tally, consent, tally.begin_of(consent), is_open=True)
        return Loss(0, None)
    settled = inherited.begin if inherited.consent == consent else inherited.taken
    lost_power = False
    if row is not None:
        settled = row["settled"]
        lost_power = settled > inherited.taken or row["boot_id"] not in ("", boot_id())
    settle(connection, tally, consent, inherited.taken, is_open=True)
    if lost_power:  # with it, what the words said last
        return Loss(max(inherited.taken - settled, 1), None)
    return Loss(inherited.taken - settled, inherited.span)


def settle(
    connection: sqlite3.Connection, tally: Tally, consent: int, settled: int, *, is_open: bool
) -> None:
    """Notes that of this tally `settled` are accounted for. Inside a transaction."""
    connection.execute(
        "insert or replace into telemetry_tally (slot, consent, settled, boot_id)"
        " values (?, ?, ?, ?)",
        (tally.slot, consent, settled, boot_id() if is_open else ""),
    )
