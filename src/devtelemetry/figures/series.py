"""The Prometheus series of a window: docs/protocol.md, "Prometheus series". Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from devtelemetry.figures.derive import Share, share_of
from devtelemetry.model import Dimension, WindowReliability

NOT_SAID = "(not said)"
"""In the place of a platform that receivers never told; no label at all stands for all of them"""

OTHER = "(other)"
"""In the place of the platforms that have too few receivers to show"""


class Point(NamedTuple):
    name: str
    labels: Mapping[str, str]  # timeframe and state, and platform or channel where split
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    help: str


@dataclass(frozen=True, slots=True)
class _OfShare(Series):
    value: Callable[[Share], float | None]


@dataclass(frozen=True, slots=True)
class _OfWindow(Series):
    value: Callable[[WindowReliability], float | None]


_OF_SHARE = (
    _OfShare(
        "devtelemetry_delivery_ratio",
        "1 - missing / corroborated deliveries of the window.",
        lambda share: share.counts.delivery_ratio,
    ),
    _OfShare(
        "devtelemetry_delivery_ratio_lower",
        "Lower bound of the 95 % interval of devtelemetry_delivery_ratio.",
        lambda share: None if share.interval is None else share.interval.lower,
    ),
    _OfShare(
        "devtelemetry_delivery_ratio_upper",
        "Upper bound of the 95 % interval of devtelemetry_delivery_ratio.",
        lambda share: None if share.interval is None else share.interval.upper,
    ),
    _OfShare(
        "devtelemetry_expected_deliveries",
        "(message, receiver) pairs of the window that should be there.",
        lambda share: share.counts.expected,
    ),
    _OfShare(
        "devtelemetry_missing_deliveries",
        "Those of the expected deliveries without a receipt.",
        lambda share: share.counts.missing,
    ),
    _OfShare(
        "devtelemetry_corroborated_deliveries",
        "Those of the expected deliveries whose message another receiver holds or sent.",
        lambda share: share.counts.corroborated,
    ),
    _OfShare(
        "devtelemetry_unknown_deliveries",
        "Pairs of which nothing can be said, since the receiver's reports are missing.",
        lambda share: share.counts.unknown,
    ),
    _OfShare(
        "devtelemetry_receivers",
        "Receivers that count, added up over the comparable channels.",
        lambda share: share.counts.receivers,
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
        "How far leaving out one receiver could move devtelemetry_reliability, at most.",
        lambda window: window.figures.influence,
    ),
)

ALL_SERIES: tuple[Series, ...] = (*_OF_SHARE, *_OF_WINDOW)


def points_of(window: WindowReliability, *, by_channel: bool = False) -> Iterator[Point]:
    """A figure without a value has no point.

    Platforms are those of the window's groups; channels, if asked for, the comparable ones that are
    no audits.
    """
    labels = {"timeframe": window.timeframe, "state": window.state.value}
    for of_window in _OF_WINDOW:
        value = of_window.value(window)
        if value is not None:
            yield Point(of_window.name, labels, value)
    yield from _points(share_of(window), labels)
    groups = [group for group in window.groups if group.dimension is Dimension.PLATFORM]
    if any(group.value is not None for group in groups):  # else it is all of them once more
        for group in groups:
            yield from _points(share_of(group), {**labels, "platform": _label(group.value)})
    if by_channel:
        for channel in window.channels:
            if channel.comparable and not channel.is_audit:
                of_channel = {**labels, "channel": channel.channel_id}
                reliability = channel.counts.reliability
                if reliability is not None:
                    yield Point("devtelemetry_reliability", of_channel, reliability)
                yield from _points(share_of(channel), of_channel)


def _label(platform: str | None) -> str:
    """Different for each platform, whatever it calls itself."""
    if platform is None:
        return OTHER
    if platform.startswith(("(", "\\")):
        return f"\\{platform}"
    return platform or NOT_SAID


def _points(share: Share, labels: Mapping[str, str]) -> Iterator[Point]:
    for series in _OF_SHARE:
        value = series.value(share)
        if value is not None:
            yield Point(series.name, labels, value)
