"""Rows are deleted if nobody named them for long, or only one installation ever did."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.caps import named_by
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.ingest.submission import Submission
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    ReportedMembership,
    ReportRun,
    Sample,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.retention.clean import clean
from devtelemetry.store.database import Database
from support.store import START

RULES = AggregateRules((parse_timeframe("1h"),), lookback=timedelta(0))
MIDNIGHT = START // DAY_MS * DAY_MS


def after(days: float) -> datetime:
    """The time so many days after the midnight before START."""
    return from_unix_ms(MIDNIGHT + int(days * DAY_MS))


def held(
    message: str, channel: str, key: str, installation: str, day: int, message_type: str = "CHAT"
) -> Sample:
    sent_at = START + day * DAY_MS
    return Sample(
        message, channel, key, sent_at, sent_at + 1_000, installation, message_type=message_type
    )


async def push(writer: RowWriter, database: Database, submission: Submission) -> None:
    """Stores a submission as GroupCommit does."""
    batch = Batch()
    batch.add_samples(writer.keyring, submission.samples)
    batch.add_memberships(writer.keyring, submission.memberships)
    batch.add_runs(writer.keyring, submission.runs)
    for beat in submission.heartbeats:
        batch.add_heartbeat(writer.keyring, beat)
    batch.named.update(named_by(writer.keyring, submission))
    created_at = max((one.created_at or 0 for one in submission.samples), default=START)
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=created_at)


async def cleaned(
    database: Database, now: datetime, silent_after: timedelta = timedelta(days=90)
) -> Sequence[str]:
    """Computes and cleans as of `now`; returns the days that were dropped."""
    await compute_due(database, RULES, now=lambda: now)
    done = await clean(
        database, RULES, timedelta(days=7), silent_after=silent_after, now=lambda: now
    )
    return done.dropped


async def column(database: Database, query: str) -> list[object]:
    async with database.acquire() as connection:
        return [row[0] for row in await connection.fetch(f"{query} order by 1")]


async def receivers(database: Database) -> int:
    (number,) = await column(database, "select count(*) from receiver")
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("days", [14, 90])
async def test_receivers_that_nobody_heard_of_go_with_their_part_in_channels(
    database: Database, days: int
) -> None:
    silent_after = timedelta(days=days)
    writer = RowWriter(await database.keyring(), SettleRule())
    beat = Heartbeat("cas", "cas", "", "", START + 4 * DAY_MS)
    await push(
        writer,
        database,
        Submission(
            samples=[held("m", "c", key, key, 0) for key in ("ann", "ben", "cas")],
            memberships=[ReportedMembership("c", "ann", "ann", START, START)],
            runs=[ReportRun("ann", 1, 1, START, START)],
            heartbeats=[beat],
        ),
    )
    # ann and ben last reported on the first day, at ten o'clock.
    await cleaned(database, after(days + 0.4), silent_after)
    assert await receivers(database) == 3
    await cleaned(database, after(days + 0.5), silent_after)
    assert await receivers(database) == 1
    for table in ("membership_report", "report_run"):
        assert await column(database, f"select count(*) from {table}") == [0], table
    assert await column(database, "select count(*) from membership") == [1]
    assert await column(database, "select count(*) from receiver_kind") == [1]
    await cleaned(database, after(days + 4.5), silent_after)
    assert await receivers(database) == 0
    assert await column(database, "select count(*) from membership") == [0]


async def test_who_is_heard_of_again_stays(database: Database) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    await push(writer, database, Submission(samples=[held("m", "c", "ann", "ann", 0)]))
    await push(
        writer,
        database,
        Submission(heartbeats=[Heartbeat("ann", "ann", "", "", START + 80 * DAY_MS)]),
    )
    await cleaned(database, after(95))
    assert await receivers(database) == 1


async def test_what_one_installation_alone_named_goes(database: Database) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    mine = [
        held(f"m{number}", f"mine {number}", key, "liar", 0, f"TYPE {number}")
        for number in range(5)
        for key in ("x", "y")
    ]
    ours = [held("m", "ours", key, key, 0) for key in ("ann", "ben")]
    reporting = [
        Heartbeat(key, installation, "", "", START + 2 * HOUR_MS)
        for key, installation in (("x", "liar"), ("y", "liar"), ("ann", "ann"), ("ben", "ben"))
    ]
    await push(writer, database, Submission(samples=mine + ours, heartbeats=reporting))
    await cleaned(database, after(2))
    # They still report at the end, but not about these channels.
    later = [held("n", "later", key, key, 88) for key in ("x", "ann", "ben")]
    await push(
        writer,
        database,
        Submission(
            samples=later,
            heartbeats=[Heartbeat("x", "liar", "", "", START + 88 * DAY_MS)],
        ),
    )
    channels = "select external_id from channel"
    types = "select message_type from sample_kind"
    assert await cleaned(database, after(89)) == ("2026-03-02",)
    assert len(await column(database, channels)) == 7
    assert len(await column(database, types)) == 6
    figures = "select count(distinct channel_id) from reliability_channel"
    assert await column(database, figures) == [6]
    messages = "select sum(messages)::int from reliability_window"
    assert await column(database, messages) == [6]

    assert await cleaned(database, after(100)) == ("2026-05-29",)
    assert await column(database, channels) == ["later", "ours"]
    assert await column(database, types) == ["CHAT"]
    assert await column(database, figures) == [1]
    assert await column(database, messages) == [6], "figures of windows stay as they are"

    # A receiver that names it again is stored again.
    again = held("again", "mine 1", "x", "liar", 99, "TYPE 1")
    await push(writer, database, Submission(samples=[again]))
    assert await column(database, channels) == ["later", "mine 1", "ours"]
    assert await column(database, types) == ["CHAT", "TYPE 1"]


async def test_numbers_of_who_only_sent_nonsense_go(database: Database) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    runs = [ReportRun(f"nobody {number}", 1, 9, None, None) for number in range(3)]
    await push(writer, database, Submission(runs=runs))
    good = Submission(
        samples=[held("m", "c", "ann", "ann", 0)], runs=[ReportRun("ann", 1, 1, START, START)]
    )
    await push(writer, database, good)
    assert await column(database, "select count(*) from report_run") == [4]
    await cleaned(database, after(9))
    assert await column(database, "select count(*) from report_run") == [1]
