"""Puts measured figures beside true ones: a truth document and a server's report. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from devtelemetry.model import Counts, LossReason, MembershipPolicy
from devtelemetry.results.columns import COUNTS
from devtelemetry.results.sums import sum_of_channels


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one window, or of one channel in it. None: no value.

    counts   in a truth no pair is unknown and all count as corroborated: it knows all pairs
    reasons  of the missing pairs, unordered
    unsaid   in a truth: pairs of `not_sent` that no app reports as such, so that a server counts
             them as not arrived
    """

    counts: Counts
    delivery_ratio: float | None
    reliability: float | None
    reasons: tuple[LossReason, ...] = ()
    unsaid: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`channel_id` None: the whole window. `measured` None: the server has no figures for it."""

    start: str
    channel_id: str | None
    true: Figures
    measured: Figures | None

    @property
    def difference(self) -> float | None:
        """The measured delivery ratio minus the true one."""
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
    membership  the policy whose figures are compared

    A server may have further channels; only the channels of the truth count.
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


def together(figures: Sequence[Figures]) -> Figures:
    """Counts and reasons of several windows or channels, added up; without ratios."""
    return Figures(
        sum_of_channels(one.counts for one in figures),
        None,
        None,
        _sum_of_reasons(one.reasons for one in figures),
        sum(one.unsaid for one in figures),
    )


def _true(group: Mapping[str, Any]) -> Figures:
    ratio = group["delivery_ratio"]
    return Figures(
        sum_of_channels(map(_true_counts, group.get("channels", [group]))),
        ratio,
        group.get("reliability", ratio),  # of one channel they are the same
        _reasons(group),
        group["unsaid"],
    )


def _true_counts(channel: Mapping[str, Any]) -> Counts:
    expected = channel["expected"]
    known = {"missing": expected - channel["delivered"], "corroborated": expected, "unknown": 0}
    return _counts({**channel, **known})


def _measured(channel: Mapping[str, Any] | None) -> Figures | None:
    if channel is None:
        return None
    return Figures(
        _counts(channel), channel["delivery_ratio"], channel["reliability"], _reasons(channel)
    )


def _counts(of: Mapping[str, Any]) -> Counts:
    return Counts(**{column.name: of[column.json] for column in COUNTS if column.json})


def _reasons(of: Mapping[str, Any]) -> tuple[LossReason, ...]:
    return tuple(LossReason(one["class"], one["reason"], one["pairs"]) for one in of["reasons"])


def _sum_of_reasons(found: Iterable[Iterable[LossReason]]) -> tuple[LossReason, ...]:
    sums: Counter[tuple[str | None, str | None]] = Counter()
    for of, reason, pairs in chain.from_iterable(found):
        sums[of, reason] += pairs
    return tuple(LossReason(of, reason, pairs) for (of, reason), pairs in sums.items())


def _whole(channels: Iterable[Mapping[str, Any]]) -> Figures:
    """Sums over the comparable channels, as in docs/algorithm.md."""
    comparable = [channel for channel in channels if channel["comparable"]]
    counts = sum_of_channels(map(_counts, comparable))
    return Figures(
        counts,
        counts.delivery_ratio,
        _mean([channel["reliability"] for channel in comparable]),
        _sum_of_reasons(map(_reasons, comparable)),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
