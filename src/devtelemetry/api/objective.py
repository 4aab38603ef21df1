"""`/api/v1/objective`: docs/protocol.md, "Objective as JSON"."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import Field

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.parameters import Problem, Strict
from devtelemetry.figures.budget import budget_as_json, read_budget
from devtelemetry.model import MembershipPolicy
from devtelemetry.store.database import Database


class SpentFigures(Strict):
    span: str = Field(description="A span that ends at `until`.", examples=["3h"])
    deliveries: int = Field(description="Deliveries in the span that can be judged.")
    lost: int = Field(description="How many of these were lost.")
    burn_rate: float | None = Field(
        description="How many times faster than allowed the budget is used up; null if there are "
        "no deliveries."
    )


class BurnFigures(Strict):
    long: str = Field(examples=["3h"])
    short: str = Field(examples=["1h"])
    rate: float = Field(description="The burn rate that both spans exceed.")
    severity: str


class ObjectiveDocument(Strict):
    """The objective and its budget at the end of the latest window."""

    objective: float
    timeframe: str = Field(description="Length of the windows that are summed.")
    membership: MembershipPolicy
    until: datetime | None = Field(
        description="End of the latest window; null if there is no window."
    )
    budget_left: float | None = Field(
        description="The share of the budget that is left: of the losses allowed in 30 days. Below "
        "0 if the objective was missed; null if there are no deliveries."
    )
    spent: list[SpentFigures] = Field(
        description="The losses by span, the shortest first; the last span is that of the budget."
    )
    burning: list[BurnFigures] = Field(
        description="The conditions for an alert that are true now, the fastest burn first."
    )
    what: str | None = Field(description="The same in words; null if there are no deliveries.")


class _Query(Strict):
    membership: MembershipPolicy | None = Field(
        None, description="The membership policy of the windows; default: the configured one."
    )


def add_objective(
    app: FastAPI, database: Database, rules: AggregateRules, objective: float, may_read: list[Any]
) -> None:
    @app.get(
        "/api/v1/objective",
        summary="How much is left of the losses that the objective allows",
        tags=["figures"],
        response_model=ObjectiveDocument,
        responses={401: {"model": Problem}, 503: {"model": Problem}},
        dependencies=may_read,
    )
    async def answer(query: Annotated[_Query, Query()]) -> dict[str, Any]:
        """Computed from windows of an hour if these are configured, as in the alert rules; else
        from the shortest ones."""
        membership = query.membership or rules.membership
        return budget_as_json(await read_budget(database, rules.timeframes, membership, objective))
