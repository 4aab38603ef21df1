"""When to send what. Pure, with a clock that the test moves."""

import random

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.client.schedule import Backoff, Schedule, Timing, retry_delay_seconds

TIMING = Timing()


def schedule() -> Schedule:
    return Schedule(TIMING, Backoff(TIMING, random.Random(1)))


def test_a_batch_waits_for_more_until_its_oldest_has_waited_long_enough() -> None:
    plan = schedule()
    assert plan.next_push(1, 100.0, hurry=False) == 100.0 + TIMING.batch
    assert plan.next_push(40, 105.0, hurry=False) == 100.0 + TIMING.batch


def test_a_full_batch_goes_at_once() -> None:
    assert schedule().next_push(TIMING.batch_samples, 100.0, hurry=False) <= 100.0


def test_what_waits_goes_at_once_at_the_end() -> None:
    assert schedule().next_push(1, 100.0, hurry=True) <= 100.0


def test_a_heartbeat_comes_after_a_silence_and_not_before() -> None:
    plan = schedule()
    plan.pushed(100.0, leaves_some=False)
    assert plan.next_push(0, 101.0, hurry=False) == 100.0 + TIMING.heartbeat


def test_what_a_push_left_does_not_wait_anew() -> None:
    plan = schedule()
    due = plan.next_push(3, 100.0, hurry=False)
    plan.pushed(due, leaves_some=True)
    assert plan.next_push(2, due, hurry=False) <= due
    plan.pushed(due, leaves_some=False)
    assert plan.next_push(1, due, hurry=False) == due + TIMING.batch


# ------------------------------------------------------------------- where the server said how long


@given(
    interval=st.integers(1, 86_400),
    seed=st.integers(),
    first=st.floats(0, 100_000),
    now=st.floats(0, 100_000),
)
def test_what_comes_waits_as_long_as_was_told_and_no_longer(
    interval: int, seed: int, first: float, now: float
) -> None:
    plan = schedule()
    plan.backoff.dice.seed(seed)
    plan.pushed(1000.0, interval, leaves_some=False)
    came = 1000.0 + min(first, now)
    due = plan.next_push(1, came, hurry=False)
    assert due >= 1000.0 + 0.8 * interval
    assert due <= came + interval
    assert due <= 1000.0 + max(interval, TIMING.heartbeat)
    assert plan.next_push(2, came + abs(now - first), hurry=False) == due


@given(interval=st.integers(1, 86_400), seed=st.integers())
def test_heartbeats_are_as_far_apart_as_was_told_and_not_closer_than_untold(
    interval: int, seed: int
) -> None:
    plan = schedule()
    plan.backoff.dice.seed(seed)
    plan.pushed(1000.0, interval, leaves_some=False)
    silence = plan.next_push(0, 1000.0, hurry=False) - 1000.0
    least = max(0.8 * interval, TIMING.heartbeat)
    assert least - 1e-6 <= silence <= max(interval, TIMING.heartbeat)


def test_clients_that_were_told_together_do_not_come_back_together() -> None:
    dues = set()
    for seed in range(20):
        plan = schedule()
        plan.backoff.dice.seed(seed)
        plan.pushed(0.0, 3600, leaves_some=False)
        dues.add(plan.next_push(1, 0.0, hurry=False))
    assert len(dues) == 20


def test_a_full_batch_and_what_is_in_a_hurry_do_not_wait_for_the_interval() -> None:
    plan = schedule()
    plan.pushed(100.0, 3600, leaves_some=False)
    assert plan.next_push(TIMING.batch_samples, 101.0, hurry=False) == 101.0
    assert plan.next_push(1, 101.0, hurry=True) == 101.0


def test_the_first_batch_after_a_start_does_not_wait_but_its_heartbeat_does() -> None:
    plan = schedule()
    plan.last_contact, plan.interval = 100.0, 7200.0  # as stored in the file
    assert plan.next_push(0, 100.0, hurry=False) == 7300.0
    assert plan.next_push(1, 200.0, hurry=False) == 200.0 + TIMING.batch
    plan.pushed(300.0, 7200, leaves_some=False)
    assert plan.next_push(1, 300.0, hurry=False) >= 300.0 + 0.8 * 7200


def test_what_a_push_left_does_not_wait_for_the_interval() -> None:
    plan = schedule()
    due = plan.next_push(3, 100.0, hurry=False)
    plan.pushed(due, 3600, leaves_some=True)
    assert plan.next_push(2, due, hurry=False) <= due


def test_an_interval_that_is_not_told_any_more_ends() -> None:
    plan = schedule()
    plan.pushed(100.0, 3600, leaves_some=False)
    plan.pushed(200.0, leaves_some=False)
    assert plan.next_push(1, 200.0, hurry=False) == 200.0 + TIMING.batch


def test_nothing_goes_while_the_server_is_left_alone() -> None:
    plan = schedule()
    plan.backoff.failed(100.0)
    assert plan.next_push(TIMING.batch_samples, 100.0, hurry=True) == plan.backoff.until
    assert plan.backoff.until > 100.0


@given(failures=st.integers(1, 200), seed=st.integers())
def test_delays_double_up_to_a_bound_and_differ(failures: int, seed: int) -> None:
    backoff = Backoff(TIMING, random.Random(seed))
    for _ in range(failures):
        backoff.failed(0.0)
    whole = min(TIMING.first_retry * 2.0 ** (failures - 1), TIMING.longest_retry)
    assert whole / 2 <= backoff.until <= whole


@given(told=st.floats(0, 3600), seed=st.integers())
def test_a_server_that_says_how_long_is_not_asked_sooner(told: float, seed: int) -> None:
    backoff = Backoff(TIMING, random.Random(seed))
    backoff.told_to_wait(50.0, told)
    own = TIMING.first_retry
    assert 50.0 + max(told, own / 2) <= backoff.until <= 50.0 + max(told * 1.25, own)


def test_success_ends_the_waiting() -> None:
    backoff = Backoff(TIMING)
    backoff.failed(100.0)
    backoff.succeeded()
    assert backoff.until <= 100.0
    backoff.failed(0.0)
    assert backoff.until <= TIMING.first_retry


@pytest.mark.parametrize("seconds", [0.25, 1.0, 90.5])
def test_retry_info_is_read_beside_other_details(seconds: float) -> None:
    delay = Duration()
    delay.FromMilliseconds(round(seconds * 1000))
    status = Status(code=8, message="busy")
    status.details.add().Pack(ErrorInfo(reason="FULL"))
    status.details.add().Pack(RetryInfo(retry_delay=delay))
    assert retry_delay_seconds(status.SerializeToString()) == seconds


def test_a_status_without_retry_info_says_nothing() -> None:
    status = Status(code=8, message="busy")
    status.details.add().Pack(ErrorInfo(reason="FULL"))
    assert retry_delay_seconds(status.SerializeToString()) is None


@given(st.binary(max_size=200))
def test_nonsense_in_place_of_a_status_says_nothing_or_a_time(nonsense: bytes) -> None:
    delay = retry_delay_seconds(nonsense)
    assert delay is None or isinstance(delay, float)
