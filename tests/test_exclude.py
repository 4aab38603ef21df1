"""A liar's reports are taken out of computed windows, and put back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import OriginSaid
from devtelemetry.model import (
    HOUR_MS,
    MINUTE_MS,
    Counts,
    Hand,
    Outcome,
    Sample,
    from_unix_ms,
    parse_timeframe,
    unix_ms,
)
from devtelemetry.retention.exclude import receivers_of, receivers_of_token
from devtelemetry.runtime.clock import utc_now
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import receiver_name
from support.program import Run
from support.store import LATER, START

T = TypeVar("T")

END = START + HOUR_MS
RULES = AggregateRules((parse_timeframe("1h"),), lookback=timedelta(0))


def held(message: str, key: str, installation: str, minute: int) -> Sample:
    sent_at = START + minute * MINUTE_MS
    return Sample(message, "c", key, sent_at, sent_at + 1_000, installation)


HONEST = [
    held(f"m{minute}", one, one, minute) for one in ("ann", "ben") for minute in (*range(1, 6), 60)
]
# Two keys of one installation, and another installation in the same network.
LIES = [
    held(f"lie{minute}", key, installation, minute)
    for key, installation in (("x", "liar"), ("y", "liar"), ("z", "other"))
    for minute in (*range(1, 4), 60)
]


async def push(
    database: Database, samples: Sequence[Sample] = (*HONEST, *LIES), at_ms: int = END
) -> dict[str, int]:
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    batch.add_samples(writer.keyring, samples)
    batch.add_origins(
        writer.keyring,
        [
            OriginSaid(sample.receiver_public_key, sample.installation_id, network, token, END)
            for sample in samples
            for network, token in (
                ("192.0.2.0/24", "app")
                if sample.receiver_public_key in "xyz"
                else ("198.51.100.0/24", "beta"),
            )
        ],
    )
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=at_ms)
    return {
        sample.receiver_public_key: writer.keyring.receiver(
            sample.receiver_public_key, sample.installation_id
        ).receiver_id
        for sample in samples
    }


async def counts(database: Database, now: datetime) -> Counts:
    found: list[Counts] = []
    await compute_due(
        database,
        RULES,
        now=lambda: now,
        on_window=lambda one: found.append(one.counts) if one.window.start_ms == START else None,
    )
    (only,) = found
    return only


def of(url: str, look: Callable[[Database], Awaitable[T]]) -> T:
    async def looked() -> T:
        async with Database(url) as database:
            return await look(database)

    return asyncio.run(looked())


@pytest.mark.slow
def test_it_is_taken_out_of_settled_windows_and_back(
    database_url: str, run: Run, tmp_path: Path
) -> None:
    ids = of(database_url, push)
    with_lies = of(database_url, partial(counts, now=LATER))
    assert with_lies.receivers == 5
    to = tmp_path / "liar.ndjson"
    name = receiver_name(ids["x"])
    done = run("exclude", name, "--with=network", f"--to={to}")
    assert "took out 12 samples of 3 receivers" in done.out
    lines = [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(LIES)
    # From here on by the real clock, which the commands use.
    computed_at = utc_now()
    without = of(database_url, partial(counts, now=computed_at))
    assert (without.receivers, without.messages, without.missing) == (2, 5, 0)

    assert run("exclude", name, f"--to={to}", check=False).status != 0, "the file is there"
    run("import", str(to), "--retention=3650d")
    later = computed_at + RULES.recompute_interval
    assert of(database_url, partial(counts, now=later)) == with_lies


@pytest.mark.slow
def test_what_was_taken_since_a_moment_is_taken_out_and_back(
    database_url: str, run: Run, tmp_path: Path
) -> None:
    since = START + 2 * MINUTE_MS
    # x reported this message before `since`, so all its reports of it stay.
    seen_before = [
        held("m1", "x", "liar", 1)._replace(created_at=since - 1, outcome=Outcome.UNREADABLE),
        held("m1", "x", "liar", 1)._replace(created_at=since + 1),
    ]
    early = [*HONEST, *seen_before, *(one for one in LIES if (one.created_at or 0) < since)]
    ids = of(database_url, partial(push, samples=early))
    before = of(database_url, partial(counts, now=LATER))
    now = LATER + RULES.recompute_interval
    of(database_url, partial(push, at_ms=unix_ms(now)))
    now += RULES.recompute_interval
    with_lies = of(database_url, partial(counts, now=now))
    assert (with_lies.messages, before.messages) == (8, 6)

    to = tmp_path / "liar.ndjson"
    name = receiver_name(ids["x"])
    span = f"--since={from_unix_ms(since).isoformat()}"
    done = run("exclude", name, "--with=network", span, f"--to={to}")
    assert "took out 9 samples of 3 receivers" in done.out
    lines = [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]
    assert sorted({line["messageId"] for line in lines}) == ["lie2", "lie3", "lie60"]
    now = utc_now()
    assert of(database_url, partial(counts, now=now)) == before

    run("import", str(to), "--retention=3650d")
    now += RULES.recompute_interval
    assert of(database_url, partial(counts, now=now)) == with_lies
    wrong = run("exclude", name, "--since=yesterday", f"--to={tmp_path / 'new'}", check=False)
    assert "--since: 'yesterday' is not a time; allowed: ISO 8601" in wrong.err


async def test_who_goes_with_a_receiver(database: Database) -> None:
    ids = await push(database)

    async def keys(hand: Hand) -> set[str]:
        found = await receivers_of(database, ids["x"], hand)
        return {key for key, receiver_id in ids.items() if receiver_id in found}

    assert await keys(Hand.RECEIVER) == {"x"}
    assert await keys(Hand.INSTALLATION) == {"x", "y"}
    assert await keys(Hand.NETWORK) == {"x", "y", "z"}
    assert set(await receivers_of_token(database, "app")) == {ids[key] for key in "xyz"}
    with pytest.raises(Exception, match="there is no receiver 00000000000004d2"):
        await receivers_of(database, 1234, Hand.RECEIVER)
    with pytest.raises(Exception, match="a token named nosuch"):
        await receivers_of_token(database, "nosuch")
