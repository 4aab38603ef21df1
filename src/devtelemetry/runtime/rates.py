"""How much one client may send: a token bucket for each key, in bounded memory."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from devtelemetry.model.errors import Busy, ConfigurationError

BURST_SECONDS = 10.0  # after a pause, a client may send this many seconds of its rate at once
REMEMBERED_KEYS = 10_000  # the keys that were seen last; at ~200 bytes each, 2 MB


class RateLimit:
    """A bucket for each key. A bucket holds BURST_SECONDS of the rate, and at least 1.

    per_second  how much comes back into a bucket in a second
    """

    def __init__(self, per_second: float, *, remembered: int = REMEMBERED_KEYS) -> None:
        if not 0 < per_second < math.inf:
            raise ConfigurationError(f"a rate of {per_second} a second; allowed: more than 0")
        self._per_second = per_second
        self._capacity = max(1.0, per_second * BURST_SECONDS)
        self._remembered = remembered
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # content, as of when

    def take(self, key: str, amount: float, now: float) -> float:
        """0 if `amount` may pass now, else the seconds until it may.

        now  seconds of a clock that never goes back

        An amount greater than a bucket passes when the bucket is full, because a request cannot be
        split here. The rest is owed, and the next amounts wait longer.
        """
        content, at = self._buckets.pop(key, (self._capacity, now))
        content = min(self._capacity, content + max(0.0, now - at) * self._per_second)
        lacking = min(amount, self._capacity) - content
        self._buckets[key] = (content if lacking > 0 else content - amount, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        return max(0.0, lacking / self._per_second)


class AddressRate:
    """A RateLimit of requests by the address that they come from.

    per_second  of one address in the long run
    monotonic   seconds of a clock that never goes back
    """

    def __init__(
        self,
        per_second: float,
        *,
        remembered: int = REMEMBERED_KEYS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = RateLimit(per_second, remembered=remembered)
        self._per_second = per_second
        self._monotonic = monotonic

    def count(self, host: str) -> None:
        """Counts one more request. Raises Busy, which is answered with 429 and `retry_after`."""
        wait_seconds = self._limit.take(address_key(host), 1, self._monotonic())
        if wait_seconds > 0:
            raise Busy(
                f"too many requests from this address; allowed: {self._per_second:g} a second",
                wait_seconds,
            )


def retry_after(busy: Busy) -> dict[str, str]:
    """The header that says when to send again."""
    return {"Retry-After": str(math.ceil(busy.retry_after_seconds))}


def address_key(host: str) -> str:
    """The key of all who share a rate: an IPv4 address, or an IPv6 /64, which one customer has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host  # the name of a Unix socket, or a proxy's own invention
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}::/64"
