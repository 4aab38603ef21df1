"""All that a window stores beside its counts, computed, read back and compared with the oracle."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.aggregate.table import cross_table
from devtelemetry.estimate.unseen import (
    sample_coverage,
    unseen_messages,
    window_sample_coverage,
    window_unseen,
)
from devtelemetry.figures.derive import totals_of
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import (
    DAY_MS,
    DELAY_UNKNOWN,
    HOUR_MS,
    MINUTE_MS,
    Captures,
    ChannelReliability,
    Counts,
    Delays,
    Dimension,
    Figures,
    Group,
    LossReason,
    MembershipPolicy,
    Source,
    Spread,
    Spreads,
    WindowReliability,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import Keyring
from oracle.groups import AUTHOR_DIMENSIONS, DIMENSIONS, OracleGroup
from oracle.model import Numbers, OracleChannel, OracleSample, OracleWindow, Receiver, compute
from oracle.samples import VIAS, Outcome
from support.store import LATER, START, as_memberships, as_samples, compute_window, empty, store
from support.worlds import (
    END,
    INSTALLATIONS,
    MEMBERSHIPS_SAID,
    Pushed,
    World,
    arrivals,
    pushed_in_pieces,
    store_pushes,
)

# ------------------------------------------------------------------------------------- the worlds

RECEIVERS: Sequence[Receiver] = (
    *((key, installation) for key in "ab" for installation in INSTALLATIONS),
    *((key, "") for key in "cdefg"),
)
AUDIT = "devtelemetry-audit/1"
CHANNELS = ("c1", "c1", "c2", "c1", "c3-negotiated", AUDIT, "c2", "c1", "c4")
PLATFORMS = ("", "ios", "android", "desktop")
VERSIONS = ("", "1", "2", "10")
SERVERS = ("", "a.example", "b.example")
TYPES = ("", "TEXT", "TEXT", "IMAGE", "NOISE")

# Messages around and in the window. Some have the same sentAt, and senders' clocks differ.
SENT_AT = [
    START + minute * MINUTE_MS + (minute % 3)
    for minute in (-6, -1, *range(0, 60, 5), 3, 3, 3, 30, 31, 32, 59, 60, 66)
]
# Delays at, beside and between the edges of the classes, also as wrong clocks make them.
DELAYS = st.sampled_from(
    [
        *(-HOUR_MS, -1_001, -1_000, -1, 0, 999, 1_000, 1_001, 2_001, 5_000, 5_001, 10_000, 30_001),
        *(MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS + 1, HOUR_MS, HOUR_MS + 1),
        *(2 * HOUR_MS, 6 * HOUR_MS, DAY_MS, DAY_MS + 1),
    ]
)
OUTCOMES_DRAWN: tuple[Outcome, ...] = (
    *("held", "held", "held", "held", "held", "held"),
    *("unreadable", "dropped", "send_failed"),
)
OFFSETS = st.sampled_from([None, 0, 999, 1_000, -999, -1_000, -4_000, 30_000, HOUR_MS])


@st.composite
def reports(draw: st.DrawFn, receiver: Receiver, types: Sequence[str]) -> list[OracleSample]:
    """The samples of one receiver that holds or wrote some of twenty messages, in any order."""
    found = []
    platforms = draw(st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=2))
    few_or_many = draw(st.sampled_from([0, 8, 14]))
    numbers = st.lists(
        st.integers(0, len(SENT_AT) - 1), min_size=few_or_many, max_size=18, unique=True
    )
    for number in draw(numbers):
        # Some messages have several authors, whose clocks differ.
        is_own = draw(st.integers(0, 1 if number % 6 == 0 else 6)) == 0
        sent_at = SENT_AT[number] + draw(st.sampled_from([0] * 12 + [1, -MINUTE_MS]))
        # When it got the message or, as an author, wrote it, by the server's clock.
        after = draw(OFFSETS if is_own else st.none() | DELAYS)
        outcome: Outcome = draw(st.sampled_from(OUTCOMES_DRAWN))
        found.append(
            OracleSample(
                message_id=f"m{number}",
                channel_id=CHANNELS[number % len(CHANNELS)],
                receiver_public_key=receiver[0],
                installation_id=receiver[1],
                sent_at=sent_at,
                created_at=sent_at + draw(DELAYS),
                sent_by_receiver=is_own,
                message_type=draw(st.sampled_from([types[number]] * 9 + ["TEXT"])),
                received_at=None if after is None else sent_at + after,
                platform=draw(st.sampled_from(platforms)),
                app_version=draw(st.sampled_from(VERSIONS)),
                outcome=outcome,
                reason="" if outcome == "held" else draw(st.sampled_from(["", "r1", "r2"])),
                via=draw(st.sampled_from(VIAS)) if outcome == "held" else "",
                server=draw(st.sampled_from(SERVERS)),
            )
        )
    return found


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Receivers of several channels that hold, write and lack messages and describe themselves in
    every way. Some number their reports, and lose a part of them."""
    types = draw(st.lists(st.sampled_from(TYPES), min_size=len(SENT_AT), max_size=len(SENT_AT)))
    pushes: list[Pushed] = []
    numbers: dict[str, Numbers] = {}
    for installation in INSTALLATIONS:
        kept = [
            sample
            for receiver in RECEIVERS
            if receiver[1] == installation
            for sample in draw(reports(receiver, types))
        ]
        in_pieces, numbers[installation] = draw(pushed_in_pieces(installation, kept))
        pushes += in_pieces
    for receiver in RECEIVERS:
        if not receiver[1]:
            pushes += [Pushed((sample,)) for sample in draw(reports(receiver, types))]
    reported = sorted({sample.message for push in pushes for sample in push.samples})
    if reported:
        for channel_id, message_id in draw(st.lists(st.sampled_from(reported), max_size=4)):
            key, installation = draw(st.sampled_from(RECEIVERS))
            mark = OracleSample(
                message_id,
                channel_id,
                key,
                START,
                None,
                installation,
                sent_by_receiver=True,
                received_at=draw(st.none() | st.just(START + HOUR_MS)),
            )
            pushes.append(Pushed((mark,)))
    memberships = draw(st.just({}) | MEMBERSHIPS_SAID)
    pushes += [Pushed((), memberships=(said,)) for said in as_memberships(memberships)]
    pushes, cuts = draw(arrivals(pushes))
    beats = [
        Heartbeat(
            *receiver,
            draw(st.sampled_from(PLATFORMS)),
            draw(st.sampled_from(VERSIONS)),
            draw(st.sampled_from([END, END, END + MINUTE_MS, END + 2, START])),
            draw(st.sampled_from(SERVERS)),
        )
        for receiver in RECEIVERS
        if draw(st.integers(0, 3))
    ]
    return World(pushes, cuts, numbers, memberships, beats)


@dataclass(frozen=True)
class Rules:
    """The rules of AggregateRules, but with an exact cap."""

    quorum: int
    weight_cap: Fraction
    smallest_group: int
    fewest_installations: int = 2


RULES = st.builds(
    Rules,
    st.sampled_from([1, 1, 1, 2, 3]),
    st.sampled_from(["1", "1", "1/2", "0.3", "0.25", "0.2", "0.1"]).map(Fraction),
    st.sampled_from([1, 2, 3, 3, 4, 6]),
    st.sampled_from([1, 2, 3, 10]),
)
OUTCOME_COUNTS = (
    *("unreadable", "dropped", "not_sent", "recovered"),
    *("by_live", "by_history", "by_resend"),
)
UNMEASURED = {Source.GRPC: Unmeasured(channels=("*-negotiated",), types=("NOISE",))}


async def measured(
    database: Database, membership: MembershipPolicy, rules: Rules
) -> WindowReliability:
    return await compute_window(
        database,
        membership=membership,
        unmeasured=UNMEASURED,
        **asdict(rules) | {"weight_cap": float(rules.weight_cap)},
    )


def expected_of(
    world: World, membership: MembershipPolicy, rules: Rules, keyring: Keyring
) -> OracleWindow:
    return compute(
        world.samples,
        START,
        END,
        membership.value,
        heartbeats=world.last_heartbeats,
        numbers=world.numbers,
        memberships=world.memberships,
        descriptions={
            beat[:2]: [(beat.created_at, beat.platform, beat.app_version, beat.server)]
            for beat in world.heartbeats
        },
        unmeasured_channels=["*-negotiated"],
        unmeasured_types=["NOISE"],
        id_of=lambda receiver: keyring.receiver(*receiver, Source.GRPC).receiver_id,
        **asdict(rules),
    )


# ------------------------------------------------------------------- both, in one form to compare

Form = Mapping[str, Any]


def close(value: Fraction | float | None) -> Any:
    """A value that equals a sum of floats up to rounding."""
    return None if value is None else pytest.approx(float(value), rel=0, abs=1e-12)


def counts_of(part: OracleChannel | OracleWindow | OracleGroup) -> Counts:
    return Counts(
        part.messages,
        part.receivers,
        part.expected,
        part.missing,
        part.corroborated,
        part.unknown,
        **{name: getattr(part.counts, name) for name in OUTCOME_COUNTS},
    )


def spreads_of(part: OracleWindow | OracleGroup) -> Spreads:
    return Spreads(
        Spread(*part.over_channels), Spread(*part.over_receivers), Spread(*part.over_memberships)
    )


def spreads_within_channel(part: OracleChannel | OracleGroup) -> Spreads:
    """The spreads of one channel, which has none over channels."""
    over_receivers = Spread(*part.over_receivers)
    return Spreads(Spread(), over_receivers, over_receivers)


def reasons_of(part: OracleChannel | OracleWindow) -> tuple[LossReason, ...]:
    return tuple(LossReason(*one) for one in part.reasons)


def captures_of(channel: OracleChannel) -> Captures:
    return Captures(*channel.captures)


def groups_of(part: OracleChannel | OracleWindow) -> list[Group]:
    return [
        Group(
            Dimension(dimension),
            value,
            counts_of(group),
            spreads_of(group) if isinstance(part, OracleWindow) else spreads_within_channel(group),
            Delays(*group.delays),
        )
        for dimension in (*DIMENSIONS, *AUTHOR_DIMENSIONS)
        for value, group in part.groups(dimension).items()
    ]


def in_order(groups: Sequence[Group]) -> list[Group]:
    return sorted(
        groups, key=lambda group: (group.dimension, group.value is None, group.value or "")
    )


def form_of_channel(channel: ChannelReliability) -> Form:
    return {"counts": channel.counts, **vars_of(channel.figures)}


def vars_of(figures: Figures) -> Form:
    return {name: getattr(figures, name) for name in Figures.__dataclass_fields__}


def oracle_form_of_channel(channel: OracleChannel) -> Form:
    return {
        "counts": counts_of(channel),
        "spreads": spreads_within_channel(channel),
        "delays": Delays(*channel.delays),
        "captures": captures_of(channel),
        "median": close(channel.median),
        "trimmed": close(channel.trimmed),
        "influence": close(channel.influence),
        "unconfirmed": channel.unconfirmed,
        "silent_members": len(channel.silent),
        "one_in": 1,
        "estimated_messages": channel.messages,
        "reasons": reasons_of(channel),
    }


def form_of_window(window: WindowReliability) -> Form:
    return {
        "counts": window.counts,
        "reliability": window.reliability,
        "unseen": window.unseen,
        "sample_coverage": window.sample_coverage,
        **vars_of(window.figures),
        "groups": in_order(window.groups),
    }


def oracle_form_of_window(window: OracleWindow) -> Form:
    channels = [
        ChannelReliability(name, counts_of(of_one), Figures(captures=captures_of(of_one)))
        for name, of_one in window.channels.items()
    ]
    return {
        "counts": counts_of(window),
        "reliability": close(window.reliability),
        "unseen": close(window_unseen(channels)),
        "sample_coverage": close(window_sample_coverage(channels)),
        "spreads": spreads_of(window),
        "delays": Delays(*window.delays),
        "captures": Captures(),
        "median": close(window.median),
        "trimmed": close(window.trimmed),
        "influence": close(window.influence),
        "unconfirmed": window.unconfirmed,
        "silent_members": window.silent_members,
        "one_in": 1,
        "estimated_messages": window.messages,
        "reasons": reasons_of(window),
        "groups": in_order(groups_of(window)),
    }


def oracle_form_of_window_of_channel(channel: OracleChannel | None) -> Form:
    """A window that is read with one channel has that channel's figures, if it is comparable."""
    if channel is None or not channel.comparable:
        return oracle_form_of_window(OracleWindow())
    counts, captures = counts_of(channel), captures_of(channel)
    return {
        **oracle_form_of_channel(channel),
        "reliability": close(channel.reliability),
        "unseen": close(unseen_messages(counts, captures)),
        "sample_coverage": close(sample_coverage(counts, captures)),
        "groups": in_order(groups_of(channel)),
    }


async def read(
    database: Database, membership: MembershipPolicy, channel_id: str | None
) -> WindowReliability:
    selection = Selection("1h", channel=channel_id, membership=membership, by=tuple(Dimension))
    (window,) = [window async for window in read_windows(database, selection)]
    return window


# ---------------------------------------------------------------------------------------- the laws


def assert_it_adds_up(window: WindowReliability) -> None:
    """For a window, or for one that is read with one channel."""
    delivered = window.counts.expected - window.counts.missing
    delays = window.figures.delays
    assert sum(delays.delivery) + sum(delays.report) == delivered
    assert delays.delivery[DELAY_UNKNOWN] == delays.report[DELAY_UNKNOWN] == 0
    for dimension in Dimension:
        groups = [group for group in window.groups if group.dimension is dimension]
        if not groups:
            continue
        # A message is in one group by type and by author, and a receiver by platform and by
        # version. By path both can be in several groups.
        once = {
            Dimension.PLATFORM: ["receivers"],
            Dimension.APP_VERSION: ["receivers"],
            Dimension.PATH: [],
        }.get(dimension, ["messages"])
        for name in (*once, "expected", "missing", "corroborated", "unknown"):
            total = sum(getattr(group.counts, name) for group in groups)
            assert total == getattr(window.counts, name), (dimension, name)
        for group in groups:
            assert group.counts.messages <= window.counts.messages
            assert group.counts.receivers <= window.counts.receivers
        of_groups = groups[0].delays
        for group in groups[1:]:
            of_groups = of_groups.plus(group.delays)
        assert of_groups == delays, dimension


def assert_intervals_hold_their_estimates(window: WindowReliability) -> int:
    """Asserts that each interval contains its estimate; returns the number of intervals."""
    parts: list[WindowReliability | ChannelReliability | Group] = [window]
    parts += [*window.channels, *window.groups]
    intervals = 0
    for share in map(totals_of, parts):
        if (interval := share.interval) is not None:
            intervals += 1
            assert interval.estimate == pytest.approx(share.counts.delivery_ratio, abs=1e-12)
            assert 0 <= interval.lower <= interval.estimate <= interval.upper <= 1
    return intervals


async def assert_as_the_oracle_has_it(
    database: Database, world: World, membership: MembershipPolicy, rules: Rules
) -> WindowReliability:
    """Compares the window with the oracle: as computed, as stored, and as computed again."""
    expected = expected_of(world, membership, rules, await database.keyring())
    window = await measured(database, membership, rules)
    assert {channel.channel_id: form_of_channel(channel) for channel in window.channels} == {
        channel_id: oracle_form_of_channel(channel)
        for channel_id, channel in expected.channels.items()
    }, membership
    assert form_of_window(window) == oracle_form_of_window(expected), membership
    assert_it_adds_up(window)

    stored = await read(database, membership, None)
    assert form_of_window(stored) == form_of_window(window)
    assert {channel.channel_id: form_of_channel(channel) for channel in stored.channels} == {
        channel.channel_id: form_of_channel(channel) for channel in window.channels
    }
    for channel_id in {sample.channel_id for sample in world.samples}:
        of_channel = await read(database, membership, channel_id)
        assert form_of_window(of_channel) == oracle_form_of_window_of_channel(
            expected.channels.get(channel_id)
        ), (membership, channel_id)
        assert_it_adds_up(of_channel)

    assert await measured(database, membership, rules) == window, membership
    return window


OF_ORACLE = {Dimension(name): name for name in (*DIMENSIONS, *AUTHOR_DIMENSIONS)}


async def assert_a_table_is_the_oracles(
    database: Database,
    world: World,
    membership: MembershipPolicy,
    rules: Rules,
    dimensions: tuple[Dimension, Dimension],
) -> None:
    expected = expected_of(world, membership, rules, await database.keyring())
    hour = parse_timeframe("1h")
    asked = AggregateRules(
        (hour,),
        membership=membership,
        unmeasured=UNMEASURED,
        **asdict(rules) | {"weight_cap": float(rules.weight_cap)},
    )
    start = from_unix_ms(START)
    table = await cross_table(database, asked, hour, dimensions, start=start, now=lambda: LATER)
    rows, columns = (OF_ORACLE[dimension] for dimension in dimensions)
    assert {
        (None if cell.row is None else (cell.row, cell.column)): (
            cell.counts,
            cell.spreads,
            cell.delays,
        )
        for cell in table.cells
    } == {
        value: (counts_of(group), spreads_of(group), Delays(*group.delays))
        for value, group in expected.table(rows, columns).items()
    }, dimensions


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(world=worlds(), rules=RULES, data=st.data())
async def test_all_figures_are_the_oracles_whatever_came_in_whatever_order(
    world: World, rules: Rules, data: st.DataObject, database: Database
) -> None:
    await empty(database)
    await store_pushes(database, *world.transactions, heartbeats=world.heartbeats)
    found = {
        membership: await assert_as_the_oracle_has_it(database, world, membership, rules)
        for membership in MembershipPolicy
    }
    membership = data.draw(st.sampled_from(MembershipPolicy))
    two = data.draw(st.sampled_from(list(itertools.permutations(Dimension, 2))))
    await assert_a_table_is_the_oracles(database, world, membership, rules, two)
    # In another order of arrival the figures are the same to the last bit.
    await empty(database)
    shuffled = data.draw(st.permutations(world.pushes))
    await store_pushes(database, shuffled, heartbeats=world.heartbeats)
    assert await measured(database, membership, rules) == found[membership]


def crowd(random: Random) -> World:
    """A world with enough receivers and channels for intervals and trimmed means.

    Some receivers lose much, some nothing, and some are nearly alone in a channel.
    """
    losses = {f"r{number}": random.choice([0, 0.05, 0.2, 0.6]) for number in range(24)}
    samples = []
    for channel in range(random.randint(12, 16)):
        members = random.sample(sorted(losses), random.randint(1, 24))
        # Messages before, in and after the window, so that members count under every policy.
        for number, minute in enumerate([-5, *sorted(random.choices(range(60), k=8)), 61]):
            author = random.choice(members)
            for member in members:
                if 0 < number < 9 and random.random() < losses[member]:
                    continue
                sent_at = START + minute * MINUTE_MS
                received_at = sent_at + round(random.expovariate(1 / 20_000))
                samples.append(
                    OracleSample(
                        f"m{channel}-{number}",
                        f"{AUDIT if channel == 0 else 'channel'}-{channel}",
                        member,
                        sent_at,
                        max(END * (number == 9), received_at) + 500,
                        sent_by_receiver=member == author,
                        message_type=("TEXT", "IMAGE", "NOISE")[number % 3],
                        received_at=None if number == 4 else received_at,
                        platform=("ios", "android", "desktop", "tv")[hash_of(member) % 4],
                        app_version=("1", "2")[hash_of(member) % 2] if number % 2 else "",
                    )
                )
    random.shuffle(samples)
    return World([Pushed((sample,)) for sample in samples], [len(samples) // 2], {}, {}, [])


def hash_of(name: str) -> int:
    return sum(name.encode())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_of_a_crowd_too_and_each_interval_holds_its_estimate(
    seed: int, database: Database
) -> None:
    world = crowd(Random(seed))
    await store_pushes(database, *world.transactions)
    for membership in MembershipPolicy:
        rules = Rules(1, Fraction(1), 3)
        window = await assert_as_the_oracle_has_it(database, world, membership, rules)
        assert assert_intervals_hold_their_estimates(window) > 0
        of_channel = await read(database, membership, window.channels[0].channel_id)
        assert_intervals_hold_their_estimates(of_channel)


# ------------------------------------------------------------------------------- what went wrong


def held(by: Mapping[str, str], channel_id: str, message_type: str) -> list[OracleSample]:
    """Samples, reported after the window. by: message → the keys that hold it, one letter each."""
    return [
        OracleSample(
            message_id=message,
            channel_id=channel_id,
            receiver_public_key=key,
            sent_at=START + number * MINUTE_MS % HOUR_MS,
            created_at=END,
            message_type=message_type,
        )
        for number, (message, keys) in enumerate(by.items())
        for key in keys
    ]


async def computed(
    database: Database, samples: Iterable[OracleSample], rules: Rules
) -> WindowReliability:
    await empty(database)
    await store_pushes(database, [Pushed(tuple(samples))])
    return await measured(database, MembershipPolicy.PRESENT, rules)


async def test_types_that_concern_the_same_few_are_not_more_of_them_together(
    database: Database,
) -> None:
    # TEXT concerns three receivers. IMAGE and GIF concern the same two, so together two, not four.
    # If they were shown, the third receiver could be found by subtraction.
    samples = [
        *held({"m": "abc"}, "c", "TEXT"),
        *held({"m": "ab"}, "d", "IMAGE"),
        *held({"m": "ab"}, "e", "GIF"),
    ]

    async def types(smallest_group: int) -> list[tuple[str | None, int]]:
        window = await computed(database, samples, Rules(1, Fraction(1), smallest_group))
        return [
            (group.value, group.counts.expected)
            for group in in_order(window.groups)
            if group.dimension is Dimension.MESSAGE_TYPE
        ]

    assert await types(2) == [("GIF", 2), ("IMAGE", 2), ("TEXT", 3)]
    assert await types(3) == [(None, 7)]


async def test_what_too_few_vouch_for_has_no_delay_whatever_its_authors_clock_says(
    database: Database,
) -> None:
    # m1 has two vouchers, and its author's clock is half a minute behind. All hold m2.
    samples = held({"m1": "ab", "m2": "abc"}, "c", "TEXT")
    samples[0] = replace(samples[0], sent_by_receiver=True, received_at=samples[0].sent_at + 30_000)
    samples = [replace(one, received_at=one.received_at or one.sent_at + 40_000) for one in samples]
    window = await computed(database, samples, Rules(3, Fraction(1), 1))
    assert window.counts == Counts(messages=1, receivers=3, expected=3, missing=0, corroborated=3)
    # The three deliveries of m2 took up to a minute.
    assert window.figures.delays == Delays(delivery=(*[0] * 7, 3, *[0] * 7))


async def test_a_type_is_one_by_whatever_interface_its_messages_came(database: Database) -> None:
    reports = as_samples(held({"m1": "abc", "m2": "abc", "m3": "ab"}, "c", "TEXT"))
    await store(
        database,
        [
            one._replace(source=Source.STATUS_GO) if one.message_id == "m2" else one
            for one in reports
        ],
    )
    window = await measured(database, MembershipPolicy.PRESENT, Rules(1, Fraction(1), 1))
    (group,) = [group for group in window.groups if group.dimension is Dimension.MESSAGE_TYPE]
    assert (group.value, group.counts) == ("TEXT", window.counts)
    assert group.counts == Counts(messages=3, receivers=3, expected=8, missing=0, corroborated=8)


@pytest.mark.parametrize(("weight_cap", "messages"), [("0.29", 100), ("0.28", 71)])
async def test_a_cap_is_a_decimal_number(
    weight_cap: str, messages: int, database: Database
) -> None:
    # With binary floats 0.29 * 100 is 28.999999999999996.
    by = {f"m{number}": "a" if number < 29 else "ab" for number in range(100)}
    window = await computed(database, held(by, "c", "TEXT"), Rules(1, Fraction(weight_cap), 3))
    assert window.counts.messages == messages


@pytest.mark.parametrize("together", [True, False])
async def test_platform_and_version_are_each_what_was_said_last_whatever_comes_first(
    together: bool, database: Database
) -> None:
    (report,) = held({"m": "a"}, "c", "TEXT")
    said = [
        # The second version counts: it is later than the first, and the third sample says none. Of
        # values in one minute the greater one counts.
        replace(report, created_at=END, platform="ios", app_version="1"),
        replace(report, created_at=END + MINUTE_MS, platform="ios", app_version="2"),
        replace(report, created_at=END + 2 * MINUTE_MS + 9, platform="android"),
        replace(report, created_at=END + 2 * MINUTE_MS, platform="desktop"),
    ]
    for order in itertools.permutations(said):
        await empty(database)
        pushes = [Pushed((one,)) for one in order]
        await store_pushes(database, *([pushes] if together else ([push] for push in pushes)))
        async with database.acquire() as connection:
            row = await connection.fetchrow("select platform, app_version from receiver")
        assert row is not None
        assert tuple(row) == ("desktop", "2")
