"""Durable samples a second over gRPC, beside the same rows inserted by hand.

A load generator in a process of its own pushes to a real `serve` process on the bundled database.
Every sample is new. Between the cells, the baseline inserts rows of the same kind into the same
tables: by one connection, with keys and arrays prepared, one statement for each table.
"""

import argparse
import asyncio
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from bench.load import Plan
from bench.machine import Memory, conditions
from bench.postgres import server_version
from bench.report import Result, Table
from bench.serving import Serve, load
from bench.workload import RECEIVERS, Workload
from devtelemetry.ingest.batch import Batch, floor_to_minute
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.pushed import to_samples
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.connection import Connection
from devtelemetry.store.keyring import Keyring
from devtelemetry.store.partitions import day_of, make_days

# Samples a request → requests prepared for each second of a cell: more than can be sent.
PREPARED_A_SECOND = {1: 6_000, 100: 60_000, 1_000: 120_000}
BASELINE_ROWS = (1_000, 5_000)  # in a transaction
MESSAGES_PER_SECOND = 1_600  # of event time: 40,000 samples a second

# The fastest plain statements: the keys are known, and one statement has all rows of a transaction.
_BASELINE = {
    "channel": """
        insert into channel (channel_id, external_id)
        select * from unnest($1::bigint[], $2::text[]) on conflict do nothing""",
    "message": """
        insert into message (
            channel_id, message_id, sent_at, created_after, kind, size_bytes, external_bytes,
            envelope_bytes, topics, clock, went_out, is_typed, rare, first_envelope
        )
        select channel_id, message_id, sent_at, moment_after(sent_at, created_at), kind, size,
            id_bytes(external), id_bytes(envelope), topics, 1, false, true, '',
            hashtextextended(envelope, 0)
        from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[],
            $6::bigint[], $7::text[], $8::text[], $9::bytea[])
            as n (channel_id, message_id, sent_at, created_at, kind, size, external, envelope,
                topics)
        on conflict do nothing""",
    "receipt": """
        insert into receipt (
            sent_at, channel_id, message_id, receiver_id, created_after, received_after, kind,
            state, sent_by_receiver, rare
        )
        select sent_at, channel_id, message_id, receiver_id, moment_after(sent_at, created_at),
            moment_after(sent_at, received_at), kind,
            receipt_state(sent_at, received_at, created_at, 0), sent, ''
        from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::integer[], $8::boolean[])
            as n (sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent)
        on conflict do nothing""",
    "receiver": """
        insert into receiver (
            receiver_id, owner_id, installation_id, platform_minute, platform, app_version_minute,
            app_version, last_receipt_minute
        )
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],
            $6::bigint[], $7::text[], $8::bigint[])
        on conflict (receiver_id) do update
        set last_receipt_minute =
                greatest(receiver.last_receipt_minute, excluded.last_receipt_minute)""",
    "membership": """
        insert into membership (channel_id, receiver_id, first_sent_at, last_sent_minute)
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
        on conflict (channel_id, receiver_id) do update
        set first_sent_at = least(membership.first_sent_at, excluded.first_sent_at),
            last_sent_minute = greatest(membership.last_sent_minute, excluded.last_sent_minute)
        where excluded.first_sent_at < membership.first_sent_at
           or excluded.last_sent_minute > membership.last_sent_minute""",
    "arrival": """
        insert into arrival (sent_minute, arrived_at, arrived_on_time_at)
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
        on conflict (sent_minute) do update
        set arrived_at = greatest(arrival.arrived_at, excluded.arrived_at),
            arrived_on_time_at =
                greatest(arrival.arrived_on_time_at, excluded.arrived_on_time_at)""",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=8.0, help="of load in each cell")
    parser.add_argument(
        "--rounds", type=int, default=3, help="repetitions of all cells; their median counts"
    )
    parser.add_argument(
        "--samples-per-request", type=int, nargs="+", default=[1, 100, 1_000], metavar="N"
    )
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32], metavar="N")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1, 2],
        metavar="N",
        help="processes of serve; several only with the largest requests and most connections",
    )
    parser.add_argument(
        "--baseline-rows",
        type=int,
        default=200_000,
        help="rows that the baseline inserts for each size of transaction",
    )


def run(options: argparse.Namespace) -> Result:
    tables, figures = [], {}
    before: dict[str, str] = {}
    for workers in options.workers:
        sizes, connections = options.samples_per_request, options.connections
        if workers > 1:
            sizes, connections = [max(sizes)], [max(connections)]
        with Serve(workers) as serve:
            before = before or conditions(asyncio.run(server_version(serve.url)))
            idle = serve.memory()
            bench = _Bench(serve, options.seconds)
            baselines: list[dict[int, float]] = []
            cells: dict[tuple[int, int], list[Cell]] = {}
            for _ in range(options.rounds):
                for size in sizes:
                    # Just before the cells it is compared with, because the machine's load varies.
                    baseline = {
                        rows: asyncio.run(bench.baseline(rows, options.baseline_rows))
                        for rows in BASELINE_ROWS
                    }
                    baselines.append(baseline)
                    for count in connections:
                        cell = bench.cell(size, count, baseline)
                        cells.setdefault((size, count), []).append(cell)
                        _tell(workers, cell)
            used = serve.memory()
        tables += _tables(workers, cells, baselines, idle, used)
        figures[f"workers_{workers}"] = {
            "cells": [asdict(cell) for found in cells.values() for cell in found],
            "baselines": baselines,
            "memory_mib": {"idle": idle._asdict(), "after": used._asdict()},
        }
    return Result(
        "Ingest",
        before,
        tables,
        notes=(
            f"{options.rounds} rounds of {options.seconds:g} s a cell; the median is shown",
            "server, load generator and PostgreSQL share the cores",
        ),
        figures=figures,
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the load generator. CPU is in microseconds a sample."""

    samples_per_request: int
    connections: int
    samples_per_second: float
    ratio: float  # to the baseline with BASELINE_ROWS[0] in the same round
    p50_ms: float
    p99_ms: float
    server_cpu: float
    postgres_cpu: float
    load_cpu: float
    accepted: int
    ran_out: bool


class _Bench:
    """Runs cells and baselines on one server; no message is used twice."""

    def __init__(self, serve: Serve, seconds: float) -> None:
        self._serve = serve
        self._seconds = seconds
        self._next_message = 0

    def cell(self, size: int, connections: int, baseline: dict[int, float]) -> Cell:
        rate = PREPARED_A_SECOND.get(size, max(PREPARED_A_SECOND.values()))
        workload = self._workload(size, rate * self._seconds)
        stored_before = asyncio.run(self._receipts())
        server_before, postgres_before = self._serve.cpu()
        outcome = load(
            Plan(self._serve.target, workload, connections=connections, seconds=self._seconds)
        )
        server_after, postgres_after = self._serve.cpu()
        stored = asyncio.run(self._receipts()) - stored_before
        assert not outcome.errors, outcome
        assert not outcome.rejected, outcome
        assert stored == outcome.accepted, f"{outcome.accepted} accepted, {stored} stored"
        throughput = outcome.accepted / outcome.seconds

        def per_sample(seconds: float) -> float:
            return seconds / outcome.accepted * 1e6

        return Cell(
            samples_per_request=size,
            connections=connections,
            samples_per_second=throughput,
            ratio=throughput / baseline[BASELINE_ROWS[0]],
            p50_ms=outcome.latencies_ms["p50"],
            p99_ms=outcome.latencies_ms["p99"],
            server_cpu=per_sample(server_after - server_before),
            postgres_cpu=per_sample(postgres_after - postgres_before),
            load_cpu=per_sample(outcome.cpu_seconds),
            accepted=outcome.accepted,
            ran_out=outcome.ran_out,
        )

    async def baseline(self, rows_per_transaction: int, rows: int) -> float:
        """Rows of `receipt` a second, with the rows of other tables that belong to them."""
        workload = self._workload(BASELINE_ROWS[0], rows)
        connection = await asyncpg.connect(self._serve.url)
        try:
            keyring = Keyring(await connection.fetchval("select id_key from deployment"))
            last_ms = workload.start_ms + workload.messages * 1000 // MESSAGES_PER_SECOND
            await make_days(Connection(connection), {day_of(workload.start_ms), day_of(last_ms)})
            transactions = _transactions(keyring, workload, rows_per_transaction)
            started = time.perf_counter()
            for transaction in transactions:
                async with connection.transaction():
                    for table, columns in transaction.items():
                        await connection.execute(_BASELINE[table], *columns)
            return workload.samples / (time.perf_counter() - started)
        finally:
            await connection.close()

    def _workload(self, samples_per_request: int, samples: float) -> Workload:
        block = samples_per_request * RECEIVERS
        messages = math.ceil(samples / block) * samples_per_request
        first = self._next_message
        self._next_message += messages
        # The messages end now. Event time advances as if samples came at the target rate.
        start_ms = now_ms() - messages * 1000 // MESSAGES_PER_SECOND
        return Workload(first, messages, samples_per_request, start_ms, MESSAGES_PER_SECOND)

    async def _receipts(self) -> int:
        connection = await asyncpg.connect(self._serve.url)
        try:
            count: int = await connection.fetchval("select count(*) from receipt")
        finally:
            await connection.close()
        return count


def _transactions(
    keyring: Keyring, workload: Workload, rows_per_transaction: int
) -> list[dict[str, list[list[Any]]]]:
    """For each transaction: table → the columns of its rows, sorted by key."""
    transactions = []
    batch = Batch()
    for request in workload.requests():
        batch.add_samples(keyring, to_samples(request, now_ms(), AgeLimits())[0])
        if batch.samples >= rows_per_transaction:
            transactions.append(_tables_of(keyring, batch))
            batch = Batch()
    if batch.messages:
        transactions.append(_tables_of(keyring, batch))
    return transactions


def _tables_of(keyring: Keyring, batch: Batch) -> dict[str, list[list[Any]]]:
    kinds = {
        key: keyring.kind(new.sample.source, new.sample.message_type)
        for key, new in batch.messages.items()
    }
    now_minute = floor_to_minute(now_ms())
    members: dict[tuple[int, int], list[int]] = {}
    for key, message in batch.messages.items():
        for receiver_id in message.receipts:
            minute = floor_to_minute(message.vote[2])
            members.setdefault((key[0], receiver_id), []).append(minute)
    rows: dict[str, list[tuple[Any, ...]]] = {
        "channel": sorted(batch.channels.items()),
        "message": [
            (
                *key,
                new.vote[2],
                new.created_at,
                kinds[key],
                new.sample.message_size,
                new.sample.message_id,
                new.sample.envelope_id,
                new.sample.topics,
            )
            for key, new in sorted(batch.messages.items())
        ],
        "receipt": sorted(
            (
                message.vote[2],
                *key,
                receiver_id,
                new.created_at,
                new.received_at,
                kinds[key],
                new.sent_by_receiver,
            )
            for key, message in batch.messages.items()
            for receiver_id, new in message.receipts.items()
        ),
        "receiver": [
            (*new.ids, *new.platform, *new.app_version, now_minute)
            for _, new in sorted(batch.receivers.items())
        ],
        "membership": [(*key, min(found), max(found)) for key, found in sorted(members.items())],
        "arrival": [
            (minute, now_minute, now_minute)
            for minute in sorted({floor_to_minute(new.vote[2]) for new in batch.messages.values()})
        ],
    }
    return {
        table: [list(column) for column in zip(*found, strict=True)]
        for table, found in rows.items()
    }


def _tables(
    workers: int,
    cells: dict[tuple[int, int], list[Cell]],
    baselines: Sequence[dict[int, float]],
    idle: Memory,
    used: Memory,
) -> list[Table]:
    def median(found: Sequence[Cell], name: str) -> float:
        return float(statistics.median(getattr(cell, name) for cell in found))

    rows = [
        (
            f"{size:,} × {connections}",
            f"{median(found, 'samples_per_second'):,.0f}",
            _span([cell.samples_per_second for cell in found]),
            f"{median(found, 'ratio'):.2f}",
            f"{median(found, 'p50_ms'):.1f}",
            f"{median(found, 'p99_ms'):.1f}",
            f"{median(found, 'server_cpu'):.1f}",
            f"{median(found, 'postgres_cpu'):.1f}",
            f"{median(found, 'load_cpu'):.1f}",
        )
        for (size, connections), found in cells.items()
    ]
    return [
        Table(
            f"Samples a second, `serve --workers {workers}`",
            (
                "samples a request × connections",
                "samples/s",
                "from–to",
                "of baseline",
                "p50 ms",
                "p99 ms",
                "server µs/sample",
                "PostgreSQL µs/sample",
                "load µs/sample",
            ),
            rows,
        ),
        Table(
            "Baseline: rows inserted by one connection",
            ("rows a transaction", "rows/s", "from–to"),
            [
                (
                    f"{size:,}",
                    f"{statistics.median(one[size] for one in baselines):,.0f}",
                    _span([one[size] for one in baselines]),
                )
                for size in BASELINE_ROWS
            ],
        ),
        Table(
            f"Memory of the server, `--workers {workers}`",
            ("", "MiB"),
            [
                ("resident, idle", f"{idle.resident:.0f}"),
                ("resident, afterwards", f"{used.resident:.0f}"),
                ("peak", f"{used.peak:.0f}"),
            ],
        ),
    ]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):,.0f}–{max(values):,.0f}"


def _tell(workers: int, cell: Cell) -> None:
    ran_out = " (ran out of requests)" if cell.ran_out else ""
    print(
        f"ingest: {workers} workers, {cell.samples_per_request} × {cell.connections}: "
        f"{cell.samples_per_second:,.0f}/s, {cell.ratio:.2f} of the baseline{ran_out}",
        file=sys.stderr,
        flush=True,
    )
