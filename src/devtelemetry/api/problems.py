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
        description="The channel, group or class of losses, as clients name it; null if the kind "
        "has only one."
    )
    app_version: str | None = Field(
        description="Only for kinds of two dimensions; then `value` is the platform."
    )
    what: str = Field(description="A sentence or two for a person.")
    began: datetime = Field(description="Start of the window in which it most likely began.")
    began_earliest: datetime = Field(
        description="With a probability of 95 % it began between this time and `began_latest`."
    )
    began_latest: datetime = Field(description="The end of this span.")
    now: float = Field(
        description="The delivery ratio since it began; for the kind `reports` the known share."
    )
    before: float = Field(
        description="The same in the same hours of earlier days; for a group without earlier days, "
        "that of all deliveries."
    )
    deliveries: int = Field(description="Deliveries since it began that can be judged.")
    lost: int = Field(description="How many of these were lost.")
    lost_more: int = Field(description="How many of these losses are more than was expected.")
    receivers: int | None = Field(
        description="Receivers in the window that has most; null if authors are counted."
    )
    authors: int | None = Field(
        description="Authors in the window that has most; null if receivers are counted."
    )
    loss_class: LossClass | None = Field(
        description="The class of most of the extra losses; null if there are several classes, or "
        "none is reported."
    )
    chance: float = Field(
        description="At most this is the probability that, without a cause, anything like it is "
        "found in four weeks, however often one looks."
    )
    is_new: bool = Field(
        description="Whether it is a group without earlier days, which is compared with all "
        "deliveries."
    )
    page: str = Field(description="The address of its page on the dashboard.")


class ProblemsDocument(Strict):
    """The problems at the end of the latest window, the widest first."""

    timeframe: str | None = Field(description="Length of the windows that were looked at.")
    membership: MembershipPolicy
    until: datetime | None = Field(
        description="End of the latest of these windows; null if there is no window."
    )
    nothing: str | None = Field(
        description="A sentence that says that there is no problem, or why this cannot be known."
    )
    problems: list[ProblemFigures]


class _Query(Strict):
    membership: MembershipPolicy | None = Field(
        None, description="The membership policy of the windows; default: the configured one."
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
