"""The Prometheus series of a window: docs/protocol.md, "Prometheus series". Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.figures.derive import Totals, totals_of
from devtelemetry.model import Dimension, WindowReliability
from devtelemetry.words.names import GROUP_NOT_SAID, GROUP_OTHER


class Point(NamedTuple):
    name: str
    labels: Mapping[str, str]  # timeframe and state; of a part also platform, channel, class or way
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """label  the name of a further label, beside those of every series; empty if there is none"""

    name: str
    help: str
    label: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class _OfTotals(Series):
    value: Callable[[Totals], float | None]


@dataclass(frozen=True, slots=True)
class _Parts(Series):
    """A series for each part of a total; its label names the part."""

    values: Callable[[Totals], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class _OfWindow(Series):
    value: Callable[[WindowReliability], float | None]


_OF_TOTALS = (
    _OfTotals(
        "devtelemetry_delivery_ratio",
        "1 - missing / corroborated deliveries in the window.",
        lambda totals: totals.counts.delivery_ratio,
    ),
    _OfTotals(
        "devtelemetry_delivery_ratio_lower",
        "Lower bound of the 95 % interval of devtelemetry_delivery_ratio.",
        lambda totals: None if totals.interval is None else totals.interval.lower,
    ),
    _OfTotals(
        "devtelemetry_delivery_ratio_upper",
        "Upper bound of the 95 % interval of devtelemetry_delivery_ratio.",
        lambda totals: None if totals.interval is None else totals.interval.upper,
    ),
    _OfTotals(
        "devtelemetry_expected_deliveries",
        "Expected deliveries of the window: (message, receiver) pairs in which the receiver "
        "should hold the message.",
        lambda totals: totals.counts.expected,
    ),
    _OfTotals(
        "devtelemetry_missing_deliveries",
        "Expected deliveries without a receipt.",
        lambda totals: totals.counts.missing,
    ),
    _OfTotals(
        "devtelemetry_corroborated_deliveries",
        "Expected deliveries whose message another receiver holds or sent.",
        lambda totals: totals.counts.corroborated,
    ),
    _OfTotals(
        "devtelemetry_unknown_deliveries",
        "Pairs that cannot be judged, because reports of the receiver are missing.",
        lambda totals: totals.counts.unknown,
    ),
    _OfTotals(
        "devtelemetry_receivers",
        "Receivers that count, summed over the comparable channels.",
        lambda totals: totals.counts.receivers,
    ),
)

_PARTS = (
    _Parts(
        "devtelemetry_missing_deliveries_by_class",
        "devtelemetry_missing_deliveries by class of loss.",
        lambda totals: {of.value: number for of, number in totals.counts.losses.items()},
        label="class",
    ),
    _Parts(
        "devtelemetry_delivered_by_way",
        "Expected deliveries that were made, by how the message came.",
        lambda totals: {via.name.lower(): number for via, number in totals.counts.ways.items()},
        label="way",
    ),
)

_OF_WINDOW = (
    _OfWindow(
        "devtelemetry_reliability",
        "Mean over the comparable channels of 1 - missing / expected deliveries.",
        lambda window: window.reliability,
    ),
    _OfWindow(
        "devtelemetry_influence",
        "The most that leaving out one installation could change devtelemetry_reliability.",
        lambda window: window.figures.influence,
    ),
    _OfWindow(
        "devtelemetry_one_in",
        "Clients were to report one message in this many; absent if they were to report all.",
        lambda window: window.figures.one_in if window.figures.one_in > 1 else None,
    ),
    _OfWindow(
        "devtelemetry_estimated_messages",
        "Messages that were sent, estimated from the sample; absent without sampling.",
        lambda window: window.figures.estimated_messages if window.figures.one_in > 1 else None,
    ),
)

ALL_SERIES: tuple[Series, ...] = (*_OF_TOTALS, *_PARTS, *_OF_WINDOW)


def points_of(window: WindowReliability, *, by_channel: bool = False) -> Iterator[Point]:
    """The points of a window; a figure without a value has no point.

    Platforms are the window's groups by platform. With by_channel, comparable channels that are not
    audits have points too.
    """
    labels = {"timeframe": window.timeframe, "state": window.state.value}
    for of_window in _OF_WINDOW:
        value = of_window.value(window)
        if value is not None:
            yield Point(of_window.name, labels, value)
    yield from _points(totals_of(window), labels)
    groups = [group for group in window.groups if group.dimension is Dimension.PLATFORM]
    if any(group.value is not None for group in groups):  # else the one group is the whole window
        for group in groups:
            yield from _points(totals_of(group), {**labels, "platform": _label(group.value)})
    if by_channel:
        for channel in window.channels:
            if channel.comparable and not channel.is_audit:
                of_channel = {**labels, "channel": channel.channel_id}
                reliability = channel.counts.reliability
                if reliability is not None:
                    yield Point("devtelemetry_reliability", of_channel, reliability)
                yield from _points(totals_of(channel), of_channel)


def _label(platform: str | None) -> str:
    """A label for each platform, never empty: an empty label would mean all platforms."""
    if platform is None:
        return GROUP_OTHER
    if platform.startswith(("(", "\\")):
        return f"\\{platform}"
    return platform or GROUP_NOT_SAID


def _points(totals: Totals, labels: Mapping[str, str]) -> Iterator[Point]:
    for series in _OF_TOTALS:
        value = series.value(totals)
        if value is not None:
            yield Point(series.name, labels, value)
    for parts in _PARTS:
        for part, number in parts.values(totals).items():
            yield Point(parts.name, {**labels, parts.label: part}, number)
