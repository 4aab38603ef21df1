"""The answers with figures, for OpenAPI: docs/protocol.md, "Reliability as JSON".

The fields of stored figures come from the one list of them (results/columns.py).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, create_model

from devtelemetry.api.parameters import Strict
from devtelemetry.model import DELAY_CLASSES, Dimension, MembershipPolicy, WindowState
from devtelemetry.results.columns import (
    APART,
    COUNTS,
    OF_RECEIVERS,
    RELIABILITY,
    SAMPLED,
    UNSEEN,
    Column,
)
from devtelemetry.words import DIMENSIONS

_Model = TypeVar("_Model", bound=BaseModel)
_TYPES = {"bigint": int, "double precision": float | None}


def _with_fields(fields: Mapping[str, Any]) -> Callable[[type[_Model]], type[_Model]]:
    """The model with these fields after its own."""

    def extended(model: type[_Model]) -> type[_Model]:
        return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)

    return extended


def _with_fields_of(columns: Iterable[Column]) -> Callable[[type[_Model]], type[_Model]]:
    """The model with one more field for each of these columns, after its own fields."""
    return _with_fields(
        {
            column.json: (_TYPES[column.type], Field(description=column.meaning))
            for column in columns
            if column.json
        }
    )


def _with_dimensions(description: str) -> Callable[[type[_Model]], type[_Model]]:
    """The model with one more field for each dimension, of which an answer has the one of `by`.

    description  with {} in the place of the dimension
    """
    return _with_fields(
        {
            dimension.value: (
                str | None,
                Field(None, description=description.format(DIMENSIONS[dimension])),
            )
            for dimension in Dimension
        }
    )


@_with_fields_of(COUNTS)
class _Ratios(Strict):
    reliability: float | None = Field(description=RELIABILITY.meaning)
    delivery_ratio: float | None = Field(
        description="1 − missing / corroborated, the headline. It is unbiased if losses are "
        "independent. For a window it is computed from the sums over its comparable channels."
    )
    delivery_ratio_lower: float | None = Field(
        description="Lower bound of its 95 % interval. The interval allows for losses that belong "
        "together, in one receiver or one channel. Null if there are fewer than 10 of these."
    )
    delivery_ratio_upper: float | None = Field(description="Upper bound of the same interval.")


class _Figures(_Ratios):
    """Counts, and the figures derived from them."""

    not_arrived: int = Field(
        description="Missing pairs without a report of what became of the message."
    )
    on_time: dict[Literal["1m", "10m", "1h"], float | None] = Field(
        description="The share of all deliveries made within this time; null if no delay is known."
    )
    delay_ms: dict[Literal["p50", "p90", "p99"], int | Literal["not reached"] | None] = Field(
        description="The time in ms within which 50, 90 or 99 % of all deliveries were made: the "
        "upper edge of a class of delay. `not reached` if a smaller share was made at all."
    )


class ReasonFigures(Strict):
    """Why pairs are missing."""

    of: Literal["unreadable", "dropped", "not_sent", "not_arrived"] | None = Field(
        alias="class",
        description="What became of the messages; null in the last entry, for other reasons.",
    )
    reason: str | None = Field(
        description="The app's own code, for `not_sent` that of the author's app; empty if it gave "
        "none; null in the last entry."
    )
    pairs: int


@_with_fields_of((*OF_RECEIVERS, *APART, *SAMPLED, *UNSEEN))
class _FiguresOfMany(_Figures):
    """Figures that only windows and channels have."""

    reasons: list[ReasonFigures] = Field(
        description="Why pairs are missing: the 20 most frequent reasons. The last entry puts "
        "together reasons that are rarer or concern too few receivers."
    )


class ChannelFigures(_FiguresOfMany):
    channel_id: str = Field(description="The channel, as clients name it.")
    comparable: bool = Field(
        description="Whether at least two receivers count and something was expected of them. "
        "Only then the channel has ratios and is in the window's figures."
    )


_DelayCounts = Annotated[list[int], Field(min_length=DELAY_CLASSES, max_length=DELAY_CLASSES)]


class DelayFigures(Strict):
    """Delivered pairs by class of delay: unknown; below −1 s; up to 1 s, 2 s, 5 s, 10 s, 30 s,
    1 min, 5 min, 10 min, 30 min, 1 h, 6 h, 24 h; longer. You may add them up over windows and
    groups."""

    delivery: _DelayCounts = Field(
        description="From sending the message to receiving it, if the receiver reports when."
    )
    report: _DelayCounts = Field(
        description="For all other pairs: from sending the message to its report."
    )


@_with_dimensions("The {} of the group that this one is compared with.")
class VerdictFigures(Strict):
    """A group compared with another group, by the interval of the difference of their ratios."""

    verdict: Literal["better", "worse", "cannot tell"]
    difference: float = Field(description="This group's delivery ratio less the other group's.")
    difference_lower: float = Field(description="Lower bound of its 95 % interval.")
    difference_upper: float = Field(description="Upper bound of the same interval.")


@_with_dimensions("The {}; empty if it was not reported.")
class GroupFigures(_Figures):
    """Only the field of the dimension in `by` is there. It is null for groups with too few
    receivers to show, which are put together."""

    delays: DelayFigures
    versus: VerdictFigures | None = Field(
        description="The comparison with the group named in `versus`, or with the group that has "
        "the most pairs. Null for that group itself, and if one of the two has no interval."
    )


class WindowFigures(_FiguresOfMany):
    start: datetime = Field(
        description="Start of the window, inclusive. A message belongs to the window in which it "
        "was sent."
    )
    end: datetime = Field(description="End of the window, exclusive.")
    membership: MembershipPolicy = Field(
        description="The membership policy, which says which receivers count."
    )
    state: WindowState = Field(description="`provisional` until the last computation.")
    revision: int = Field(description="How often figures of the window have changed, from 1.")
    computed_at: datetime = Field(description="When the window was last computed.")
    delays: DelayFigures
    channels: list[ChannelFigures] = Field(
        description="Channels with a message and a receiver that counts, by channel_id."
    )
    groups: list[GroupFigures] | None = Field(
        None,
        description="Only with `by`: the groups of the window or, with `channel`, of the channel. "
        "Their counts add up to its counts, except messages and, by message_type, receivers.",
    )


class ReliabilityDocument(Strict):
    """Windows of one timeframe, oldest first, then by membership policy."""

    timeframe: str = Field(examples=["1h"])
    until: datetime | None = Field(
        description="End of the latest window of all, also if it is not in this answer; null if "
        "there is no window."
    )
    earlier: int = Field(
        description="How many windows lie before these, if you asked without `from`; else 0."
    )
    next: datetime | None = Field(description="`from` of the next page; null on the last page.")
    windows: list[WindowFigures]
