"""Stores samples in a test's database, as pushed ones are stored, and computes windows of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from devtelemetry.aggregate.compute import compute_one
from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import (
    HOUR_MS,
    MINUTE_MS,
    LostReports,
    MembershipPolicy,
    Outcome,
    ReportedMembership,
    ReportRun,
    Sample,
    SentAtClock,
    Source,
    Via,
    WindowReliability,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.store.database import Database
from oracle.model import Memberships, OracleSample
from oracle.vectors import Vector

START = 1_772_445_600_000  # 2026-03-02T10:00Z
LATER = datetime(2026, 4, 1, 12, 30, 15, 123456, tzinfo=UTC)  # by then every window is settled


async def store(
    database: Database,
    *batches: Sequence[Sample],
    heartbeats: Iterable[Heartbeat] = (),
) -> None:
    """Stores each batch in a transaction of its own, by one writer."""
    writer = RowWriter(await database.keyring(), SettleRule())
    last = Batch()
    for beat in heartbeats:
        last.add_heartbeat(writer.keyring, beat)
    async with database.acquire() as connection:
        for samples in batches:
            batch = Batch()
            batch.add_samples(writer.keyring, samples)
            await writer.write(connection, batch, now_ms=START)
        await writer.write(connection, last, now_ms=START)


async def store_hours(database: Database, hours: int, channels: Sequence[str] = ("c1",)) -> None:
    """Each channel has two receivers; the second lacks one of the three messages of every hour.

    They report for one hour more, so that the last hour can be computed.
    """
    await store(
        database,
        [
            Sample(f"m{hour}-{n}", channel, receiver, sent_at, sent_at + 5_000)
            for hour in range(hours + 1)
            for n in range(3)
            for channel in channels
            for receiver in ("a", "b")
            for sent_at in [START + hour * HOUR_MS + (n + 1) * MINUTE_MS]
            if not (receiver == "b" and n == 1)
        ],
    )


async def store_vector(database: Database, vector: Vector) -> None:
    """Stores a vector's samples and numbers, as pushed ones are stored."""
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    batch.add_samples(writer.keyring, as_samples(vector.oracle_samples()))
    for installation, numbers in vector.oracle_numbers().items():
        batch.add_runs(
            writer.keyring,
            [ReportRun(installation, number, number, at, at) for number, at in numbers.items()],
        )
    for installation, lost in vector.oracle_lost().items():
        batch.add_lost(writer.keyring, [LostReports(installation, *one) for one in lost])
    batch.add_memberships(writer.keyring, as_memberships(vector.oracle_memberships()))
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=START)


def as_memberships(memberships: Memberships) -> Iterator[ReportedMembership]:
    for (receiver, channel_id), sayings in memberships.items():
        for said_at, joined_at, left_at in sayings:
            yield ReportedMembership(channel_id, *receiver, said_at, joined_at or 0, left_at or 0)


def as_samples(samples: Iterable[OracleSample]) -> list[Sample]:
    return [
        Sample(
            message_id=sample.message_id,
            channel_id=sample.channel_id,
            receiver_public_key=sample.receiver_public_key,
            installation_id=sample.installation_id,
            sent_at=sample.sent_at,
            created_at=sample.created_at,
            sent_by_receiver=sample.sent_by_receiver,
            message_type=sample.message_type,
            received_at=sample.received_at or 0,
            platform=sample.platform,
            app_version=sample.app_version,
            envelope_id=sample.envelope_id,
            outcome=Outcome[sample.outcome.upper()],
            reason=sample.reason,
            via=Via[(sample.via or "not_said").upper()],
            sent_at_clock=SentAtClock[sample.sent_at_clock.upper()],
            server=sample.server,
        )
        for sample in samples
    ]


async def compute_window(
    database: Database,
    start_ms: int = START,
    *,
    timeframe: str = "1h",
    membership: str = "present",
    unmeasured: Mapping[Source, Unmeasured] | None = None,
    now: datetime = LATER,
    **rules_beside: Any,
) -> WindowReliability:
    """Computes and stores the window of `timeframe` that begins at `start`; returns it.

    rules_beside  fields of AggregateRules that differ from the defaults
    """
    frame = parse_timeframe(timeframe)
    rules = AggregateRules(
        (frame,),
        membership=MembershipPolicy(membership),
        unmeasured=unmeasured or {},
        **rules_beside,
    )
    return await compute_one(database, rules, frame, from_unix_ms(start_ms), now=lambda: now)


_TABLES = (
    "channel, sample_kind, receiver, message, receipt, membership, membership_report, "
    "message_envelope, envelope_event, unreadable_envelope, failure, arrival, doubted_message, "
    "doubted_receiver, doubted_delay, opt_out, forgotten_receiver, report_run, lost_report, "
    "corroborated_installation, receiver_kind, installation_bytes, failed_window, "
    "reliability_window, reliability_channel, reliability_group, finding, wrong_time, "
    "sampling_rule, coarse_receiver, note, settled_deliveries, notice"
)


async def empty(database: Database) -> None:
    """Empties the database; writers that remember its rows will look again."""
    # There are few rows. Truncation would make a hundred files, which takes longer than a window.
    statements = [f"delete from {table}" for table in _TABLES.split(", ")]
    statements.append("update deployment set ingest_epoch = ingest_epoch + 1")
    async with database.acquire() as connection:
        await connection.execute("; ".join(statements))
