"""The oracle's breakdowns: groups of pairs by one dimension or two, and reasons of losses.

How the page is read where it leaves a choice:

- *Values that sort last* are sorted by code point.
- *Whom a value concerns*: the receivers of a channel for which some message of M has the value, and
  the authors of those messages. A group has the messages that have its value for any receiver of
  the channel.
- *path* is empty if the author or the receiver did not report its server.
- *Dimensions of authors* need the author: `path` is one, and so is a table that has one of them.
- *Authors that do not report* are one cluster. A group with messages of theirs has enough authors,
  because nothing is told about them. All other groups need the least number of authors.
- *The group that joins* those that are too small together is the one with the fewest receivers,
  whatever the dimension.
- *Reasons* after the 20 most frequent, and reasons that concern too few receivers, are put together
  without class and reason. Of equally frequent reasons the least (class, reason) comes first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from oracle.figures import (
    Delays,
    MissingClass,
    Pair,
    PairCounts,
    Spread,
    Traits,
    count_pairs,
    delays,
    over_channels,
    spread,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from oracle.messages import Described
    from oracle.samples import Receiver
    from oracle.window import OracleChannel

ReceiverDimension = Literal["platform", "app_version", "message_type"]
AuthorDimension = Literal["author_platform", "author_app_version", "path"]
Dimension = ReceiverDimension | AuthorDimension
DIMENSIONS: tuple[ReceiverDimension, ...] = ("platform", "app_version", "message_type")
AUTHOR_DIMENSIONS: tuple[AuthorDimension, ...] = ("author_platform", "author_app_version", "path")

Two = tuple[str, str]
V = TypeVar("V", str, Two)

MOST_REASONS = 20


@dataclass(frozen=True)
class OracleGroup:
    """The counts of one value of a dimension, or of several that are put together."""

    messages: int
    receivers: int
    counts: PairCounts
    over_channels: Spread
    over_receivers: Spread
    """over authors in a dimension of authors"""
    over_memberships: Spread
    """over authors in a channel, in a dimension of authors"""
    delays: Delays

    @property
    def expected(self) -> int:
        return self.counts.expected

    @property
    def missing(self) -> int:
        return self.counts.missing

    @property
    def corroborated(self) -> int:
        return self.counts.corroborated

    @property
    def unknown(self) -> int:
        return self.counts.unknown


Groups = dict[str | None, OracleGroup]
"""Groups by value; None: the groups that are too small, put together"""

Table = dict[Two | None, OracleGroup]
"""The same, by the values of two dimensions"""


def value(dimension: Dimension, message: Traits, said: Described) -> str:
    """The value that a dimension has for a message and a receiver that reported `said`."""
    author = message.author_said
    match dimension:
        case "message_type":
            return message.message_type
        case "platform":
            return said.platform
        case "app_version":
            return said.app_version
        case "author_platform":
            return author.platform
        case "author_app_version":
            return author.app_version
        case "path":
            both = author.server and said.server
            return f"{author.server} → {said.server}" if both else ""


def groups(channels: Sequence[OracleChannel], dimension: Dimension, smallest: int) -> Groups:
    """The groups of these channels together.

    Each group but None has at least `smallest` receivers and, in a dimension of authors, as many
    authors.
    """
    return _grouped(
        channels,
        lambda message, said: value(dimension, message, said),
        smallest,
        by_author=dimension in AUTHOR_DIMENSIONS,
    )


def table(
    channels: Sequence[OracleChannel], dimensions: tuple[Dimension, Dimension], smallest: int
) -> Table:
    """The same, by two dimensions at once."""
    rows, columns = dimensions
    return _grouped(
        channels,
        lambda message, said: (value(rows, message, said), value(columns, message, said)),
        smallest,
        by_author=bool({rows, columns} & set(AUTHOR_DIMENSIONS)),
    )


def _grouped(
    channels: Sequence[OracleChannel],
    value_of: Callable[[Traits, Described], V],
    smallest: int,
    *,
    by_author: bool,
) -> dict[V | None, OracleGroup]:
    # The receivers and authors that a value concerns.
    receivers: defaultdict[V, set[Receiver]] = defaultdict(set)
    authors: defaultdict[V, set[Receiver | None]] = defaultdict(set)
    for channel in channels:
        for message in channel.believed:
            for receiver, said in channel.members.items():
                found_value = value_of(message.traits, said)
                receivers[found_value].add(receiver)
                authors[found_value].add(message.traits.author)

    def too_few(values: set[V]) -> bool:
        writing = set().union(*(authors[one] for one in values))
        return (by_author and None not in writing and len(writing) < smallest) or _number(
            values, receivers
        ) < smallest

    shown_values, together = _put_together(receivers, too_few)
    values: list[tuple[V | None, set[V]]] = [(one, {one}) for one in shown_values]
    if together:
        values.append((None, together))
    return {
        shown_as: _group(channels, value_of, of_group, by_author=by_author)
        for shown_as, of_group in values
    }


def _number(values: Iterable[V], receivers: Mapping[V, set[Receiver]]) -> int:
    return len(set().union(*(receivers[one] for one in values)))


def _put_together(
    receivers: Mapping[V, set[Receiver]],
    too_few: Callable[[set[V]], bool],
    together: Iterable[V] = (),
) -> tuple[set[V], set[V]]:
    """The values that are shown, and those that are hidden, so that no subtraction shows a person.

    together  values that are hidden in any case
    """
    hidden = set(together) | {one for one in receivers if too_few({one})}
    shown = receivers.keys() - hidden
    while hidden and shown and too_few(hidden):
        fewest = min(len(receivers[one]) for one in shown)
        joins = max(one for one in shown if len(receivers[one]) == fewest)
        shown.remove(joins)
        hidden.add(joins)
    return shown, hidden


def _group(
    channels: Sequence[OracleChannel],
    value_of: Callable[[Traits, Described], V],
    of_group: set[V],
    *,
    by_author: bool,
) -> OracleGroup:
    messages = receivers = 0
    pairs: list[Pair] = []
    for channel in channels:
        members = channel.members.values()
        messages += sum(
            any(value_of(message.traits, said) in of_group for said in members)
            for message in channel.believed
        )
        receivers += sum(
            any(value_of(message.traits, said) in of_group for message in channel.believed)
            for said in members
        )
        pairs += [pair for pair in channel.pairs if value_of(pair.message, pair.said) in of_group]

    def cluster(pair: Pair) -> Receiver | None:
        return pair.message.author if by_author else pair.receiver

    return OracleGroup(
        messages,
        receivers,
        count_pairs(pairs),
        over_channels(pairs),
        spread(pairs, cluster),
        spread(pairs, lambda pair: (pair.channel_id, cluster(pair))),
        delays(pairs),
    )


# Reasons


class Reason(NamedTuple):
    """How many pairs are missing for a reason; without class and reason: all hidden reasons."""

    missing: MissingClass | None
    reason: str | None
    pairs: int


def reasons(pairs: Iterable[Pair], smallest: int) -> list[Reason]:
    """Why pairs are missing: the most frequent reason first, the hidden ones last."""
    number: defaultdict[Two, int] = defaultdict(int)
    receivers: defaultdict[Two, set[Receiver]] = defaultdict(set)
    classes: dict[Two, MissingClass] = {}
    for pair in pairs:
        if pair.missing is not None:
            key = (pair.missing, pair.reason)
            number[key] += 1
            receivers[key].add(pair.receiver)
            classes[key] = pair.missing
    by_frequency = sorted(number, key=lambda key: (-number[key], key))
    shown, hidden = _put_together(
        receivers,
        lambda values: _number(values, receivers) < smallest,
        by_frequency[MOST_REASONS:],
    )
    found = [Reason(classes[key], key[1], number[key]) for key in by_frequency if key in shown]
    if hidden:
        found.append(Reason(None, None, sum(number[key] for key in hidden)))
    return found
