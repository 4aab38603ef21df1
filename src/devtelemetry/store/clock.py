"""When this machine's clock may be believed. Source: docs/adr/0031-two-clocks-must-agree.md.

What is dropped, settled or refused for its age is gone for good, so a clock is not enough for it:
another one must agree. The database's is often the same one. What is left is when a server of this
database was last here, and what clients say of the time.
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

LOOK_SECONDS = 5.0  # between two looks at what others say
SEEN_SECONDS = (
    60.0  # between two notes that a server is here; far less than any leap that is allowed
)
WITNESSES = 3  # clients that must agree; where fewer are known, as many as there are
_MOST_OFFSET = 2**60  # ms
_MOST_WITNESSES = 1_000  # that one process writes down, since anyone may be one

_QUERIES = queries(__package__, "clock.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readings:
    """What the clocks say, Unix ms.

    seen_at      when a server of this database was last here; None: none ever was
    agreeing     how many clients have a clock that agrees with ours; disagreeing: that does not
    needed       how many must agree
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
        # Of a database that no server ever saw nothing can be lost, so that its clock will do.
        witness = self.database if self.seen_at is None else self.seen_at
        return abs(self.own - witness) <= leap_ms

    def clocks(self) -> str:
        """In words."""
        seen = "no server was here yet"
        if self.seen_at is not None:
            seen = f"a server was last here at {_iso(self.seen_at)}"
        return f"it says {_iso(self.own)}, the database's {_iso(self.database)}; {seen}"

    def told(self) -> str:
        """Why nothing agrees, as a line for the operator."""
        return (
            f"{self.clocks()}; of {self.needed} clients whose clocks must agree {self.agreeing} "
            "do. Nothing is taken in, settled or cleaned until then; if the clock is right, run "
            "`devtelemetry clock --confirm`"
        )


class AgreedClock:
    """This machine's clock, for as long as another one agrees with it.

    leap     how far two clocks may be apart
    read_ms  Unix ms, as this machine has it
    elapsed  seconds, by a clock that nobody sets
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
        self._doubt: str | None = "nobody has looked yet"
        self._is_told = False  # of the doubt
        self._heard: dict[int, int] = {}  # by receiver: what is written down of its clock
        self._noted_at = float("-inf")

    @property
    def doubt(self) -> str | None:
        """Why the clock is not believed, as a line for the operator; None: it is."""
        return self._doubt

    def now_ms(self) -> int:
        """Unix ms. Raises ClockInDoubt."""
        own = self._read_ms()
        if self._doubt is None and not self._goes_on(own):
            # Found before the next look: nothing may be refused meanwhile.
            self._set_doubt(f"the clock was set: it says {_iso(own)} now")
        if self._doubt is not None:
            raise ClockInDoubt(self._doubt)
        return own

    def now(self) -> datetime:
        """Aware, in UTC. Raises ClockInDoubt."""
        return from_unix_ms(self.now_ms())

    async def look(self) -> None:
        """Compares the clocks; what now_ms() does follows from it. Raises DatabaseAway."""
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
        """Notes what a client says of the time while the clock is in doubt; it may end that.

        clock_ms        by its clock, Unix ms; 0: it does not say
        newest_sent_at  of its samples, Unix ms; 0: it has none. Says something only where it is
                        new: samples may be old

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
            # If that ends the doubt, it is noted at once: else these would vouch for the next one.
            await self._look_and_note()

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Looks now, and again and again until the block is left, and notes that a server is here.

        Raises DatabaseAway at first.
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
                # Then nothing is dropped or refused either, and others say that it is away.
                _log.debug("no look at the clocks", error=str(error))

    async def _look_and_note(self) -> None:
        await self.look()
        if self._doubt is None and self._elapsed() - self._noted_at >= SEEN_SECONDS:
            async with self._database.acquire() as connection:
                await confirm(connection, self.now_ms())
            self._heard.clear()
            self._noted_at = self._elapsed()

    def _goes_on(self, own: int) -> bool:
        """Whether it says what it said when it was last believed, and the time since."""
        if self._agreed is None:
            return False
        then_ms, then = self._agreed
        return abs(own - then_ms - (self._elapsed() - then) * 1_000) <= self._leap_ms

    def _set_doubt(self, doubt: str | None) -> None:
        if doubt is not None and not self._is_told:
            _log.error("the clock is in doubt", why=doubt)
        elif doubt is None and self._is_told:
            _log.info("the clocks agree")
        if doubt is not None:
            self._agreed, self._noted_at = None, float("-inf")
        self._doubt, self._is_told = doubt, doubt is not None
        metrics.CLOCK_IN_DOUBT.set(doubt is not None)


async def read_clocks(connection: Connection, leap_ms: int, read_ms: Callable[[], int]) -> Readings:
    """What all of them say now."""
    row = await connection.fetchrow(_QUERIES["read"], leap_ms=leap_ms, most_needed=WITNESSES)
    assert row is not None, "an aggregate has a row"
    return Readings(own=read_ms(), **dict(row))


async def confirm(connection: Connection, now_ms: int) -> None:
    """Notes that this is the time, and a server here to know it. Witnesses are forgotten."""
    async with connection.transaction():
        await connection.execute(_QUERIES["see"], now_ms=now_ms)
        await connection.execute(_QUERIES["forget_witnesses"])


def _iso(unix_ms: int) -> str:
    return from_unix_ms(unix_ms).isoformat(timespec="seconds").replace("+00:00", "Z")
