"""Test material: recorded traffic of a real client, and what truly happened.

A recording is a list of HTTP requests with their time of arrival (`tests/data/README.md`).
`to_samples` maps it to samples as status-go's interface does (docs/protocol.md). `shift` moves it
in time, to replay it against a server of today.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oracle.intake import HOUR_MS, NO_ID, SECOND_MS, rejection
from oracle.samples import EnvelopeEvent, EventKind, MessageKey, OracleSample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DATA = Path(__file__).parents[1] / "data"
RECORDINGS_VARIABLE = "DEVTELEMETRY_RECORDINGS"

# What is not measured by default of what comes over status-go's interface.
UNMEASURED_CHANNELS = ("*-negotiated", "*-contact-code")
UNMEASURED_TYPES = (
    "COMMUNITY_DESCRIPTION",
    "CONTACT_CODE_ADVERTISEMENT",
    "STATUS_UPDATE",
    "UNKNOWN",
)


def recording_path(name: str) -> Path | None:
    """The file in tests/data or in the directory that DEVTELEMETRY_RECORDINGS names, or None."""
    folders = [DATA]
    if elsewhere := os.environ.get(RECORDINGS_VARIABLE):
        folders.append(Path(elsewhere))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    return None


# Requests


@dataclass(frozen=True)
class Request:
    """One line of a recording."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    """As sent; usually JSON, may be empty."""
    t_ms: int
    """Arrival, Unix ms"""


Recording = list[Request]


def read_recording(path: Path) -> Recording:
    """All requests of an .ndjson.gz file, in order of arrival."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Request(**json.loads(line)) for line in lines]


# A time of the client's clock has ten digits. A shorter number (a sentAt of 0 or 1) is not a time
# and stays. The look-behind spares JSON that is quoted inside a JSON string.
_TIME_FIELD = re.compile(r'(?<!\\)("(?:sentAt|timestamp)":)(\d{10})(?!\d)')


def shift(recording: Recording, hours: int) -> Recording:
    """The same traffic, moved by whole hours (negative: earlier).

    Moves t_ms, and sentAt and timestamp in the bodies. Every other byte stays. So an item that was
    sent again is still identical to the first copy, and Content-Length still holds.
    """

    def moved(field: re.Match[str]) -> str:
        return f"{field[1]}{int(field[2]) + hours * 3_600:010d}"

    return [
        replace(
            request,
            body=_TIME_FIELD.sub(moved, request.body),
            t_ms=request.t_ms + hours * HOUR_MS,
        )
        for request in recording
    ]


# Samples


@dataclass(frozen=True)
class Mapped:
    """What a server makes of a recording."""

    samples: list[OracleSample]
    """Receipts in order of arrival, each as often as it came; after them the author's marks."""
    unreadable: list[OracleSample]
    """Nameless samples of envelopes that could not be read, each as often as it came."""
    events: list[EnvelopeEvent]
    """All other reports of envelopes, each as often as it came."""
    rejected: Counter[str]
    """reason → how many samples, each as often as it came"""

    @property
    def receipts(self) -> list[OracleSample]:
        return [sample for sample in self.samples if sample.created_at is not None]


EVENTS: dict[str, tuple[EventKind, str]] = {
    "SentEnvelope": ("sent", ""),
    "ErrorSendingEnvelope": ("send_failed", ""),
    "MessageCheckFailure": ("send_failed", "not_in_store"),
    "MessageCheckSuccess": ("went_out", ""),
    "MessageDeliveryConfirmed": ("went_out", ""),
    "MissedRelevantMessages": ("from_store", ""),
}
"""Type of an item → what it says of its envelope, and its reason if the item gives none itself"""


def to_samples(recording: Recording) -> Mapped:
    """The samples, author's marks and events that the recorded requests report.

    Each entry of a ReceivedMessages item is one sample. Its createdAt is the arrival of its
    request. A SentEnvelope marks (senderKeyUID, peerId) as author of every message that an accepted
    sample puts into that envelope, whichever of the two came first. The sentAt of a SentEnvelope is
    ignored, because clients write 0 or 1 there.

    An update-envelope with a processingError says that its receiver could not read the envelope. It
    names no channel.
    """
    receipts: list[OracleSample] = []
    events: list[EnvelopeEvent] = []
    rejected: Counter[str] = Counter()
    for request in recording:
        for kind, data in _items(request):
            if kind == "ReceivedMessages":
                for entry in data or []:  # null where there is none
                    sample = _receipt(entry, created_at=request.t_ms)
                    if reason := rejection(sample):
                        rejected[reason] += 1
                    else:
                        receipts.append(sample)
            elif kind in EVENTS and data["messageHash"] not in NO_ID:
                events.append(_event(kind, data, created_at=request.t_ms))
    unreadable = [
        _unreadable(said, created_at=request.t_ms)
        for request in recording
        if _is_to(request, "update-envelope")
        for said in [json.loads(request.body)]
        if said["processingError"]
    ]
    return Mapped([*receipts, *_marks(receipts, events)], unreadable, events, rejected)


def _marks(
    receipts: Iterable[OracleSample], events: Iterable[EnvelopeEvent]
) -> Iterable[OracleSample]:
    senders: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for event in events:
        if event.kind == "sent":
            senders[event.envelope_id].add((event.receiver_public_key, event.installation_id))
    marks: dict[tuple[MessageKey, str, str], OracleSample] = {}
    for sample in receipts:
        for key, installation_id in senders.get(sample.envelope_id, ()):
            marks[sample.message, key, installation_id] = OracleSample(
                message_id=sample.message_id,
                channel_id=sample.channel_id,
                receiver_public_key=key,
                sent_at=sample.sent_at,
                created_at=None,
                installation_id=installation_id,
                sent_by_receiver=True,
            )
    return marks.values()


def _is_to(request: Request, path: str) -> bool:
    return request.path.lstrip("/") == path and bool(request.body)


def _items(request: Request) -> Iterator[tuple[str, Any]]:
    """(telemetry_type, telemetry_data) of each item; nothing if the body is not such a batch."""
    if _is_to(request, "record-metrics"):
        for item in json.loads(request.body):
            yield item["telemetry_type"], item["telemetry_data"]


def _receipt(entry: Mapping[str, Any], created_at: int) -> OracleSample:
    return OracleSample(
        message_id=entry["messageId"],
        channel_id=entry["chatId"],
        receiver_public_key=entry["receiverKeyUID"],
        sent_at=entry["sentAt"] * SECOND_MS,
        created_at=created_at,
        installation_id=entry["peerId"],
        message_type=entry["messageType"],
        envelope_id=entry["messageHash"],
    )


def _unreadable(said: Mapping[str, Any], created_at: int) -> OracleSample:
    return OracleSample(
        message_id="",
        channel_id="",
        receiver_public_key=said["receiverKeyUID"],
        sent_at=said["sentAt"] * SECOND_MS,
        created_at=created_at,
        installation_id=said["peerId"],
        envelope_id=said["messageHash"],
        outcome="unreadable",
        reason=_code(said["processingError"]),
    )


def _event(kind: str, data: Mapping[str, Any], created_at: int) -> EnvelopeEvent:
    says, reason = EVENTS[kind]
    return EnvelopeEvent(
        says,
        data["messageHash"],
        data["peerId"],
        created_at,
        receiver_public_key=data.get("senderKeyUID", ""),
        reason=reason or _code(data.get("error", "")),
    )


def _code(error: str) -> str:
    """A client's error as a reason: words with _ between them, at most 64 characters."""
    return re.sub("[^a-z0-9.-]+", "_", error.lower()).strip("_")[:64]


def hourly_windows(samples: Iterable[OracleSample]) -> list[tuple[int, int]]:
    """(start, end) of every UTC hour from the first sentAt to the last."""
    sent = [sample.sent_at for sample in samples]
    first = min(sent) // HOUR_MS * HOUR_MS
    return [(start, start + HOUR_MS) for start in range(first, max(sent) + 1, HOUR_MS)]


# Truth


@dataclass(frozen=True)
class TruthReceiver:
    """What truly happened to the messages that one receiver should have got in one channel."""

    expected: int
    received: int
    missing: frozenset[str]
    processing_error: frozenset[str]
    late_from_store: frozenset[str]
    reported_under_other_chat: frozenset[str]
    telemetry_lost: frozenset[str]


@dataclass(frozen=True)
class Truth:
    """What truly happened in the conversation channels. Other chat ids are not in it."""

    channels: Mapping[str, Mapping[str, TruthReceiver]]
    """channel id → receiver public key → …"""
    senders: Mapping[MessageKey, str]
    """message → public key of its author"""
    unpublished: frozenset[MessageKey]
    """messages without an envelope that went out"""

    @property
    def receivers(self) -> list[TruthReceiver]:
        return [receiver for members in self.channels.values() for receiver in members.values()]


def read_truth(path: Path) -> Truth:
    """The .truth.json.gz file beside a recording."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        channels = json.load(file)["channels"]
    lists = [
        "missing",
        "processing_error",
        "late_from_store",
        "reported_under_other_chat",
        "telemetry_lost",
    ]
    return Truth(
        channels={
            channel["chatId"]: {
                key: TruthReceiver(
                    expected=told["expected"],
                    received=told["received"],
                    **{name: frozenset(told[name]) for name in lists},
                )
                for key, told in channel["receivers"].items()
            }
            for channel in channels
        },
        senders={
            (channel["chatId"], message["id"]): message["sender"]
            for channel in channels
            for message in channel["messages"]
        },
        unpublished=frozenset(
            (channel["chatId"], message["id"])
            for channel in channels
            for message in channel["messages"]
            if not any(envelope["published"] for envelope in message["envelopes"])
        ),
    )


def true_delivery_ratio(truth: Truth) -> Fraction:
    """1 - Σ missing / Σ expected, over all receivers of all conversation channels.

    A pair is *expected* if another member sent the message while the receiver was in the channel.
    It is *missing* if the person never saw the message, because it was never published, never
    arrived, or arrived in an envelope that could not be processed (`processing_error`, a part of
    `missing`). A message that came late from a store node was delivered. So was a message that the
    receiver reported under another chat id, or whose report was lost: then the telemetry failed,
    not the delivery. Hence expected = received + missing + reported under another chat.
    """
    missing = sum(len(receiver.missing) for receiver in truth.receivers)
    return 1 - Fraction(missing, sum(receiver.expected for receiver in truth.receivers))


# The predecessor


def predecessor_ratio(samples: Iterable[OracleSample], start: int, end: int) -> Fraction | None:
    """The ratio of the earlier server, status-im/telemetry, for [start, end); None if it had none.

    It compares numbers of reports, not messages:

    1. It runs one window length after end, and takes the reports of messages sent from start to
       end, both included. A report that came twice counts twice: the uniqueness constraint on the
       table includes a number that is new for each report.
    2. It keeps the reports of receivers that reported something in the same channel both before
       start and after end, by time of arrival, in whole seconds. A receiver is a public key, so
       all devices of a user are one.
    3. It counts the reports of each receiver in each channel. It takes the largest count for what
       there was to receive. Each receiver lacks that count minus its own.
    4. Rch = 1 - Σ lacking / Σ counts. The denominator is what was *received*. So Rch falls below 0
       when the counts differ enough. Equal counts read 1 even with no message in common, and a
       channel with a single receiver reads 1 as well.
    5. R is the mean of Rch over the channels.

    It ignores who wrote a message, and does not tell conversations from other channels. No step
    looks across channels, so pass only the samples of those that you ask about.
    """
    run_at = end + (end - start)
    reports = [s for s in samples if s.created_at is not None and s.created_at < run_at]

    reported_before: set[tuple[str, str]] = set()
    reported_after: set[tuple[str, str]] = set()
    for report in reports:
        assert report.created_at is not None
        created_s = report.created_at // SECOND_MS
        if created_s < start // SECOND_MS:
            reported_before.add((report.channel_id, report.receiver_public_key))
        if created_s > end // SECOND_MS:
            reported_after.add((report.channel_id, report.receiver_public_key))

    was_there = reported_before & reported_after
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        place = (report.channel_id, report.receiver_public_key)
        if start <= report.sent_at <= end and place in was_there:
            counts[report.channel_id][report.receiver_public_key] += 1
    if not counts:
        return None

    ratios: list[Fraction] = []
    for by_receiver in counts.values():
        most = max(by_receiver.values())
        lacking = sum(most - count for count in by_receiver.values())
        ratios.append(1 - Fraction(lacking, by_receiver.total()))
    return sum(ratios, Fraction(0)) / len(ratios)
