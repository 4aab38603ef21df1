"""When a receiver was in a channel, by its reports of joining and leaving.

How the page is read where it leaves a choice:

- *Stays that overlap or touch* are merged when all reports are replayed, not before: until then
  each stay is known by its own beginning. To touch is to share a millisecond.
- *No stay at all*: at that moment of the replay there is none, or every one ends before it begins.
- *First receipt*: the least sentAt of the receiver's samples in the channel, with any outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle.samples import Joining

FIRST_OF_ALL = -(2**63)
END_OF_TIME = 2**63

Stay = tuple[int, int]
"""Both ends included; a stay that is not ended ends at END_OF_TIME"""


def stays(said: Iterable[Joining], first_receipt: int | None) -> list[Stay]:
    """The stays of one receiver in one channel, ascending, from all its reports.

    first_receipt  the least sentAt of its receipts there; None: it has none
    """
    ends: dict[int, int] = {}  # beginning of a stay → its end

    def is_any() -> bool:
        return any(begin <= end for begin, end in ends.items())

    reports = sorted((created_at, joined or 0, left or 0) for created_at, joined, left in said)
    for created_at, joined_at, left_at in reports:
        if joined_at:
            ends[joined_at] = left_at or END_OF_TIME
        elif left_at:
            if not is_any():
                ends[left_at if first_receipt is None else first_receipt] = left_at
            for begin, end in ends.items():
                if begin < left_at and end == END_OF_TIME:
                    ends[begin] = left_at
        elif not is_any():
            ends[FIRST_OF_ALL if first_receipt is None else first_receipt] = END_OF_TIME
        elif END_OF_TIME not in ends.values():
            ends[created_at] = END_OF_TIME

    merged: list[Stay] = []
    for begin, end in sorted(ends.items()):
        if end < begin:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
