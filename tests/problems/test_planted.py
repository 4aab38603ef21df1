"""A fault in a simulated network, from samples to windows: the list names only that fault."""

from datetime import UTC, datetime, timedelta

import pytest

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model import DAY_MS, HOUR_MS, MembershipPolicy, parse_timeframe, unix_ms
from devtelemetry.problems.explain import Kind, Unit
from devtelemetry.problems.problem import NO_PROBLEM
from devtelemetry.problems.read import read_problems
from devtelemetry.simulator.history import history_lines
from devtelemetry.simulator.loss import NEWEST_VERSION, LossModel
from devtelemetry.simulator.spec import Spec
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from devtelemetry.transfer.importing import import_samples

HOUR = parse_timeframe("1h")
RULES = AggregateRules(timeframes=(HOUR,))
PRESENT = MembershipPolicy.PRESENT
END = datetime(2026, 3, 9, tzinfo=UTC)
BEGAN = END - timedelta(hours=6)
USUAL = 0.01

pytestmark = pytest.mark.slow


async def store_days(database: Database, fault: LossModel) -> None:
    end_ms = unix_ms(END)
    world = make_world(
        Spec(
            seed=3,
            start_ms=end_ms - 4 * DAY_MS,
            end_ms=end_ms,
            loss=LossModel(independent=USUAL),
            fault=fault,
            fault_from_ms=unix_ms(BEGAN),
            lead_ms=HOUR_MS,
            nodes=100,
            channels=12,
            messages_per_hour=5,
            joining=0.0,
            leaving=0.0,
            returning=0.0,
            label="",
        )
    )
    now = END + timedelta(hours=2)
    imported = await import_samples(
        database,
        history_lines(world, unix_ms(now)),
        AgeLimits(),
        SettleRule(),
        now_ms=lambda: unix_ms(now),
        on_rejected=lambda _, why: pytest.fail(why),
        on_note=pytest.fail,
    )
    assert imported.imported > 50_000
    assert await compute_due(database, RULES, now=lambda: now) >= 4 * 24


@pytest.mark.parametrize(
    ("unit", "fault"),
    [
        (
            Unit(Kind.APP_VERSION, NEWEST_VERSION),
            LossModel(independent=USUAL, by_version={NEWEST_VERSION: 0.15}),
        ),
    ],
    ids=["version"],
)
async def test_a_fault_is_named_alone_with_its_beginning(
    database: Database, unit: Unit, fault: LossModel
) -> None:
    await store_days(database, fault)
    found = await read_problems(database, [HOUR], PRESENT)
    assert [one.unit for one in found.found] == [unit]
    problem = found.found[0]
    assert abs(problem.began - BEGAN) <= HOUR.length
    assert problem.now < problem.before - 0.1
    assert problem.before == pytest.approx(1 - USUAL, abs=0.01)
    before = await read_problems(database, [HOUR], PRESENT, until=BEGAN)
    assert before.nothing == NO_PROBLEM
