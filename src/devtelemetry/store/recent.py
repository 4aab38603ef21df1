"""A dictionary that remembers the newest entries only, for what can be looked up again."""

from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

ENTRIES = 200_000  # at ~150 to 250 bytes each, 30 to 50 MB when full


class Recent(dict[_K, _V]):
    """Keeps the newest half of ENTRIES whenever there are more than ENTRIES.

    Not one for each new one: a dict that does so skips over every slot it has deleted to find its
    oldest, and is made anew again and again at several times the size that it needs, which leaves
    holes of that size in the memory of the process.
    """

    def remember(self, rows: Mapping[_K, _V]) -> None:
        self.update(rows)
        if len(self) > ENTRIES:
            newest = dict(islice(self.items(), len(self) - ENTRIES // 2, None))
            self.clear()
            self.update(newest)
