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
    start: datetime = Field(description="Start of the window.")
    receivers: int = Field(description="Receivers that have the version.")
    receivers_share: float = Field(description="Their share of the window's receivers.")
    deliveries: int = Field(description="Deliveries to these receivers that can be judged.")
    deliveries_share: float = Field(description="Their share of the window's deliveries.")


class PlatformFigures(Strict):
    platform: str = Field(description="As clients report it; empty if they did not.")
    receivers: int = Field(description="Receivers of the platform that have the version now.")


class ReleaseFigures(Strict):
    version: str
    first_seen: datetime | None = Field(
        description="Start of the first window that has it; null if this is the very first window."
    )
    platforms: list[PlatformFigures]
    adoption: list[AdoptedFigures] = Field(description="By window, the oldest first.")


class ReleasesDocument(Strict):
    """App versions of receivers, the newest first."""

    timeframe: str | None = Field(
        description="Length of the windows; null if there are no windows."
    )
    membership: MembershipPolicy
    until: datetime | None = Field(
        description="End of the latest window; null if there is no window."
    )
    releases: list[ReleaseFigures]


class SideFigures(Strict):
    delivery_ratio: float | None = Field(
        description="Standardised over the strata; null if there are no strata, or too few "
        "receivers."
    )
    receivers: int = Field(description="Receivers in the strata that have the version.")
    deliveries: int = Field(description="Deliveries to the version in all of the windows.")
    matched_deliveries: int = Field(description="How many of these are in the strata.")
    matched_share: float | None = Field(description="matched_deliveries / deliveries.")


class ComparisonDocument(Strict):
    """A candidate compared with a baseline, in windows, channels and platforms that have both."""

    baseline: str
    candidate: str
    platform: str | None
    timeframe: str
    start: datetime = Field(alias="from", description="Start of the first window.")
    end: datetime = Field(alias="to", description="End of the last window.")
    windows: int
    decision: Decision
    more_receivers: int | None = Field(
        description="About how many more receivers of both versions together are needed, in "
        "today's proportion. Null if none are needed, or no number is known to be enough."
    )
    margin: float = Field(
        description="How much less may be delivered: `hold` if the candidate surely delivers even "
        "less."
    )
    difference: float | None = Field(
        description="The candidate's delivery ratio less the baseline's; null if there is too "
        "little to say."
    )
    difference_interval: list[float] | None = Field(
        min_length=2, max_length=2, description="The interval of the difference."
    )
    confidence: float
    strata: int = Field(description="Windows × channels × platforms that have both versions.")
    of_baseline: SideFigures
    of_candidate: SideFigures
    what: str = Field(description="The same in words.")


class _Query(Strict):
    membership: MembershipPolicy | None = Field(
        None, description="The membership policy of the windows; default: the configured one."
    )


class _Compared(_Query):
    baseline: str = Field(min_length=1, description="The version that is in use.")
    candidate: str = Field(min_length=1, description="The version that may be shipped.")
    platform: str | None = Field(None, description="Compare only on this platform.")
    start: Moment | None = Field(
        None,
        alias="from",
        description="Only windows that end after this time; default: the last day.",
    )
    end: Moment | None = Field(
        None, alias="to", description="Only windows that start before this time."
    )
    margin: float = Field(
        MARGIN,
        ge=0,
        le=1,
        description="How much less the candidate may deliver, as a share of deliveries.",
    )


def add_releases(
    app: FastAPI, database: Database, rules: AggregateRules, may_read: list[Any]
) -> None:
    shared = Shared()
    place = asyncio.Semaphore(1)  # each comparison computes its windows again

    @app.get(
        "/api/v1/releases",
        summary="When each app version was first seen, and what share has it",
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
