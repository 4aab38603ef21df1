"""Sums of counts. Pure."""

import operator
from collections.abc import Iterable

from devtelemetry.model import NO_COUNTS, Counts
from devtelemetry.results.columns import COUNTS, Adds

_values = operator.attrgetter(*(column.name for column in COUNTS))
_ADD = tuple(max if column.adds is Adds.GREATEST else operator.add for column in COUNTS)


def sum_of_channels(channels: Iterable[Counts]) -> Counts:
    """The counts of several channels of one window: every count is a sum."""
    return Counts(*map(sum, zip(_values(NO_COUNTS), *map(_values, channels), strict=True)))


def sum_of_windows(a: Counts, b: Counts) -> Counts:
    """The counts of two windows together: each is combined as the list of columns says."""
    return Counts(*map(operator.call, _ADD, _values(a), _values(b)))
