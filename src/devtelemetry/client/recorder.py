"""From the app's threads to the background thread: the only part that an app waits for.

A call makes a record, copies it into the journal, and is done: no system call, and no lock that
anyone holds for longer than a copy. What is taken is in the outbox some milliseconds later.
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
    """What was taken since the last time.

    lost        by consent: samples before these that there was no room for
    generation  of the journal: all up to it is in this or was in earlier ones
    """

    records: deque[bytes]
    lost: dict[int, Loss]
    generation: int


@dataclass(slots=True)
class Recorder:
    """Takes from any thread, gives to one.

    capacity  records at most; then the oldest goes, counted
    """

    journal: Journal
    alarm: Alarm
    capacity: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _records: deque[bytes] = field(default_factory=deque)
    _lost: dict[int, Loss] = field(default_factory=dict)
    _drained: Drained | None = None  # and not stored yet
    _is_storing: bool = False
    _wants_ring: bool = False
    _is_open: bool = False

    def open(self) -> None:
        """Whatever is taken from now on outlives the process, if the disk has room for it."""
        with self._lock:
            self._open()

    def _open(self) -> None:
        self._is_open = True  # not tried again with each call
        try:
            self.journal.open()
        except OSError as error:
            _LOG.warning("a kill may cost reports, as there is no journal: %s", error)

    def take(self, record: bytes) -> None:
        with self._lock:
            if not self._is_open:
                self._open()  # switched on this moment: the thread would do it next
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
            # The first after a silence pays for it, not each.
            self._wants_ring = False
            self.alarm.ring()

    @property
    def is_urgent(self) -> bool:
        """Whether the journal is going to be full soon."""
        return self.journal.is_half_full

    def drain(self) -> Drained | None:
        """To be stored; the same again until it is `settled`. None: there is nothing."""
        with self._lock:
            if self._drained is None:
                if not self._records and not self._lost:
                    return None
                self._drained = Drained(self._records, self._lost, self.journal.turn())
                self._records, self._lost = deque(), {}
            self._is_storing = True
            return self._drained

    def put_back(self) -> None:
        """It could not be stored: it waits here."""
        with self._lock:
            self._is_storing = False
            while self._drained and len(self._drained.records) + len(self._records) > self.capacity:
                self._drop_oldest()

    def give_up(self) -> None:
        """It can never be stored: it is lost, and counted."""
        with self._lock:
            assert self._drained is not None
            for record in self._drained.records:
                _count_lost(self._drained.lost, record)
            self._drained.records.clear()
            self._is_storing = False

    def settled(self) -> None:
        """It is stored, or nobody's any more."""
        drained, self._drained = self._drained, None
        assert drained is not None
        self.journal.settle(drained.generation)
        self._is_storing = False

    def finish(self) -> bool:
        """Removes the journal, unless something is left; returns whether it did."""
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
        """Sleeps in the alarm, for ever if that is infinite; what is taken wakes the sleeper.

        while_waiting  at most so long if something waits here: more of it rings no more
        """
        # First said, then looked: what is taken in between rings.
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
