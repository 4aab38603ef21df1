"""What a process remembers, so that it need not look it up again: the newest of it, and no more
than has room."""

import weakref
from collections.abc import Mapping
from itertools import islice
from typing import Any, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

ENTRIES = 250_000  # of all kinds together: 70 MiB (docs/flow.md)
LONGEST = 200  # characters of a text that is remembered; no honest id that we know is longer


class Memory:
    """The room that all kinds share, so that the one that is used most may have most of it."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self.entries = entries
        self._kinds: list[weakref.ref[Recent[Any, Any]]] = []

    def add(self, kind: "Recent[Any, Any]") -> None:
        self._kinds.append(weakref.ref(kind, self._kinds.remove))

    def kinds(self) -> "list[Recent[Any, Any]]":
        return [kind for one in self._kinds if (kind := one()) is not None]

    def make_room(self) -> None:
        """Halves the largest kinds until all have room. When nobody relies on what is there."""
        kinds = self.kinds()
        while sum(map(len, kinds)) > self.entries:
            max(kinds, key=len).halve()


class Recent(dict[_K, _V]):
    """One kind of it. Keeps the newer half of it where it must give.

    Not one less for each new one: a dict that does so skips over every slot it has deleted to find
    its oldest, and is made anew again and again at several times the size that it needs, which
    leaves holes of that size in the memory of the process.
    """

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self._memory = memory
        memory.add(self)

    def remember(self, rows: Mapping[_K, _V]) -> None:
        """No other kind gives for it before `make_room`."""
        self.update(rows)
        while len(self) > self._memory.entries:
            self.halve()

    def halve(self) -> None:
        """Forgets the older half."""
        newest = dict(islice(self.items(), -(-len(self) // 2), None))
        self.clear()
        self.update(newest)
