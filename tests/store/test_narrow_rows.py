"""Rows stored in few bytes are read back unchanged, by whole_receipt and whole_message."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.model import DAY_MS, Sample, SentAtClock, Source
from devtelemetry.store.database import Database
from devtelemetry.store.partitions import day_of, make_days
from devtelemetry.store.repair import repair
from devtelemetry.store.sql import is_text
from support.store import START, empty, store

FOUR_BYTES = 2**31  # ms: 24.9 days
NEVER = 2**63 - 1
ENVELOPES = """(
    select channel_id, message_id, first_envelope as envelope_id
    from message
    where first_envelope <> 0
    union
    select channel_id, message_id, envelope_id from message_envelope
) envelope"""

MOMENTS = st.one_of(
    st.none(),
    st.integers(0, 10**14),
    st.sampled_from(
        [START + sign * (FOUR_BYTES + apart) for sign in (-1, 0, 1) for apart in range(-3, 4)]
    ),
)
IDS = st.integers(-NEVER, NEVER)
EXAMPLES = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def read_back(database: Database, statement: str, view: str, *told: Any) -> tuple[Any, ...]:
    async with database.acquire() as connection:
        await make_days(connection, [day_of(START)])
        async with connection.transaction():
            await connection.execute(statement, *told)
            row = await connection.fetchrow(f"select * from {view}")
            await connection.execute("delete from receipt")
            await connection.execute("delete from message")
    assert row is not None
    return tuple(row)


@EXAMPLES
@given(
    is_author=st.booleans(),
    moments=st.tuples(MOMENTS, MOMENTS, MOMENTS),
    vote=st.none() | st.tuples(st.integers(0, 2), MOMENTS, st.integers(0, 10**14)),
    envelope=st.none() | IDS,
)
async def test_a_receipt_is_read_as_it_was_told(
    database: Database,
    is_author: bool,
    moments: tuple[int | None, int | None, int | None],
    vote: tuple[int, int | None, int] | None,
    envelope: int | None,
) -> None:
    created_at, received_at, authored_at = moments
    said = None if vote is None else list(vote)
    row = await read_back(
        database,
        f"""
        insert into receipt (
            sent_at, channel_id, message_id, receiver_id, created_after, received_after, kind,
            state, sent_by_receiver, rare
        ) values (
            {START}, 1, 2, 3, moment_after({START}, $2), moment_after({START}, $3), 4, 5, $1,
            receipt_rare({START}, $1, $2, $3, $4, $5::bigint[], $6)
        )
        """,
        "whole_receipt",
        *(is_author, created_at, received_at, authored_at, said, envelope),
    )
    if not is_author:
        authored_at = None
    elif authored_at is None and created_at is not None:
        authored_at = NEVER
    elif authored_at is None:
        authored_at = created_at
    assert row == (
        *(START, 1, 2, 3, created_at, received_at, 4, is_author, 5),
        *(authored_at, said, envelope),
    )


@EXAMPLES
@given(
    created_at=MOMENTS.map(lambda moment: NEVER if moment is None else moment),
    typed=st.none() | st.tuples(MOMENTS, MOMENTS).filter(lambda pair: None not in pair),
    size=st.none() | st.integers(0, NEVER) | st.integers(2**31 - 3, 2**31 + 3),
    ids=st.tuples(
        st.from_regex(r"(0x)?[0-9a-fA-F\n-]{1,80}", fullmatch=True)
        | st.uuids().map(str)
        | st.text(min_size=1).filter(is_text),
        st.text().filter(is_text),
    ),
)
async def test_a_message_is_read_as_it_was_told(
    database: Database,
    created_at: int,
    typed: tuple[int, int] | None,
    size: int | None,
    ids: tuple[str, str],
) -> None:
    row = await read_back(
        database,
        f"""
        insert into message (
            sent_at, channel_id, message_id, first_envelope, created_after, size_bytes, kind,
            clock, went_out, is_typed, rare, external_bytes, envelope_bytes, topics
        ) values (
            {START}, 1, 2, 0, moment_after({START}, $1),
            least(coalesce($4::bigint, -1), 2147483647), 3, 1, false, $2::bigint is not null,
            message_rare({START}, $1, $2, $3, $4), id_bytes($5), id_bytes($6), ''
        )
        """,
        "whole_message",
        *(created_at, *(typed or (None, None)), size, *ids),
    )
    assert row == (
        *(1, 2, START, created_at, 3, size, *ids, b"", 1),
        *(typed or (None, None)),
        False,
    )


@pytest.mark.parametrize(
    ("id_", "stored_bytes"),
    [
        ("", 0),
        ("0x" + "0f" * 32, 33),
        ("0f" * 32, 33),
        ("0x" + "0F" * 32, 67),
        ("0x" + "0f" * 31 + "0", 66),
        ("01234567-89ab-cdef-0123-456789abcdef", 17),
        ("$a text", 8),
    ],
)
async def test_an_id_of_digits_takes_half(database: Database, id_: str, stored_bytes: int) -> None:
    async with database.acquire() as connection:
        row = await connection.fetchrow(
            "select length(id_bytes($1)) as stored_bytes, id_text(id_bytes($1)) as id", id_
        )
        assert row is not None
        assert tuple(row) == (stored_bytes, id_)


async def test_it_does_not_matter_in_which_order_far_moments_come(database: Database) -> None:
    """The message reaches some receivers after more ms than four bytes can hold, and one of its
    samples says another time."""
    late = START + 40 * DAY_MS
    samples = [
        Sample("m", "c", "a", START, late, received_at=late - 5, message_type="t"),
        Sample("m", "c", "a", START, late - 30 * DAY_MS, received_at=late, envelope_id="0xe1"),
        Sample("m", "c", "b", START, late - 2, "i", sent_by_receiver=True, received_at=START + 9),
        Sample(
            *("m", "c", "b", START + 7, late - 3, "i"),
            envelope_id="0xe2",
            sent_at_clock=SentAtClock.SERVER,
            source=Source.STATUS_GO,
        ),
    ]
    found = set()
    for order in permutations(samples):
        for batches in ([order], [[sample] for sample in order]):
            await empty(database)
            await store(database, *batches)
            await repair(database)
            async with database.acquire() as connection:
                rows = [
                    await connection.fetch(f"select * from {view} order by 1, 2, 3")
                    for view in ("whole_receipt", "whole_message", ENVELOPES)
                ]
            found.add(str([[tuple(row) for row in of_view] for of_view in rows]))
    assert len(found) == 1
    (only,) = found
    assert str(START + 7) in only
    assert str(late - 30 * DAY_MS) in only
