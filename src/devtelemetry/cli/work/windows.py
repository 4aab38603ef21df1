"""Computes windows, cleans old days, and shows the clocks that decide when."""

from datetime import datetime, timedelta

from devtelemetry.aggregate import compute
from devtelemetry.aggregate.in_force import rules_in_force
from devtelemetry.cli.output import say
from devtelemetry.figures.document import iso
from devtelemetry.findings.look import look
from devtelemetry.model import WindowReliability
from devtelemetry.retention import clean as retention
from devtelemetry.runtime.clock import now_ms
from devtelemetry.server.wiring import aggregate_rules, agreed_clock, opened_database
from devtelemetry.settings.settings import Settings
from devtelemetry.store.clock import confirm as confirm_clock
from devtelemetry.store.clock import read_clocks
from devtelemetry.words import percent, without_ratio


async def compute_due(settings: Settings) -> None:
    rules = aggregate_rules(settings)
    async with opened_database(settings) as database, rules_in_force(database, rules):
        clock = await agreed_clock(settings, database)
        ends: list[datetime] = []

        def say_window(window: WindowReliability) -> None:
            ends.append(window.window.end)
            _say_window(window)

        computed = await compute.compute_due(database, rules, now=clock.now, on_window=say_window)
        if ends:
            await look(database, rules, max(ends), now=clock.now)
    say(f"computed {computed}" + ("" if computed else ": no window is due"))


async def compute_one(settings: Settings, timeframe_name: str, start: datetime) -> None:
    rules = aggregate_rules(settings)
    timeframe = rules.timeframe(timeframe_name)
    async with opened_database(settings) as database:
        clock = await agreed_clock(settings, database)
        async with rules_in_force(database, rules, but=("timeframes", "allowed_lateness")):
            window = await compute.compute_one(database, rules, timeframe, start, now=clock.now)
        await look(database, rules, window.window.end, now=clock.now)
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
    rules = aggregate_rules(settings)
    async with opened_database(settings) as database, rules_in_force(database, rules):
        clock = await agreed_clock(settings, database)
        result = await retention.clean(
            database,
            rules,
            settings.retention,
            silent_after=settings.silent_after,
            now=clock.now,
        )
    for day in result.dropped:
        say(f"dropped {day}")
    for day, reason in result.kept:
        say(f"kept {day}: {reason}")
    say(f"dropped {len(result.dropped)}, kept {len(result.kept)}")


async def clock(settings: Settings, *, confirm: bool) -> None:
    leap_ms = settings.clock_leap // timedelta(milliseconds=1)
    async with opened_database(settings) as database, database.acquire() as connection:
        if confirm:
            await confirm_clock(connection, now_ms())
        readings = await read_clocks(connection, leap_ms, now_ms)
    if readings.agree(leap_ms):
        say(f"the clock is believed: {readings.clocks()}")
    else:
        say(f"the clock is in doubt: {readings.told()}")
