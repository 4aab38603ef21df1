"""A channel down to single messages: the same pairs as in the figures, on real PostgreSQL."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregate.test_coverage import worlds
from devtelemetry.aggregate.aggregate import AggregateRules, Unmeasured, compute_one
from devtelemetry.aggregate.windows import parse_timeframe
from devtelemetry.causes.read import Asked, drill_down
from devtelemetry.model import MembershipPolicy, Source, from_unix_ms
from devtelemetry.store.database import Database
from oracle.model import compute
from support.store import LATER, START, empty
from support.worlds import END, World, store_pushes

HOUR = parse_timeframe("1h")
RULES = AggregateRules((HOUR,), unmeasured={Source.GRPC: Unmeasured(channels=("*-negotiated",))})


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=worlds(), quorum=st.sampled_from([1, 1, 2, 3]), cap=st.sampled_from([1.0, 0.5, 0.25]))
async def test_the_pairs_of_a_channel_are_those_of_the_figures_and_of_the_oracle(
    world: World, quorum: int, cap: float, database: Database
) -> None:
    await empty(database)
    await store_pushes(database, *world.transactions, heartbeats=world.heartbeats)
    for membership in MembershipPolicy:
        rules = replace(RULES, membership=membership, quorum=quorum, weight_cap=cap)
        window = await compute_one(database, rules, HOUR, from_unix_ms(START), now=lambda: LATER)
        of_figures = {channel.channel_id: channel.counts for channel in window.channels}
        of_oracle = compute(
            world.samples,
            START,
            END,
            membership.value,
            heartbeats=world.last_heartbeats,
            numbers=world.numbers,
            memberships=world.memberships,
            unmeasured_channels=["*-negotiated"],
            quorum=quorum,
            weight_cap=Fraction(cap),
        ).channels
        assert of_figures.keys() == of_oracle.keys()
        for channel_id in {sample.channel_id for sample in world.samples}:
            asked = Asked(channel_id, HOUR, from_unix_ms(START))
            async with drill_down(database, rules, asked, now=lambda: LATER) as found:
                if channel_id not in of_figures:
                    assert not (found.counts.messages and found.counts.receivers)
                    assert found.stored is None
                    continue
                assert found.counts == of_figures[channel_id] == found.stored
                oracle = of_oracle[channel_id]
                assert sum(found.classes.values()) == found.counts.missing == oracle.missing
                assert found.counts.unknown == oracle.unknown
                positions = found.missing_messages()
                lacking = [m async for m in found.details(positions)]
                assert sum(message.pairs.missing for message in lacking) == oracle.missing
