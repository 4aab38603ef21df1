"""From the app's call to the figure: clients get a rule, and the window is over the sample."""

import asyncio
from pathlib import Path

from devtelemetry.client import Settings
from devtelemetry.model import HOUR_MS, MINUTE_MS, from_unix_ms
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.database import Database
from devtelemetry.store.sampling import OF_ALL, add_rules
from devtelemetry.v1.sampling import is_in_sample
from support.clients import Clock, eventually, receive, running_client
from support.store import compute_window
from support.wire import served

MESSAGES = 200
ONE_IN = 4
SALT = b"salt1"


async def test_clients_that_hear_a_rule_report_its_sample_alone(
    database: Database, tmp_path: Path
) -> None:
    hour = now_ms() // HOUR_MS * HOUR_MS - HOUR_MS  # the last hour that ended
    async with database.acquire() as connection:
        await add_rules(connection, {OF_ALL: ONE_IN}, 0)
        # With this salt the sample has the messages `first` and `last`, so all others are expected.
        await connection.execute("update deployment set sampling_salt = $1", SALT)

    def talk(name: str, address: str, *, misses: int) -> int:
        """Runs a client without the messages m…`misses`; returns how many it left out."""
        clock = Clock(hour - HOUR_MS)
        settings = Settings(tmp_path / f"{name}.db", clock=clock)
        settings.enable()
        clock.now_ms = now_ms()
        with running_client(settings, address) as client:
            receive(client, "first", hour - MINUTE_MS)
            eventually(lambda: settings.status().acknowledged == 1)
            for number in range(MESSAGES):
                if number % 10 != misses:
                    receive(client, f"m{number}", hour + number)
            receive(client, "last", now_ms())
            client.flush()
            eventually(lambda: not settings.status().waiting)
        return sum(settings.status().not_in_sample.values())

    async with served(database) as wire:
        left_out = [
            await asyncio.to_thread(talk, name, wire.address, misses=misses)
            for name, misses in (("ann", -1), ("ben", 3))
        ]

    wanted = {n for n in range(MESSAGES) if is_in_sample(ONE_IN, SALT, "c1", f"m{n}")}
    assert all(is_in_sample(ONE_IN, SALT, "c1", one) for one in ("first", "last"))
    assert left_out[0] == MESSAGES - len(wanted)
    window = await compute_window(database, hour, now=from_unix_ms(now_ms()))
    (channel,) = window.channels
    assert (channel.figures.one_in, channel.counts.messages) == (ONE_IN, len(wanted))
    assert channel.figures.estimated_messages == ONE_IN * len(wanted)
    assert channel.counts.expected == 2 * len(wanted)
    assert channel.counts.missing == sum(number % 10 == 3 for number in wanted)
