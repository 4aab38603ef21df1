"""Computes windows, and cleans the days that are behind them."""

from datetime import datetime

from devtelemetry.aggregate import compute
from devtelemetry.cli.output import say
from devtelemetry.figures.document import iso
from devtelemetry.model import WindowReliability
from devtelemetry.retention import clean as retention
from devtelemetry.runtime.clock import utc_now
from devtelemetry.server.wiring import aggregate_rules, opened_database
from devtelemetry.settings.settings import Settings
from devtelemetry.words import percent, without_ratio


async def compute_due(settings: Settings) -> None:
    rules = aggregate_rules(settings)
    async with opened_database(settings) as database:
        computed = await compute.compute_due(database, rules, now=utc_now, on_window=_say_window)
    say(f"computed {computed}" + ("" if computed else ": no window is due"))


async def compute_one(settings: Settings, timeframe_name: str, start: datetime) -> None:
    rules = aggregate_rules(settings)
    timeframe = rules.timeframe(timeframe_name)
    async with opened_database(settings) as database:
        window = await compute.compute_one(database, rules, timeframe, start, now=utc_now)
    _say_window(window)


def _say_window(window: WindowReliability) -> None:
    counts = window.counts
    ratios = without_ratio(window)
    if window.reliability is not None:
        ratios = (
            f"delivery ratio {percent(counts.delivery_ratio)} "
            f"({counts.missing} of {counts.corroborated} missing), R {percent(window.reliability)}"
        )
    name = f"{window.timeframe} {iso(window.window.start)} {window.membership}"
    say(f"{name} {window.state}: {ratios}")


async def clean(settings: Settings) -> None:
    async with opened_database(settings) as database:
        result = await retention.clean(
            database, aggregate_rules(settings), settings.retention, now=utc_now
        )
    for day in result.dropped:
        say(f"dropped {day}")
    for day, reason in result.kept:
        say(f"kept {day}: {reason}")
    say(f"dropped {len(result.dropped)}, kept {len(result.kept)}")
