"""From the app's threads to the background thread: the only part that an app waits for.

A call makes a record and copies it into the journal. That needs no system call, and no lock that
anyone holds for longer than a copy. The record is in the outbox some milliseconds later.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass, field

from devtelemetry.client.journal import Journal
from devtelemetry.client.lost import Loss, hull, span_of
from devtelemetry.client.record import sample_of
from devtelemetry.client.wake import Alarm

_LOG = logging.getLogger("devtelemetry.client")


@dataclass(slots=True)
class Drained:
    """The records that were taken since the last `drain`.

    lost        by consent: earlier samples that there was no room for
    generation  of the journal: everything up to it is in this or was in an earlier one
    """

    records: deque[bytes]
    lost: dict[int, Loss]
    generation: int


@dataclass(slots=True)
class Recorder:
    """Takes records from any thread and gives them to one.

    capacity  the most records; beyond that the oldest is dropped and counted
    """

    journal: Journal
    alarm: Alarm
    capacity: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _records: deque[bytes] = field(default_factory=deque)
    _lost: dict[int, Loss] = field(default_factory=dict)
    _drained: Drained | None = None  # drained, but not stored yet
    _is_storing: bool = False
    _wants_ring: bool = False
    _is_open: bool = False

    def open(self) -> None:
        """From now on records outlive the process, if the disk has room for the journal."""
        with self._lock:
            self._open()

    def _open(self) -> None:
        self._is_open = True  # set first: if opening fails, no call tries it again
        try:
            self.journal.open()
        except OSError as error:
            _LOG.warning("there is no journal, so a killed app may lose reports: %s", error)

    def take(self, record: bytes) -> None:
        with self._lock:
            if not self._is_open:
                self._open()  # the opt-in was a moment ago; the background thread was slower
            held = len(self._records)
            if self._drained is not None and not self._is_storing:
                held += len(self._drained.records)
            if held >= self.capacity:
                self._drop_oldest()
            if not self.journal.append(record):
                sample = sample_of(record)
                if sample is not None:
                    self.journal.count_beyond(*sample)
            self._records.append(record)
        if self._wants_ring or (self.is_urgent and not self._is_storing):
            # Only the first record after a silence pays for waking the thread.
            self._wants_ring = False
            self.alarm.ring()

    @property
    def is_urgent(self) -> bool:
        """Whether the journal will be full soon."""
        return self.journal.is_half_full

    def drain(self) -> Drained | None:
        """Returns what is to be stored: the same each time, until `settled`. None if nothing is."""
        with self._lock:
            if self._drained is None:
                if not self._records and not self._lost:
                    return None
                self._drained = Drained(self._records, self._lost, self.journal.turn())
                self._records, self._lost = deque(), {}
            self._is_storing = True
            return self._drained

    def put_back(self) -> None:
        """The drained records could not be stored now: they wait here."""
        with self._lock:
            self._is_storing = False
            while self._drained and len(self._drained.records) + len(self._records) > self.capacity:
                self._drop_oldest()

    def give_up(self) -> None:
        """The drained records can never be stored: they are dropped and counted as lost."""
        with self._lock:
            assert self._drained is not None
            for record in self._drained.records:
                _count_lost(self._drained.lost, record)
            self._drained.records.clear()
            self._is_storing = False

    def settled(self) -> None:
        """The drained records are stored, or may not be kept."""
        drained, self._drained = self._drained, None
        assert drained is not None
        self.journal.settle(drained.generation)
        self._is_storing = False

    def finish(self) -> bool:
        """Removes the journal, unless records are left. Returns whether it did."""
        with self._lock:
            if self._records or self._lost or self._drained is not None:
                return False
            self.journal.remove()
            return True

    def _drop_oldest(self) -> None:
        if self._drained is not None and self._drained.records and not self._is_storing:
            _count_lost(self._drained.lost, self._drained.records.popleft())
        else:
            _count_lost(self._lost, self._records.popleft())

    def sleep(self, seconds: float, *, while_waiting: float) -> None:
        """Sleeps until the alarm rings or `seconds` are over; they may be infinite.

        while_waiting  the seconds to sleep at most if records wait here already: then further
                       records do not ring
        """
        # In this order: a record that is taken between the two lines rings.
        self._wants_ring = True
        if self._records:
            self._wants_ring = False
            seconds = min(seconds, while_waiting)
        self.alarm.sleep(seconds)
        self._wants_ring = False


def _count_lost(lost: dict[int, Loss], record: bytes) -> None:
    sample = sample_of(record)
    if sample is not None:
        consent, sent_at = sample
        known = lost.get(consent, Loss(0, None))
        lost[consent] = Loss(known.number + 1, hull(known.span, span_of([sent_at])))
