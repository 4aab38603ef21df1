"""The objective: what share of deliveries should be made, what is left of the budget of losses that
it allows, and how fast the budget is used up. Computed from the stored windows.

The alert rules of deploy/prometheus compute the same; a test compares their numbers with these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from devtelemetry import words
from devtelemetry.figures.document import iso
from devtelemetry.model import DAY, HOUR, MembershipPolicy, Timeframe, write_duration
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries

BUDGET_OF = 30 * DAY
"""The span that the budget is for"""

LEAST_LOST = 20
"""Fewer losses in the long span raise no alert, whatever their share"""


class Burn(NamedTuple):
    """An alert: in both spans the budget is used up more than `rate` times as fast as allowed."""

    long: timedelta
    short: timedelta
    rate: float
    severity: str


BURNS = (
    Burn(3 * HOUR, HOUR, 14.4, "critical"),
    Burn(6 * HOUR, HOUR, 6, "critical"),
    Burn(DAY, 3 * HOUR, 3, "warning"),
    Burn(3 * DAY, 6 * HOUR, 1, "warning"),
)
SPANS = (HOUR, 3 * HOUR, 6 * HOUR, DAY, 3 * DAY, BUDGET_OF)

_Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily

_QUERIES = queries(__package__, "budget.sql")


@dataclass(frozen=True, slots=True)
class Spent:
    """The losses in the latest windows that fill a span: `missing` out of `deliveries`.

    burn_rate  as a multiple of what the objective allows; None if there are no deliveries
    """

    span: timedelta
    deliveries: int
    missing: int
    burn_rate: float | None

    @property
    def name(self) -> str:
        return write_duration(self.span)


@dataclass(frozen=True, slots=True)
class Budget:
    """until  where the latest window ends, aware UTC; None if there is no window
    spent  by span, the shortest first; the last span is BUDGET_OF
    """

    objective: float
    timeframe: Timeframe
    membership: MembershipPolicy
    until: datetime | None = None
    spent: Sequence[Spent] = ()

    @property
    def left(self) -> float | None:
        """The share of the budget of 30 days that is left. Below 0 if the objective was missed;
        None if there are no deliveries."""
        rate = self.spent[-1].burn_rate if self.spent else None
        return None if rate is None else 1 - rate

    @property
    def burning(self) -> Sequence[Burn]:
        """The alerts that hold, the fastest first."""
        of = {one.span: one for one in self.spent}
        return [
            burn
            for burn in BURNS
            if of
            and of[burn.long].missing >= LEAST_LOST
            and all((of[span].burn_rate or 0.0) > burn.rate for span in (burn.long, burn.short))
        ]

    @property
    def what(self) -> str:
        """A sentence or two for a person; empty if there are no deliveries."""
        left = self.left
        if left is None:
            return ""
        whole = self.spent[-1]
        said = (
            f"Objective {words.percent(self.objective)}: "
            f"{words.percent(1 - whole.missing / whole.deliveries)} delivered in 30 days"
        )
        if left < 0:
            said += f", with {whole.burn_rate:.1f} times the losses that it allows."
        else:
            said += f". {words.percent(left)} of the losses that it allows are left."
        for burn in self.burning[:1]:
            said += (
                f" Now they are used up more than {burn.rate:g} times as fast as allowed, over "
                f"{write_duration(burn.long)} and over {write_duration(burn.short)}."
            )
        return said


def budget_timeframe(timeframes: Sequence[Timeframe]) -> Timeframe:
    """An hour, as in the alert rules, if it is configured; else the shortest timeframe."""
    return next((one for one in timeframes if one.length == HOUR), timeframes[0])


async def read_budget(
    database: Database,
    timeframes: Sequence[Timeframe],
    membership: MembershipPolicy,
    objective: float,
) -> Budget:
    """The budget at the end of the latest window. timeframes: the configured ones"""
    timeframe = budget_timeframe(timeframes)
    async with database.read() as connection:
        rows = await connection.fetch(
            _QUERIES["spent"],
            timeframe=timeframe.name,
            membership=membership.value,
            spans=list(SPANS),
        )
    return Budget(
        objective,
        timeframe,
        membership,
        rows[0]["until"].astimezone(UTC) if rows else None,
        [_spent(row["span"], row["deliveries"], row["missing"], objective) for row in rows],
    )


def _spent(span: timedelta, deliveries: int, missing: int, objective: float) -> Spent:
    rate = missing / deliveries / (1 - objective) if deliveries else None
    return Spent(span, deliveries, missing, rate)


def budget_as_json(budget: Budget) -> dict[str, Any]:
    """Source: docs/protocol.md, "Objective as JSON"."""
    return {
        "objective": budget.objective,
        "timeframe": budget.timeframe.name,
        "membership": budget.membership.value,
        "until": budget.until and iso(budget.until),
        "budget_left": budget.left,
        "spent": [
            {
                "span": one.name,
                "deliveries": one.deliveries,
                "lost": one.missing,
                "burn_rate": one.burn_rate,
            }
            for one in budget.spent
        ],
        "burning": [
            {
                "long": write_duration(burn.long),
                "short": write_duration(burn.short),
                "rate": burn.rate,
                "severity": burn.severity,
            }
            for burn in budget.burning
        ],
        "what": budget.what or None,
    }


class Settled(NamedTuple):
    """The deliveries of all windows settled so far, also of deleted ones; they never fall."""

    deliveries: int
    good: int


async def read_settled(
    database: Database, timeframe: Timeframe, membership: MembershipPolicy
) -> Settled:
    async with database.read() as connection:
        row = await connection.fetchrow(
            _QUERIES["settled"], timeframe=timeframe.name, membership=membership.value
        )
    return Settled(0, 0) if row is None else Settled(row["deliveries"], row["good"])


def objective_metrics(objective: float, settled: Settled | None) -> Sequence[_Family]:
    """Metrics for tools that watch objectives. settled: None if not known; then no counters"""
    metrics: list[_Family] = [
        GaugeMetricFamily(
            "devtelemetry_delivery_ratio_objective",
            "The share of deliveries that should be made.",
            objective,
        )
    ]
    for name, text, value in (
        ("deliveries", "Deliveries that can be judged, in settled windows.", 0),
        ("good_deliveries", "Deliveries of devtelemetry_deliveries_total that were made.", 1),
    ):
        metrics.append(
            CounterMetricFamily(
                f"devtelemetry_{name}", text, None if settled is None else settled[value]
            )
        )
    return metrics
