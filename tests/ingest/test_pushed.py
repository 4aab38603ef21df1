"""How a push's times and numbers are taken, compared with the oracle, and impossible ones."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.ingest.check import AgeLimits, check
from devtelemetry.ingest.pushed import lost_reports, to_samples
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    LostReports,
    Outcome,
    Reason,
    Sample,
    SentAtClock,
    Via,
)
from devtelemetry.v1 import telemetry_pb2
from oracle import samples as oracle
from oracle.intake import taken

NOW = 1_772_445_600_000
LIMITS = AgeLimits()
Clock = telemetry_pb2.Sample.Clock


def push(*, client_time: int = 0, **fields: Any) -> telemetry_pb2.PushRequest:
    said: dict[str, Any] = {
        "message_id": "m",
        "channel_id": "c",
        "sent_at": NOW - MINUTE_MS,
    } | fields
    return telemetry_pb2.PushRequest(
        samples=[telemetry_pb2.Sample(**said)],
        reporter=telemetry_pb2.Reporter(receiver_public_key="ann", installation_id="phone"),
        client_time=client_time,
    )


def read(request: telemetry_pb2.PushRequest) -> tuple[Sample, dict[str, int]]:
    (sample,), ignored = to_samples(request, NOW, LIMITS)
    return sample, dict(ignored)


MOMENTS = st.sampled_from(
    [
        NOW,
        NOW - 1,
        NOW + HOUR_MS,
        NOW + HOUR_MS + 1,
        NOW + 3 * HOUR_MS,
        NOW - DAY_MS,
        NOW - 9 * DAY_MS,
    ]
)


@given(
    sent_at=MOMENTS,
    received_at=st.none() | MOMENTS,
    client_time=st.none() | MOMENTS,
    outcome=st.sampled_from(get_args(oracle.Outcome)),
    clock=st.sampled_from(get_args(oracle.Clock)),
    sent_by_receiver=st.booleans(),
    message_id=st.sampled_from(["m", ""]),
    envelope_id=st.sampled_from(["e", ""]),
)
def test_a_sample_is_taken_or_refused_as_the_oracle_has_it(
    sent_at: int,
    received_at: int | None,
    client_time: int | None,
    outcome: oracle.Outcome,
    clock: oracle.Clock,
    sent_by_receiver: bool,
    message_id: str,
    envelope_id: str,
) -> None:
    request = push(
        message_id=message_id,
        envelope_id=envelope_id,
        sent_at=sent_at,
        received_at=received_at or 0,
        sent_by_receiver=sent_by_receiver,
        outcome=Outcome[outcome.upper()].value,
        sent_at_clock=SentAtClock[clock.upper()].value,
        client_time=client_time or 0,
    )
    expected = taken(
        oracle.OracleSample(
            message_id,
            "c",
            "ann",
            sent_at,
            NOW,
            "phone",
            sent_by_receiver,
            envelope_id=envelope_id,
            received_at=received_at,
            outcome=outcome,
            sent_at_clock=clock,
        ),
        client_time,
    )

    sample, _ = read(request)
    refusal = check(sample, LIMITS, NOW)
    if isinstance(expected, str):
        assert refusal is not None
        assert refusal.reason.label == expected
    else:
        assert refusal is None
        assert (sample.sent_at, sample.received_at or None) == (
            expected.sent_at,
            expected.received_at,
        )
        assert sample.sent_at_clock.name.lower() == expected.sent_at_clock
        assert sample.outcome.name.lower() == expected.outcome
        assert sample.sent_by_receiver == expected.says_it_wrote_it


def test_the_models_numbers_are_the_wires() -> None:
    pairs: list[tuple[Any, Any]] = [
        (Outcome, telemetry_pb2.Sample.Outcome),
        (SentAtClock, telemetry_pb2.Sample.Clock),
    ]
    for model, wire in pairs:
        assert [(one.name, one.value) for one in model] == wire.items()
    ways = [(one.name, one.value) for one in Via]
    assert telemetry_pb2.Sample.Via.items() == [("VIA_NOT_SAID", 0), *ways[1:]]


def test_what_an_older_client_says_means_what_it_meant() -> None:
    sample, ignored = read(push())
    assert sample[-5:] == (Outcome.HELD, "", Via.NOT_SAID, SentAtClock.AUTHOR, "")
    assert ignored == {}


@pytest.mark.parametrize("number", [4, 2**31 - 1, -1])
def test_an_outcome_that_is_not_known_is_refused_by_name(number: int) -> None:
    sample, _ = read(push(outcome=number))
    refusal = check(sample, LIMITS, NOW)
    assert refusal is not None
    assert refusal.reason is Reason.MISSING_FIELD
    assert refusal.detail == (
        f"outcome: {number} is not known; allowed: 0 HELD, 1 UNREADABLE, 2 DROPPED, 3 SEND_FAILED"
    )


def test_a_way_or_clock_that_is_not_known_costs_itself_only() -> None:
    sample, ignored = read(push(via=9, sent_at_clock=9))
    assert check(sample, LIMITS, NOW) is None
    assert (sample.via, sample.sent_at_clock) == (Via.NOT_SAID, SentAtClock.RECEIVER)
    assert ignored == {"via": 1, "sent_at_clock": 1}


@pytest.mark.parametrize(
    ("outcome", "reason", "is_kept"),
    [
        (1, "no_session_key", True),
        (2, "a.b-c_9", True),
        (3, "x" * 64, True),
        (1, "x" * 65, False),
        (1, "No session key", False),
        (1, "näh", False),
        (1, "key\n", False),
        (0, "no_session_key", False),
    ],
)
def test_a_reason_is_a_code_of_what_is_not_held_and_else_costs_itself_only(
    outcome: int, reason: str, is_kept: bool
) -> None:
    sample, ignored = read(push(outcome=outcome, reason=reason))
    assert check(sample, LIMITS, NOW) is None
    assert sample.reason == (reason if is_kept else "")
    assert ignored == ({} if is_kept else {"reason": 1})


def test_what_is_unreadable_needs_no_message_id_if_it_has_an_envelopes() -> None:
    for outcome, envelope_id, told in [
        (1, "", "message_id: empty, and so is envelope_id; allowed: one of them for UNREADABLE"),
        (2, "e", "message_id: empty; allowed: 1 to 512 bytes"),
        (1, "e", None),
    ]:
        sample, _ = read(push(message_id="", outcome=outcome, envelope_id=envelope_id))
        refusal = check(sample, LIMITS, NOW)
        assert (refusal.detail if refusal else None) == told


def test_a_server_may_have_255_bytes() -> None:
    for size, told in [(255, None), (256, "server: 256 bytes; allowed: up to 255")]:
        request = push()
        request.reporter.server = "s" * size
        refusal = check(read(request)[0], LIMITS, NOW)
        assert (refusal.detail if refusal else None) == told


LATEST = NOW + LIMITS.clock_skew_ms


@pytest.mark.parametrize(
    ("said", "taken_as"),
    [
        ((2, 3, NOW - 5, NOW), (2, 3, NOW - 5, NOW)),
        ((2, 2, NOW, NOW), (2, 2, NOW, NOW)),
        # A message that is sent later cannot have been reported.
        ((2, 3, NOW, LATEST + 1), (2, 3, NOW, LATEST)),
        ((2, 3, LATEST + 1, LATEST + 1), None),
        ((0, 3, NOW, NOW), None),
        ((3, 2, NOW, NOW), None),
        ((2, 2**53 + 1, NOW, NOW), None),
        ((2, 3, NOW, NOW - 1), None),
        ((2, 3, NOW // 1000, NOW), None),
        ((2, 3, NOW, NOW * 1000), None),
        ((2, 3, 0, 0), None),
    ],
)
def test_what_is_said_to_be_lost_is_taken_if_it_can_be(
    said: tuple[int, int, int, int], taken_as: tuple[int, int, int, int] | None
) -> None:
    first, last, first_sent_at, last_sent_at = said
    request = push()
    request.lost.add(
        first_sequence=first,
        last_sequence=last,
        first_sent_at=first_sent_at,
        last_sent_at=last_sent_at,
    )
    good, ignored = lost_reports(request, NOW, LIMITS)
    assert good == ([] if taken_as is None else [LostReports("phone", *taken_as)])
    assert ignored["lost"] == (taken_as is None)


def test_of_what_is_lost_a_hundred_sayings_are_taken_and_none_of_who_has_no_installation() -> None:
    request = push()
    for number in range(1, 121):
        request.lost.add(
            first_sequence=number, last_sequence=number, first_sent_at=NOW, last_sent_at=NOW
        )
    good, ignored = lost_reports(request, NOW, LIMITS)
    assert (len(good), ignored["lost"]) == (100, 20)
    request.reporter.installation_id = ""
    assert lost_reports(request, NOW, LIMITS) == ([], {"lost": 120})
