"""What a process remembers so that it need not look it up again, in bounded memory: the newest
entries stay."""

import weakref
from collections.abc import Mapping
from itertools import islice
from typing import Any, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

ENTRIES = 250_000  # of all kinds together: 70 MiB (docs/flow.md)
LONGEST = 200  # characters of a remembered text; we know of no honest id that is longer


class Memory:
    """The room that all kinds share. So the kind that is used most can have most of it."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self.entries = entries
        self._kinds: list[weakref.ref[Recent[Any, Any]]] = []

    def add(self, kind: "Recent[Any, Any]") -> None:
        self._kinds.append(weakref.ref(kind, self._kinds.remove))

    def kinds(self) -> "list[Recent[Any, Any]]":
        return [kind for one in self._kinds if (kind := one()) is not None]

    def make_room(self) -> None:
        """Halves the largest kind until all fit. Only while nobody relies on the entries."""
        kinds = self.kinds()
        while sum(map(len, kinds)) > self.entries:
            max(kinds, key=len).halve()


class Recent(dict[_K, _V]):
    """The entries of one kind. When there is no room, the older half goes.

    It does not delete the oldest entry for each new one. A dict that did would skip all its deleted
    slots to find the oldest entry, and would be rebuilt again and again at several times its size.
    That leaves holes in the memory of the process.
    """

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self._memory = memory
        memory.add(self)

    def remember(self, rows: Mapping[_K, _V]) -> None:
        """Adds rows. Other kinds lose nothing for it until `make_room`."""
        self.update(rows)
        while len(self) > self._memory.entries:
            self.halve()

    def halve(self) -> None:
        """Forgets the older half."""
        newest = dict(islice(self.items(), -(-len(self) // 2), None))
        self.clear()
        self.update(newest)
