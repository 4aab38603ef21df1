"""Measured beside true: the document of a truth and the figures of a server. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devtelemetry.model import MembershipPolicy


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one window, or of one channel in it. None: no value.

    unknown  pairs of which the server says that nothing can be said; the truth has none
    """

    expected: int
    missing: int
    unknown: int
    delivery_ratio: float | None
    reliability: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`channel_id` None: the whole window. `measured` None: the server has no figures of it."""

    start: str
    channel_id: str | None
    true: Figures
    measured: Figures | None

    @property
    def difference(self) -> float | None:
        """Measured less true delivery ratio."""
        true = self.true.delivery_ratio
        measured = None if self.measured is None else self.measured.delivery_ratio
        return None if true is None or measured is None else measured - true


def compare(
    truth: Mapping[str, Any],
    report: Mapping[str, Any],
    membership: MembershipPolicy = MembershipPolicy.PRESENT,
) -> list[Comparison]:
    """For each window of the truth: the whole of it, then its channels by id.

    truth       as docs/simulator.md has it
    report      as docs/protocol.md has it, "Reliability as JSON"
    membership  the policy whose figures are taken

    A server may have channels of others: only those of the truth count.
    """
    computed = {
        window["start"]: window
        for window in report["windows"]
        if window["membership"] == membership.value
    }
    found: list[Comparison] = []
    for window in truth["windows"]:
        start = window["start"]
        names = {channel["channel_id"] for channel in window["channels"]}
        measured = {
            channel["channel_id"]: channel
            for channel in computed.get(start, {"channels": []})["channels"]
            if channel["channel_id"] in names
        }
        found.append(
            Comparison(start, None, _true(window), _whole(measured.values()) if measured else None)
        )
        found += [
            Comparison(
                start,
                channel["channel_id"],
                _true(channel),
                _measured(measured.get(channel["channel_id"])),
            )
            for channel in window["channels"]
        ]
    return found


def _true(group: Mapping[str, Any]) -> Figures:
    ratio = group["delivery_ratio"]
    return Figures(
        group["expected"],
        group["expected"] - group["delivered"],
        0,
        ratio,
        group.get("reliability", ratio),  # of one channel they are the same
    )


def _measured(channel: Mapping[str, Any] | None) -> Figures | None:
    if channel is None:
        return None
    return Figures(
        channel["expected"],
        channel["missing"],
        channel["unknown"],
        channel["delivery_ratio"],
        channel["reliability"],
    )


def _whole(channels: Iterable[Mapping[str, Any]]) -> Figures:
    """Sums over the comparable channels, as in docs/algorithm.md."""
    comparable = [channel for channel in channels if channel["comparable"]]

    def total(name: str) -> int:
        return sum(channel[name] for channel in comparable)

    corroborated = total("corroborated")
    return Figures(
        total("expected"),
        total("missing"),
        total("unknown"),
        (corroborated - total("missing")) / corroborated if corroborated else None,
        _mean([channel["reliability"] for channel in comparable]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
