"""When nodes do not run or are offline, and when they get what comes meanwhile. Pure."""

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from devtelemetry.simulator.spec import Action, Interruption, Spec

_BEFORE_A_CRASH_MS = 2_000  # nothing happens on a node in this time before: see `awake_at`


def make_interruptions(spec: Spec, dice: random.Random) -> Mapping[int, Interruption]:
    """The interruption of each node that has one, in the middle of the measured span."""
    numbers = list(range(spec.nodes))
    dice.shuffle(numbers)
    kinds = [Action.CRASH] * spec.crashes
    kinds += [Action.STOP] * round(spec.nodes * spec.restarts)
    kinds += [Action.CUT] * round(spec.nodes * spec.cut_off)
    return {
        number: _interruption(spec, kind, dice)
        for number, kind in zip(numbers, kinds, strict=False)
    }


def _interruption(spec: Spec, begins: Action, dice: random.Random) -> Interruption:
    span_ms = spec.end_ms - spec.start_ms
    ends = Action.START
    lasts_ms = dice.randint(10_000, 40_000)
    if begins is Action.CUT:
        ends = Action.WIPE if dice.random() < spec.wiped else Action.MEND
        lasts_ms = int(span_ms * dice.uniform(0.15, 0.35))
    from_ms = spec.start_ms + int(span_ms * dice.uniform(0.2, 0.5))
    return Interruption(begins, from_ms, ends, from_ms + lasts_ms)


def make_offline(spec: Spec, dice: random.Random) -> Sequence[list[int]]:
    """For each node the times at which it goes offline and comes back, in turn.

    A node is online at a moment if an even number of its times lie before it.
    """
    return [_offline_times(spec, dice) for _ in range(spec.nodes)]


def _offline_times(spec: Spec, dice: random.Random) -> list[int]:
    share = spec.loss.offline
    if share <= 0:
        return []
    if share >= 1:
        return [spec.begin_ms]
    is_offline = dice.random() < share
    times = [spec.begin_ms] if is_offline else []
    after_ms = 0.0
    while after_ms < spec.until_ms - spec.begin_ms:
        # The lengths are exponential, so the span that is under way at the beginning is drawn
        # like all others.
        mean_ms = spec.burst_ms if is_offline else spec.burst_ms * (1 - share) / share
        after_ms += dice.expovariate(1 / mean_ms)
        times.append(spec.begin_ms + int(after_ms))
        is_offline = not is_offline
    return times


def is_offline(times: Sequence[int], at_ms: int) -> bool:
    return bisect_right(times, at_ms) % 2 == 1


def offline_until(spec: Spec, times: Sequence[int], at_ms: int) -> int | None:
    """When a node that is offline at `at_ms` comes back; None: it is online."""
    if not is_offline(times, at_ms):
        return None
    back = bisect_right(times, at_ms)
    return times[back] if back < len(times) else spec.until_ms


def awake_at(interruption: Interruption | None, at_ms: int) -> int:
    """When a node's app gets what would reach it at `at_ms`: then, or when the app runs again.

    A client that is killed may lose what came just before. No seed decides how much, and the truth
    must be known. So nothing comes in the last moments before a crash.
    """
    if interruption is None or not interruption.is_down:
        return at_ms
    asleep_ms = interruption.from_ms - _BEFORE_A_CRASH_MS
    if not asleep_ms <= at_ms < interruption.to_ms:
        return at_ms
    return interruption.to_ms + 1 + (at_ms - asleep_ms) // 100  # in the order they came
