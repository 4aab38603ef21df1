"""How the database derives delays from the times of a receipt, compared with model/."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.model import DELAY_CLASSES, DELAY_EDGES_MS, DELAY_NEGATIVE, DELAY_UNKNOWN, Sample
from devtelemetry.retention.forget import forget_key
from devtelemetry.store import repair as room
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.repair import repair
from support.store import START, empty, store

_FURTHEST = 10**14  # ms; times are between 0 and this


async def classes(database: Database, delays: list[int | None]) -> list[int]:
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select delay_class(delay) as class from unnest($1::bigint[]) with ordinality "
            "as n (delay, position) order by position",
            delays,
        )
    return [row["class"] for row in rows]


async def test_the_upper_edges_of_delay_classes_are_the_models(database: Database) -> None:
    for position, edge in enumerate(DELAY_EDGES_MS):
        expected = DELAY_NEGATIVE + 1 + position
        assert await classes(database, [edge, edge + 1]) == [expected, expected + 1], edge
    assert await classes(database, [_FURTHEST]) == [DELAY_CLASSES - 1]


async def test_up_to_a_second_too_early_is_no_delay(database: Database) -> None:
    first = DELAY_NEGATIVE + 1
    assert await classes(database, [-_FURTHEST, -1001, -1000, -1, 0]) == [
        *(DELAY_NEGATIVE, DELAY_NEGATIVE),
        *(first, first, first),
    ]


async def test_an_unknown_moment_is_a_class_of_its_own(database: Database) -> None:
    assert await classes(database, [None]) == [DELAY_UNKNOWN]


@pytest.mark.parametrize(
    ("created_at", "received_at", "expected"),
    [
        (None, None, 6144),
        (None, 1_000, 6144),  # an author's mark, whatever its times
        (90_000_000, None, 16 + 14),
        (-5_000, None, 16 + DELAY_NEGATIVE),
        (-5_000, -5_000, DELAY_NEGATIVE),
        (90_000_000, 90_000_000, 14),
        (60_000, 4_000, 4),
    ],
)
async def test_a_receipt_carries_the_delay_that_is_known(
    database: Database, created_at: int | None, received_at: int | None, expected: int
) -> None:
    sent_at = 1_772_409_600_000
    async with database.acquire() as connection:
        delay = await connection.fetchval(
            "select receipt_state($1, $1 + $3::bigint, $1 + $2::bigint, 0)",
            sent_at,
            created_at,
            received_at,
        )
    assert delay == expected


async def test_a_message_that_moves_keeps_its_moments_and_gets_another_delay(
    database: Database,
) -> None:
    """As many receivers say another, earlier sentAt. The times of receiving and writing stay."""
    late = START + 60_000
    wrote = Sample("m", "c", "author", late, late + 9_000, sent_by_receiver=True, received_at=START)
    held = Sample("m", "c", "a", late, late + 5_000, received_at=START + 4_000)
    earlier = [Sample("m", "c", name, START, START + 3_000) for name in "be"]
    await store(database, [wrote, held], earlier)
    await repair(database)
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select sent_at, created_at, received_at, state from whole_receipt order by created_at"
        )
    assert [tuple(row) for row in rows] == [
        (START, START + 3_000, None, 16 + 4),
        (START, START + 3_000, None, 16 + 4),
        (START, late + 5_000, START + 4_000, 4),
        (START, late + 9_000, START, 2),
    ]


@pytest.mark.parametrize("together", [True, False])
async def test_what_an_author_gets_back_of_its_own_message_is_not_when_it_wrote_it(
    database: Database, together: bool
) -> None:
    wrote = Sample("m", "c", "a", START, START + 9_000, "", True, received_at=START + 2_000)
    echo = Sample("m", "c", "a", START, START + 8_000, received_at=START + 7_000)
    for first, second in ((wrote, echo), (echo, wrote)):
        await store(database, *([[first, second]] if together else [[first], [second]]))
        async with database.acquire() as connection:
            row = await connection.fetchrow(
                "select sent_by_receiver, received_at from whole_receipt"
            )
            assert row is not None
            assert tuple(row) == (True, START + 2_000)
            await connection.execute("truncate receipt, message")


# ------------------------------------------------------------------- delays by the author's clock

# The author's clock is five seconds behind, so a delay of one second looks like six.
WROTE = Sample("m", "c", "author", START, START + 9_000, "", True, received_at=START + 5_000)
HELD = [
    Sample("m", "c", "a", START, START + 8_000, received_at=START + 6_000),
    Sample("m", "c", "b", START, START + 14_000),
    Sample("m", "c", "d", START, START + 14_000, received_at=START + 5_500),
]
BY_THE_CLOCK_OF_THE_AUTHOR = {"a": 2, "b": 16 + 5, "d": 2, "author": 4}
AS_IT_SAYS = {"a": 5, "b": 16 + 6, "d": 5}


async def delays(database: Database, message_id: str = "m") -> dict[str, int]:
    """Receiver's key → the stored delay."""
    keyring = await database.keyring()
    names = {
        keyring.receiver(key, "").receiver_id: key
        for key in ("author", "other", "a", "b", "d", "e")
    }
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select receiver_id, state from receipt where message_id = $1",
            keyring.message(message_id),
        )
    return {names[row["receiver_id"]]: row["state"] for row in rows}


@pytest.mark.parametrize(
    "batches",
    [
        [[WROTE], HELD],
        [HELD, [WROTE]],
        [[HELD[0]], [WROTE], HELD[1:]],
        [[HELD[0], WROTE], [HELD[1]], [HELD[2], WROTE]],
        [[WROTE, *HELD]],
    ],
    ids=["author first", "author last", "author between", "author again", "together"],
)
async def test_delays_are_by_the_clock_of_the_author_whenever_it_reports(
    database: Database, batches: list[list[Sample]]
) -> None:
    await store(database, *batches)
    await repair(database)
    assert await delays(database) == BY_THE_CLOCK_OF_THE_AUTHOR


async def test_who_knows_the_clock_before_stores_the_delay_right(database: Database) -> None:
    await store(database, [WROTE], [HELD[0]], HELD[1:])
    assert await delays(database) == BY_THE_CLOCK_OF_THE_AUTHOR
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from doubted_delay") == 0


async def test_servers_that_do_not_know_what_another_was_told_are_put_right(
    database: Database,
) -> None:
    keyring = await database.keyring()
    writers = [RowWriter(keyring, SettleRule()) for _ in range(2)]
    async with database.acquire() as connection:
        for writer, sample in ((0, HELD[0]), (1, WROTE), (0, HELD[1])):
            batch = Batch()
            batch.add_samples(keyring, [sample])
            await writers[writer].write(connection, batch, now_ms=START)
        assert (await delays(database))["b"] == AS_IT_SAYS["b"]
        await repair(database)
        batch = Batch()
        batch.add_samples(keyring, [HELD[2]])
        await writers[0].write(connection, batch, now_ms=START)
    assert await delays(database) == BY_THE_CLOCK_OF_THE_AUTHOR


@pytest.mark.parametrize("at_once", [True, False])
async def test_of_several_authors_of_one_clock_the_least_offset_counts(
    at_once: bool, database: Database
) -> None:
    later = WROTE._replace(receiver_public_key="other", received_at=WROTE.received_at + 900)
    said = [later, HELD[0], WROTE]
    await store(database, *([said] if at_once else [[one] for one in said]))
    await repair(database)
    assert await delays(database) == {"author": 4, "other": 5, "a": BY_THE_CLOCK_OF_THE_AUTHOR["a"]}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("received_at", [START + 999, START + 600_000, 0])
async def test_who_only_says_to_be_an_author_moves_no_delay(
    received_at: int, at_once: bool, database: Database
) -> None:
    """Authors that contradict each other, or say no time, correct nothing."""
    liar = WROTE._replace(receiver_public_key="other", received_at=received_at)
    for said in ([liar, WROTE, HELD[0]], [HELD[0], WROTE, liar], [WROTE, HELD[0], liar]):
        await empty(database)
        await store(database, *([said] if at_once else [[one] for one in said]))
        await repair(database)
        assert (await delays(database))["a"] == AS_IT_SAYS["a"]


async def test_without_the_one_who_contradicts_the_clock_counts_again(database: Database) -> None:
    liar = WROTE._replace(receiver_public_key="other", received_at=START + 999)
    await store(database, [WROTE, liar, *HELD])
    await forget_key(database, "other")
    await repair(database)
    assert await delays(database) == BY_THE_CLOCK_OF_THE_AUTHOR


async def test_an_author_who_turns_out_to_have_a_right_clock_corrects_no_delay(
    database: Database,
) -> None:
    await store(database, [WROTE], [HELD[0]], [WROTE._replace(received_at=START + 999)], [HELD[1]])
    await repair(database)
    assert await delays(database) == {"author": 2, "a": AS_IT_SAYS["a"], "b": AS_IT_SAYS["b"]}


async def test_with_a_forgotten_author_goes_what_its_clock_said(database: Database) -> None:
    await store(database, [WROTE, *HELD])
    await forget_key(database, "author")
    await repair(database)
    assert await delays(database) == AS_IT_SAYS


async def test_a_message_that_moves_is_put_right_by_the_clock_at_its_new_time(
    database: Database,
) -> None:
    earlier = [
        Sample("m", "c", name, START + 4_500, START + 7_000, received_at=START + 5_500)
        for name in ("d", "e", "other")
    ]
    await store(database, [WROTE, *HELD[:2]], earlier)
    await repair(database)
    # With the sentAt that counts now, the author's clock is right.
    assert await delays(database) == {"author": 2, "a": 3, "b": 16 + 5, "d": 2, "e": 2, "other": 2}


async def test_many_are_put_right_little_by_little(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devtelemetry.store.repair.CORRECTED_MESSAGES", 2)
    names = [f"m{number}" for number in range(7)]
    for samples in (HELD, [WROTE]):
        await store(database, [s._replace(message_id=name) for name in names for s in samples])
    await repair(database)
    for name in names:
        assert await delays(database, name) == BY_THE_CLOCK_OF_THE_AUTHOR


async def test_between_repairs_of_many_messages_ingest_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients can contradict each other about very many messages at once."""
    monkeypatch.setattr("devtelemetry.store.repair.CORRECTED_MESSAGES", 2)
    held: list[int] = []  # noted messages, each time that ingest had to wait
    holding_ingest_out = room.holding_ingest_out

    @contextlib.asynccontextmanager
    async def noted(connection: Connection, **options: str) -> AsyncIterator[None]:
        held.append(await connection.fetchval("select count(*) from doubted_message"))
        async with holding_ingest_out(connection, **options):
            yield

    monkeypatch.setattr("devtelemetry.store.repair.holding_ingest_out", noted)
    names = [f"m{number}" for number in range(7)]
    for who, sent_at in (("a", START), ("b", START + 60_000), ("c", START + 60_000)):
        samples = [Sample(name, "c", who, sent_at, START + 90_000) for name in names]
        await store(database, samples)
    await repair(database)
    assert [messages for messages in held if messages] == [7, 5, 3, 1]
    async with database.acquire() as connection:
        moved = await connection.fetch("select distinct sent_at from receipt")
    assert [row["sent_at"] for row in moved] == [START + 60_000]
