"""Laws that the oracle obeys in random worlds, in which reports contradict each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.cases import END, START
from oracle.figures import MISSING_CLASSES
from oracle.groups import AUTHOR_DIMENSIONS, DIMENSIONS
from oracle.intake import HOUR_MS
from oracle.model import MEMBERSHIPS, Joining, OracleSample, Receiver, canonical, compute
from oracle.samples import (
    CLOCKS,
    EVENT_KINDS,
    OUTCOMES,
    VIAS,
    EnvelopeEvent,
    Lost,
    Membership,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oracle.figures import PairCounts
    from oracle.groups import OracleGroup
    from oracle.model import OracleChannel, OracleWindow

RECEIVERS = st.sampled_from(
    [("a", ""), ("b", "p"), ("c", "q"), ("d", "")] * 3 + [("a", "p"), ("b", ""), ("d", "q")]
)
CHANNELS = st.sampled_from(["c1", "c1", "c2"])
ENVELOPES = st.sampled_from(["", "e", "f"])
REASONS = st.sampled_from(["", "no_key", "too_large"])
# A quarter of an hour apart, from an hour before the window to an hour after it.
INSTANTS = st.integers(-4, 8).map(lambda quarters: START + quarters * HOUR_MS // 4)
IN_WINDOW = st.integers(0, 3).map(lambda quarters: START + quarters * HOUR_MS // 4)


def rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 5)) == 5


@st.composite
def of_message(draw: st.DrawFn) -> list[OracleSample]:
    """The reports of one message, or of an unreadable one that only its envelope names."""
    channel_id = draw(CHANNELS)
    message_id = draw(st.sampled_from(["m1", "m2", "m3", "m4"]))
    sent_at = draw(IN_WINDOW | INSTANTS)
    found = []
    for _ in range(draw(st.integers(1, 5))):
        key, installation_id = draw(RECEIVERS)
        outcome = draw(st.sampled_from(["held", *OUTCOMES]))
        is_nameless = outcome == "unreadable" and rarely(draw)
        found.append(
            OracleSample(
                message_id="" if is_nameless else message_id,
                channel_id="" if is_nameless and draw(st.booleans()) else channel_id,
                receiver_public_key=key,
                installation_id=installation_id,
                sent_at=draw(INSTANTS) if rarely(draw) else sent_at,
                created_at=None if not is_nameless and rarely(draw) else draw(INSTANTS),
                sent_by_receiver=rarely(draw),
                message_type=draw(st.sampled_from(["", "CHAT", "NOISE"])),
                envelope_id=draw(st.sampled_from(["e", "f"]) if is_nameless else ENVELOPES),
                received_at=draw(st.none() | INSTANTS),
                outcome=outcome,
                reason=draw(REASONS),
                via=draw(st.sampled_from(VIAS)),
                sent_at_clock=draw(st.sampled_from(CLOCKS)),
                platform=draw(st.sampled_from(["", "ios", "web"])),
                app_version=draw(st.sampled_from(["", "1", "2"])),
                server=draw(st.sampled_from(["", "A", "B"])),
            )
        )
    return found


EVENTS = st.builds(
    EnvelopeEvent,
    st.sampled_from(EVENT_KINDS),
    st.sampled_from(["e", "f"]),
    st.sampled_from(["", "p", "q"]),
    INSTANTS,
    st.sampled_from(["", "a", "b", "c", "d"]),
    REASONS,
)
REPORTED = st.lists(
    st.tuples(INSTANTS, st.just(0) | INSTANTS, st.just(0) | INSTANTS), min_size=1, max_size=4
)
LOST = st.tuples(st.integers(1, 6), st.integers(0, 2), INSTANTS, st.integers(0, HOUR_MS)).map(
    lambda one: Lost(one[0], one[0] + one[1], one[2], one[2] + one[3])
)


@dataclass(frozen=True)
class World:
    samples: list[OracleSample]
    events: list[EnvelopeEvent]
    memberships: dict[tuple[Receiver, str], list[Joining]]
    heartbeats: dict[Receiver, int]
    numbers: dict[str, dict[int, int | None]]
    lost: dict[str, list[Lost]]
    rules: dict[str, Any]

    def compute(self, membership: Membership) -> OracleWindow:
        return compute(
            self.samples,
            START,
            END,
            membership,
            events=self.events,
            memberships=self.memberships,
            heartbeats=self.heartbeats,
            numbers=self.numbers,
            lost=self.lost,
            **self.rules,
        )


NUMBERS = st.dictionaries(st.integers(1, 6), st.none() | INSTANTS, max_size=4)
WORLDS = st.builds(
    World,
    st.lists(of_message(), min_size=2, max_size=8).map(lambda of_all: list(chain(*of_all))),
    st.lists(EVENTS, max_size=4),
    st.dictionaries(st.tuples(RECEIVERS, CHANNELS), REPORTED, max_size=4),
    st.lists(RECEIVERS, min_size=3, max_size=8).map(lambda beating: dict.fromkeys(beating, END)),
    st.fixed_dictionaries({"p": NUMBERS, "q": NUMBERS}),
    st.fixed_dictionaries({"p": st.lists(LOST, max_size=2), "q": st.lists(LOST, max_size=2)}),
    st.fixed_dictionaries(
        {
            "smallest_group": st.integers(1, 3),
            "quorum": st.sampled_from([1, 1, 2]),
            "unmeasured_types": st.sampled_from([[], ["NOISE"]]),
        }
    ),
)
POLICIES = st.sampled_from(MEMBERSHIPS)

worlds = settings(deadline=None)


T = TypeVar("T")


def levels(window: OracleWindow) -> list[OracleWindow | OracleChannel]:
    return [window, *window.channels.values()]


def all_counts(window: OracleWindow) -> Iterator[PairCounts]:
    """The counts of the window, of its channels, and of all groups of both."""
    for level in levels(window):
        yield level.counts
        for dimension in (*DIMENSIONS, *AUTHOR_DIMENSIONS):
            for group in level.groups(dimension).values():
                yield group.counts
        for cell in level.table("author_app_version", "app_version").values():
            yield cell.counts


@worlds
@given(world=WORLDS, membership=POLICIES)
def test_classes_sum_to_missing_everywhere(world: World, membership: Membership) -> None:
    window = world.compute(membership)

    for c in all_counts(window):
        assert c.missing == c.unreadable + c.dropped + c.not_sent + c.not_arrived
        # A message that only one receiver reports, as unreadable, is missing but not corroborated.
        assert 0 <= c.missing - c.unreadable - c.dropped <= c.corroborated <= c.expected
        assert c.missing <= c.expected
        delivered = c.expected - c.missing
        assert c.by_live + c.by_history + c.by_resend <= delivered
        assert c.recovered <= delivered
    for level in levels(window):
        by_class = Counter[str | None]()
        for why in level.reasons:
            by_class[why.missing] += why.pairs
        assert by_class.total() == level.missing
        if level.smallest_group == 1:  # then all reasons are shown: there are fewer than 20
            classes = level.counts._asdict().items()
            assert by_class == Counter({name: n for name, n in classes if name in MISSING_CLASSES})


@worlds
@given(world=WORLDS, membership=POLICIES)
def test_groups_add_up_to_the_window(world: World, membership: Membership) -> None:
    window = world.compute(membership)

    for dimension in (*DIMENSIONS, *AUTHOR_DIMENSIONS):
        assert_adds_up(window.groups(dimension).values(), window)
    assert_adds_up(window.table("author_platform", "path").values(), window)


def assert_adds_up(groups: Iterable[OracleGroup], window: OracleWindow) -> None:
    all_groups = list(groups)
    if not all_groups:  # no channel is comparable
        assert window.counts.expected == window.counts.unknown == 0
        return

    def total(rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(map(sum, zip(*rows, strict=True)))

    assert total(group.counts for group in all_groups) == window.counts
    assert total(group.delays.delivery for group in all_groups) == window.delays.delivery
    assert total(group.delays.report for group in all_groups) == window.delays.report


@worlds
@given(data=st.data(), world=WORLDS, membership=POLICIES)
def test_any_order_and_repetition_of_anything_changes_nothing(
    data: st.DataObject, world: World, membership: Membership
) -> None:
    def shuffled(said: list[T]) -> list[T]:
        again = data.draw(st.lists(st.sampled_from(said), max_size=6)) if said else []
        return data.draw(st.permutations(said + again))

    other = replace(
        world,
        samples=shuffled(world.samples),
        events=shuffled(world.events),
        memberships={key: shuffled(said) for key, said in world.memberships.items()},
        lost={phone: shuffled(said) for phone, said in world.lost.items()},
    )

    assert canonical(other.samples, other.events) == canonical(world.samples, world.events)
    assert other.compute(membership) == world.compute(membership)


@worlds
@given(data=st.data(), world=WORLDS, membership=POLICIES)
def test_samples_that_are_sent_again_later_change_nothing(
    data: st.DataObject, world: World, membership: Membership
) -> None:
    # What a receiver said last describes it, so sending again can change that. Nobody says it here.
    mute = [replace(one, platform="", app_version="", server="") for one in world.samples]
    again = [
        replace(one, created_at=one.created_at + data.draw(st.integers(1, 9 * HOUR_MS)))
        for one in mute
        if one.created_at is not None and data.draw(st.booleans())
    ]

    before = replace(world, samples=mute).compute(membership)
    assert replace(world, samples=mute + again).compute(membership) == before


@worlds
@given(world=WORLDS, membership=POLICIES)
def test_outcomes_move_what_is_missing_and_nothing_that_it_is_a_share_of(
    world: World, membership: Membership
) -> None:
    held = [
        replace(one, outcome="held") if one.outcome in ("unreadable", "dropped") else one
        for one in world.samples
        if one.message_id
    ]
    lacked = [replace(one, outcome="dropped") if one.outcome == "held" else one for one in held]

    all_held = replace(world, samples=held).compute(membership)
    nothing_held = replace(world, samples=lacked).compute(membership)
    assert all_held.channels.keys() == nothing_held.channels.keys()
    for channel_id, channel in all_held.channels.items():
        other = nothing_held.channels[channel_id]
        for name in ("messages", "receivers", "expected", "corroborated", "unknown"):
            assert getattr(other, name) == getattr(channel, name)
        assert other.missing == other.expected
        assert other.counts.dropped == channel.expected - channel.missing
        assert other.counts.not_sent == channel.counts.not_sent


@worlds
@given(world=WORLDS)
def test_bracketed_is_a_part_of_present_by_stays_too(world: World) -> None:
    present = world.compute("present").channels
    bracketed = world.compute("bracketed").channels

    assert bracketed.keys() <= present.keys()
    for channel_id, part in bracketed.items():
        assert set(part.members) <= set(present[channel_id].members)
        assert not Counter(part.pairs) - Counter(present[channel_id].pairs)
