"""From the app's threads into memory: the only part that an app waits for.

No file, no lock that anyone holds for longer than an append. What is taken is counted in the tally
before the call returns, and is in the outbox some milliseconds later.
"""

import threading
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from devtelemetry.client.lost import Loss, hull, span_of
from devtelemetry.client.stays import Said
from devtelemetry.client.tally import Tally
from devtelemetry.client.values import Recorded
from devtelemetry.client.wake import Alarm


class ChannelsSaid(NamedTuple):
    consent: int
    said: Said


class Drained(NamedTuple):
    """What was taken since the last time.

    lost        by consent: samples before these that there was no room for
    taken       of the tally: all up to here is in this or was in earlier ones
    """

    items: list[Recorded | ChannelsSaid]
    lost: Mapping[int, Loss]
    taken: int


class Recorder:
    """Takes from any thread, gives to one.

    capacity  items at most; then the oldest goes, counted
    """

    def __init__(self, tally: Tally, alarm: Alarm, capacity: int) -> None:
        self._tally = tally
        self._alarm = alarm
        self._capacity = capacity
        self._lock = threading.Lock()
        self._items: deque[Recorded | ChannelsSaid] = deque()
        self._lost: dict[int, Loss] = {}
        self._wants_ring = False

    def take(self, item: Recorded | ChannelsSaid) -> None:
        with self._lock:
            if len(self._items) >= self._capacity:
                self._drop_oldest()
            if type(item) is Recorded:
                self._tally.count(item.consent, item.sent_at)
            self._items.append(item)
        if self._wants_ring:
            # The first after a silence pays for it, not each.
            self._wants_ring = False
            self._alarm.ring()

    def drain(self) -> Drained:
        with self._lock:
            drained = Drained(list(self._items), self._lost, self._tally.taken)
            self._items.clear()
            self._lost = {}
            self._tally.storing()
        return drained

    def put_back(self, drained: Drained) -> None:
        """It could not be stored: it waits here, in front of what came since."""
        with self._lock:
            self._items.extendleft(reversed(drained.items))
            self._add_lost(drained.lost)
            while len(self._items) > self._capacity:
                self._drop_oldest()

    def give_up(self, drained: Drained) -> None:
        """It can never be stored: it is lost, and counted."""
        with self._lock:
            self._add_lost(drained.lost)
            for item in drained.items:
                self._count_lost(item)

    def _drop_oldest(self) -> None:
        self._count_lost(self._items.popleft())

    def _count_lost(self, item: Recorded | ChannelsSaid) -> None:
        if type(item) is Recorded:
            self._add_lost({item.consent: Loss(1, span_of([item.sent_at]))})

    def _add_lost(self, lost: Mapping[int, Loss]) -> None:
        for consent, (number, span) in lost.items():
            known = self._lost.get(consent, Loss(0, None))
            self._lost[consent] = Loss(known.number + number, hull(known.span, span))

    def sleep(self, seconds: float, *, while_waiting: float) -> None:
        """Sleeps in the alarm, for ever if that is infinite; what is taken wakes the sleeper.

        while_waiting  at most so long if something waits here: more of it rings no more
        """
        # First said, then looked: what is taken in between rings.
        self._wants_ring = True
        if self._items:
            self._wants_ring = False
            seconds = min(seconds, while_waiting)
        self._alarm.sleep(seconds)
        self._wants_ring = False
