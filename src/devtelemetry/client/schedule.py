"""When to send what, and what an answer means for that. Pure: the clock is a parameter.

All times here are seconds of a monotonic clock: a device's calendar may jump.
"""

import random
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"
_LONGEST_WAIT_TOLD = 3600.0  # a server that says more is believed so far


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds, unless it says otherwise.

    batch_samples      that many are sent at once, ...
    batch_bytes        ... within that size, ...
    batch              ... or fewer, once the oldest has waited so long
    heartbeat          the longest silence while the user is opted in: half of the shortest common
                       window, so that a receiver without new messages still counts in it
    flush              the least time between two writes to the outbox, unless much waits
    deadline           for one answer
    first_retry        after a failure; doubled each time
    longest_retry      however often it failed
    rare_retry         after a failure that only a person can mend: a token, an address
    idle_connection    a connection that nobody needed for so long is closed: gRPC's threads wake
                       up ten times a second for one that is open (docs/evidence/benchmarks.md)
    """

    batch_samples: int = 500
    batch_bytes: int = 1024 * 1024
    batch: float = 60.0
    heartbeat: float = 1800.0
    flush: float = 0.2
    deadline: float = 30.0
    first_retry: float = 1.0
    longest_retry: float = 600.0
    rare_retry: float = 1800.0
    idle_connection: float = 3.0


@dataclass(slots=True)
class Backoff:
    """How long to leave somebody alone after failures.

    Jitter: a half up to the whole of the delay, so that clients which failed together do not come
    back together.
    """

    timing: Timing
    dice: random.Random = field(default_factory=random.Random)
    failures: int = 0
    until: float = 0.0

    def succeeded(self) -> None:
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float) -> None:
        # Bounded before it is used: 2.0 ** 2000 is an error.
        doubled = self.timing.first_retry * 2.0 ** min(self.failures, 32)
        self._wait(now, min(doubled, self.timing.longest_retry))

    def failed_for_a_person_to_mend(self, now: float) -> None:
        self._wait(now, self.timing.rare_retry)

    def told_to_wait(self, now: float, seconds: float) -> None:
        """At least as long as the server said, and as without its word."""
        self.failed(now)
        told = min(seconds, _LONGEST_WAIT_TOLD)
        self.until = max(self.until, now + told * self.dice.uniform(1.0, 1.25))

    def _wait(self, now: float, delay: float) -> None:
        self.failures += 1
        self.until = now + delay * self.dice.uniform(0.5, 1.0)


@dataclass(slots=True)
class Schedule:
    """When the next push is due.

    interval  how long the server told to wait between two pushes; 0: it did not

    Jitter: 0.8 up to the whole of the interval, so that clients which were told together do not
    come back together, and none later than it was told.
    """

    timing: Timing
    backoff: Backoff
    last_contact: float = float("-inf")
    waiting_since: float | None = None
    interval: float = 0.0
    _share: float = 1.0  # of the interval
    _has_to_wait: bool = False  # a batch has: not the first one, nor what did not fit the last one

    def next_push(self, waiting: int, now: float, *, hurry: bool) -> float:
        """The time of the next push, at or before `now` if it is due.

        waiting  samples and memberships to be sent; without any it is a heartbeat
        hurry    send what waits without waiting for more
        """
        told = self.interval * self._share
        due = self.last_contact + max(self.timing.heartbeat, told)
        if not waiting:
            self.waiting_since = None
        else:
            if self.waiting_since is None:
                self.waiting_since = now
            if hurry or waiting >= self.timing.batch_samples:
                due = now
            else:
                batch = self.timing.batch
                own = self.waiting_since + (min(batch, told) if told else batch)
                due = min(due, max(own, self.last_contact + told)) if self._has_to_wait else own
        return max(due, self.backoff.until)

    def pushed(self, now: float, interval: float = 0.0, *, leaves_some: bool) -> None:
        """The server has acknowledged one. What it left has waited long enough already."""
        self.last_contact = now
        self.interval = interval
        self._share = self.backoff.dice.uniform(0.8, 1.0)
        self._has_to_wait = bool(interval) and not leaves_some
        if not leaves_some:
            self.waiting_since = None
        self.backoff.succeeded()


def retry_delay_seconds(status_details: bytes) -> float | None:
    """How long to wait, of the metadata `grpc-status-details-bin`; None: it does not say.

    That is a google.rpc.Status with a google.rpc.RetryInfo among its details. Read without their
    classes: those are in a package that an app would have to install for this alone.
    """
    try:
        for detail in _fields(status_details, 3):
            if _RETRY_INFO in _fields(detail, 1):
                for value in _fields(detail, 2):
                    for delay in _fields(value, 1):
                        return Duration.FromString(delay).ToTimedelta().total_seconds()
    except (DecodeError, ValueError, OverflowError):
        return None
    return None


def _fields(encoded: bytes, number: int) -> list[bytes]:
    """The values of a field of messages, strings or bytes in an encoded message."""
    unknown = UnknownFieldSet(Empty.FromString(encoded))
    fields = [unknown[position] for position in range(len(unknown))]
    return [f.data for f in fields if f.field_number == number and isinstance(f.data, bytes)]
