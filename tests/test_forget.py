"""Forgetting deletes all that an installation reported, for good, and nothing of anybody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule, Stored
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    EnvelopeEvent,
    MembershipPolicy,
    SaidOfEnvelope,
    Sample,
    Source,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.model.errors import Busy, DatabaseAway
from devtelemetry.retention import forget
from devtelemetry.retention.clean import clean
from devtelemetry.retention.forget import forget_installation, forget_key
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.repair import repair
from oracle.model import MEMBERSHIPS, OracleSample, compute
from support.store import START as AT
from support.store import as_samples, compute_window
from support.waiting import WAITING_HERE, until_waiting

RULES = AggregateRules((parse_timeframe("1h"),))
RETENTION = timedelta(days=7)


class Process:
    """A server process with its own memory of what is stored."""

    def __init__(self, database: Database, writer: RowWriter) -> None:
        self.database = database
        self.writer = writer

    async def add(self, *samples: Sample) -> Stored:
        return await self.write(self.batch(*samples))

    def batch(self, *samples: Sample) -> Batch:
        batch = Batch()
        batch.add_samples(self.writer.keyring, samples)
        return batch

    async def write(self, batch: Batch) -> Stored:
        async with self.database.acquire() as connection:
            return await self.writer.write(connection, batch, now_ms=AT)


async def process(database: Database) -> Process:
    return Process(database, RowWriter(await database.keyring(), SettleRule()))


@pytest.fixture
async def store(database: Database) -> Process:
    return await process(database)


async def count(database: Database, *tables: str) -> list[int]:
    async with database.acquire() as connection:
        return [await connection.fetchval(f"select count(*) from {table}") for table in tables]


def sample(
    message: str, key: str, installation: str = "", sent_at: int = AT, created_at: int = AT
) -> Sample:
    return Sample(message, "c", key, sent_at, created_at, installation)


async def opt_out(database: Database, installation: str) -> int:
    return await forget_installation(database, installation, now_ms=AT)


async def left_by(database: Database, key: str) -> int:
    """How many rows, in all tables, belong to the receivers of a key."""
    keyring = await database.keyring()
    ids = [keyring.receiver(key, installation).receiver_id for installation in ("", "phone", "ann")]
    tables = ("receiver", "receipt", "membership", "envelope_event", "forgotten_receiver")
    async with database.acquire() as connection:
        return sum(
            [
                await connection.fetchval(
                    f"select count(*) from {table} where receiver_id = any ($1)", ids
                )
                for table in tables
            ]
        )


@contextlib.asynccontextmanager
async def held(database: Database, message: str) -> AsyncIterator[Connection]:
    """Makes everybody who deletes a receipt of the message wait until the block is left."""
    keyring = await database.keyring()
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(
            "select from receipt where message_id = $1 for update", keyring.message(message)
        )
        yield connection


# ---------------------------------------------------------------------------- what goes, what stays


async def test_a_key_is_forgotten_on_all_its_installations(store: Process) -> None:
    await store.add(
        sample("m1", "ann", "phone"),
        sample("m1", "ann", "desktop"),
        sample("m1", "ben"),
        sample("m2", "ann", "phone"),
    )
    assert await forget_key(store.database, "ann") == 3
    assert await count(store.database, "receipt", "message") == [1, 1]
    assert await count(store.database, "receiver", "membership") == [1, 1]
    assert await forget_key(store.database, "ann") == 0


async def test_an_installation_is_forgotten_alone(store: Process) -> None:
    await store.add(sample("m1", "ann", "phone"), sample("m1", "ann", "desktop"))
    assert await opt_out(store.database, "phone") == 1
    assert await count(store.database, "receipt", "receiver") == [1, 1]


async def test_forgetting_who_dated_a_message_leaves_the_others_their_samples(
    store: Process,
) -> None:
    await store.add(sample("m1", "ben"), sample("m1", "cleo"))
    # This sample was accepted earlier and says another sentAt. So the message moves, with all
    # its receipts.
    await store.add(sample("m1", "ann", sent_at=AT - 60_000, created_at=AT - 50_000))

    assert await forget_key(store.database, "ann") == 1

    async with store.database.acquire() as connection:
        placed = await connection.fetchval(
            "select count(*) from receipt r join message m using (channel_id, message_id, sent_at)"
        )
    assert placed == 2


async def test_an_author_who_has_no_sample_is_forgotten_too(store: Process) -> None:
    batch = store.batch(sample("m1", "ben")._replace(envelope_id="e", source=Source.STATUS_GO))
    keyring = store.writer.keyring
    batch.add_said_of_envelopes(
        keyring, [SaidOfEnvelope(EnvelopeEvent.SENT, "e", "peer", AT, "ann")]
    )
    await store.write(batch)
    assert await count(store.database, "receipt") == [2]  # ben's, and the mark that ann wrote it

    # Peer ids are public, so naming one must not have a status-go node forgotten.
    assert await opt_out(store.database, "peer") == 0
    assert await count(store.database, "receipt") == [2]

    assert await forget_key(store.database, "ann") == 0  # a mark is not a sample
    assert await count(store.database, "receipt", "envelope_event") == [1, 0]


async def test_a_message_that_only_its_author_vouches_for_goes_with_its_last_report(
    store: Process,
) -> None:
    batch = store.batch(sample("m1", "ann")._replace(envelope_id="e", source=Source.STATUS_GO))
    batch.add_said_of_envelopes(
        store.writer.keyring, [SaidOfEnvelope(EnvelopeEvent.SENT, "e", "peer", AT, "ben")]
    )
    await store.write(batch)
    assert await count(store.database, "receipt") == [2]

    assert await forget_key(store.database, "ann") == 1
    assert await count(store.database, "receipt", "message", "message_envelope") == [0, 0, 0]


@pytest.mark.parametrize("batch_receipts", [1, 3, 5_000])
async def test_the_figures_are_those_of_what_the_others_reported(
    store: Process, monkeypatch: pytest.MonkeyPatch, batch_receipts: int
) -> None:
    monkeypatch.setattr(forget, "BATCH_RECEIPTS", batch_receipts)
    samples = [
        OracleSample(
            f"m{n}",
            "c",
            key,
            AT + (n % 4) * 20 * 60_000,
            AT + 2 * HOUR_MS,
            sent_by_receiver=own,
        )
        for n in range(24)
        for key, holds, own in (
            ("ann", n % 5 != 0, n % 7 == 0),
            ("ben", n % 3 != 0, False),
            ("cleo", n % 4 != 1, n % 6 == 3),
        )
        if holds
    ]
    await store.add(*as_samples(samples))
    others = [sample for sample in samples if sample.receiver_public_key != "ann"]
    assert {sample.message for sample in others} < {sample.message for sample in samples}

    assert await forget_key(store.database, "ann") == len(samples) - len(others)

    assert await left_by(store.database, "ann") == 0
    for membership in MEMBERSHIPS:
        window = await compute_window(store.database, membership=membership)
        expected = compute(others, AT, AT + HOUR_MS, membership)
        for name in ("messages", "receivers", "expected", "missing", "corroborated"):
            assert getattr(window.counts, name) == getattr(expected, name), (membership, name)


# -------------------------------------------------------------------------- what is still to come


async def test_what_was_queued_in_another_process_is_not_stored_after_an_opt_out(
    store: Process,
) -> None:
    other = await process(store.database)
    await other.add(sample("m1", "ann", "phone"), sample("m1", "ben"))  # it remembers the receivers
    # Ann's sample came first. If she had stayed, her sentAt would count.
    queued = other.batch(
        sample("m2", "ann", "phone", created_at=AT - 5), sample("m2", "ben", sent_at=AT + 60_000)
    )
    await opt_out(store.database, "phone")

    stored = await other.write(queued)

    assert (stored.new, stored.dropped, stored.conflicts) == (1, 1, 0)
    assert await left_by(store.database, "ann") == 0
    async with store.database.acquire() as connection:
        dated = await connection.fetchval("select max(sent_at) from message")
    assert dated == AT + 60_000
    # Later samples are dropped too, in every process. Another installation may report.
    for late in (other, await process(store.database)):
        assert (await late.add(sample("m3", "ann", "phone"))).dropped == 1
    assert (await store.add(sample("m3", "ann", "tablet"))).new == 1


async def test_an_opt_out_holds_for_who_was_never_stored_and_for_any_key(store: Process) -> None:
    await opt_out(store.database, "phone")
    dropped = [(await store.add(sample("m1", key, "phone"))).dropped for key in ("ann", "ben")]
    assert dropped == [1, 1]
    assert await count(store.database, "receipt", "receiver", "message") == [0, 0, 0]


async def test_a_transaction_that_looked_before_the_opt_out_is_waited_for(store: Process) -> None:
    other = await process(store.database)
    async with store.database.acquire() as connection:
        async with connection.transaction():
            await connection.execute("lock table channel in access exclusive mode")
            under_way = asyncio.create_task(other.add(sample("m1", "ann", "phone")))
            await until_waiting(connection)
            forgetting = asyncio.create_task(opt_out(store.database, "phone"))
            await until_waiting(connection, sessions=2)
        await asyncio.gather(under_way, forgetting)
    assert await left_by(store.database, "ann") == 0


async def test_a_key_that_was_forgotten_may_come_back(store: Process) -> None:
    other = await process(store.database)
    await other.add(sample("m1", "ann"))
    await forget_key(store.database, "ann")
    assert (await other.add(sample("m1", "ann"))).new == 1
    assert await count(store.database, "opt_out", "receiver", "membership") == [0, 1, 1]


async def test_an_opt_out_is_kept_as_long_as_samples_are(store: Process) -> None:
    await opt_out(store.database, "phone")
    for age_ms, kept in ((7 * DAY_MS, 1), (7 * DAY_MS + 1, 0)):
        now = from_unix_ms(AT + age_ms)
        await clean(store.database, RULES, RETENTION, now=lambda now=now: now)  # type: ignore[misc]
        assert await count(store.database, "opt_out") == [kept]


# ----------------------------------------------------------------------------------- while it runs


async def test_ingest_goes_on_while_a_forget_deletes(store: Process) -> None:
    other = await process(store.database)
    await store.add(sample("m1", "ann", "phone"), sample("m1", "ben"))
    async with held(store.database, "m1") as holder:
        forgetting = asyncio.create_task(opt_out(store.database, "phone"))
        await until_waiting(holder)
        async with asyncio.timeout(30):
            for server in (store, other):
                assert (await server.add(sample("m2", "ben"), sample("m2", "cleo"))).dropped == 0
        assert not forgetting.done()
    assert await forgetting == 1


async def test_what_a_key_pushes_while_it_is_being_forgotten_goes_with_the_rest(
    store: Process,
) -> None:
    await store.add(sample("m1", "ann"), sample("m1", "ben"))
    async with held(store.database, "m1") as holder:
        forgetting = asyncio.create_task(forget_key(store.database, "ann"))
        await until_waiting(holder)
        assert (await store.add(sample("m2", "ann"))).dropped == 1
    assert await forgetting == 1
    assert await left_by(store.database, "ann") == 0
    assert (await store.add(sample("m3", "ann"))).new == 1


@pytest.mark.parametrize("membership", MembershipPolicy)
async def test_who_is_half_forgotten_is_missed_by_no_window(
    store: Process, membership: MembershipPolicy
) -> None:
    hours = [AT - HOUR_MS, AT, AT + 60_000, AT + HOUR_MS]
    await store.add(
        *(
            sample(f"m{n}", key, sent_at=sent_at, created_at=AT + 2 * HOUR_MS)
            for n, sent_at in enumerate(hours)
            for key in ("ann", "ben", "cleo")
        )
    )
    async with held(store.database, "m2") as holder:
        forgetting = asyncio.create_task(forget_key(store.database, "ann"))
        await until_waiting(holder)
        assert await count(store.database, "receipt") == [11]  # one hour is done, this one is not
        window = await compute_window(store.database, membership=membership)
        assert (window.counts.receivers, window.counts.missing) == (2, 0)
    await forgetting


async def test_receipts_that_are_moved_meanwhile_go_too(store: Process) -> None:
    later = AT + HOUR_MS
    await store.add(sample("m1", "ann"), sample("m1", "ben"))
    await store.add(*(sample("m2", key, sent_at=later, created_at=later) for key in ("ann", "ben")))
    async with held(store.database, "m1") as holder:
        forgetting = asyncio.create_task(forget_key(store.database, "ann"))
        await until_waiting(holder)
        # An earlier sample moves m2 to an hour that was searched already.
        await store.add(sample("m2", "ben", sent_at=AT - DAY_MS, created_at=AT - DAY_MS))
        await repair(store.database)
    await forgetting
    assert await left_by(store.database, "ann") == 0
    assert await count(store.database, "receipt", "message") == [2, 2]


async def test_who_is_being_forgotten_becomes_nobodys_author(store: Process) -> None:
    batch = store.batch(sample("m1", "ann"), sample("m1", "ben"))
    batch.add_said_of_envelopes(
        store.writer.keyring, [SaidOfEnvelope(EnvelopeEvent.SENT, "e", "", AT, "ann")]
    )
    await store.write(batch)
    async with held(store.database, "m1") as holder:
        forgetting = asyncio.create_task(forget_key(store.database, "ann"))
        await until_waiting(holder)
        # It belongs to an hour that was searched already, and came in an envelope of ann's.
        earlier = sample("m2", "ben", sent_at=AT - DAY_MS)
        await store.add(earlier._replace(envelope_id="e", source=Source.STATUS_GO))
    await forgetting
    assert await count(store.database, "receipt", "envelope_event") == [2, 0]


async def test_of_two_at_once_one_is_told_to_come_back_and_is_heard_all_the_same(
    store: Process,
) -> None:
    await store.add(*(sample("m1", key, installation=key) for key in ("ann", "ben", "cleo")))
    async with held(store.database, "m1") as holder:
        forgetting = asyncio.create_task(opt_out(store.database, "ann"))
        await until_waiting(holder)
        with pytest.raises(Busy):
            await opt_out(store.database, "ben")
        assert (await store.add(sample("m2", "ben", "ben"))).dropped == 1
    assert await forgetting == 1
    assert await opt_out(store.database, "ben") == 1
    assert await count(store.database, "receipt", "message", "forgotten_receiver") == [1, 1, 0]


# ------------------------------------------------------------------------------ where it breaks off


@pytest.mark.parametrize(("at", "receipts"), [("shared", 4), ("alone", 3)])
@pytest.mark.parametrize("again", ["the opt-out", "the key", "cleaning"])
async def test_a_forget_that_broke_off_half_way_is_finished_by_whoever_comes_next(
    store: Process, again: str, at: str, receipts: int
) -> None:
    database = store.database
    await store.add(
        *(sample("before", key, key, sent_at=AT - DAY_MS) for key in ("ann", "ben")),
        *(sample("shared", key, key) for key in ("ann", "ben")),
        sample("alone", "ann", "ann", sent_at=AT + HOUR_MS),
    )

    async def forget_ann() -> int:
        if again == "the opt-out":
            return await opt_out(database, "ann")
        return await forget_key(database, "ann")

    async with held(database, at) as holder:
        forgetting = asyncio.create_task(forget_ann())
        await until_waiting(holder)
        await holder.execute(f"select pg_terminate_backend(pid) from {WAITING_HERE}")
        with pytest.raises(DatabaseAway):
            await forgetting
    assert await count(database, "receipt") == [receipts], "half way"

    if again == "cleaning":
        await clean(database, RULES, RETENTION, now=lambda: from_unix_ms(AT))
    else:
        await forget_ann()

    assert await left_by(database, "ann") == 0
    assert await count(database, "receipt", "message", "receiver") == [2, 2, 1]
