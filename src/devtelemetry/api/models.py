"""The answers with figures, for OpenAPI: docs/protocol.md, "Reliability as JSON".

The fields of stored figures come from the one list of them (results/columns.py).
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, create_model

from devtelemetry.api.parameters import Strict
from devtelemetry.model import DELAY_CLASSES, MembershipPolicy, WindowState
from devtelemetry.results.columns import (
    APART,
    COUNTS,
    OF_RECEIVERS,
    RELIABILITY,
    SAMPLED,
    UNSEEN,
    Column,
)

_Model = TypeVar("_Model", bound=BaseModel)
_TYPES = {"bigint": int, "double precision": float | None}


def _with_fields_of(columns: Iterable[Column]) -> Callable[[type[_Model]], type[_Model]]:
    """The model with one more field for each of these columns, after its own fields."""

    def extended(model: type[_Model]) -> type[_Model]:
        fields: dict[str, Any] = {
            column.json: (_TYPES[column.type], Field(description=column.meaning))
            for column in columns
            if column.json
        }
        return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)

    return extended


@_with_fields_of(COUNTS)
class _Ratios(Strict):
    reliability: float | None = Field(description=RELIABILITY.meaning)
    delivery_ratio: float | None = Field(
        description="1 − missing / corroborated: unbiased where losses are independent. Of a "
        "window the sums over its comparable channels: the headline."
    )
    delivery_ratio_lower: float | None = Field(
        description="Of its 95 % interval, which takes losses of a receiver, and in a channel, to "
        "belong together; null: fewer than 10 of them, too few to say."
    )
    delivery_ratio_upper: float | None = Field(description="Of the same interval.")


class _Figures(_Ratios):
    """Counts, and the figures derived from them."""

    not_arrived: int = Field(
        description="Those of `missing` of which nobody said anything: the rest of them."
    )
    on_time: dict[Literal["1m", "10m", "1h"], float | None] = Field(
        description="Delivery ratio within so long; null where no delay is known."
    )
    delay_ms: dict[Literal["p50", "p90", "p99"], int | Literal["not reached"] | None] = Field(
        description="Within how many ms this share of what should have been delivered was; the "
        "upper edge of its class. `not reached` if fewer were delivered at all."
    )


class ReasonFigures(Strict):
    """Why pairs are missing."""

    of: Literal["unreadable", "dropped", "not_sent", "not_arrived"] | None = Field(
        alias="class", description="What became of them; null, and the reason: the rest."
    )
    reason: str | None = Field(
        description="The code that the app gave; empty: none. Of `not_sent` the author's app."
    )
    pairs: int


@_with_fields_of((*OF_RECEIVERS, *APART, *SAMPLED, *UNSEEN))
class _FiguresOfMany(_Figures):
    """Figures that only windows and channels have."""

    reasons: list[ReasonFigures] = Field(
        description="Why pairs are missing: the 20 most frequent reasons. Those that are rarer or "
        "concern few receivers are put together as the last one."
    )


class ChannelFigures(_FiguresOfMany):
    channel_id: str = Field(description="The channel, as clients name it.")
    comparable: bool = Field(
        description="At least two receivers count and something was expected of them; else the "
        "channel has no ratio and takes no part in the window's."
    )


_DelayCounts = Annotated[list[int], Field(min_length=DELAY_CLASSES, max_length=DELAY_CLASSES)]


class DelayFigures(Strict):
    """Delivered pairs by class of delay: unknown; below −1 s; up to 1 s, 2 s, 5 s, 10 s, 30 s,
    1 min, 5 min, 10 min, 30 min, 1 h, 6 h, 24 h; longer. You may add them up over windows and
    groups."""

    delivery: _DelayCounts = Field(
        description="From sentAt to when the receiver got it, where it says so."
    )
    report: _DelayCounts = Field(
        description="Of the other pairs: from sentAt to when the report came."
    )


class VerdictFigures(Strict):
    """A group compared with another group, by the interval of the difference of their ratios."""

    platform: str | None = Field(None, description="The group that it is held against.")
    app_version: str | None = Field(None, description="The same.")
    message_type: str | None = Field(None, description="The same.")
    verdict: Literal["better", "worse", "cannot tell"]
    difference: float
    difference_lower: float = Field(description="Of the 95 % interval.")
    difference_upper: float


class GroupFigures(_Figures):
    """Only the field of the dimension in `by` is there. It is null for groups with too few
    receivers to show, which are put together."""

    platform: str | None = Field(None, description="As receivers say; empty: they never said.")
    app_version: str | None = Field(None, description="The same.")
    message_type: str | None = Field(None, description="The same, of the message.")
    delays: DelayFigures
    versus: VerdictFigures | None = Field(
        description="Beside the group of `versus`, or the one with the most pairs; null for that "
        "one itself, and where an interval is missing."
    )


class WindowFigures(_FiguresOfMany):
    start: datetime = Field(description="By when messages were sent; inclusive.")
    end: datetime = Field(description="Exclusive.")
    membership: MembershipPolicy = Field(description="Which receivers count.")
    state: WindowState = Field(description="`provisional` until its last computation.")
    revision: int = Field(description="From 1; up by one when a figure changed.")
    computed_at: datetime = Field(description="When it was computed last.")
    delays: DelayFigures
    channels: list[ChannelFigures] = Field(
        description="Those with a message and a receiver that counts, by channel_id."
    )
    groups: list[GroupFigures] | None = Field(
        None,
        description="Only with `by`: what the window, or the channel, is broken down to. Counts "
        "add up to its own, but for messages and, by message_type, receivers.",
    )


class ReliabilityDocument(Strict):
    """Windows of one timeframe, oldest first, then by membership policy."""

    timeframe: str = Field(examples=["1h"])
    until: datetime | None = Field(
        description="Where the latest window ends, asked for or not; null: there is none."
    )
    earlier: int = Field(description="Windows before these, where no `from` is asked for.")
    next: datetime | None = Field(
        description="`from` of what comes after these; null: that is all."
    )
    windows: list[WindowFigures]
