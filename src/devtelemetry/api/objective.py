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
    span: str = Field(description="The latest windows of so long a time.", examples=["3h"])
    deliveries: int = Field(description="Those that can be judged.")
    lost: int
    burn_rate: float | None = Field(
        description="How many times as fast as the objective allows; null: there are none."
    )


class BurnFigures(Strict):
    long: str = Field(examples=["3h"])
    short: str = Field(examples=["1h"])
    rate: float = Field(description="Over both spans it is more than so many times as fast.")
    severity: str


class ObjectiveDocument(Strict):
    """The objective and its budget at the end of the latest window."""

    objective: float
    timeframe: str = Field(description="Of the windows.")
    membership: MembershipPolicy
    until: datetime | None
    budget_left: float | None = Field(
        description="Of the losses that 30 days may have; below 0: the objective was missed."
    )
    spent: list[SpentFigures] = Field(description="By span; the last one is that of the budget.")
    burning: list[BurnFigures] = Field(description="The alerts that hold, the fastest first.")
    what: str | None = Field(description="The same for a person.")


class _Query(Strict):
    membership: MembershipPolicy | None = Field(
        None, description="Windows of this policy; default: the one that is configured."
    )


def add_objective(
    app: FastAPI, database: Database, rules: AggregateRules, objective: float, may_read: list[Any]
) -> None:
    @app.get(
        "/api/v1/objective",
        summary="What is left of the losses that the objective allows",
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
