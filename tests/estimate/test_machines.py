"""The machines that a fleet needs: the arithmetic, and that code, page and client agree."""

import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from devtelemetry.client.schedule import Timing
from devtelemetry.estimate.machines import (
    DAY_SECONDS,
    HEARTBEAT,
    IDLE_CONNECTION,
    LEAST_INTERVAL,
    MEASURED,
    MOST_SAMPLES,
    Fleet,
    Machines,
    Measured,
    needs_of,
    requests_of,
)
from support.program import in_process

PAGE = Path(__file__).parents[2] / "docs/evidence/fleet.md"

# All numbers differ, so that a mix-up of two shows.
ROUND = Measured(
    server_us_a_request=100,
    server_us_a_sample=10,
    postgres_us_a_request=50,
    postgres_us_a_sample=5,
    wire_bytes_a_request=1_000,
    wire_bytes_a_sample=200,
    log_bytes_a_request=400,
    log_bytes_a_sample=300,
    disk_bytes_a_sample=150,
    disk_bytes_a_message=400,
    window_us_a_sample=2,
)
# A message comes every 864 s. A push gathers the messages of 54 s.
BUSY = Fleet(devices=954_000, messages=100, receivers=8)


def test_a_device_pushes_when_its_first_message_has_waited() -> None:
    # It is never silent for long, so it makes one push in 0.9 × 60 s + 86.4 s.
    requests, samples = requests_of(Fleet(1, 1_000, 8))
    assert requests == pytest.approx(1 / (54 + 86.4), rel=1e-6)
    assert samples == pytest.approx(1_000 / DAY_SECONDS)


def test_who_hears_nothing_sends_heartbeats() -> None:
    requests, _ = requests_of(Fleet(1, 0.001, 8))
    assert requests == pytest.approx(1 / (0.9 * 1_800), rel=1e-3)
    patient, _ = requests_of(Fleet(1, 0.001, 8, push_interval=7_200))
    assert patient == pytest.approx(1 / (0.9 * 7_200), rel=1e-3)


def test_a_push_has_no_more_samples_than_the_client_sends_at_once() -> None:
    requests, samples = requests_of(Fleet(1, 86_400 * 10, 8, push_interval=3_600))
    assert samples / requests == pytest.approx(500, rel=1e-3)


def test_all_needs_are_sums_over_requests_and_samples() -> None:
    needs = needs_of(BUSY, Machines(peak=2, cores=4), ROUND)
    requests, samples = (2 * 954_000 * one for one in requests_of(BUSY))
    assert (needs.requests, needs.samples) == pytest.approx((requests, samples))
    assert needs.open_connections == pytest.approx(3 * requests)
    assert needs.server_cores == pytest.approx((100 * requests + 10 * samples) / 1e6)
    assert needs.servers == math.ceil(needs.server_cores / (4 * 0.7))
    assert needs.postgres_cores == pytest.approx((50 * requests + 5 * samples) / 1e6)
    assert needs.window_cores == pytest.approx(6 * 2 * samples / 1e6)
    assert needs.network == pytest.approx(1_000 * requests + 200 * samples)
    assert needs.log == pytest.approx(400 * requests + 300 * samples)
    # Eight days at the mean of a day; a sample takes 150 bytes and an eighth of its message.
    assert needs.disk == pytest.approx(954_000 * 100 * 8 * 200)


def test_by_hand() -> None:
    # A thousand devices get a message every 1000 s and wait for 1000 s before a push. They gather
    # for 900 s. Half of them were silent for 1000 s · ln 2 before, with no heartbeat or several.
    fleet = Fleet(1_000, 86.4, 1, push_interval=1_000)
    beats = 1 / (math.exp(1_800 * 0.9 / 1_000) - 1)
    needs = needs_of(fleet, Machines(peak=1), ROUND)
    assert needs.requests == pytest.approx(1_000 * (1 + beats) / 1_900)
    assert needs.samples == pytest.approx(1.0)


@pytest.mark.parametrize(
    "more", [{"one_in": 8}, {"push_interval": 3_600}, {"one_in": 8, "push_interval": 3_600}]
)
def test_sampling_and_patience_need_less(more: dict[str, int]) -> None:
    all_of_it, less = (needs_of(one, measured=ROUND) for one in (BUSY, replace(BUSY, **more)))
    assert less.requests < all_of_it.requests
    assert less.server_cores < all_of_it.server_cores
    assert less.network < all_of_it.network
    assert less.disk == pytest.approx(all_of_it.disk / more.get("one_in", 1))


def test_the_clients_times_are_those_of_the_client() -> None:
    timing = Timing()
    assert (timing.batch, timing.heartbeat) == (LEAST_INTERVAL, HEARTBEAT)
    assert (timing.batch_samples, timing.idle_connection) == (MOST_SAMPLES, IDLE_CONNECTION)


def test_the_page_has_each_constant_as_the_code_has_it() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", PAGE.read_text(), re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == asdict(MEASURED)
    assert all(value > 0 for value in asdict(MEASURED).values())


def test_the_page_shows_what_the_command_prints() -> None:
    shown = re.findall(
        r"^\$ devtelemetry (plan .*)\n((?:.*\n)*?)```", PAGE.read_text(), re.MULTILINE
    )
    assert shown
    for command, text in shown:
        assert in_process(*command.split()).out.rstrip() == text.rstrip()


def test_the_command_has_a_row_for_each_combination_and_says_what_is_wrong() -> None:
    asked = ("plan", "--devices=1000", "--devices=2000", "--one-in=1", "--one-in=8")
    plans = in_process(*asked, "--push-interval=60", "--json").document["plans"]
    assert [(one["devices"], one["one_in"]) for one in plans] == [
        *((1_000, 1), (1_000, 8)),
        *((2_000, 1), (2_000, 8)),
    ]
    for wrong, why in (
        (("--devices=5", "--users=5"), "they ask for different plans; allowed: "),
        (("--devices=5", "--one-in=3"), "allowed: powers of two"),
        (("--users=5",), "--users, --channels: missing"),
    ):
        refused = in_process("plan", *wrong, check=False)
        assert refused.status == 2
        assert why in refused.err
