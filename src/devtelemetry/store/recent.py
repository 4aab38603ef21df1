"""A dictionary that remembers the newest entries only, for what can be looked up again."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

ENTRIES = 200_000  # at ~150 to 250 bytes each, 30 to 50 MB when full


class Recent(OrderedDict[_K, _V]):
    """Forgets its oldest entry for each new one beyond ENTRIES, in constant time.

    Not a plain dict: finding the oldest entry of one skips over every slot deleted before.
    """

    def remember(self, rows: Mapping[_K, _V]) -> None:
        self.update(rows)
        while len(self) > ENTRIES:
            self.popitem(last=False)
