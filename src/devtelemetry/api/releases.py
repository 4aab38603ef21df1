"""`/api/v1/releases` and `/api/v1/releases/compare`: docs/protocol.md, "Releases as JSON"."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from pydantic import Field

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.parameters import Moment, Problem, Strict
from devtelemetry.model import MembershipPolicy
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.releases.adoption import Releases, read_releases, releases_as_json
from devtelemetry.releases.asked import Asked
from devtelemetry.releases.comparison import compare_releases, comparison_as_json
from devtelemetry.releases.decide import MARGIN, Decision
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.runtime.shared import Shared
from devtelemetry.store.database import Database


class AdoptedFigures(Strict):
    start: datetime = Field(description="Of the window.")
    receivers: int
    receivers_share: float = Field(description="Of all receivers of the window.")
    deliveries: int = Field(description="Those that can be judged.")
    deliveries_share: float = Field(description="Of all of the window.")


class PlatformFigures(Strict):
    platform: str = Field(description="As clients say; empty: never said.")
    receivers: int = Field(description="That have the version now.")


class ReleaseFigures(Strict):
    version: str
    first_seen: datetime | None = Field(
        description="Start of the first window that shows it; null: it is in the first one of all."
    )
    platforms: list[PlatformFigures]
    adoption: list[AdoptedFigures] = Field(description="Window by window, the oldest first.")


class ReleasesDocument(Strict):
    """App versions of receivers, the newest first."""

    timeframe: str | None = Field(description="Of the windows; null: there are none.")
    membership: MembershipPolicy
    until: datetime | None = Field(description="Where the latest window ends.")
    releases: list[ReleaseFigures]


class SideFigures(Strict):
    delivery_ratio: float | None = Field(
        description="Standardised over the strata; null: there are none, or too few receivers."
    )
    receivers: int = Field(description="In the strata.")
    deliveries: int = Field(description="Of the version, in all of the windows.")
    matched_deliveries: int = Field(description="Those of them in the strata.")
    matched_share: float | None


class ComparisonDocument(Strict):
    """A candidate compared with a baseline, in windows, channels and platforms that have both."""

    baseline: str
    candidate: str
    platform: str | None
    timeframe: str
    start: datetime = Field(alias="from", description="Start of the first window.")
    end: datetime = Field(alias="to", description="End of the last one.")
    windows: int
    decision: Decision
    more_receivers: int | None = Field(
        description="Of both versions together, in today's proportion, about so many more are "
        "needed; null: none are, or no number is known that would do."
    )
    margin: float = Field(description="Of the delivery ratio; `hold` is beyond it.")
    difference: float | None = Field(description="Candidate less baseline; null: too few to say.")
    difference_interval: list[float] | None = Field(min_length=2, max_length=2)
    confidence: float
    strata: int = Field(description="Windows × channels × platforms that have both versions.")
    of_baseline: SideFigures
    of_candidate: SideFigures
    what: str = Field(description="The same for a person.")


class _Query(Strict):
    membership: MembershipPolicy | None = Field(
        None, description="Windows of this policy; default: the one that is configured."
    )


class _Compared(_Query):
    baseline: str = Field(min_length=1, description="The version that is out.")
    candidate: str = Field(min_length=1, description="The version that may be shipped.")
    platform: str | None = Field(None, description="Of this platform alone.")
    start: Moment | None = Field(
        None, alias="from", description="Windows that end after this time; default: the last day."
    )
    end: Moment | None = Field(
        None, alias="to", description="Only windows that start before this time."
    )
    margin: float = Field(MARGIN, ge=0, le=1, description="So much less may be delivered.")


def add_releases(
    app: FastAPI, database: Database, rules: AggregateRules, may_read: list[Any]
) -> None:
    shared = Shared()
    place = asyncio.Semaphore(1)  # each comparison computes its windows again

    @app.get(
        "/api/v1/releases",
        summary="Since when each app version is there, and what share has it",
        tags=["figures"],
        response_model=ReleasesDocument,
        responses={401: {"model": Problem}, 503: {"model": Problem}},
        dependencies=may_read,
    )
    async def releases(query: Annotated[_Query, Query()]) -> dict[str, Any]:
        """Figures are from the latest 60 windows of the longest timeframe of up to a day.
        `docs/releases.md` explains them."""
        membership = query.membership or rules.membership

        async def read() -> Releases:
            return await read_releases(
                database,
                rules.timeframes,
                membership,
                smallest_group=rules.smallest_group,
                now_ms=now_ms(),
            )

        return releases_as_json(await shared.get(membership, read))

    @app.get(
        "/api/v1/releases/compare",
        summary="Whether a version may be shipped: ship, hold, or wait for more receivers",
        tags=["figures"],
        response_model=ComparisonDocument,
        responses={status: {"model": Problem} for status in (401, 404, 503)},
        dependencies=may_read,
    )
    async def compare(query: Annotated[_Compared, Query()]) -> dict[str, Any]:
        """The comparison is computed now from the samples, window by window, one at a time."""
        asked = Asked(
            query.baseline,
            query.candidate,
            query.platform,
            query.start,
            query.end,
            query.margin,
        )
        of_policy = replace(rules, membership=query.membership or rules.membership)
        try:
            async with place:
                found = await compare_releases(database, of_policy, asked, now=utc_now)
        except ConfigurationError as error:
            raise HTTPException(422, str(error)) from error
        return comparison_as_json(found)
