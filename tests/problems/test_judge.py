"""What counts as a problem, in random worlds with and without one (bench/problems.py)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from bench.problems import DAY, FAULTY, LAYOUTS, Fault, Layout, faults, world

from devtelemetry.model import Spread, Spreads
from devtelemetry.problems.explain import EVERYTHING, REPORTS, Kind, Unit, find_causes
from devtelemetry.problems.judge import comparisons, judge, lengths, onset
from devtelemetry.problems.line import BASE_DAYS, Line, Part

HOUR = 9 * DAY + 9
SMALLER = replace(FAULTY, receivers=150)


def part(missing: int, pairs: int = 1_000, receivers: int = 50) -> Part:
    """A part whose losses fall evenly on the receivers."""
    each = pairs // receivers
    lost = missing * missing // receivers + missing
    spread = Spread(receivers, lost, missing * each, pairs * each)
    return Part(
        missing, pairs, pairs // 2, (missing, 0, 0, 0), receivers, Spreads(spread, spread, spread)
    )


def line(missing: Sequence[int]) -> Line:
    return Line([part(one) for one in missing], DAY)


def usual(hours: int, seed: int = 1) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).binomial(1_000, 0.02, hours)]


@pytest.mark.parametrize("fault", faults(HOUR), ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_is_named_alone_with_its_beginning(fault: Fault) -> None:
    great = replace(fault, loss=max(fault.loss, 0.3))
    lines = world(SMALLER, np.random.default_rng(5), HOUR + 12, great)
    (cause,) = find_causes(lines, HOUR + 12)
    assert cause.unit == fault.unit
    assert abs(cause.onset.start - HOUR) <= 1
    assert cause.onset.earliest <= cause.onset.start <= cause.onset.latest
    assert not find_causes(lines, HOUR)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name.replace(" ", "-"))
def test_without_a_fault_nothing_is_found_at_any_look(layout: Layout) -> None:
    lines = world(layout, np.random.default_rng(7), 9 * DAY)
    assert [end for end in range(4 * DAY, 9 * DAY + 1) if find_causes(lines, end)] == []


def test_a_night_that_is_always_bad_is_no_problem_and_the_same_by_day_is() -> None:
    missing = usual(10 * DAY)
    for hour in range(len(missing)):
        if hour % DAY in {2, 3}:
            missing[hour] += 60
    lines = {EVERYTHING: line(missing)}
    assert find_causes(lines, 9 * DAY + 4) == []
    by_day = list(missing)
    by_day[9 * DAY + 12] += 60
    by_day[9 * DAY + 13] += 60
    (cause,) = find_causes({EVERYTHING: line(by_day)}, 9 * DAY + 14)
    assert cause.onset.start == 9 * DAY + 12


def test_what_is_over_is_not_listed() -> None:
    missing = usual(10 * DAY)
    for hour in range(9 * DAY, 9 * DAY + 5):
        missing[hour] += 100
    lines = {EVERYTHING: line(missing)}
    assert find_causes(lines, 9 * DAY + 5)
    assert find_causes(lines, 9 * DAY + 7) == []


def test_an_earlier_outage_does_not_hide_the_next_fault() -> None:
    missing = usual(10 * DAY)
    missing[5 * DAY] = missing[5 * DAY + 1] = 700
    for hour in range(9 * DAY + 10, 10 * DAY):
        missing[hour] += 60
    (cause,) = find_causes({EVERYTHING: line(missing)}, 9 * DAY + 16)
    assert abs(cause.onset.start - (9 * DAY + 10)) <= 1


def test_one_receiver_that_loses_everything_is_no_problem_of_others() -> None:
    quiet = [part(one) for one in usual(9 * DAY)]
    # 1 of 50 receivers gets nothing for half a day.
    alone = part(40)
    spread = Spread(50, 20 * 20 + 20, 20 * 20 + 400, 50 * 400)
    alone = alone._replace(spreads=Spreads(spread, spread, spread))
    parts = [*quiet[: 8 * DAY + 12], *[alone] * 12]
    assert find_causes({EVERYTHING: Line(parts, DAY)}, 9 * DAY) == []


def test_one_message_that_nobody_gets_is_no_problem_of_its_channel() -> None:
    channel = Unit(Kind.CHANNEL, "c")
    parts = [part(0, 50)._replace(messages=1)] * (9 * DAY - 1)
    lines = {
        EVERYTHING: line(usual(9 * DAY)),
        channel: Line([*parts, part(50, 50)._replace(messages=1)], DAY),
    }
    assert find_causes(lines, 9 * DAY) == []


def test_fewer_than_ten_receivers_or_three_days_say_nothing() -> None:
    missing = usual(9 * DAY)
    for hour in range(9 * DAY - 4, 9 * DAY):
        missing[hour] = 500
    few = Line([part(one, receivers=8) for one in missing], DAY)
    assert find_causes({EVERYTHING: few}, 9 * DAY) == []
    assert find_causes({EVERYTHING: line(missing)}, 9 * DAY)
    short = line(missing[-2 * DAY :])
    assert find_causes({EVERYTHING: short}, 2 * DAY) == []


def test_a_new_version_stands_beside_all_others() -> None:
    hours, since = 9 * DAY, 9 * DAY - 10
    whole = [part(one) for one in usual(hours)]
    bad = [part(60, 400, 40) for _ in range(10)]
    for at, one in zip(range(since, hours), bad, strict=True):
        whole[at] = part(whole[at].missing + one.missing)
    version = Unit(Kind.APP_VERSION, "3.0")
    lines = {
        EVERYTHING: Line(whole, DAY),
        version: Line([Part(0, 0)] * since + bad, DAY),
    }
    (cause,) = find_causes(lines, hours)
    assert cause.unit == version
    assert cause.is_new
    assert cause.onset.start == since
    good = [part(8, 400, 40) for _ in range(10)]
    calm = Line([part(one) for one in usual(hours)], DAY)
    assert (
        find_causes({EVERYTHING: calm, version: Line([Part(0, 0)] * since + good, DAY)}, hours)
        == []
    )


@pytest.mark.parametrize(
    "fault", [None, *faults(HOUR)[:2]], ids=["no-fault", "version", "platform"]
)
def test_what_is_sure_enough_is_what_is_found_at_any_chance_and_that_sure(
    fault: Fault | None,
) -> None:
    lines = world(SMALLER, np.random.default_rng(3), HOUR + 6, fault)
    compared = found = 0
    for line in lines.values():
        for length in lengths(DAY):
            for end in range(5 * DAY, HOUR + 6, 7):
                anything = judge(line, end, length, 1.0)
                for most in (0.3, 1e-3, 1e-7):
                    is_sure = anything is not None and anything.chance <= most
                    assert judge(line, end, length, most) == (anything if is_sure else None)
                    compared += 1
                    found += is_sure
    assert 0 < found < compared


@pytest.mark.parametrize("before", [5, DAY, DAY + 7, 3 * DAY, 29 * DAY + 5, 30 * DAY])
def test_an_hour_is_expected_to_lose_what_it_lost_on_earlier_days(before: int) -> None:
    random = np.random.default_rng(2)
    pairs = random.integers(0, 500, 30 * DAY + 1).tolist()
    missing = random.binomial(pairs, 0.02).tolist()
    usual = Line([Part(x, n, n) for x, n in zip(missing, pairs, strict=True)], DAY)
    earlier = range(max(0, before - BASE_DAYS * DAY), before)
    of = sum(pairs[at] for at in earlier)
    lean, rate = of / len(earlier), (sum(missing[at] for at in earlier) + 0.5) / (of + 1)
    shares = []
    for hour in range(DAY):
        same = [at for at in earlier if at % DAY == hour]
        lost, of = sum(missing[at] for at in same), sum(pairs[at] for at in same)
        shares.append((lost + lean * rate) / (of + lean))
    expected = usual.expectation(before, before + 1, before)
    assert expected is not None
    assert expected.missing == pytest.approx(shares[before % DAY] * pairs[before], abs=1e-9)
    assert usual.least_share(before) == pytest.approx(min(shares), abs=1e-12)


def test_the_more_is_compared_the_more_must_be_lost() -> None:
    assert comparisons(1, 24) == 28 * 24 * len(lengths(24))
    assert lengths(24) == (1, 2, 4, 8, 16, 24, 48, 96, 168)
    missing = usual(9 * DAY)
    for hour in range(9 * DAY - 2, 9 * DAY):
        missing[hour] += 50
    lines = {EVERYTHING: line(missing)}
    assert find_causes(lines, 9 * DAY)
    assert find_causes(lines, 9 * DAY, units=10**9) == []


def test_reports_that_are_missing_are_told_apart_from_messages() -> None:
    lines = world(SMALLER, np.random.default_rng(3), HOUR + 4, faults(HOUR)[-1])
    (cause,) = find_causes(lines, HOUR + 4)
    assert cause.unit == REPORTS


def test_the_onset_of_a_slow_fault_has_a_span() -> None:
    missing = usual(9 * DAY)
    for hour in range(9 * DAY - 12, 9 * DAY):
        missing[hour] += 15
    (cause,) = find_causes({EVERYTHING: line(missing)}, 9 * DAY)
    found = onset(line(missing), cause.evidence._replace(scale=4.0))
    assert found.earliest < found.latest
    assert found.earliest <= 9 * DAY - 12 <= found.latest
