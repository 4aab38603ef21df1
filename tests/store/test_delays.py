"""What the database makes of the times of a receipt, held against the constants of the model."""

import pytest

from devtelemetry.model import DELAY_CLASSES, DELAY_EDGES_MS, DELAY_NEGATIVE, DELAY_UNKNOWN, Sample
from devtelemetry.store.database import Database
from devtelemetry.store.repair import repair
from support.store import START, store

_FURTHEST = 10**14  # ms: what is believed of a time lies between 0 and that


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
        (None, None, -1),
        (None, 1_000, -1),  # an author's mark, whatever else it says
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
        await connection.execute("create table receipt_day partition of receipt default")
        delay = await connection.fetchval(
            "insert into receipt (sent_at, channel_id, message_id, receiver_id, created_at, "
            "received_at, kind, sent_by_receiver) "
            "values ($1, 1, 1, 1, $1 + $2::bigint, $1 + $3::bigint, 1, false) returning delay",
            sent_at,
            created_at,
            received_at,
        )
    assert delay == expected


async def test_a_message_that_moves_keeps_its_moments_and_gets_another_delay(
    database: Database,
) -> None:
    """An earlier sample says another sentAt: the devices received and wrote when they did."""
    late = START + 60_000
    wrote = Sample("m", "c", "author", late, late + 9_000, sent_by_receiver=True, received_at=START)
    held = Sample("m", "c", "a", late, late + 5_000, received_at=START + 4_000)
    earlier = Sample("m", "c", "b", START, START + 3_000)
    await store(database, [wrote, held], [earlier])
    await repair(database)
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select sent_at, created_at, received_at, delay from receipt order by created_at"
        )
    assert [tuple(row) for row in rows] == [
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
            row = await connection.fetchrow("select sent_by_receiver, received_at from receipt")
            assert row is not None
            assert tuple(row) == (True, START + 2_000)
            await connection.execute("truncate receipt, message")
