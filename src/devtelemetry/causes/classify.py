"""A pattern for each missing pair, and the runs of losses of each receiver. Pure.

A receiver's sequence has one byte for each message of the channel: what is known of the pair. The
messages are in the order in which they were sent (sentAt, then id). Source: docs/causes.md; RFC
3357 for loss periods and distances.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import add
from typing import NamedTuple

BURST_MESSAGES = 3
"""A run of losses is a burst if it has at least this many messages that others got."""

NOT_EXPECTED, UNKNOWN, HELD, MISSING = b".?+-"


class LossPattern(StrEnum):
    """The pattern of a missing pair: the first of these that fits."""

    EVERYONE = "lost_by_everyone"  # nobody but its author holds the message
    BURST = "burst"  # in a run of messages that others got: was the receiver offline?
    ONE = "lost_by_one"  # of all receivers that should hold the message, only this one lacks it
    SCATTERED = "scattered"  # several receivers lack the message, and others hold it


LETTERS: Mapping[LossPattern, int] = dict(zip(LossPattern, b"ebos", strict=True))
"""The byte of a missing pair in a sequence once it has its pattern."""

PATTERN_OF: Mapping[int, LossPattern] = {letter: of for of, letter in LETTERS.items()}

_EVERYONE, _BURST, _ONE, _SCATTERED = LETTERS.values()
# From a loss to the last loss before a held message. Unknown and not expected messages between
# losses do not end a run.
_RUN = re.compile(rb"[ebos](?:[ebos.?]*[ebos])?")
_SAYS_NOTHING = bytes((NOT_EXPECTED, UNKNOWN))
_MOST_ROWS = 255  # rows of ones and zeros whose sums fit a byte
# In a hole, expected pairs become unknown.
_HIDDEN = bytes.maketrans(bytes((HELD, MISSING)), bytes((UNKNOWN, UNKNOWN)))


class Run(NamedTuple):
    """A loss period of RFC 3357: losses of a receiver without a held message between them.

    first, last  positions of the first and the last lost message
    length       number of lost messages, without unknown and not expected ones between them
    of_others    number of these lost messages that somebody holds
    """

    first: int
    last: int
    length: int
    of_others: int


class LossPeriods(NamedTuple):
    """The loss periods of one receiver, in the terms of RFC 3357. Held and missing messages take
    the place of packets. None: there are too few losses for that figure.

    periods                how many loss periods (Loss-Period-Total)
    mean_length            mean number of lost messages in a period (Loss-Period-Lengths)
    max_length             the same for the longest period
    mean_distance          mean distance from one loss to the next (Loss-Distance-Stream); 1: the
                           very next message is lost too
    mean_between           mean distance from the last loss of a period to the first of the next one
                           (Inter-Loss-Period-Lengths); at least 2
    min_between            the least of these distances
    """

    periods: int
    mean_length: float | None
    max_length: int
    mean_distance: float | None
    mean_between: float | None
    min_between: int | None


NO_LOSSES = LossPeriods(0, None, 0, None, None, None)


class Pairs(NamedTuple):
    """Counts of the pairs of one message, or of one receiver.

    expected  held and missing pairs; `unknown` pairs are not in it
    """

    expected: int
    missing: int
    unknown: int

    @property
    def held(self) -> int:
        return self.expected - self.missing


@dataclass(frozen=True, slots=True)
class Classified:
    """sequences    in the order given, with each missing pair as its pattern's byte (LETTERS)
    of_messages  the counts of each message
    """

    sequences: Sequence[bytes]
    of_messages: Sequence[Pairs]


def sequence(
    times: Sequence[int],
    expected: Iterable[tuple[int | None, int | None]],
    *,
    holes: Iterable[tuple[int, int]],
    held: Iterable[int],
    own: Iterable[int],
    left_out: Iterable[int],
) -> bytes:
    """What is known of a receiver, message by message.

    times     sentAt of the messages, ascending
    expected  spans of sentAt in which the receiver should hold them, inclusive; None: no bound
    holes     spans [begin, end) of sentAt for which its reports are missing
    held      positions of the messages that it holds and did not write
    own       positions of the messages that it wrote
    left_out  positions of the messages that are not in M
    """
    found = bytearray(bytes((NOT_EXPECTED,)) * len(times))
    for begin, end in expected:
        first = 0 if begin is None else bisect_left(times, begin)
        after = len(times) if end is None else bisect_right(times, end)
        found[first:after] = bytes((MISSING,)) * (after - first)
    for position in held:
        if found[position] == MISSING:
            found[position] = HELD
    for hole_begin, hole_end in holes:
        hidden = slice(bisect_left(times, hole_begin), bisect_left(times, hole_end))
        found[hidden] = found[hidden].translate(_HIDDEN)
    for positions in (own, left_out):
        for position in positions:
            found[position] = NOT_EXPECTED
    return bytes(found)


def classify(
    sequences: Sequence[bytes], captures: Sequence[int], burst: int = BURST_MESSAGES
) -> Classified:
    """The pattern of each missing pair.

    sequences  of the receivers that count, all of the same length
    captures   for each message, how many receivers hold it and did not write it, whether they count
               or not
    burst      a run is a burst if it has at least this many messages that others got
    """
    assert burst >= 2, "one loss is no run"
    width = len(captures)
    missing = _count(sequences, MISSING, width)
    of_messages = [
        Pairs(held + lacking, lacking, unknown)
        for held, lacking, unknown in zip(
            _count(sequences, HELD, width), missing, _count(sequences, UNKNOWN, width), strict=True
        )
    ]
    # The pattern as far as the message alone decides it; bursts come later.
    letters = bytes(
        _EVERYONE if not captured else _ONE if lacking == 1 else _SCATTERED
        for captured, lacking in zip(captures, missing, strict=True)
    )
    return Classified([_classified(one, letters, burst) for one in sequences], of_messages)


def _classified(one: bytes, letters: bytes, burst: int) -> bytes:
    found = bytearray(one)
    position = one.find(MISSING)
    while position >= 0:
        found[position] = letters[position]
        position = one.find(MISSING, position + 1)
    for run in runs_of(found):
        if run.of_others >= burst:
            lost = slice(run.first, run.last + 1)
            found[lost] = found[lost].translate(_AS_BURST)
    return bytes(found)


_AS_BURST = bytes(_BURST if letter in (_ONE, _SCATTERED) else letter for letter in range(256))


def _count(sequences: Sequence[bytes], letter: int, width: int) -> list[int]:
    """How many sequences have the letter at each position.

    A row of ones and zeros is read as one long number. 255 such numbers add up without a carry. So
    thousands of receivers cost a few additions of long numbers, not a loop over all pairs.
    """
    ones = bytes(value == letter for value in range(256))
    totals = [0] * width
    for begin in range(0, len(sequences), _MOST_ROWS):
        rows = sequences[begin : begin + _MOST_ROWS]
        block = sum(int.from_bytes(row.translate(ones), "little") for row in rows)
        totals = list(map(add, totals, block.to_bytes(width, "little")))
    return totals


def runs_of(one: bytes | bytearray) -> list[Run]:
    """The runs of a sequence whose missing pairs have their patterns, oldest first."""
    runs = []
    for match in _RUN.finditer(one):
        lost = match[0].translate(None, _SAYS_NOTHING)
        runs.append(
            Run(match.start(), match.end() - 1, len(lost), len(lost) - lost.count(_EVERYONE))
        )
    return runs


def pairs_of(one: bytes) -> Pairs:
    """The counts of a classified sequence."""
    missing = sum(pattern_counts([one]).values())
    return Pairs(one.count(HELD) + missing, missing, one.count(UNKNOWN))


def pattern_counts(sequences: Iterable[bytes]) -> dict[LossPattern, int]:
    """Missing pairs by pattern; they add up to all missing pairs."""
    counts = dict.fromkeys(LossPattern, 0)
    for one in sequences:
        for of, letter in LETTERS.items():
            counts[of] += one.count(letter)
    return counts


def loss_periods(one: bytes) -> LossPeriods:
    """The loss periods of a classified sequence."""
    said = one.translate(None, _SAYS_NOTHING)
    spans = [match.span() for match in _RUN.finditer(said)]
    if not spans:
        return NO_LOSSES
    lengths = [end - begin for begin, end in spans]
    lost = sum(lengths)
    between = array("q", (begin - (end - 1) for (_, end), (begin, _) in pairwise(spans)))
    return LossPeriods(
        periods=len(spans),
        mean_length=lost / len(spans),
        max_length=max(lengths),
        mean_distance=(spans[-1][1] - 1 - spans[0][0]) / (lost - 1) if lost > 1 else None,
        mean_between=sum(between) / len(between) if between else None,
        min_between=min(between, default=None),
    )
