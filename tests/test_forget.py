"""Forgetting one deletes what that one reported, and costs nobody else a sample."""

import pytest

from devtelemetry.forget import forget_installation, forget_key
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.model import Event, Sample, SentEnvelope, Source
from devtelemetry.store.database import Database

AT = 1_772_445_600_000


class Store:
    def __init__(self, database: Database, writer: RowWriter) -> None:
        self.database = database
        self.writer = writer

    async def add(self, *samples: Sample) -> None:
        batch = Batch()
        batch.add_samples(self.writer.keyring, samples)
        await self.write(batch)

    async def write(self, batch: Batch) -> None:
        async with self.database.acquire() as connection:
            await self.writer.write(connection, batch, now_ms=AT)

    async def count(self, table: str) -> int:
        async with self.database.acquire() as connection:
            number: int = await connection.fetchval(f"select count(*) from {table}")
            return number


@pytest.fixture
async def store(database: Database) -> Store:
    return Store(database, RowWriter(await database.keyring(), SettleRule()))


def sample(message: str, key: str, installation: str = "", created_at: int = AT) -> Sample:
    return Sample(message, "c", key, AT, created_at, installation)


async def test_a_key_is_forgotten_on_all_its_installations(store: Store) -> None:
    await store.add(
        sample("m1", "ann", "phone"),
        sample("m1", "ann", "desktop"),
        sample("m1", "ben"),
        sample("m2", "ann", "phone"),
    )
    assert await forget_key(store.database, "ann") == 3
    assert await store.count("receipt") == await store.count("message") == 1
    assert await store.count("receiver") == await store.count("membership") == 1
    assert await forget_key(store.database, "ann") == 0


async def test_an_installation_is_forgotten_alone(store: Store) -> None:
    await store.add(sample("m1", "ann", "phone"), sample("m1", "ann", "desktop"))
    assert await forget_installation(store.database, "phone") == 1
    assert await store.count("receipt") == 1


async def test_forgetting_who_dated_a_message_leaves_the_others_their_samples(
    store: Store,
) -> None:
    await store.add(sample("m1", "ben"), sample("m1", "cleo"))
    # Accepted earlier, and with another sentAt: the message moves, with the receipts of all.
    await store.add(Sample("m1", "c", "ann", AT - 60_000, AT - 50_000))

    assert await forget_key(store.database, "ann") == 1

    async with store.database.acquire() as connection:
        rows = await connection.fetch(
            "select count(*) from receipt r join message m using (channel_id, message_id, sent_at)"
        )
    assert rows[0]["count"] == 2


async def test_an_author_and_its_events_are_forgotten_too(store: Store) -> None:
    batch = Batch()
    keyring = store.writer.keyring
    batch.add_samples(
        keyring,
        [sample("m1", "ben")._replace(envelope_id="e", source=Source.STATUS_GO)],
    )
    batch.add_sent_envelopes(keyring, [SentEnvelope("ann", "peer", "e", AT)])
    batch.add_events(keyring, [Event("PeerCount", AT, "ann", "peer", b"{}", b"1")])
    batch.add_events(keyring, [Event("PeerCount", AT, "", "other", b"{}", b"2")])
    await store.write(batch)
    assert await store.count("receipt") == 2  # ben's, and the mark that ann wrote it

    # Peer ids are public: nobody may have a status-go node forgotten by naming it.
    assert await forget_installation(store.database, "peer") == 0
    assert await store.count("receipt") == 2

    assert await forget_key(store.database, "ann") == 0  # a mark is no sample

    assert await store.count("receipt") == 1
    assert await store.count("sent_envelope") == 0
    assert await store.count("event") == 1
