"""Sends stored windows again."""

from datetime import datetime

from devtelemetry.cli.output import say
from devtelemetry.cli.progress import count_bar
from devtelemetry.publish.publisher import Span, back_fill, by_reason, count_within
from devtelemetry.runtime.clock import utc_now
from devtelemetry.server import wiring
from devtelemetry.settings.settings import Settings


async def publish(
    settings: Settings,
    start: datetime | None,
    end: datetime | None,
    timeframe: str | None,
    points_per_second: int,
) -> int:
    """Sends the windows of a span and prints the result; returns how many points were rejected.

    timeframe  its name; None for windows of any length
    """
    series, span = wiring.published_series(settings), Span(start, end, timeframe)
    async with wiring.remote_write(settings) as store, wiring.opened_database(settings) as database:
        with count_bar("publish", await count_within(database, series, span)) as advance:
            published = await back_fill(
                database,
                store,
                series,
                span,
                points_per_second=points_per_second,
                now=utc_now,
                on_sent=lambda sent: advance(sent.windows),
            )
    taken, rejected = published.points.taken, published.points.rejected
    reasons = f" ({by_reason(rejected)})" if rejected else ""
    say(
        f"published {published.windows} windows, {taken} points, "
        f"rejected {rejected.total()}{reasons}"
    )
    return rejected.total()
