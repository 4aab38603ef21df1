"""Repeatable chance. Pure."""

import random
from collections.abc import Sequence

from devtelemetry.simulator.loss import Trait
from devtelemetry.simulator.spec import Spec


def dice_of(spec: Spec, part: str) -> random.Random:
    return random.Random(f"{spec.seed} {part}")  # noqa: S311 - chance that can be repeated


def choose(shares: Sequence[Trait], dice: random.Random) -> str:
    (chosen,) = dice.choices(shares, [share.weight for share in shares])
    return chosen.name


def pick(shares: Sequence[Trait], luck: float) -> str:
    """The trait that a number in [0, 1) selects, by weight."""
    left = luck * sum(share.weight for share in shares)
    for share in shares:
        left -= share.weight
        if left < 0:
            return share.name
    return shares[-1].name
