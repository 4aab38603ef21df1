"""When to push, and what an answer changes in that. Pure: the clock is a parameter.

All times here are seconds of a monotonic clock, because a device's clock may be set.
"""

import random
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"
_LONGEST_WAIT_TOLD = 3600.0  # the longest wait that a server may ask for


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds, unless a line says otherwise.

    batch_samples      number of samples that makes a push due, and the most in one push
    batch_bytes        the most bytes in one push
    batch              a push is also due once the oldest sample has waited so long
    heartbeat          the longest silence while the user is opted in: half of the shortest common
                       window, so that a receiver without new messages still counts in it
    flush              the least time between two writes to the outbox, unless much waits
    deadline           the time for one answer
    first_retry        the wait after a failure; doubled with each further one
    longest_retry      the longest of these waits
    rare_retry         the wait after a failure that only a person can mend: a token, an address
    idle_connection    a connection that was not used for so long is closed. While one is open,
                       gRPC's threads wake up ten times a second (docs/evidence/benchmarks.md)
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
    """How long to leave a server alone after failures.

    Jitter: each wait is between half of the delay and all of it, so that clients which failed
    together do not come back together.
    """

    timing: Timing
    dice: random.Random = field(default_factory=random.Random)
    failures: int = 0
    until: float = 0.0

    def succeeded(self) -> None:
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float) -> None:
        # The exponent is bounded because 2.0 ** 2000 raises OverflowError.
        doubled = self.timing.first_retry * 2.0 ** min(self.failures, 32)
        self._wait(now, min(doubled, self.timing.longest_retry))

    def failed_for_a_person_to_mend(self, now: float) -> None:
        self._wait(now, self.timing.rare_retry)

    def told_to_wait(self, now: float, seconds: float) -> None:
        """Waits as long as the server asked, but not less than after any other failure."""
        self.failed(now)
        told = min(seconds, _LONGEST_WAIT_TOLD)
        self.until = max(self.until, now + told * self.dice.uniform(1.0, 1.25))

    def _wait(self, now: float, delay: float) -> None:
        self.failures += 1
        self.until = now + delay * self.dice.uniform(0.5, 1.0)


@dataclass(slots=True)
class Schedule:
    """When the next push is due.

    interval  how long the server asks to wait between two pushes; 0: it does not ask

    Jitter: each wait is between 0.8 of the interval and all of it. So clients that got their
    answers together do not come back together, and none comes later than it was asked to.
    """

    timing: Timing
    backoff: Backoff
    last_contact: float = float("-inf")
    waiting_since: float | None = None
    interval: float = 0.0
    _share: float = 1.0  # how much of the interval to wait
    _has_to_wait: bool = False  # for the interval; the first batch and leftovers do not

    def next_push(self, waiting: int, now: float, *, hurry: bool) -> float:
        """The time of the next push; at or before `now` if it is due.

        waiting  number of samples and memberships to be sent; 0: the push is a heartbeat
        hurry    whether to send what waits, without waiting for more
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
        """The server has acknowledged a push. Samples that did not fit into it go at once."""
        self.last_contact = now
        self.interval = interval
        self._share = self.backoff.dice.uniform(0.8, 1.0)
        self._has_to_wait = bool(interval) and not leaves_some
        if not leaves_some:
            self.waiting_since = None
        self.backoff.succeeded()


def retry_delay_seconds(status_details: bytes) -> float | None:
    """How long to wait, from the metadata `grpc-status-details-bin`; None if that does not say.

    It holds a google.rpc.Status, which may have a google.rpc.RetryInfo in its details. They are
    read without their classes, which would need one more package in the app.
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
    """The values of one field in an encoded message; the field holds messages, texts or bytes."""
    unknown = UnknownFieldSet(Empty.FromString(encoded))
    fields = [unknown[position] for position in range(len(unknown))]
    return [f.data for f in fields if f.field_number == number and isinstance(f.data, bytes)]
