"""An audit's figures are its truth under every policy, and which ids of audits are valid."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devtelemetry.figures.audits import COUNT_NAMES, Audit, parse_audit
from devtelemetry.model import AUDIT_CHANNELS, Counts, Timeframe, parse_timeframe, unix_ms
from devtelemetry.simulator.audit import (
    LEAST_NODES,
    PUBLIC_KEY,
    Plan,
    Push,
    Spec,
    Timing,
    installation_ids,
    make_plan,
    plan_timing,
)
from oracle.model import (
    AUDIT,
    MEMBERSHIPS,
    Joining,
    Membership,
    OracleChannel,
    OracleSample,
    Receiver,
    compute,
)

NOW = datetime(2026, 3, 2, 10, 17, 23, 456_000, tzinfo=UTC)
HOUR = parse_timeframe("1h")


class Pushed(NamedTuple):
    at_ms: int  # by the server's clock
    push: Push


def as_pushed(plan: Plan, timing: Timing) -> Iterator[Pushed]:
    """The pushes with the times at which they are injected, a millisecond apart."""
    for at, pushes in ((timing.begin, plan.before), (timing.go_on, plan.after)):
        for number, push in enumerate(pushes):
            yield Pushed(unix_ms(at) + number, push)


def by_oracle(
    pushed: Iterable[Pushed],
    audit: Audit,
    membership: Membership,
    quorum: int = 1,
    weight_cap: Fraction = Fraction(1),
) -> OracleChannel | None:
    """The audit's channel in its window, by the oracle."""
    samples: list[OracleSample] = []
    numbers: defaultdict[str, dict[int, int | None]] = defaultdict(dict)
    memberships: defaultdict[tuple[Receiver, str], list[Joining]] = defaultdict(list)
    heartbeats: dict[Receiver, int] = {}
    for at_ms, push in pushed:
        receiver = (PUBLIC_KEY, push.installation_id)
        if push.joined_at is not None:
            said = (at_ms, push.joined_at, push.left_at or 0)
            memberships[receiver, audit.channel_id].append(said)
        if not push.samples:
            heartbeats[receiver] = at_ms
        for number, told in enumerate(push.samples, push.first_number):
            numbers[push.installation_id][number] = told.sent_at
            samples.append(
                OracleSample(
                    told.message_id,
                    audit.channel_id,
                    PUBLIC_KEY,
                    told.sent_at,
                    at_ms,
                    push.installation_id,
                    told.is_author,
                    told.message_type,
                )
            )
    window = compute(
        samples,
        audit.window.start_ms,
        audit.window.end_ms,
        membership,
        heartbeats=heartbeats,
        numbers=numbers,
        memberships=memberships,
        quorum=quorum,
        weight_cap=weight_cap,
    )
    return window.channels.get(audit.channel_id)


def counts(channel: OracleChannel | None) -> Counts:
    assert channel is not None
    return Counts(*(getattr(channel, name) for name in COUNT_NAMES))


SPECS = st.builds(
    Spec,
    seed=st.integers(0, 2**32),
    nodes=st.integers(LEAST_NODES, 16),
    loss=st.floats(0, 0.5),
    quorum=st.integers(1, 3),
    nonce=st.just("0123456789abcdef"),
)
TIMEFRAMES = st.sampled_from([parse_timeframe(name) for name in ("1m", "15m", "1h", "1d", "1w")])


@settings(deadline=None)
@given(
    spec=SPECS,
    timeframe=TIMEFRAMES,
    now=st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 9), timezones=st.just(UTC)),  # noqa: DTZ001
    is_live=st.booleans(),
)
def test_the_truth_is_what_the_definitions_make_of_it_under_every_policy(
    spec: Spec, timeframe: Timeframe, now: datetime, is_live: bool
) -> None:
    timing = plan_timing(timeframe, now, is_live=is_live)
    plan = make_plan(spec, timeframe, timing)
    pushed = list(as_pushed(plan, timing))
    for membership in MEMBERSHIPS:
        for quorum in range(1, spec.quorum + 1):
            channel = by_oracle(pushed, plan.audit, membership, quorum)
            assert counts(channel) == plan.audit.counts, (membership, quorum)
        if spec.quorum > 1:
            capped = by_oracle(pushed, plan.audit, membership, weight_cap=Fraction(1, 10**6))
            assert counts(capped) == plan.audit.counts
    assert parse_audit(plan.audit.channel_id) == plan.audit


def a_plan(*, is_live: bool, seed: int = 1, nonce: str = "0123456789abcdef") -> tuple[Plan, Timing]:
    timing = plan_timing(HOUR, NOW, is_live=is_live)
    return make_plan(Spec(seed, 20, 0.1, 1, nonce), HOUR, timing), timing


def test_the_audited_window_is_the_latest_that_is_over_or_live_the_one_that_ends_next() -> None:
    over, live = (plan_timing(HOUR, NOW, is_live=is_live) for is_live in (False, True))
    assert (over.window.end, live.window.start) == (
        NOW.replace(minute=0, second=0, microsecond=0),
    ) * 2
    assert over.begin == NOW
    assert over.go_on == NOW
    assert live.begin == NOW
    assert live.window.end < live.go_on < live.by
    late = live.window.end - timedelta(seconds=60)
    assert plan_timing(HOUR, late, is_live=True).window.start == live.window.end
    early = plan_timing(HOUR, live.window.start, is_live=True)
    assert early.begin == live.window.start + timedelta(minutes=6), "nothing is sent in the future"


@pytest.mark.parametrize("is_live", [False, True])
def test_each_case_is_in_it_and_the_figures_would_be_others_without(is_live: bool) -> None:
    plan, timing = a_plan(is_live=is_live)
    pushed = list(as_pushed(plan, timing))
    truth = plan.audit.counts
    assert truth.missing > 50
    assert truth.unknown > 5
    assert truth.corroborated < truth.expected, "a message that one alone tells of"

    def without(is_left_out: Callable[[Pushed], bool]) -> Counts:
        kept = [p for p in pushed if not is_left_out(p)]
        assert len(kept) < len(pushed)
        return counts(by_oracle(kept, plan.audit, "present"))

    late = plan.after[-1]
    assert without(lambda p: p.push == late).unknown > truth.unknown, "the late report fills a hole"
    again = [push for push in plan.before if plan.before.count(push) > 1]
    assert len(again) > 20, "sent twice"
    own = sum(told.is_author for push in set(plan.before) for told in push.samples)
    assert own > truth.messages / 2

    ids = installation_ids(plan.audit.nonce, truth.receivers)
    assert {push.installation_id for push in plan.before} == set(ids if is_live else ids[:-1])
    silent = [p.push for p in pushed if p.push.installation_id == ids[-1]]
    assert bool(silent) == is_live
    # They would count if they had reported afterwards, or had not reported leaving.
    if is_live:
        heard = [*pushed, Pushed(timing.window.end_ms, Push(ids[-1]))]
        assert counts(by_oracle(heard, plan.audit, "present")).receivers == truth.receivers + 1
    stays = [p._replace(push=p.push._replace(left_at=None)) for p in pushed]
    assert counts(by_oracle(stays, plan.audit, "window")).receivers == truth.receivers + 1
    assert by_oracle(stays, plan.audit, "window") != by_oracle(pushed, plan.audit, "window")


def test_the_truth_is_of_the_seed_and_not_of_the_nonce() -> None:
    plan, _ = a_plan(is_live=False)
    other, _ = a_plan(is_live=False, nonce="fedcba9876543210")
    assert plan == a_plan(is_live=False)[0]
    assert plan.audit.counts == other.audit.counts
    mine, theirs = ({push.installation_id for push in p.before} for p in (plan, other))
    assert not mine & theirs, "what was forgotten of one does not cost the other"
    assert a_plan(is_live=False, seed=2)[0].audit.counts != plan.audit.counts


# ------------------------------------------------------------------------------------ the ids

ID = (
    "devtelemetry-audit/2026-03-02T10:00:00Z/1h/0123456789abcdef?messages=60&receivers=20"
    "&expected=1100&missing=120&corroborated=1099&unknown=9&by=1772449200"
)


def test_an_audit_is_what_its_id_says() -> None:
    assert AUDIT_CHANNELS == AUDIT
    audit = parse_audit(ID)
    assert audit == Audit(
        "1h",
        datetime(2026, 3, 2, 10, tzinfo=UTC),
        "0123456789abcdef",
        Counts(60, 20, 1100, 120, 1099, 9),
        datetime(2026, 3, 2, 11, tzinfo=UTC),
    )
    assert audit is not None
    assert audit.channel_id == ID
    assert audit.window.end == datetime(2026, 3, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("devtelemetry-audit/", "devtelemetry-Audit/"),
        ("T10:00:00Z", "T10:01:00Z"),  # no window starts there
        ("2026-03-02", "2026-02-30"),
        ("2026-03-02", "0000-00-00"),
        ("/1h/", "/0h/"),
        ("/1h/", "/01h/"),
        ("/1h/", "/1y/"),
        ("0123456789abcdef", "0123456789ABCDEF"),
        ("missing=120", "missing=-1"),
        ("missing=120", "missing=0120"),
        ("missing=120", "missing=1_20"),
        ("missing=120", "missing=٣"),
        ("missing=120", "missing=1234567890"),
        ("missing=120", "missing=1100"),  # more than are corroborated
        ("corroborated=1099", "corroborated=1101"),
        ("&unknown=9", ""),
        ("&by=1772449200", ""),
        ("by=1772449200", "by=17724492000000"),
        ("by=1772449200", "by=1772449200\n"),
        ("by=1772449200", "by=1772449200&by=1"),
    ],
)
def test_an_id_that_says_no_truth_is_no_audit(said: str, instead: str) -> None:
    assert said in ID
    assert parse_audit(ID.replace(said, instead)) is None


@settings(deadline=None)
@given(st.text(max_size=30) | st.text(max_size=30).map(AUDIT_CHANNELS.__add__))
def test_garbage_is_no_audit_and_no_error(text: str) -> None:
    assert parse_audit(text) is None
