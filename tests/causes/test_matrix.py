"""The table receivers × messages: it agrees with the lists, and is cut to the worst of each."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.causes.matrix import MOST_COLUMNS, MOST_ROWS, Matrix, Other, lossy, matrix_of
from devtelemetry.causes.read import drill_down
from devtelemetry.causes.request import MissingRequest
from devtelemetry.dashboard.views.missing import _matrix
from devtelemetry.model import (
    HOUR_MS,
    LossClass,
    Outcome,
    Sample,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.store.database import Database
from support.store import LATER, START, store

HOUR = parse_timeframe("1h")
RULES = AggregateRules((HOUR,))
MEMBERS, MESSAGES = 50, 80
EVERYONE, BURST = 40, range(10, 16)


def lost(member: int, number: int) -> Outcome | None:
    """The outcome of a message at a member; None: the member has no sample of it."""
    if number == EVERYONE or (member == 3 and number in BURST) or (member + number) % 29 == 0:
        return None
    return Outcome.UNREADABLE if (member * number) % 31 == 7 else Outcome.HELD


def samples() -> list[Sample]:
    return [
        Sample(
            f"m{number}",
            "c",
            f"r{member}",
            at,
            at + 1_000,
            sent_by_receiver=member == number % MEMBERS,
            platform=("android", "ios")[member % 2],
            outcome=Outcome.HELD if member == number % MEMBERS else outcome or Outcome.HELD,
        )
        for number, at in enumerate(range(START - 60_000, START + HOUR_MS + 60_000, 45_000))
        for member in range(MEMBERS)
        for outcome in [lost(member, number)]
        if outcome is not None or member == number % MEMBERS
    ]


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[Database]:
    await store(database, samples())
    yield database


async def look(database: Database, platform: str | None = None) -> Matrix:
    asked = MissingRequest("c", HOUR, from_unix_ms(START))
    async with drill_down(database, RULES, asked, now=lambda: LATER) as found:
        receivers, positions = lossy(
            found, lambda one: platform is None or one.platform == platform
        )
        if platform is None:
            assert positions == found.missing_messages()
            assert receivers == found.lossy_receivers()
        else:
            # A message that nobody got shows nothing about these receivers, so it comes last.
            held = [bool(found.captures[at]) for at in positions]
            assert held == [True] * (len(held) - 1) + [False]
        messages = [one async for one in found.details(positions[:MOST_COLUMNS])]
        matrix = matrix_of(receivers, positions, messages)
        assert len(matrix.messages) + matrix.messages_left_out == len(positions)
        assert len(matrix.rows) + matrix.receivers_left_out == len(receivers)
    return matrix


@pytest.mark.parametrize("platform", [None, "ios"])
async def test_a_cell_is_lost_where_its_message_says_that_its_receiver_lacks_it(
    world: Database, platform: str | None
) -> None:
    matrix = await look(world, platform)
    assert len(matrix.messages) == MOST_COLUMNS
    if platform is None:
        assert len(matrix.rows) == MOST_ROWS
        assert matrix.receivers_left_out > 0
    else:
        assert MEMBERS // 3 < len(matrix.rows) <= MEMBERS // 2
        assert matrix.receivers_left_out == 0
    sent = [one.sent_at for one in matrix.messages]
    assert sent == sorted(sent)
    for lossy_receiver, states in matrix.rows:
        assert platform in {None, lossy_receiver.receiver.platform}
        own = [
            {one.receiver.name: one.loss_class for one in message.lacking}.get(
                lossy_receiver.receiver.name
            )
            for message in matrix.messages
        ]
        assert [state if isinstance(state, LossClass) else None for state in states] == own
    every = {state for _, row in matrix.rows for state in row}
    assert every >= {LossClass.UNREADABLE, LossClass.NOT_ARRIVED, Other.HELD, Other.NOT_EXPECTED}


async def test_what_is_lost_by_everyone_is_a_column_and_a_burst_is_a_row(world: Database) -> None:
    matrix = await look(world)
    columns = list(zip(*(row for _, row in matrix.rows), strict=True))
    everyone = [message.message_id for message in matrix.messages].index(f"m{EVERYONE}")
    assert set(columns[everyone]) <= {LossClass.NOT_ARRIVED, Other.NOT_EXPECTED}
    assert columns[everyone].count(LossClass.NOT_ARRIVED) >= MOST_ROWS - 1
    runs = [
        len(run)
        for _, row in matrix.rows
        for run in "".join("x" if isinstance(state, LossClass) else " " for state in row).split()
    ]
    assert max(runs) >= len(BURST)


async def test_each_state_has_a_sign_of_its_own_and_each_column_a_number(world: Database) -> None:
    matrix = await look(world)
    view = _matrix(matrix)
    signs = [cells.signs for cells, _ in view.legend]
    assert len(set(signs)) == len(signs) >= 4
    for row in view.rows:
        assert sum(len(cells.signs) for cells in row.cells) == view.columns
    assert [len(head) for head in view.heads] == [view.columns] * 2
    assert view.heads[1][:12] == "123456789012"
    assert view.heads[0][9] == "1"
    assert view.notes == [
        f"{matrix.messages_left_out} more messages are not shown.",
        f"{matrix.receivers_left_out} more receivers are not shown.",
    ]
