"""When nodes do not run or cannot be reached, and when they get then what comes meanwhile. Pure."""

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from devtelemetry.simulator.spec import Action, Interruption, Spec

_BEFORE_A_CRASH_MS = 2_000  # nothing happens on a node so shortly before: see `awake_at`


def make_interruptions(spec: Spec, dice: random.Random) -> Mapping[int, Interruption]:
    """By node; somewhere in the middle of what is measured."""
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

    An even number of them before a moment: it is online then.
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
        # Spans without memory: the first one needs no rule of its own.
        mean_ms = spec.burst_ms if is_offline else spec.burst_ms * (1 - share) / share
        after_ms += dice.expovariate(1 / mean_ms)
        times.append(spec.begin_ms + int(after_ms))
        is_offline = not is_offline
    return times


def is_offline(times: Sequence[int], at_ms: int) -> bool:
    return bisect_right(times, at_ms) % 2 == 1


def offline_until(spec: Spec, times: Sequence[int], at_ms: int) -> int | None:
    """When a node that is offline at that moment is back; None: it is online."""
    if not is_offline(times, at_ms):
        return None
    back = bisect_right(times, at_ms)
    return times[back] if back < len(times) else spec.until_ms


def awake_at(interruption: Interruption | None, at_ms: int) -> int:
    """When a node takes what would reach it at `at_ms`: when its app runs.

    A client that is killed loses what came in the moments before. How much is chance that no seed
    decides, so nothing comes then: the truth must be known.
    """
    if interruption is None or not interruption.is_down:
        return at_ms
    asleep_ms = interruption.from_ms - _BEFORE_A_CRASH_MS
    if not asleep_ms <= at_ms < interruption.to_ms:
        return at_ms
    return interruption.to_ms + 1 + (at_ms - asleep_ms) // 100  # in the order they came
