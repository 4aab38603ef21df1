"""The documents of docs/protocol.md, "Reliability as JSON", as values and as bytes."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from devtelemetry.estimate.delay import Reach
from devtelemetry.estimate.unseen import sample_coverage, unseen_messages
from devtelemetry.estimate.verdict import Verdict
from devtelemetry.figures.derive import (
    ON_TIME_MS,
    QUANTILES,
    Totals,
    groups_of,
    reference,
    totals_of,
    verdicts,
)
from devtelemetry.model import (
    ChannelReliability,
    Delays,
    Dimension,
    LossReason,
    WindowReliability,
)
from devtelemetry.results.columns import APART, COUNTS, OF_RECEIVERS, SAMPLED, UNSEEN, Column


async def document(
    timeframe: str,
    windows: AsyncIterator[WindowReliability],
    by: Dimension | None = None,
    versus: str | None = None,
    head: Mapping[str, Any] | None = None,
) -> AsyncIterator[bytes]:
    """The document in pieces of one window each, so that a year of hours need not fit into memory.

    head  the members before the windows

    The first piece comes with the first window: most errors show before it, while the caller can
    still answer with an error.
    """
    first = orjson.dumps({"timeframe": timeframe, **(head or {})})
    begin = first[:-1] + b', "windows": [\n'
    async for window in windows:
        yield begin + orjson.dumps(window_as_json(window, by, versus))
        begin = b",\n"
    yield b"\n]}\n" if begin == b",\n" else begin + b"]}\n"


def window_as_json(
    window: WindowReliability, by: Dimension | None = None, versus: str | None = None
) -> dict[str, Any]:
    """One window of the document. With `by`: also its groups, each compared with `versus`."""
    document = {
        "start": iso(window.window.start),
        "end": iso(window.window.end),
        "membership": window.membership.value,
        "state": window.state.value,
        "reliability": window.reliability,
        **totals_as_json(totals_of(window)),
        **_as_json((*OF_RECEIVERS, *APART, *SAMPLED), window.figures),
        **_as_json(UNSEEN, window),
        "reasons": _reasons_as_json(window.figures.reasons),
        "delays": _delays_as_json(window.figures.delays),
        "revision": window.revision,
        "computed_at": iso(window.computed_at),
        "channels": [channel_as_json(channel) for channel in window.channels],
    }
    if by is not None:
        document["groups"] = _groups_as_json(window, by, versus)
    return document


def channel_as_json(channel: ChannelReliability) -> dict[str, Any]:
    """A channel that is not comparable has no ratio, whatever its counts."""
    comparable = channel.comparable
    figures = channel.figures
    return {
        "channel_id": channel.channel_id,
        "comparable": comparable,
        "reliability": channel.counts.reliability if comparable else None,
        **totals_as_json(totals_of(channel), has_ratio=comparable),
        **_as_json((*OF_RECEIVERS, *APART, *SAMPLED), figures),
        "unseen": unseen_messages(channel.counts, figures.captures) if comparable else None,
        "sample_coverage": sample_coverage(channel.counts, figures.captures)
        if comparable
        else None,
        "reasons": _reasons_as_json(figures.reasons),
    }


def iso(moment: datetime) -> str:
    """`2026-03-02T10:00:00Z`"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _groups_as_json(
    window: WindowReliability, by: Dimension, versus: str | None
) -> list[dict[str, Any]]:
    groups = groups_of([window], by)
    beside = reference(list(groups), versus)
    judged = verdicts(groups, versus)
    return [
        {
            by.value: value,
            "reliability": totals.counts.reliability,
            **totals_as_json(totals),
            "delays": _delays_as_json(totals.delays),
            "versus": _verdict_as_json(by, beside, judged[value]),
        }
        for value, totals in groups.items()
    ]


def _verdict_as_json(
    by: Dimension, beside: str | None, verdict: Verdict | None
) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        by.value: beside,
        "verdict": verdict.word.value,
        "difference": verdict.difference.estimate,
        "difference_lower": verdict.difference.lower,
        "difference_upper": verdict.difference.upper,
    }


def totals_as_json(totals: Totals, *, has_ratio: bool = True) -> dict[str, Any]:
    counts = totals.counts
    interval = totals.interval if has_ratio else None
    return {
        "delivery_ratio": counts.delivery_ratio if has_ratio else None,
        "delivery_ratio_lower": None if interval is None else interval.lower,
        "delivery_ratio_upper": None if interval is None else interval.upper,
        **_as_json(COUNTS, counts),
        "not_arrived": counts.not_arrived,
        "on_time": {
            name: totals.on_time(edge) if has_ratio else None for name, edge in ON_TIME_MS.items()
        },
        "delay_ms": {
            name: _reach_as_json(totals.quantile(of)) if has_ratio else None
            for name, of in QUANTILES.items()
        },
    }


def _as_json(columns: Iterable[Column], values: object) -> dict[str, Any]:
    return {column.json: getattr(values, column.name) for column in columns if column.json}


def _delays_as_json(delays: Delays) -> dict[str, list[int]]:
    return {"delivery": list(delays.delivery), "report": list(delays.report)}


def _reasons_as_json(reasons: Iterable[LossReason]) -> list[dict[str, Any]]:
    return [{"class": one.of, "reason": one.reason, "pairs": one.pairs} for one in reasons]


def _reach_as_json(reach: int | Reach | None) -> int | str | None:
    return reach.value if isinstance(reach, Reach) else reach
