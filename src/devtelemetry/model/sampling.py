"""Rules of sampling: how many messages clients report. Source: docs/algorithm.md, "A sample is
enough"."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Change(NamedTuple):
    """From this moment of event time on, clients report one message in `one_in`.

    from_ms  Unix ms, of sentAt
    one_in   a power of two; 1: all messages
    """

    from_ms: int
    one_in: int


@dataclass(frozen=True)
class Sampling:
    """All rules, past and future, for which samples are kept.

    salt         of the deployment: with it clients decide which messages are in the sample
    of_all       rules of every channel that has no rule of its own, ascending
    of_channels  a channel's own rules by channel_id, ascending; `of_all` holds until the first
    """

    salt: bytes = b""
    of_all: Sequence[Change] = ()
    of_channels: Mapping[int, Sequence[Change]] = field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether there are or were any rules."""
        return bool(self.of_all or self.of_channels)

    def changes(self, channel_id: int) -> Sequence[Change]:
        """The rules that hold in a channel, ascending."""
        own = self.of_channels.get(channel_id)
        if not own:
            return self.of_all
        return [*(one for one in self.of_all if one.from_ms < own[0].from_ms), *own]

    def one_in(self, channel_id: int, sent_at: int) -> int:
        """The rate for messages that are sent at this moment: one in so many."""
        return _at(self.changes(channel_id), sent_at)

    def coarsest(self, channel_id: int, start_ms: int, end_ms: int) -> int:
        """The greatest `one_in` of a channel within the span, which is half-open."""
        changes = self.changes(channel_id)
        within = (one.one_in for one in changes if start_ms < one.from_ms < end_ms)
        return max((_at(changes, start_ms), *within))

    def is_steady(self, start_ms: int, end_ms: int) -> bool:
        """Whether no rule changes within the span. Then all its stored samples are wanted."""
        every = [self.of_all, *self.of_channels.values()]
        return not any(start_ms < one.from_ms < end_ms for changes in every for one in changes)

    def finer_since(self, channel_id: int, one_in: int, sent_at: int) -> int | None:
        """Since when more is wanted than one message in `one_in`; None: at `sent_at` it is not."""
        since: int | None = 0  # before the first rule, all messages were wanted
        for change in self.changes(channel_id):
            if change.from_ms > sent_at:
                break
            if change.one_in >= one_in:
                since = None
            elif since is None:
                since = change.from_ms
        return since if one_in > 1 else None


def _at(changes: Sequence[Change], sent_at: int) -> int:
    place = bisect_right(changes, sent_at, key=lambda one: one.from_ms)
    return changes[place - 1].one_in if place else 1
