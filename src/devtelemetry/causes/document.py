"""The results for programs: the JSON of docs/protocol.md, "Missing messages as JSON", and NDJSON or
CSV with one line for each message, to look for in logs."""

import asyncio
import base64
import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from devtelemetry.causes.classify import LossPattern, Run, loss_periods, runs_of
from devtelemetry.causes.found import LossyReceiver, MissingMessage
from devtelemetry.causes.read import DrillDown
from devtelemetry.figures.document import iso
from devtelemetry.model import Counts, LossClass, from_unix_ms
from devtelemetry.words import WAYS, escaped

LISTED = 100  # the JSON document lists so many receivers of a message and runs of a receiver

COLUMNS = (
    "channel_id",
    "message_id",
    "envelope_id",
    "topics",
    "message_type",
    "message_size",
    "sent_at",
    "sent_at_iso",
    "author_platforms",
    "author_app_versions",
    "expected",
    "held",
    "missing",
    "unknown",
    "held_elsewhere",
    "went_out",
    *(via.name.lower() for via in WAYS),
    *(of.value for of in LossClass),
    "reasons",
    *(of.value for of in LossPattern),
    "lacking",
)

# Characters that begin a formula in a spreadsheet, also in their wide forms.
_FORMULA = frozenset("=+-@＝＋－＠")


async def page(
    found: DrillDown, *, only: int | None = None, limit: int, offset: int = 0
) -> dict[str, Any]:
    """The JSON document. It has at most `limit` messages and `limit` receivers, from `offset` on.

    only  a receiver: only what this receiver lacks. Raises UnknownName if it does not count
    """
    shown = slice(offset, offset + limit)
    # These look at every pair, so they run off the event loop.
    positions = await asyncio.to_thread(found.missing_messages, only)
    receivers = await asyncio.to_thread(found.lossy_receivers, only)
    receivers_shown = await asyncio.to_thread(
        lambda: [receiver_as_json(found.times, one) for one in receivers[shown]]
    )
    return {
        "channel_id": found.asked.channel_id,
        "timeframe": found.asked.timeframe.name,
        "start": iso(found.window.start),
        "end": iso(found.window.end),
        "membership": found.membership.value,
        "burst": found.asked.burst,
        **_counts_as_json(found.counts),
        "patterns": _by_value(found.patterns),
        "stored": None if found.stored is None else _counts_as_json(found.stored),
        "limit": limit,
        "offset": offset,
        "missing_messages_total": len(positions),
        "missing_messages": [
            message_as_json(message, LISTED) async for message in found.details(positions[shown])
        ],
        "lossy_receivers_total": len(receivers),
        "lossy_receivers": receivers_shown,
    }


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as one line."""
    return orjson.dumps(document) + b"\n"


def message_as_json(message: MissingMessage, listed: int | None = None) -> dict[str, Any]:
    """listed  how many of the receivers that lack the message are named; None: all"""
    return {
        "message_id": message.message_id,
        "envelope_id": message.envelope_id,
        "topics": base64.b64encode(message.topics).decode(),
        "message_type": message.message_type,
        "message_size": message.message_size,
        "sent_at": message.sent_at,
        "sent_at_iso": iso_ms(from_unix_ms(message.sent_at)),
        "authors": [author._asdict() for author in message.authors],
        "expected": message.pairs.expected,
        "held": message.pairs.held,
        "missing": message.pairs.missing,
        "unknown": message.pairs.unknown,
        "held_elsewhere": message.held_elsewhere,
        "went_out": message.went_out,
        "ways": {via.name.lower(): number for via, number in message.ways.items()},
        **_by_value(message.losses),
        "patterns": _by_value(message.patterns),
        "lacking": [
            {
                "receiver": one.receiver.name,
                "class": one.loss_class.value,
                "reason": one.reason,
                "pattern": one.pattern.value,
            }
            for one in message.lacking[:listed]
        ],
    }


async def ndjson(
    found: DrillDown, *, only: int | None = None, limit: int | None = None
) -> AsyncIterator[bytes]:
    """A line for each message, with all receivers that lack it. Messages that most receivers lack
    come first."""
    of_window = {"channel_id": found.asked.channel_id}
    async for message in found.details(found.missing_messages(only)[:limit]):
        yield as_bytes(of_window | message_as_json(message))


async def as_csv(
    found: DrillDown, *, only: int | None = None, limit: int | None = None
) -> AsyncIterator[bytes]:
    """The same as CSV, with a line of column names first. `cell` writes the texts."""
    yield _csv_line(COLUMNS)
    async for message in found.details(found.missing_messages(only)[:limit]):
        known = message_as_json(message)
        values = known | known["ways"] | known["patterns"]
        values["channel_id"] = found.asked.channel_id
        values["author_platforms"] = _joined(author.platform for author in message.authors)
        values["author_app_versions"] = _joined(author.app_version for author in message.authors)
        values["reasons"] = _joined(one.reason for one in message.lacking)
        values["lacking"] = " ".join(one.receiver.name for one in message.lacking)
        yield _csv_line([values[column] for column in COLUMNS])


def _joined(said: Any) -> str:
    return ", ".join(sorted(set(filter(None, said))))


def _csv_line(values: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        cell(value) if isinstance(value, str) else value for value in values
    )
    return line.getvalue().encode()


def cell(text: str) -> str:
    """Writes a client's text so that a spreadsheet only shows it.

    A character that is not printable, a backslash, and a semicolon (which separates cells in some
    countries) become \\uXXXX. A text that could begin a formula gets an apostrophe before it.
    """
    text = "".join(
        letter if letter.isprintable() and letter not in ";\\" else escaped(letter)
        for letter in text
    )
    return f"'{text}" if text.lstrip()[:1] in _FORMULA and text.strip() else text


def iso_ms(moment: datetime) -> str:
    """`2026-03-02T10:00:00.123Z`"""
    return f"{iso(moment)[:-1]}.{moment.microsecond // 1000:03}Z"


def _counts_as_json(counts: Counts) -> dict[str, int]:
    return {
        "messages": counts.messages,
        "receivers": counts.receivers,
        "expected": counts.expected,
        "missing": counts.missing,
        "unknown": counts.unknown,
        **_by_value(counts.losses),
    }


def _by_value(numbers: Mapping[LossClass, int] | Mapping[LossPattern, int]) -> dict[str, int]:
    return {of.value: number for of, number in numbers.items()}


def receiver_as_json(times: Sequence[int], lossy: LossyReceiver) -> dict[str, Any]:
    pairs, periods = lossy.pairs, loss_periods(lossy.sequence)
    # The longest runs, listed in the order of time.
    runs = sorted(runs_of(lossy.sequence), key=lambda run: (-run.length, run.first))[:LISTED]
    return {
        "receiver": lossy.receiver.name,
        "platform": lossy.receiver.platform,
        "app_version": lossy.receiver.app_version,
        "expected": pairs.expected,
        "missing": pairs.missing,
        "unknown": pairs.unknown,
        **_by_value(lossy.losses),
        "patterns": _by_value(lossy.patterns),
        "loss_periods": periods.periods,
        "loss_period_length_mean": periods.mean_length,
        "loss_period_length_max": periods.max_length,
        "loss_distance_mean": periods.mean_distance,
        "inter_loss_period_length_mean": periods.mean_between,
        "inter_loss_period_length_min": periods.min_between,
        "runs": [_run_as_json(times, run) for run in sorted(runs)],
    }


def _run_as_json(times: Sequence[int], run: Run) -> dict[str, Any]:
    return {
        "first_sent_at": times[run.first],
        "last_sent_at": times[run.last],
        "length": run.length,
        "held_by_others": run.of_others,
    }
