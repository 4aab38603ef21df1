"""The oracle's holes: spans of event time for which reports of an installation are missing."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle.samples import Lost, Numbers

Hole = tuple[int, int]
"""An open interval of sentAt"""


def holes(numbers: Numbers, lost: Iterable[Lost] = ()) -> list[Hole]:
    """The holes of one installation, found number by number.

    An island is a stretch of numbers that all arrived. An island without an accepted sample has no
    time and is skipped, so the hole goes from the island before it to the island after it.

    Numbers that are reported as lost make a hole over the reported times, both included, unless all
    of them arrived. Between two islands there is a hole only if further numbers are missing.
    """
    said = list(lost)
    found = [
        (one.first_sent_at - 1, one.last_sent_at + 1)
        for one in said
        if any(n not in numbers for n in range(one.first_sequence, one.last_sequence + 1))
    ]
    accounted = numbers.keys() | {
        n for one in said for n in range(one.first_sequence, one.last_sequence + 1)
    }
    dated = [(number, at) for number, at in sorted(numbers.items()) if at is not None]
    for (before, earlier), (behind, later) in pairwise(dated):
        if any(number not in accounted for number in range(before, behind)):
            found.append((min(earlier, later), max(earlier, later)))
    return found
