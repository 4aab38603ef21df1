"""Recorded traffic of a real status-go client, replayed over HTTP against a running server."""

import http.client
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devtelemetry.model import HOUR_MS, from_unix_ms
from devtelemetry.runtime.clock import now_ms
from oracle.model import (
    MEMBERSHIPS,
    Canonical,
    MessageKey,
    OracleChannel,
    OracleSample,
    OracleWindow,
    Receiver,
    canonical,
    compute,
)
from oracle.recording import (
    UNMEASURED_CHANNELS,
    UNMEASURED_TYPES,
    Mapped,
    Recording,
    Request,
    hourly_windows,
    predecessor_ratio,
    read_recording,
    read_truth,
    recording_path,
    shift,
    to_samples,
    true_delivery_ratio,
)
from support.ci import missing_part
from support.program import in_process
from support.server import ServerProcess

pytestmark = pytest.mark.slow

CLIENTS = 32  # at the same time

COUNTS = ("messages", "receivers", "expected", "missing", "corroborated")
OUTCOMES = ("unreadable", "dropped", "not_sent", "not_arrived", "recovered", "by_history")


def recent(recording: Recording) -> Recording:
    """The same traffic, moved by whole hours so that its last hour has just ended."""
    last = max(request.t_ms for request in recording)
    return shift(recording, (now_ms() // HOUR_MS * HOUR_MS - 1 - last) // HOUR_MS)


def replay(recording: Recording, mapped: Mapped, server: ServerProcess) -> list[int]:
    """Sends every request; returns the statuses.

    The recorded order is kept where it matters. Requests that are sent together do not contradict
    each other about a message, so their order makes no difference.
    """
    connections = threading.local()

    def send(request: Request) -> int:
        if not hasattr(connections, "own"):
            connections.own = http.client.HTTPConnection(server.http, timeout=60)
        connections.own.request(
            request.method,
            request.path,
            request.body.encode(),
            {"Content-Type": "application/json"},
        )
        response = connections.own.getresponse()
        body = response.read()
        if request.path == "/record-metrics":
            # After any other answer the real client would send the batch again for ever.
            assert response.status == 201
            assert isinstance(json.loads(body), list)
        else:
            assert body == b"", "a body that the client never reads costs it a connection"
        return int(response.status)

    statuses: list[int] = []
    last_ms = 0
    with ThreadPoolExecutor(CLIENTS) as clients:
        for together in in_rounds(recording, mapped):
            while now_ms() <= last_ms:
                pass
            statuses += clients.map(send, together)
            last_ms = now_ms()
    return statuses


def in_rounds(recording: Recording, mapped: Mapped) -> Iterator[Recording]:
    """The requests in order, in rounds whose requests do not contradict each other.

    mapped  what the requests report; no two arrived at the same time
    """
    of_request: dict[int | None, list[OracleSample]] = defaultdict(list)
    for sample in mapped.receipts:
        of_request[sample.created_at].append(sample)
    together: Recording = []
    said: dict[tuple[MessageKey, Receiver | None], object] = {}
    for request in recording:
        says: dict[tuple[MessageKey, Receiver | None], object] = {}
        for sample in of_request[request.t_ms]:
            says[sample.message, None] = (sample.sent_at, sample.message_type)
            says[sample.message, sample.receiver] = sample.envelope_id
        if len(together) == CLIENTS or any(
            said.get(message, claim) != claim for message, claim in says.items()
        ):
            yield together
            together, said = [], {}
        together.append(request)
        said |= says
    yield together


def as_stored(mapped: Mapped, recording: Recording) -> Canonical:
    """The recorded messages, with createdAt later than recorded and in the same order."""
    order = {request.t_ms: position for position, request in enumerate(recording)}
    begin = max(request.t_ms for request in recording) + HOUR_MS
    samples = [
        sample
        if sample.created_at is None
        else replace(sample, created_at=begin + order[sample.created_at])
        for sample in (*mapped.samples, *mapped.unreadable)
    ]
    events = [replace(e, created_at=begin + order[e.created_at]) for e in mapped.events]
    return canonical(samples, events)


def with_distinct_arrivals(recording: Recording) -> Recording:
    """Makes t_ms strictly increasing, by less than a second in all, so that it gives the order."""
    result: Recording = []
    at = 0
    for request in recording:
        at = max(at + 1, request.t_ms)
        result.append(replace(request, t_ms=at))
    return result


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    # The replay takes seconds for what took hours, and comes from one address.
    options = (f"--database={database_url}", "--legacy-rate=100000")
    with ServerProcess(tmp_path / "data", *options) as started:
        yield started


def reported(
    server: ServerProcess, windows: list[tuple[int, int]]
) -> dict[str, list[dict[str, Any]]]:
    """Computes the windows by the command line; returns the report's windows by policy."""
    for membership in MEMBERSHIPS:
        for start, _ in windows:
            at = from_unix_ms(start).isoformat()
            in_process(
                "aggregate",
                server.where,
                "--timeframe=1h",
                f"--window-start={at}",
                f"--membership={membership}",
            )
    report = in_process("report", server.where, "--json", "--timeframe=1h").document
    return {
        membership: [w for w in report["windows"] if w["membership"] == membership]
        for membership in MEMBERSHIPS
    }


def assert_equal_to_the_oracle(
    found: dict[str, list[dict[str, Any]]], samples: Canonical, windows: list[tuple[int, int]]
) -> None:
    """Compares every count of every channel and window in `reported` with the oracle."""
    for membership in MEMBERSHIPS:
        for window, (start, end) in zip(found[membership], windows, strict=True):
            expected = compute(
                samples,
                start,
                end,
                membership,
                unmeasured_channels=UNMEASURED_CHANNELS,
                unmeasured_types=UNMEASURED_TYPES,
            )
            assert {c["channel_id"]: counts(c) for c in window["channels"]} == {
                channel_id: oracle_counts(c) for channel_id, c in expected.channels.items()
            }, (membership, start)
            assert counts(window) == oracle_counts(expected), (membership, start)


def counts(figures: dict[str, Any]) -> list[int]:
    return [figures[name] for name in (*COUNTS, *OUTCOMES)]


def oracle_counts(figures: OracleChannel | OracleWindow) -> list[int]:
    return [
        *(getattr(figures, name) for name in COUNTS),
        *(getattr(figures.counts, name) for name in OUTCOMES),
    ]


def ratio_over(windows: list[dict[str, Any]]) -> float | None:
    """Σ over Σ; ratios are never averaged over windows."""
    corroborated = sum(window["corroborated"] for window in windows)
    return 1 - sum(window["missing"] for window in windows) / corroborated if corroborated else None


@pytest.mark.parametrize("name", ["small", "large"])
def test_replayed_recording_equals_the_oracle_and_lies_close_to_the_truth(
    name: str,
    server: ServerProcess,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = recording_path(f"status-go-{name}.ndjson.gz")
    truth_path = recording_path(f"status-go-{name}.truth.json.gz")
    if path is None or truth_path is None:
        missing_part(f"no status-go-{name}.ndjson.gz: DEVTELEMETRY_RECORDINGS names its directory")
    recorded = with_distinct_arrivals(read_recording(path))
    recording = recent(recorded)

    mapped = to_samples(recording)

    statuses = replay(recording, mapped, server)

    assert set(statuses) == {201}
    samples = as_stored(mapped, recording)
    windows = hourly_windows(mapped.receipts)
    found = reported(server, windows)
    assert_equal_to_the_oracle(found, samples, windows)
    measured = {membership: ratio_over(found[membership]) for membership in MEMBERSHIPS}

    truth = read_truth(truth_path)
    true_ratio = float(true_delivery_ratio(truth))
    then = to_samples(recorded)
    conversations = [sample for sample in then.samples if sample.channel_id in truth.channels]
    predecessor = [
        float(ratio)
        for start, end in hourly_windows(then.receipts)
        if (ratio := predecessor_ratio(conversations, start, end)) is not None
    ]
    record_property("true", true_ratio)
    for policy, value in measured.items():
        record_property(policy, value)
    record_property("predecessor", sum(predecessor) / len(predecessor) if predecessor else None)
    with capsys.disabled():
        print(f"\n{name}: true {true_ratio:.4f}, measured {measured}, predecessor {predecessor}")
    assert measured["present"] is not None
    assert abs(measured["present"] - true_ratio) < 0.005
    if predecessor:
        assert abs(sum(predecessor) / len(predecessor) - true_ratio) > 0.005, (
            "the predecessor's formula is as good here: then this shows nothing"
        )


def test_quirks_are_answered_and_their_good_samples_stored(server: ServerProcess) -> None:
    path = recording_path("status-go-quirks.ndjson.gz")
    assert path is not None
    recording = recent(with_distinct_arrivals(read_recording(path)))

    mapped = to_samples(recording)

    replay(recording, mapped, server)

    stored = [json.loads(line) for line in in_process("export", server.where).out.splitlines()]
    assert {(line["channelId"], line["messageId"]) for line in stored} == {
        sample.message for sample in mapped.receipts
    }
    assert sum(mapped.rejected.values()) > 0
    windows = hourly_windows(mapped.receipts)
    found = reported(server, windows)
    assert_equal_to_the_oracle(found, as_stored(mapped, recording), windows)
