"""What is computed from samples when it is asked for. It takes seconds where a channel is large, so
pages that do so wait for each other (pages.py)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.table import CrossTable, cross_table
from devtelemetry.causes.document import page
from devtelemetry.causes.read import drill_down
from devtelemetry.causes.request import DrillDownError, MissingRequest
from devtelemetry.model import Dimension, MembershipPolicy, Timeframe
from devtelemetry.model.errors import ConfigurationError, Unavailable, UnknownName
from devtelemetry.store.database import Database

MOST_MISSING = 50  # messages, and receivers, on a page; the API has the others


@dataclass(frozen=True, slots=True)
class Drilling:
    """Each look gives what was found, or why there is nothing."""

    database: Database
    rules: AggregateRules
    now: Callable[[], datetime]

    def _rules(self, membership: MembershipPolicy) -> AggregateRules:
        return replace(self.rules, membership=membership)

    async def missing(
        self, channel: str, timeframe: Timeframe, start: datetime, membership: MembershipPolicy
    ) -> tuple[Mapping[str, Any] | None, str]:
        """The document of /api/v1/missing: which messages of a channel are missing."""
        look = MissingRequest(channel, timeframe, start)
        try:
            async with drill_down(
                self.database, self._rules(membership), look, now=self.now
            ) as found:
                return await page(found, limit=MOST_MISSING), ""
        except (DrillDownError, UnknownName, Unavailable) as error:
            return None, str(error)

    async def table(
        self,
        dimensions: tuple[Dimension, Dimension],
        timeframe: Timeframe,
        start: datetime,
        membership: MembershipPolicy,
        channel: str | None,
    ) -> tuple[CrossTable | None, str]:
        """Two dimensions at once."""
        try:
            table = await cross_table(
                self.database,
                self._rules(membership),
                timeframe,
                dimensions,
                start=start,
                channel_id=channel,
                now=self.now,
            )
        except (ConfigurationError, UnknownName, Unavailable) as error:
            return None, str(error)
        return table, ""
