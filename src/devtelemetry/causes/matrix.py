"""Which receivers lack which messages, as rows and columns. Pure.

A burst shows as a stretch of a row, and a message that everyone lost as a column.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from devtelemetry.causes.classify import HELD, PATTERN_OF, UNKNOWN
from devtelemetry.causes.found import LossyReceiver, MissingMessage, Receiver
from devtelemetry.causes.read import DrillDown
from devtelemetry.model import LossClass

MOST_COLUMNS = 60  # messages: as many as a screen has room for
MOST_ROWS = 40  # receivers


class Other(StrEnum):
    """The states of pairs that are not missing."""

    HELD = "held"
    UNKNOWN = "unknown"
    NOT_EXPECTED = "not_expected"


State = LossClass | Other


@dataclass(frozen=True, slots=True)
class Matrix:
    """rows   each receiver with its state for each message, in the order of sending
    messages_left_out   how many more messages some receiver lacks
    receivers_left_out  how many more receivers lack messages
    """

    messages: Sequence[MissingMessage]
    rows: Sequence[tuple[LossyReceiver, Sequence[State]]]
    messages_left_out: int
    receivers_left_out: int


def lossy(
    found: DrillDown, wanted: Callable[[Receiver], bool]
) -> tuple[Sequence[LossyReceiver], Sequence[int]]:
    """The wanted receivers that lack messages, those that lack most first; and the positions of
    these messages, those that most of these receivers lack first.

    If `wanted` selects only some receivers, messages that nobody holds come last, because they say
    nothing about these receivers.
    """
    every = found.lossy_receivers()
    receivers = [one for one in every if wanted(one.receiver)]
    lacking = Counter(lost.start() for one in receivers for lost in _LOST.finditer(one.sequence))
    are_some = len(receivers) < len(every)
    held = found.captures
    return receivers, sorted(lacking, key=lambda at: (are_some and not held[at], -lacking[at], at))


_LOST = re.compile(b"[%s]" % bytes(PATTERN_OF))


def matrix_of(
    receivers: Sequence[LossyReceiver],
    positions: Sequence[int],
    messages: Sequence[MissingMessage],
) -> Matrix:
    """receivers, positions  from `lossy`
    messages              the messages at the first positions
    """
    columns = sorted(zip(positions[:MOST_COLUMNS], messages, strict=False), key=lambda one: one[0])
    classes = [
        {one.receiver.receiver_id: one.loss_class for one in message.lacking}
        for _, message in columns
    ]
    rows = []
    for lossy_receiver in receivers[:MOST_ROWS]:
        own = lossy_receiver.receiver.receiver_id
        rows.append(
            (
                lossy_receiver,
                [
                    _state(lossy_receiver.sequence[position], lost.get(own))
                    for (position, _), lost in zip(columns, classes, strict=True)
                ],
            )
        )
    return Matrix(
        [message for _, message in columns],
        rows,
        len(positions) - len(columns),
        len(receivers) - len(rows),
    )


def _state(letter: int, lost: LossClass | None) -> State:
    if lost is not None:
        return lost
    if letter == HELD:
        return Other.HELD
    return Other.UNKNOWN if letter == UNKNOWN else Other.NOT_EXPECTED
