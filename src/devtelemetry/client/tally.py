"""How many samples a client took from the app, in memory that outlives the process.

What is taken goes into the outbox some milliseconds later. A process that is killed in between
loses it; its tally then says how many those were, so that they are counted as dropped and their
numbers skipped. The outbox holds the other side: how many of the tally it has settled (stored,
dropped, or passed over).

One slot a running client: a mapped file, locked for as long as the client runs.
"""

import contextlib
import fcntl
import itertools
import os
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from devtelemetry.client.switch import mapped_words

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

    def close(self) -> None:
        os.close(self._descriptor)
        self.is_held = False


class Inherited(NamedTuple):
    """A slot's words as they were found."""

    taken: int
    consent: int
    begin: int


class Tally:
    """One client's slot. Written by the app's threads, under the recorder's lock.

    word 0  how many samples were taken, since the slot was made
    word 1  the consent under which the last of them were
    word 2  word 0 at the beginning of that consent
    """

    def __init__(self, directory: Path, slot: int, lock: Lock) -> None:
        self.slot = slot
        self._lock = lock
        self._mapping, self._words = mapped_words(directory / f"{slot}.tally")
        # What the slot's last holder left; None once that is settled.
        self.inherited: Inherited | None = Inherited(*self._words[:3])

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
        for path in directory.glob("*.tally"):
            tally = cls._take(directory, int(path.stem))
            if tally is not None:
                yield tally

    @classmethod
    def _take(cls, directory: Path, slot: int) -> "Tally | None":
        lock = Lock(directory / f"{slot}.lock")
        if lock.take():
            return cls(directory, slot, lock)
        lock.close()
        return None

    def count(self, consent: int) -> None:
        """One more was taken, under `consent`."""
        words = self._words
        if words[1] != consent:
            words[2] = words[0]
            words[1] = consent
        words[0] += 1

    def begin_of(self, consent: int) -> int:
        """The count at the beginning of `consent`."""
        begin: int = self._words[2] if self._words[1] == consent else self._words[0]
        return begin

    @property
    def taken(self) -> int:
        taken: int = self._words[0]
        return taken

    def close(self) -> None:
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


def take_over(connection: sqlite3.Connection, tally: Tally, consent: int) -> int:
    """Opens the slot's account under `consent`; inside a transaction.

    Returns how many samples its last holder took and did not settle. If the machine lost power in
    between that cannot be told: at least one, so that the gap is seen.
    """
    row = connection.execute(
        "select settled, boot_id from telemetry_tally where slot = ? and consent = ?",
        (tally.slot, consent),
    ).fetchone()
    inherited, tally.inherited = tally.inherited, None
    if inherited is None:
        # Under another consent before, or the same one again: what we took so far is in our hands.
        if row is None:
            settle(connection, tally, consent, tally.begin_of(consent), is_open=True)
        return 0
    settled = inherited.begin if inherited.consent == consent else inherited.taken
    lost_power = False
    if row is not None:
        settled = row["settled"]
        lost_power = settled > inherited.taken or row["boot_id"] not in ("", boot_id())
    settle(connection, tally, consent, inherited.taken, is_open=True)
    return max(inherited.taken - settled, int(lost_power))


def settle(
    connection: sqlite3.Connection, tally: Tally, consent: int, settled: int, *, is_open: bool
) -> None:
    """Notes that of this tally `settled` are accounted for. Inside a transaction."""
    connection.execute(
        "insert or replace into telemetry_tally (slot, consent, settled, boot_id)"
        " values (?, ?, ?, ?)",
        (tally.slot, consent, settled, boot_id() if is_open else ""),
    )
