"""A process with other rules than those in force computes nothing, and names the differences."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from devtelemetry.aggregate.in_force import RulesInForce, fingerprint, rules_in_force
from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.model import MembershipPolicy, Source, parse_timeframe
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.store.database import Database
from support.waiting import LOCKS_HERE

RULES = AggregateRules(
    timeframes=(parse_timeframe("1h"), parse_timeframe("1d")),
    unmeasured={Source.GRPC: Unmeasured(types=("PING",))},
)


async def test_the_same_rules_go_together(database: Database) -> None:
    async with RulesInForce(database, RULES) as one, RulesInForce(database, RULES) as other:
        for _ in range(2):
            await one.ensure()
            await other.ensure()
        async with rules_in_force(database, RULES):
            pass


async def test_other_rules_wait_until_nobody_computes_by_these(database: Database) -> None:
    other_rules = replace(RULES, quorum=2, settle_time=timedelta(hours=2))
    async with RulesInForce(database, other_rules) as other:
        async with RulesInForce(database, RULES) as one:
            await one.ensure()
            for _ in range(2):
                with pytest.raises(ConfigurationError) as caught:
                    await other.ensure()
                assert "quorum is 1 there and 2 here" in str(caught.value)
                assert "settle_time is 1d there and 2h here" in str(caught.value)
                assert "timeframes" not in str(caught.value)
        await other.ensure()
        with pytest.raises(ConfigurationError):
            async with rules_in_force(database, RULES):
                pass


async def test_a_server_that_loses_its_session_takes_its_rules_up_again(
    database: Database, database_url: str
) -> None:
    async with RulesInForce(database, RULES) as one:
        await one.ensure()
        async with Database(database_url) as elsewhere, elsewhere.acquire() as connection:
            await connection.execute(
                f"select pg_terminate_backend(pid) from {LOCKS_HERE} and locktype = 'advisory'"
            )
        with pytest.raises(Exception, match="database"):
            await one.ensure()
        await one.ensure()
        with pytest.raises(ConfigurationError):
            async with rules_in_force(database, replace(RULES, quorum=2)):
                pass


async def test_a_command_may_name_windows_that_a_server_does_not_compute(
    database: Database,
) -> None:
    async with RulesInForce(database, RULES) as one:
        await one.ensure()
        more = replace(RULES, timeframes=(parse_timeframe("15m"),))
        async with rules_in_force(database, more, but=("timeframes", "allowed_lateness")):
            pass
        async with rules_in_force(database, replace(RULES, membership=MembershipPolicy.WINDOW)):
            pass


OTHER_VALUES: dict[str, Any] = {
    "membership": MembershipPolicy.WINDOW,
    "timeframes": (parse_timeframe("1h"),),
    "unmeasured": {Source.GRPC: Unmeasured(channels=("x",))},
}


@pytest.mark.parametrize("name", [field.name for field in fields(AggregateRules)])
def test_every_rule_that_a_figure_depends_on_is_in_the_fingerprint(name: str) -> None:
    value = getattr(RULES, name)
    other = OTHER_VALUES.get(name) or value * 3
    is_same = fingerprint(replace(RULES, **{name: other})) == fingerprint(RULES)
    assert is_same == (name in ("membership", "recompute_interval", "lookback"))
