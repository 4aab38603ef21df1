"""Seconds to compute one hour, beside a bare GROUP BY over the same receipts.

SQL makes the rows, in the order in which they would have arrived. It is known beforehand which
pairs are missing, and every result is compared with that.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import asyncpg

from bench.machine import conditions
from bench.postgres import fresh_database, server_version, temporary_server
from bench.report import Result, Table
from devtelemetry.aggregate.algorithm import run_algorithm
from devtelemetry.aggregate.compute import compute_one
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.model import (
    HOUR,
    HOUR_MS,
    Dimension,
    Window,
    WindowReliability,
    parse_timeframe,
    unix_ms,
    window_starting,
)
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.partitions import day_name, day_of, make_days
from devtelemetry.store.repair import repair

_T = TypeVar("_T")

CHANNELS = 200
RECEIVERS_OF_CHANNEL = 25
RECEIVERS = 1_000  # each is in five channels
DAY = datetime(2026, 3, 2, tzinfo=UTC)
NOW = DAY + timedelta(days=2)  # long after each window, so that it is settled

# With a cap, the computation looks again at messages that one receiver alone vouches for.
RULES = AggregateRules(timeframes=(parse_timeframe("1h"),), weight_cap=0.1)

_BARE = """
select channel_id, receiver_id, count(*)
from receipt
where sent_at >= $1 and sent_at < $2
group by 1, 2
"""

# Ids are hashes, as in real data: messages that are close in time have distant keys.
_CHANNELS_SQL = f"""
insert into channel
select hashint8extended(c, 1), 'channel ' || c from generate_series(1, {CHANNELS}) c
"""
_KINDS_SQL = """
insert into sample_kind values (1, 'grpc', 'CHAT_MESSAGE'), (2, 'grpc', 'REACTION')
"""
_RECEIVERS_SQL = f"""
insert into receiver (
    receiver_id, owner_id, installation_id, platform, app_version, platform_minute,
    last_receipt_minute
)
select hashint8extended(r, 2), hashint8extended(r, 3), hashint8extended(r, 4),
    (array['desktop', 'android', 'ios'])[1 + r % 3], '2.' || 33 + r % 4, 0, $1
from generate_series(0, {RECEIVERS} - 1) r
"""
# All number their reports. One receiver in a hundred has a hole of ten minutes. $1: the hour
_HOLE = (20 * 60_000, 30 * 60_000)  # its bounds, in ms of the hour
_RUNS_SQL = f"""
insert into report_run
select hashint8extended(r, 4), first, first + 9, $1::bigint + begins, $1::bigint + ends
from generate_series(0, {RECEIVERS} - 1) r,
    (values (1, 0, {_HOLE[0]}), (12, {_HOLE[1]}, {HOUR_MS})) as run (first, begins, ends)
where run.first = 1 or r % 100 = 0
"""
_MEMBERSHIPS_SQL = f"""
insert into membership
select hashint8extended(c, 1), hashint8extended((c * 5 + p) % {RECEIVERS}, 2), $1, $2
from generate_series(1, {CHANNELS}) c, generate_series(0, {RECEIVERS_OF_CHANNEL} - 1) p
"""

# Message m of channel c has the number (c, m). A random member sends it at a random moment of the
# hour. $1 beginning of the hour, $2 number of its first message, $3 messages in each channel.
_SENT_SQL = f"""
select
    c,
    c * 10000000 + m as number,
    $1::bigint + (hashint8extended(c * 10000000 + m, 5) & 2147483647) % {HOUR_MS} as sent_at,
    (hashint8extended(c * 10000000 + m, 6) & 2147483647) % {RECEIVERS_OF_CHANNEL} as author,
    case when m % 10 = 0 then 2 else 1 end as kind
from generate_series(1, {CHANNELS}) c, generate_series($2::bigint, $2::bigint + $3::bigint - 1) m
"""
_MESSAGES_SQL = f"""
insert into message (
    channel_id, message_id, sent_at, created_after, kind, size_bytes, external_bytes,
    envelope_bytes, topics, clock, went_out, is_typed, rare, first_envelope
)
select hashint8extended(c, 1), hashint8extended(number, 7), sent_at, 900, kind, 200,
    id_bytes('0x' || encode(sha256(number::text::bytea), 'hex')), '', '', 1, false, true, '', 0
from ({_SENT_SQL}) sent
order by sent_at
"""
# One in a hundred pairs is missing, never the author's own.
_PAIRS_SQL = f"""
select
    sent.*,
    p,
    p = author as is_author,
    p <> author and (hashint8extended(number * 100 + p, 8) & 2147483647) % 100 = 0 as is_missing,
    (c * 5 + p) % {RECEIVERS} % 100 = 0
        and sent_at > $1::bigint + {_HOLE[0]} and sent_at < $1::bigint + {_HOLE[1]} as is_unknown,
    (hashint8extended(number * 100 + p, 9) & 2147483647) as random
from ({_SENT_SQL}) sent, generate_series(0, {RECEIVERS_OF_CHANNEL} - 1) p
"""
# Nine in ten are reported within ten seconds, the others within an hour; rows are in the order of
# arrival. The clock of one author in fifty is five seconds behind, and its report comes after all
# others. This is the worst case: the delays of all these reports are corrected.
_IS_OFF = "author = 0 and c % 2 = 0"
_DELAY_SQL = f"case when random % 10 = 0 then random % {HOUR_MS} else random % 10000 end"
_RECEIPTS_SQL = f"""
insert into receipt (
    sent_at, channel_id, message_id, receiver_id, created_after, received_after, kind, state,
    sent_by_receiver, rare
)
select sent_at, channel_id, message_id, receiver_id, moment_after(sent_at, created_at),
    moment_after(sent_at, received_at), kind, receipt_state(sent_at, received_at, created_at, 0),
    is_author, ''
from (
    select sent_at, hashint8extended(c, 1) as channel_id, hashint8extended(number, 7) as message_id,
        hashint8extended((c * 5 + p) % {RECEIVERS}, 2) as receiver_id,
        sent_at + 900 + {_DELAY_SQL} as created_at,
        case when is_author then sent_at + case when {_IS_OFF} then 5000 else 0 end
            else sent_at + 300 + random % 4000 end as received_at,
        kind, is_author
    from ({_PAIRS_SQL}) pair
    where not is_missing
    order by sent_at + {_DELAY_SQL}
) receipt
"""
_DOUBTED_SQL = f"""
insert into doubted_delay
select sent_at, hashint8extended(c, 1), hashint8extended(number, 7)
from ({_SENT_SQL}) sent
where {_IS_OFF}
"""
# $4: whether reports of that hour are missing
_TRUTH_SQL = f"""
select
    count(*) filter (where is_missing) as lost,
    count(*) filter (where not is_author and not (is_unknown and $4)) as expected,
    count(*) filter (where is_missing and not (is_unknown and $4)) as missing
from ({_PAIRS_SQL}) pair
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--receipts",
        type=int,
        nargs="+",
        default=[1_250_000, 2_500_000, 5_000_000],
        metavar="N",
        help="receipts in the hour; the largest N is also measured spread over a day",
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs; their median counts")


def run(options: argparse.Namespace) -> Result:
    return asyncio.run(_run(options))


@dataclass(frozen=True, slots=True)
class Hour:
    """The true counts of one hour, or of several."""

    start: datetime
    receipts: int
    messages: int
    expected: int
    missing: int

    def __add__(self, later: "Hour") -> "Hour":
        return Hour(
            self.start,
            self.receipts + later.receipts,
            self.messages + later.messages,
            self.expected + later.expected,
            self.missing + later.missing,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of each kind of run; the kinds take turns."""

    name: str
    hour: Hour
    bare: list[float]
    query: list[float]
    whole: list[float]

    def ratio(self, seconds: list[float]) -> float:
        return statistics.median(seconds) / statistics.median(self.bare)


async def _run(options: argparse.Namespace) -> Result:
    measured = []
    share = max(options.receipts) // 24
    with temporary_server() as url:
        before = conditions(await server_version(url))
        for receipts in [share, *sorted(options.receipts)]:
            async with fresh_database(url, "one_hour") as database:
                [hour] = await fill(database, receipts, first=12, hours=1)
                name = f"{receipts / 1e6:.2f} M, alone in its day"
                measured.append(await _measure(database, name, hour, options.repeats))
        async with fresh_database(url, "full_day") as database:
            day = await fill(database, share, first=0, hours=24)
            total = sum(hour.receipts for hour in day)
            name = f"{share / 1e6:.2f} M, in a day of {total / 1e6:.2f} M"
            measured.append(await _measure(database, name, day[len(day) // 2], options.repeats))
    return Result(
        "Aggregation",
        before,
        [_table(measured)],
        notes=(
            f"{CHANNELS} channels of {RECEIVERS_OF_CHANNEL} receivers; median of {options.repeats}",
            "every result equals what the generator knows",
        ),
        figures={"measured": [asdict(one) for one in measured]},
    )


def _table(measured: list[Measured]) -> Table:
    return Table(
        "Seconds to compute one hour",
        (
            "receipts of the hour",
            "bare GROUP BY",
            "query",
            "whole",
            "query / bare",
            "whole / bare",
            "whole, µs/receipt",
        ),
        [
            (
                one.name,
                f"{statistics.median(one.bare):.3f}",
                f"{statistics.median(one.query):.3f}",
                f"{statistics.median(one.whole):.3f}",
                f"{one.ratio(one.query):.2f}",
                f"{one.ratio(one.whole):.2f}",
                f"{statistics.median(one.whole) / one.hour.receipts * 1e6:.2f}",
            )
            for one in measured
        ],
    )


async def fill(database: Database, receipts: int, *, first: int, hours: int) -> list[Hour]:
    """Fills `hours` hours, from hour `first` of DAY on, with about `receipts` each.

    In the middle hour some receivers have holes.
    """
    messages = round(receipts / 0.9904 / CHANNELS / RECEIVERS_OF_CHANNEL)
    made = []
    async with database.acquire() as connection:
        starts = [DAY + number * HOUR for number in range(first, first + hours)]
        days = {day_of(unix_ms(start)) for start in starts}
        await make_days(connection, days)
        await connection.execute(_KINDS_SQL)
        await connection.execute(_CHANNELS_SQL)
        now = max(NOW, starts[-1] + timedelta(days=2))
        await connection.execute(_RECEIVERS_SQL, unix_ms(now))
        # All have been in their channels since long before, and still are.
        await connection.execute(_MEMBERSHIPS_SQL, unix_ms(DAY - timedelta(days=5)), unix_ms(now))
        for number, start in enumerate(starts, first):
            has_hole = number == first + hours // 2
            arguments = (unix_ms(start), number * messages, messages)
            await connection.execute(_MESSAGES_SQL, *arguments)
            stored = int((await connection.execute(_RECEIPTS_SQL, *arguments)).split()[-1])
            await connection.execute(_DOUBTED_SQL, *arguments)
            truth = await connection.fetchrow(_TRUTH_SQL, *arguments, has_hole)
            assert truth is not None, "an aggregate has one row"
            sent = CHANNELS * messages
            made.append(Hour(start, stored, sent, truth["expected"], truth["missing"]))
            assert stored == sent * RECEIVERS_OF_CHANNEL - truth["lost"]
            if has_hole:
                await connection.execute(_RUNS_SQL, unix_ms(start))
        doubted = await connection.fetchval("select count(*) from doubted_delay")
        seconds, _ = await _timed(lambda: repair(database))
        print(
            f"aggregate: delays of {doubted:,} messages corrected in {seconds:.2f} s",
            file=sys.stderr,
            flush=True,
        )
        # By the time an hour is computed, autovacuum has done this. It skips partitioned parents.
        partitions = [f"receipt_{day_name(day).replace('-', '')}" for day in days]
        tables = ("message", "membership", "receiver", "channel", "sample_kind", "report_run")
        for table in (*partitions, *tables):
            await connection.execute(f"vacuum (analyze) {table}")
        await connection.execute("checkpoint")
    total = sum(hour.receipts for hour in made)
    print(f"aggregate: {total:,} receipts made", file=sys.stderr, flush=True)
    return made


async def _measure(database: Database, name: str, hour: Hour, repeats: int) -> Measured:
    timeframe = parse_timeframe("1h")
    window = window_starting(timeframe, hour.start)
    plain = await asyncpg.connect(database.url)
    measured = Measured(name, hour, [], [], [])

    async def bare() -> int:
        rows = await plain.fetch(_BARE, window.start_ms, window.end_ms)
        return sum(row["count"] for row in rows)

    async def query() -> tuple[int, int, int]:
        async with database.acquire() as connection:
            return await _query(connection, window)

    async def whole() -> WindowReliability:
        return await compute_one(database, RULES, timeframe, hour.start, now=lambda: NOW)

    try:
        for repeat in range(repeats + 1):
            bare_seconds, receipts = await _timed(bare)
            query_seconds, sums = await _timed(query)
            whole_seconds, result = await _timed(whole)
            assert receipts == hour.receipts
            assert sums == (hour.messages, hour.expected, hour.missing), (sums, hour)
            counts = result.counts
            assert (counts.messages, counts.expected, counts.missing) == sums
            if repeat > 0:  # the first run warms up
                measured.bare.append(bare_seconds)
                measured.query.append(query_seconds)
                measured.whole.append(whole_seconds)
    finally:
        await plain.close()
    print(
        f"aggregate: {name}: {measured.ratio(measured.whole):.2f} × the bare GROUP BY",
        file=sys.stderr,
        flush=True,
    )
    return measured


async def _query(connection: Connection, window: Window) -> tuple[int, int, int]:
    """Runs only the query of the algorithm, with its settings."""
    async with connection.transaction(isolation="repeatable_read"):
        found = await run_algorithm(connection, RULES, window)
    assert {group["dimension"] for group in found.groups} == set(Dimension)
    return (
        sum(channel["messages"] for channel in found.channels),
        sum(channel["expected"] for channel in found.channels),
        sum(channel["missing"] for channel in found.channels),
    )


async def _timed(step: Callable[[], Awaitable[_T]]) -> tuple[float, _T]:
    started = time.perf_counter()
    result = await step()
    return time.perf_counter() - started, result
