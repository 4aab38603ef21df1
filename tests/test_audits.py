"""The results of audits that a server shows, read from what is stored."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from devtelemetry.figures.audits import (
    RECENT_MS,
    Audit,
    AuditResult,
    audit_metrics,
    read_latest_audits,
)
from devtelemetry.model import (
    AUDIT_CHANNELS,
    HOUR_MS,
    MINUTE_MS,
    Counts,
    MembershipPolicy,
    Sample,
    from_unix_ms,
)
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries
from support.store import START, compute_window, store

NOW = START + 12 * HOUR_MS
COMPUTED = from_unix_ms(NOW - HOUR_MS)
NOTHING = Counts(0, 0, 0, 0, 0, 0)
TRUTH = Counts(messages=2, receivers=3, expected=6, missing=1, corroborated=6, unknown=0)


def an_audit(hour: int = 0, **fields: object) -> Audit:
    """An audit with the counts of what `stored` stores."""
    audit = Audit("1h", from_unix_ms(START + hour * HOUR_MS), "0" * 16, TRUTH, COMPUTED)
    return replace(audit, **fields)  # type: ignore[arg-type]


async def stored(database: Database, *audits: Audit, computed: bool = True) -> None:
    """Stores three receivers of two messages. One lacks a message; an hour later all report."""
    for audit in audits:
        start = audit.window.start_ms
        await store(
            database,
            [
                Sample(
                    f"{audit.nonce}-{message}",
                    audit.channel_id,
                    f"{audit.nonce}-{receiver}",
                    start + message * MINUTE_MS,
                    audit.window.end_ms,
                )
                for message in (1, 2)
                for receiver in "abc"
                if (message, receiver) != (2, "c")
            ]
            # So that the receiver that lacks the last message has a later receipt.
            + [
                Sample(
                    f"{audit.nonce}-after",
                    audit.channel_id,
                    f"{audit.nonce}-c",
                    audit.window.end_ms,
                    audit.window.end_ms,
                )
            ],
        )
    if computed:
        for audit in audits:
            await compute_window(
                database, audit.window.start_ms, timeframe=audit.timeframe, now=COMPUTED
            )


async def latest(database: Database, policy: str = "present") -> list[AuditResult]:
    return await read_latest_audits(database, MembershipPolicy(policy), now_ms=NOW)


async def test_an_audit_is_recovered_if_every_count_is_the_true_one(database: Database) -> None:
    assert await latest(database) == []
    audit = an_audit()
    await stored(database, audit)
    (result,) = await latest(database)
    assert result == AuditResult(audit, TRUTH)
    assert result.is_recovered
    assert result.error_pairs == 0


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"missing": 0}, 1),
        ({"expected": 9, "corroborated": 7}, 4),
        ({"unknown": 2}, 2),
        ({"receivers": 4}, 0),
        ({"messages": 3}, 0),
    ],
)
async def test_an_audit_with_another_truth_is_not(
    database: Database, said: dict[str, int], error: int
) -> None:
    await stored(database, an_audit(counts=replace(TRUTH, **said)))
    (result,) = await latest(database)
    assert not result.is_recovered
    assert result.error_pairs == error


async def test_each_policy_has_its_own_figures_of_an_audit(database: Database) -> None:
    audit = an_audit()
    await stored(database, audit)
    for policy in ("window", "bracketed"):
        await compute_window(database, membership=policy, now=COMPUTED)
    assert await latest(database) == await latest(database, "window") == [AuditResult(audit, TRUTH)]
    # None of these receivers was there before the window.
    assert await latest(database, "bracketed") == [AuditResult(audit, NOTHING)]


async def test_an_audit_that_left_nothing_in_its_window_is_not_recovered(
    database: Database,
) -> None:
    audit = an_audit(1)
    await stored(database, audit, computed=False)
    assert await latest(database) == [], "its window is not computed"
    async with database.acquire() as connection:
        await connection.execute("delete from receipt")
    await compute_window(database, audit.window.start_ms, now=COMPUTED)
    (result,) = await latest(database)
    assert result == AuditResult(audit, NOTHING)
    assert result.error_pairs == 6 + 1 + 6


async def test_a_window_that_was_computed_before_all_was_there_says_nothing(
    database: Database,
) -> None:
    await stored(database, an_audit(by=COMPUTED + timedelta(seconds=1)))
    assert await latest(database) == []


async def test_each_timeframe_has_its_latest_audits_of_all_the_policies(
    database: Database,
) -> None:
    old, new, wrong = (
        an_audit(0, nonce="1" * 16),
        an_audit(2, nonce="2" * 16),
        an_audit(2, nonce="3" * 16, counts=replace(TRUTH, missing=2)),
    )
    longer = an_audit(0, nonce="4" * 16, timeframe="2h")
    await stored(database, old, new, wrong, longer)
    results = await latest(database)
    assert {result.audit for result in results} == {new, wrong, longer}
    assert [result.audit.timeframe for result in results] == ["1h", "1h", "2h"]
    assert await latest(database, "window") == [], "that one was not computed"


@pytest.mark.parametrize("at_ms", [START - RECENT_MS + 12 * HOUR_MS - HOUR_MS, NOW])
async def test_what_is_long_past_or_yet_to_come_is_not_looked_at(
    database: Database, at_ms: int
) -> None:
    await stored(database, an_audit((at_ms - START) // HOUR_MS), computed=False)
    await compute_window(database, at_ms)
    assert await latest(database) == []


async def test_what_only_looks_like_an_audit_is_none(database: Database) -> None:
    audit = an_audit()
    names = (f"{AUDIT_CHANNELS}2026-03-02T10:00:00Z/1h", audit.channel_id.replace("&by", "&"))
    await store(database, [Sample("m", name, "a", START + MINUTE_MS, START) for name in names])
    await compute_window(database, now=COMPUTED)
    assert await latest(database) == []


def test_the_query_has_the_prefix_of_the_model() -> None:
    assert (
        f"'{AUDIT_CHANNELS}%'"
        in queries("devtelemetry.figures", "audits.sql")["recent_audits"].text
    )


def test_of_several_audits_of_a_window_the_worst_is_shown() -> None:
    good = AuditResult(an_audit(), TRUTH)
    bad = AuditResult(an_audit(nonce="1" * 16), replace(TRUTH, missing=0, expected=5))
    other = AuditResult(an_audit(timeframe="2h"), TRUTH)

    class Shown(CollectorRegistry):
        def collect(self):  # type: ignore[no-untyped-def]
            return audit_metrics([good, bad, other])

    lines = [line for line in generate_latest(Shown()).decode().splitlines() if line[0] != "#"]
    assert {name: float(value) for name, value in map(str.split, lines)} == {
        'devtelemetry_audit_recovered{timeframe="1h"}': 0,
        'devtelemetry_audit_recovered{timeframe="2h"}': 1,
        'devtelemetry_audit_error_pairs{timeframe="1h"}': 2,
        'devtelemetry_audit_error_pairs{timeframe="2h"}': 0,
        'devtelemetry_audit_window_end_timestamp_seconds{timeframe="1h"}': (START + HOUR_MS) / 1000,
        'devtelemetry_audit_window_end_timestamp_seconds{timeframe="2h"}': START / 1000 + 7200,
    }
