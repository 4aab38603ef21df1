"""How much accuracy a sample of the messages costs, and how much work it saves.

Worlds of one channel are drawn from a known truth. Each is measured whole and in samples of one
message in n, chosen as clients choose them. Then the same messages are stored whole and in samples.
See docs/evidence/sampling.md.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median, stdev

import numpy as np  # comes with matplotlib
from numpy.random import Generator
from numpy.typing import NDArray

from bench.machine import conditions
from bench.postgres import fresh_database, server_version, temporary_server
from bench.report import Result, Table
from bench.workload import Workload
from devtelemetry.estimate.interval import interval_of
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.pushed import to_samples
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.sampled import add_wanted
from devtelemetry.model import Counts, Spread
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store.database import Database
from devtelemetry.v1.sampling import is_in_sample

RATES = (1, 2, 8, 64)
MESSAGES = 6_400
RECEIVERS = 50
START_MS = 1_772_445_600_000
REQUESTS_PER_COMMIT = 10

Held = NDArray[np.bool_]
"""(messages, receivers)"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--worlds", type=int, default=200, help="worlds for each row")
    parser.add_argument("--samples", type=int, default=400_000, help="samples to store")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> Result:
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> Result:
    looked_at = [
        one
        for number, (name, lost) in enumerate(LOSSES.items())
        for one in _look(name, lost, [options.seed, number], options.worlds)
    ]
    print("sampled: worlds", file=sys.stderr)
    with temporary_server() as url:
        before = conditions(await server_version(url))
        stored = []
        for one_in in RATES:
            async with fresh_database(url, "sampled") as database:
                stored.append(await _store(database, one_in, options.samples))
            print(f"sampled: 1 in {one_in} stored", file=sys.stderr)
    return Result(
        "Sampling",
        before,
        [
            Table(
                "Delivery ratio of a channel, in a sample beside the whole",
                ("losses", "1 in", "off by, mean", "± of it", "right", "width"),
                [
                    (
                        one.losses,
                        str(one.one_in),
                        f"{100 * one.bias:+.4f}",
                        f"{100 * one.error:.4f}",
                        f"{100 * one.right:.1f} %",
                        f"{100 * one.width:.2f}",
                    )
                    for one in looked_at
                ],
            ),
            Table(
                "The same messages stored",
                ("1 in", "samples", "MiB", "of all", "CPU s of the writer", "of all"),
                [
                    (
                        str(one.one_in),
                        f"{one.samples:,}",
                        f"{one.size_bytes / 2**20:.1f}",
                        f"{one.size_bytes / stored[0].size_bytes:.3f}",
                        f"{one.cpu_seconds:.2f}",
                        f"{one.cpu_seconds / stored[0].cpu_seconds:.3f}",
                    )
                    for one in stored
                ],
            ),
        ],
        notes=(
            f"{options.worlds} worlds a row, seed {options.seed}; percentage points",
            f"{MESSAGES:,} messages, {RECEIVERS} receivers in each",
            f"{options.samples:,} samples of clients that know the rule, 25 receivers a message",
        ),
        figures={"worlds": list(map(asdict, looked_at)), "stored": list(map(asdict, stored))},
    )


# ------------------------------------------------------------------------------- what it says


def _independent(random: Generator) -> Held:
    return random.random((MESSAGES, RECEIVERS)) >= 0.03


def _receivers_differ(random: Generator) -> Held:
    rates = random.beta(0.03 * 19, 0.97 * 19, RECEIVERS)
    held: Held = random.random((MESSAGES, RECEIVERS)) >= rates
    return held


def _messages_are_struck(random: Generator) -> Held:
    """Half of the receivers lose one message in 20; of all other pairs a hundredth is lost."""
    rates = np.where(random.random((MESSAGES, 1)) < 0.05, 0.5, 0.01)
    held: Held = random.random((MESSAGES, RECEIVERS)) >= rates
    return held


LOSSES: Mapping[str, tuple[Callable[[Generator], Held], float]] = {
    "independent, 3 %": (_independent, 0.97),
    "receivers differ, 3 %": (_receivers_differ, 0.97),
    "messages are struck, 3.45 %": (_messages_are_struck, 1 - 0.05 * 0.5 - 0.95 * 0.01),
}


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A row.

    bias   ratio in the sample minus ratio of the whole world, the mean over the worlds
    error  standard error of the bias
    right  how often the interval contained the truth
    width  of the interval, the median
    """

    losses: str
    one_in: int
    bias: float
    error: float
    right: float
    width: float


def _look(
    name: str, losses: tuple[Callable[[Generator], Held], float], seed: Sequence[int], worlds: int
) -> list[LookedAt]:
    draw, truth = losses
    off: dict[int, list[float]] = {one_in: [] for one_in in RATES}
    right: dict[int, list[bool]] = {one_in: [] for one_in in RATES}
    widths: dict[int, list[float]] = {one_in: [] for one_in in RATES}
    for number in range(worlds):
        held = draw(np.random.default_rng([*seed, number]))
        whole = held.mean()
        salt = number.to_bytes(8, "big")
        for one_in in RATES:
            chosen = [is_in_sample(one_in, salt, "c", f"m{message}") for message in range(MESSAGES)]
            missing = (~held[chosen]).sum(axis=0)
            pairs = sum(chosen)
            spread = Spread(
                RECEIVERS,
                int((missing * missing).sum()),
                int(missing.sum()) * pairs,
                RECEIVERS * pairs * pairs,
            )
            in_all = RECEIVERS * pairs
            counts = Counts(pairs, RECEIVERS, in_all, int(missing.sum()), in_all)
            interval = interval_of(counts, spread)
            assert interval is not None
            off[one_in].append(float(interval.estimate - whole))
            right[one_in].append(interval.lower <= truth <= interval.upper)
            widths[one_in].append(interval.upper - interval.lower)
    return [
        LookedAt(
            name,
            one_in,
            fmean(off[one_in]),
            stdev(off[one_in]) / worlds**0.5,
            fmean(right[one_in]),
            median(widths[one_in]),
        )
        for one_in in RATES
    ]


# ------------------------------------------------------------------------------- what it saves


@dataclass(frozen=True, slots=True)
class Stored:
    """A row: what it costs to store a sample of the same messages.

    cpu_seconds  of this process, which merges and writes them
    """

    one_in: int
    samples: int
    size_bytes: int
    cpu_seconds: float


async def _store(database: Database, one_in: int, samples: int) -> Stored:
    workload = Workload(
        first_message=0,
        messages=samples // 25,
        samples_per_request=100,
        start_ms=START_MS,
        messages_per_second=samples / 25 / 3600,
        receivers=25,
    )
    sampling = Sampling(b"salt", [Change(0, one_in)])
    keyring = await database.keyring()
    writer = RowWriter(keyring, SettleRule())
    requests = [
        [
            one
            for one in to_samples(request, request.samples[-1].sent_at + 2_000, AgeLimits())[0]
            if is_in_sample(one_in, sampling.salt, one.channel_id, one.message_id)
        ]
        for request in workload.requests()
    ]
    stored = 0
    begun = time.process_time()
    async with database.acquire() as connection:
        for first in range(0, len(requests), REQUESTS_PER_COMMIT):
            batch = Batch()
            for request in requests[first : first + REQUESTS_PER_COMMIT]:
                add_wanted(batch, sampling, keyring, request, one_in)
            stored += (await writer.write(connection, batch, now_ms=START_MS)).new
        cpu_seconds = time.process_time() - begun
        size_bytes: int = await connection.fetchval(
            "select sum(pg_total_relation_size(oid)) from pg_class "
            "where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
    return Stored(one_in, stored, int(size_bytes), cpu_seconds)
