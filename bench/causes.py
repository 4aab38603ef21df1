"""How well the patterns of missing pairs show their causes: the tables of docs/evidence/causes.md.

Networks with known losses are imported into a database, and the missing pairs of every channel are
classified. The clock measures nothing, so the figures are the same on every machine.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench.report import Result, Table
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.causes.classify import LossPattern
from devtelemetry.causes.read import drill_down
from devtelemetry.causes.request import MissingRequest
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model import HOUR_MS, from_unix_ms, parse_timeframe
from devtelemetry.runtime.clock import now_ms
from devtelemetry.simulator.history import history_lines
from devtelemetry.simulator.loss import LOSS_MODELS, NEWEST_VERSION, WORSE_PLATFORM, LossModel
from devtelemetry.simulator.spec import Delivery, Spec, World
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer
from devtelemetry.transfer.importing import import_samples

START_MS = 1_772_445_600_000  # 2026-03-02T10:00Z
_HOUR = parse_timeframe("1h")
_RULES = AggregateRules((_HOUR,))
_LATER = from_unix_ms(START_MS + 48 * HOUR_MS)
_EVER_MS = START_MS + 48 * HOUR_MS

# Why a pair is lost: the first cause that fits.
EVERYONE, OFFLINE, ITSELF, NOT_LOST = "reached nobody", "offline", "by itself", "not lost"


# Losses on the way only. Each of the five causes makes a fifth of them.
_LOSS = 0.1
_MIXED = LossModel(
    independent=_LOSS / 5,
    by_platform={WORSE_PLATFORM: _LOSS * 4 / 5},
    by_version={NEWEST_VERSION: _LOSS / 2},
    offline=_LOSS / 5,
    everyone=_LOSS / 5,
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    loss: LossModel
    nodes: int
    messages_per_hour: float = 60.0


def _cases(nodes: int) -> Sequence[Case]:
    few = nodes // 8
    return (
        Case("independent", LOSS_MODELS["independent"](0.05), nodes),
        Case("independent, few receivers", LOSS_MODELS["independent"](0.05), few),
        Case("bursts", LOSS_MODELS["bursts"](0.05), nodes),
        Case("bursts, busy", LOSS_MODELS["bursts"](0.05), nodes, 240.0),
        Case("bursts, quiet", LOSS_MODELS["bursts"](0.05), nodes, 15.0),
        Case("everyone", LOSS_MODELS["everyone"](0.05), nodes),
        Case("mixed", _MIXED, nodes),
        Case("mixed, few receivers", _MIXED, few),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)


@dataclass(frozen=True, slots=True)
class Row:
    """Missing pairs with one true cause, by the pattern that they were classified as."""

    case: str
    cause: str
    patterns: Mapping[str, int]


def run(options: argparse.Namespace) -> Result:
    with (
        TemporaryDirectory(prefix="devtelemetry-bench-") as directory,
        EmbeddedServer(Path(directory)) as server,
    ):
        rows = asyncio.run(_rows(server.url, _cases(options.nodes), options.seed))
    return Result(
        "Causes",
        {},
        [_recovered(rows), _meant(rows)],
        notes=(f"one hour, 12 channels, {options.nodes} nodes, seed {options.seed}",),
        figures={"rows": [asdict(row) for row in rows]},
    )


async def _rows(url: str, cases: Sequence[Case], seed: int) -> list[Row]:
    rows: list[Row] = []
    async with Database(url) as database:
        for case in cases:
            rows += await _found(database, case, seed)
            print(f"causes: {case.name}", file=sys.stderr, flush=True)
    return rows


async def _found(database: Database, case: Case, seed: int) -> list[Row]:
    spec = Spec(
        seed=seed,
        start_ms=START_MS,
        end_ms=START_MS + HOUR_MS,
        loss=case.loss,
        nodes=case.nodes,
        messages_per_hour=case.messages_per_hour,
        returning=0.0,
        server_stamped=0.0,
        receiver_stamped=0.0,
    )
    world = make_world(spec)
    causes = _causes(world)
    nodes = await _import(database, world)
    found: Counter[tuple[str, LossPattern]] = Counter()
    for channel in world.channels:
        asked = MissingRequest(channel.channel_id, _HOUR, from_unix_ms(START_MS))
        async with drill_down(database, _RULES, asked, now=lambda: _LATER) as looked:
            async for message in looked.details(looked.missing_messages()):
                for lacking in message.lacking:
                    pair = message.message_id, nodes[lacking.receiver.receiver_id]
                    found[causes.get(pair, NOT_LOST), lacking.pattern] += 1
    return [
        Row(case.name, cause, {of.value: found[cause, of] for of in LossPattern})
        for cause in (EVERYONE, OFFLINE, ITSELF, NOT_LOST)
        if any(found[cause, of] for of in LossPattern)
    ]


async def _import(database: Database, world: World) -> dict[int, int]:
    """Imports a world's reports; returns receiver → number of its node."""
    lines = list(history_lines(world, _EVER_MS))
    await import_samples(
        database,
        lines,
        AgeLimits(),
        SettleRule(),
        now_ms=now_ms,
        on_rejected=lambda number, why: sys.exit(f"line {number}: {why}"),
        on_note=lambda _: None,
    )
    keyring = await database.keyring()
    nodes = {}
    for line in lines:
        said = orjson.loads(line)
        installation = said["installationId"]
        receiver = keyring.receiver(said["receiverPublicKey"], installation)
        nodes[receiver.receiver_id] = int(installation.split("-")[-2])
    return nodes


def _causes(world: World) -> dict[tuple[str, int], str]:
    """The causes of the lost pairs of a world.

    Each part of a world has dice of its own. So in a world with one cause only, the same nodes are
    offline, and the same messages reach nobody. Such worlds show the cause of each pair.
    """
    spec, loss = world.spec, world.spec.loss
    offline = _with(spec, LossModel(offline=loss.offline))
    nobody = _with(spec, LossModel(offline=loss.offline, everyone=loss.everyone))
    reached = {
        one.message.message_id
        for one, with_it in zip(world.deliveries, nobody, strict=True)
        if with_it.arrives_ms is not None
    }

    def cause(one: Delivery, alone: Delivery) -> str:
        if loss.everyone and one.message.message_id not in reached:
            return EVERYONE
        return OFFLINE if alone.arrives_ms is None else ITSELF

    return {
        (one.message.message_id, one.node): cause(one, alone)
        for one, alone in zip(world.deliveries, offline, strict=True)
        if one.arrives_ms is None
    }


def _with(spec: Spec, loss: LossModel) -> Sequence[Delivery]:
    return make_world(replace(spec, loss=loss)).deliveries


def _recovered(rows: Sequence[Row]) -> Table:
    """For each cause: the shares of its missing pairs by pattern."""
    return Table(
        "Which pattern missing pairs get, by why they are missing; in percent",
        ("losses", "cause", "pairs", *(of.value.replace("_", " ") for of in LossPattern)),
        [
            (
                row.case,
                row.cause,
                f"{(total := sum(row.patterns.values())):,}",
                *(f"{100 * number / total:.1f}" for number in row.patterns.values()),
            )
            for row in rows
        ],
    )


def _meant(rows: Sequence[Row]) -> Table:
    """For each pattern, in worlds with mixed causes: the shares of its pairs by cause."""
    cells = []
    for case in dict.fromkeys(row.case for row in rows if row.case.startswith("mixed")):
        of_case = {row.cause: row.patterns for row in rows if row.case == case}
        for of in LossPattern:
            numbers = [
                of_case.get(cause, {}).get(of.value, 0)
                for cause in (EVERYONE, OFFLINE, ITSELF, NOT_LOST)
            ]
            total = sum(numbers)
            shares = (f"{100 * number / total:.1f}" if total else "–" for number in numbers)
            cells.append((case, of.value.replace("_", " "), f"{total:,}", *shares))
    return Table(
        "Why pairs of a pattern are missing where causes are mixed; in percent",
        ("losses", "pattern", "pairs", EVERYONE, OFFLINE, ITSELF, NOT_LOST),
        cells,
    )
