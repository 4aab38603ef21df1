"""What is computed from samples when somebody asks. For a large channel this takes seconds, so
pages that need it wait for each other (pages.py)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from devtelemetry.aggregate.cleaned import cleaned_days_of, is_cleaned
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.table import CrossTable, cross_table
from devtelemetry.causes.classify import pattern_counts
from devtelemetry.causes.document import LISTED, message_as_json, page, receiver_as_json
from devtelemetry.causes.found import Receiver
from devtelemetry.causes.matrix import MOST_COLUMNS, Matrix, lossy, matrix_of
from devtelemetry.causes.read import DrillDown, drill_down
from devtelemetry.causes.request import DrillDownError, MissingRequest
from devtelemetry.model import Dimension, MembershipPolicy, Timeframe, Window, WindowReliability
from devtelemetry.model.errors import ConfigurationError, Unavailable, UnknownName
from devtelemetry.store.database import Database

MOST_MISSING = MOST_COLUMNS  # messages, and receivers, on a page; the API has the rest


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing in one channel and window, at all of its receivers or some of them.

    document  that of /api/v1/missing; its lists and patterns are about these receivers
    matrix    the messages of the document, by receiver
    """

    window: Window
    document: Mapping[str, Any]
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Drilling:
    """`missing` and `table` return what they found, or None and the reason why not."""

    database: Database
    rules: AggregateRules
    now: Callable[[], datetime]

    def _rules(self, membership: MembershipPolicy) -> AggregateRules:
        return replace(self.rules, membership=membership)

    async def missing(
        self,
        channel: str,
        timeframe: Timeframe,
        start: datetime,
        membership: MembershipPolicy,
        of: Sequence[tuple[Dimension, str]] = (),
    ) -> tuple[Missing | None, str]:
        """The messages missing in a channel, at receivers of these platforms and versions."""
        look = MissingRequest(channel, timeframe, start)
        said = {dimension: value for dimension, value in of if dimension in _OF_RECEIVERS}
        try:
            async with drill_down(
                self.database, self._rules(membership), look, now=self.now
            ) as found:
                return await _missing(found, said), ""
        except (DrillDownError, UnknownName, Unavailable) as error:
            return None, str(error)

    async def with_samples(
        self, windows: Sequence[WindowReliability]
    ) -> Sequence[WindowReliability]:
        """The windows whose samples are still kept."""
        async with self.database.read() as connection:
            cleaned = await cleaned_days_of(connection)
        return [one for one in windows if not is_cleaned(one.window, cleaned)]

    async def table(
        self,
        dimensions: tuple[Dimension, Dimension],
        timeframe: Timeframe,
        start: datetime,
        membership: MembershipPolicy,
        channel: str | None,
    ) -> tuple[CrossTable | None, str]:
        """A window broken down by two dimensions at once."""
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


_OF_RECEIVERS = {Dimension.PLATFORM: "platform", Dimension.APP_VERSION: "app_version"}


async def _missing(found: DrillDown, said: Mapping[Dimension, str]) -> Missing:
    def wanted(receiver: Receiver) -> bool:
        return all(getattr(receiver, _OF_RECEIVERS[by]) == value for by, value in said.items())

    receivers, positions = await asyncio.to_thread(lossy, found, wanted)
    messages = [message async for message in found.details(positions[:MOST_MISSING])]
    document = await page(found, limit=0)

    def write() -> Missing:
        mine = {
            "missing_messages_total": len(positions),
            "missing_messages": [message_as_json(one, LISTED) for one in messages],
            "lossy_receivers_total": len(receivers),
            "lossy_receivers": [
                receiver_as_json(found.times, one) for one in receivers[:MOST_MISSING]
            ],
            "patterns": {
                of.value: number
                for of, number in pattern_counts(one.sequence for one in receivers).items()
            },
        }
        matrix = matrix_of(receivers, positions, messages)
        return Missing(found.window, {**document, **mine}, matrix)

    return await asyncio.to_thread(write)
