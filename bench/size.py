"""Bytes of a sample on disk, by table, for several numbers of receivers, and at most.

A sample takes most if its sender names new things in each.
"""

import argparse
import asyncio
import random
import sys
from dataclasses import asdict, dataclass

from bench.machine import conditions
from bench.postgres import fresh_database, server_version, temporary_server
from bench.report import Result, Table
from bench.workload import Workload
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.caps import named_by
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.push import BYTES_A_SAMPLE
from devtelemetry.ingest.pushed import to_samples
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import OriginSaid
from devtelemetry.ingest.submission import Submission
from devtelemetry.model import DAY_MS, HOUR_MS, ReportRun, Sample
from devtelemetry.store.database import Database
from devtelemetry.store.partitions import existing_days, pack_day

SAMPLES_PER_REQUEST = 100
_OVERHEAD_BYTES = 150  # of a request: reporter, times, protobuf
REQUESTS_PER_COMMIT = 10

# The size of a table includes its partitions.
_SIZES_SQL = """
select
    coalesce(parent.relname, own.relname) as table_name,
    sum(pg_table_size(own.oid))::bigint as table_bytes,
    sum(pg_indexes_size(own.oid))::bigint as index_bytes
from pg_class own
left join pg_inherits on inhrelid = own.oid
left join pg_class parent on parent.oid = inhparent
where own.relkind = 'r' and own.relnamespace = 'public'::regnamespace
group by 1
having sum(pg_total_relation_size(own.oid)) >= 2 ^ 20
order by sum(pg_total_relation_size(own.oid)) desc
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=int, default=500_000)
    parser.add_argument(
        "--receivers", type=int, nargs="*", default=[25, 5, 1], metavar="N", help="of each message"
    )
    parser.add_argument(
        "--hostile", type=int, default=50_000, metavar="SAMPLES", help="0: not measured"
    )


def run(options: argparse.Namespace) -> Result:
    return asyncio.run(_run(options))


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes for each sample, in tables of 1 MiB and more."""

    receivers: str
    samples: int
    bytes_per_sample: dict[str, tuple[float, float]]  # by table: (table, index)

    @property
    def total(self) -> float:
        return sum(map(sum, self.bytes_per_sample.values()))


async def _run(options: argparse.Namespace) -> Result:
    found = []
    with temporary_server() as url:
        before = conditions(await server_version(url))
        for receivers in options.receivers:
            async with fresh_database(url, "sizes") as database:
                found.append(await _fill(database, receivers, options.samples))
                found.append(await _pack(database, found[-1]))
            print(f"size: {receivers} receivers: {found[-1].total:.0f} B", file=sys.stderr)
        if options.hostile:
            async with fresh_database(url, "sizes") as database:
                found.append(await _fill_hostile(database, options.hostile))
            print(f"size: hostile: {found[-1].total:.0f} B", file=sys.stderr)
    names = list(dict.fromkeys(name for sizes in found for name in sizes.bytes_per_sample))
    rows = [
        (
            sizes.receivers,
            f"{sizes.total:.0f}",
            *(
                " + ".join(f"{part:.0f}" for part in sizes.bytes_per_sample.get(name, (0, 0)))
                for name in names
            ),
        )
        for sizes in found
    ]
    return Result(
        "Size",
        before,
        [
            Table(
                "Bytes a sample on disk, table + index",
                ("receivers a message", "in all", *names),
                rows,
            )
        ],
        notes=(f"{options.samples:,} samples of one hour, tables of 1 MiB and more, not vacuumed",),
        figures={"sizes": [asdict(sizes) for sizes in found]},
    )


async def _fill(database: Database, receivers: int, samples: int) -> Sizes:
    block = SAMPLES_PER_REQUEST * receivers
    messages = -(-samples // block) * SAMPLES_PER_REQUEST
    start_ms = 1_772_445_600_000 // DAY_MS * DAY_MS + 10 * HOUR_MS  # an hour in the middle of a day
    workload = Workload(
        first_message=0,
        messages=messages,
        samples_per_request=SAMPLES_PER_REQUEST,
        start_ms=start_ms,
        messages_per_second=messages / 3600,
        receivers=receivers,
    )
    keyring = await database.keyring()
    writer = RowWriter(keyring, SettleRule())
    stored = 0
    async with database.acquire() as connection:
        batch, waiting = Batch(), 0
        for request in workload.requests():
            created_at = request.samples[-1].sent_at + 2_000
            batch.add_samples(keyring, to_samples(request, created_at, AgeLimits())[0])
            waiting += 1
            if waiting == REQUESTS_PER_COMMIT:
                stored += (await writer.write(connection, batch, now_ms=created_at)).new
                batch, waiting = Batch(), 0
        if waiting:
            stored += (await writer.write(connection, batch, now_ms=created_at)).new
        assert (
            stored == workload.samples == await connection.fetchval("select count(*) from receipt")
        )
    return await _sizes(database, str(receivers), stored)


async def _pack(database: Database, filled: Sizes) -> Sizes:
    """Packs the days, as the server does two days after their end."""
    async with database.acquire() as connection:
        for day in await existing_days(connection):
            await pack_day(connection, day, lock_timeout="60s")
    return await _sizes(database, f"{filled.receivers}, packed", filled.samples)


async def _fill_hostile(database: Database, samples: int) -> Sizes:
    """Each sample comes in its own request, as large as the rate allows for one sample. A new
    installation sends it and names a new channel, type, platform, version, server and envelope."""
    keyring = await database.keyring()
    writer = RowWriter(keyring, SettleRule())
    made_up = random.Random(1)
    start_ms = 1_772_445_600_000
    request_bytes = BYTES_A_SAMPLE - _OVERHEAD_BYTES
    async with database.acquire() as connection:
        for first in range(0, samples, SAMPLES_PER_REQUEST):
            batch = Batch()
            for number in range(first, first + SAMPLES_PER_REQUEST):

                def name(length: int, number: int = number) -> str:
                    return f"{number}-{made_up.randbytes(length).hex()}"[:length]

                reporter = (name(16), name(16))
                sample = Sample(
                    name(request_bytes // 2),
                    name(request_bytes // 4),
                    reporter[0],
                    start_ms + number,
                    start_ms + number + 700,
                    reporter[1],
                    topics=made_up.randbytes(request_bytes // 8),
                    envelope_id=name(16),
                    received_at=start_ms + number + 600,
                    message_type=name(request_bytes // 8),
                    platform=name(16),
                    app_version=name(16),
                    server=name(16),
                )
                submission = Submission(samples=(sample,))
                batch.add_samples(keyring, submission.samples)
                batch.add_runs(
                    keyring, [ReportRun(reporter[1], number + 1, number + 1, start_ms, start_ms)]
                )
                batch.add_origins(
                    keyring, [OriginSaid(*reporter, name(16), "app", start_ms + number)]
                )
                batch.named.update(named_by(keyring, submission))
            await writer.write(connection, batch, now_ms=start_ms + first)
    return await _sizes(database, "1, all else new", samples)


async def _sizes(database: Database, receivers: str, stored: int) -> Sizes:
    async with database.acquire() as connection:
        rows = await connection.fetch(_SIZES_SQL)
    return Sizes(
        receivers=receivers,
        samples=stored,
        bytes_per_sample={
            row["table_name"]: (row["table_bytes"] / stored, row["index_bytes"] / stored)
            for row in rows
        },
    )
