"""Decides when this machine's clock is believed. Source: docs/adr/0031-two-clocks-must-agree.md.

Samples that are dropped, settled or refused for their age cannot be brought back. So one clock is
not enough to decide that: another one must agree. The database's clock is often the same one. That
leaves the time when a server of this database last ran, and the clocks of clients.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from devtelemetry.model import from_unix_ms
from devtelemetry.model.errors import ClockInDoubt, Unavailable
from devtelemetry.runtime import clock as machine
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import queries

LOOK_SECONDS = 5.0  # between two comparisons with other clocks
SEEN_SECONDS = (
    60.0  # between two notes that a server is here; far less than any leap that is allowed
)
WITNESSES = 3  # clients that must agree; if fewer are known, all of them
_MOST_OFFSET = 2**60  # ms
_MOST_WITNESSES = 1_000  # of one process: anyone may pose as a client

_QUERIES = queries(__package__, "clock.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readings:
    """What the clocks say, Unix ms.

    seen_at                when a server of this database last ran; None: none ever did
    agreeing, disagreeing  how many clients' clocks agree with ours, and how many do not
    needed                 how many must agree
    """

    own: int
    database: int
    seen_at: int | None
    agreeing: int
    disagreeing: int
    needed: int

    def agree(self, leap_ms: int) -> bool:
        """Whether another clock agrees with ours."""
        if self.agreeing >= self.needed and self.agreeing > self.disagreeing:
            return True
        # If no server ever ran on this database, nothing can be lost. So its own clock is enough.
        witness = self.database if self.seen_at is None else self.seen_at
        return abs(self.own - witness) <= leap_ms

    def clocks(self) -> str:
        """In words."""
        seen = "no server ran on this database before"
        if self.seen_at is not None:
            seen = f"a server last ran on this database at {_iso(self.seen_at)}"
        return f"it says {_iso(self.own)}, the database's {_iso(self.database)}; {seen}"

    def told(self) -> str:
        """Why no clock agrees, as a line for the operator."""
        return (
            f"{self.clocks()}; {self.needed} clients must agree with it, and {self.agreeing} do. "
            "Until then no sample is accepted, and nothing is settled or cleaned; if the clock is "
            "right, run `devtelemetry clock --confirm`"
        )


class AgreedClock:
    """This machine's clock, as long as another clock agrees with it.

    leap     how far two clocks may be apart
    read_ms  this machine's clock, Unix ms
    elapsed  seconds, by a monotonic clock
    """

    def __init__(
        self,
        database: Database,
        leap: timedelta,
        *,
        read_ms: Callable[[], int] = machine.now_ms,
        elapsed: Callable[[], float] = machine.elapsed,
    ) -> None:
        self._database = database
        self._leap_ms = leap // timedelta(milliseconds=1)
        self._read_ms = read_ms
        self._elapsed = elapsed
        self._agreed: tuple[int, float] | None = None  # both clocks when they last agreed
        self._doubt: str | None = "the clocks have not been compared yet"
        self._is_told = False  # the doubt was logged
        self._heard: dict[int, int] = {}  # by receiver: the offset that is stored
        self._noted_at = float("-inf")

    @property
    def doubt(self) -> str | None:
        """Why the clock is not believed, as a line for the operator; None if it is believed."""
        return self._doubt

    def now_ms(self) -> int:
        """Unix ms. Raises ClockInDoubt."""
        own = self._read_ms()
        if self._doubt is None and not self._goes_on(own):
            # Do not wait for the next look: until then nothing may be refused by a wrong clock.
            self._set_doubt(f"the clock was set: it says {_iso(own)} now")
        if self._doubt is not None:
            raise ClockInDoubt(self._doubt)
        return own

    def now(self) -> datetime:
        """Aware, in UTC. Raises ClockInDoubt."""
        return from_unix_ms(self.now_ms())

    async def look(self) -> None:
        """Compares the clocks, and so decides what now_ms() does. Raises DatabaseAway."""
        async with self._database.acquire() as connection:
            readings = await read_clocks(connection, self._leap_ms, self._read_ms)
        goes_on = self._goes_on(readings.own)
        if not goes_on and not readings.agree(self._leap_ms):
            self._set_doubt(readings.told())
            return
        self._agreed = (readings.own, self._elapsed())
        self._set_doubt(None)

    async def hear(
        self, public_key: str, installation_id: str, clock_ms: int, newest_sent_at: int
    ) -> None:
        """Notes a client's time while the clock is in doubt. This may end the doubt.

        clock_ms        the client's clock, Unix ms; 0: not said
        newest_sent_at  the greatest sentAt of its samples, Unix ms; 0: it has none. It can only
                        agree with our clock, not disagree, because samples may be old

        Raises DatabaseAway.
        """
        offset = max(
            -_MOST_OFFSET, min(_MOST_OFFSET, (clock_ms or newest_sent_at) - self._read_ms())
        )
        if not clock_ms and abs(offset) > self._leap_ms:
            return
        keyring = await self._database.keyring()
        receiver_id = keyring.receiver(public_key, installation_id).receiver_id
        is_news = abs(self._heard.get(receiver_id, 2 * _MOST_OFFSET) - offset) > self._leap_ms
        if is_news and len(self._heard) < _MOST_WITNESSES:
            self._heard[receiver_id] = offset
            async with self._database.acquire() as connection:
                await connection.execute(
                    _QUERIES["note_witness"], receiver_id=receiver_id, offset_ms=offset
                )
            # If that ends the doubt, this must be noted at once, which deletes the witnesses.
            # Otherwise they would count in the next doubt, too.
            await self._look_and_note()

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Compares the clocks now and every LOOK_SECONDS during the block, and notes the time.

        Raises DatabaseAway if the first comparison fails.
        """
        await self._look_and_note()
        task = asyncio.create_task(self._watch(), name="clock")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look_and_note()
            except Unavailable as error:
                # Without the database nothing is dropped or refused, and other jobs log the error.
                _log.debug("the clocks cannot be compared", error=str(error))

    async def _look_and_note(self) -> None:
        await self.look()
        if self._doubt is None and self._elapsed() - self._noted_at >= SEEN_SECONDS:
            async with self._database.acquire() as connection:
                await confirm(connection, self.now_ms())
            self._heard.clear()
            self._noted_at = self._elapsed()

    def _goes_on(self, own: int) -> bool:
        """Whether our clock has gone on evenly since it was last believed."""
        if self._agreed is None:
            return False
        then_ms, then = self._agreed
        return abs(own - then_ms - (self._elapsed() - then) * 1_000) <= self._leap_ms

    def _set_doubt(self, doubt: str | None) -> None:
        if doubt is not None and not self._is_told:
            _log.error("the clock is in doubt", why=doubt)
        elif doubt is None and self._is_told:
            _log.info("the clock is no longer in doubt")
        if doubt is not None:
            self._agreed, self._noted_at = None, float("-inf")
        self._doubt, self._is_told = doubt, doubt is not None
        metrics.CLOCK_IN_DOUBT.set(doubt is not None)


async def read_clocks(connection: Connection, leap_ms: int, read_ms: Callable[[], int]) -> Readings:
    """What all clocks say now."""
    row = await connection.fetchrow(_QUERIES["read"], leap_ms=leap_ms, most_needed=WITNESSES)
    assert row is not None, "an aggregate has a row"
    return Readings(own=read_ms(), **dict(row))


async def confirm(connection: Connection, now_ms: int) -> None:
    """Notes that a server ran at this time, and deletes the witnesses."""
    async with connection.transaction():
        await connection.execute(_QUERIES["see"], now_ms=now_ms)
        await connection.execute(_QUERIES["forget_witnesses"])


def _iso(unix_ms: int) -> str:
    return from_unix_ms(unix_ms).isoformat(timespec="seconds").replace("+00:00", "Z")
