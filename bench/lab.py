"""Worlds of the simulator in a real database, and their measured windows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.intake import take_in
from bench.pushes import Push
from devtelemetry.aggregate.compute import compute_one
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.model import (
    HOUR_MS,
    Dimension,
    Reason,
    WindowReliability,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.simulator.spec import Spec, World
from devtelemetry.simulator.truth import TrueWindow, true_windows
from devtelemetry.store.database import Database

HOUR = parse_timeframe("1h")
START_MS = 1_772_409_600_000  # 2026-03-02T00:00Z
_LATER_MS = 30 * 24 * HOUR_MS  # from a world's start to the computation that settles its window
RULES = AggregateRules((HOUR,), weight_cap=1.0)
_SLOT_MS = 12 * HOUR_MS  # between the windows of two worlds in one database


class Lab:
    """A database with worlds in it, each in an hour of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slots = 0

    def start_ms(self) -> int:
        """When the next world's window should begin."""
        self._slots += 1
        return START_MS + self._slots * _SLOT_MS

    async def take_in(self, found: Sequence[Push]) -> Counter[Reason]:
        return await take_in(self._database, found)

    async def window(self, world: World, rules: AggregateRules = RULES) -> WindowReliability:
        """The measured window of `world`, computed and read back."""
        start = from_unix_ms(world.spec.start_ms)
        later = from_unix_ms(world.spec.start_ms + _LATER_MS)
        await compute_one(self._database, rules, HOUR, start, now=lambda: later)
        selection = Selection(
            HOUR.name, start, from_unix_ms(world.spec.end_ms), by=tuple(Dimension)
        )
        (window,) = [window async for window in read_windows(self._database, selection)]
        return window


def spec_of(lab: Lab, seed: int, **fields: Any) -> Spec:
    start_ms = lab.start_ms()
    return Spec(
        seed=seed,
        start_ms=start_ms,
        end_ms=start_ms + HOUR_MS,
        returning=0.0,
        server_stamped=0.0,
        receiver_stamped=0.0,
        **fields,
    )


def truth_of(world: World) -> TrueWindow:
    """The truth of the measured window."""
    (found,) = [
        window
        for window in true_windows(world, HOUR)
        if window.window.start_ms == world.spec.start_ms
    ]
    return found
