"""`/api/v1/problems`: docs/protocol.md, "Problems as JSON"."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import Field

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.parameters import Problem, Strict
from devtelemetry.model import LossClass, MembershipPolicy
from devtelemetry.problems.explain import Kind
from devtelemetry.problems.problem import problems_as_json
from devtelemetry.problems.read import LatestProblems


class ProblemFigures(Strict):
    """A unit that loses more than in the same hours of earlier days."""

    kind: Kind
    value: str | None = Field(
        description="Which one of the kind, as clients say; null: there is but one."
    )
    app_version: str | None = Field(
        description="Of a kind of two dimensions, beside the platform in `value`."
    )
    what: str = Field(description="A sentence or two for a person.")
    began: datetime = Field(description="Start of the window in which it most likely began.")
    began_earliest: datetime = Field(description="With a probability of 95 % not before.")
    began_latest: datetime = Field(description="Likewise, not after.")
    now: float = Field(
        description="Delivery ratio since it began; of `reports` the share of deliveries of which "
        "something is known."
    )
    before: float = Field(
        description="The same in the same hours of earlier days; of a group without earlier days, "
        "of all."
    )
    deliveries: int = Field(description="Since it began: those that can be judged.")
    lost: int = Field(description="Of them.")
    lost_more: int = Field(description="Those of `lost` beyond what was to be expected.")
    receivers: int | None = Field(description="As many as the fullest window has; or `authors`.")
    authors: int | None
    loss_class: LossClass | None = Field(
        description="Of most of what is lost more; null: several, or none is told."
    )
    chance: float = Field(
        description="The probability that anything like it is found in four weeks without a cause, "
        "however often one looks: at most so much."
    )
    is_new: bool = Field(description="A group without earlier days, beside all others.")
    page: str = Field(description="Where the dashboard shows it.")


class ProblemsDocument(Strict):
    """The problems at the end of the latest window, the widest first."""

    timeframe: str | None = Field(description="Of the windows that were looked at.")
    membership: MembershipPolicy
    until: datetime | None = Field(
        description="Where the latest of them ends; null: none is there."
    )
    nothing: str | None = Field(description="Why there is no problem, or none can be told.")
    problems: list[ProblemFigures]


class _Query(Strict):
    membership: MembershipPolicy | None = Field(
        None, description="Windows of this policy; default: the one that is configured."
    )


def add_problems(
    app: FastAPI, latest: LatestProblems, rules: AggregateRules, may_read: list[Any]
) -> None:
    @app.get(
        "/api/v1/problems",
        summary="What is wrong now",
        tags=["figures"],
        response_model=ProblemsDocument,
        responses={401: {"model": Problem}, 503: {"model": Problem}},
        dependencies=may_read,
    )
    async def problems(query: Annotated[_Query, Query()]) -> dict[str, Any]:
        """The widest causes of losses beyond those in the same hours of earlier days, each with its
        onset. If nothing is wrong, at most 5 of 100 deployments see a problem listed in four weeks,
        however often they look. `docs/problems.md` explains how problems are found.
        """
        return problems_as_json(await latest.read(query.membership or rules.membership))
