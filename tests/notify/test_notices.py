"""Each target gets one message about a problem, and one when it has ended."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from devtelemetry.model import HOUR, MembershipPolicy, parse_timeframe
from devtelemetry.notify.message import Message
from devtelemetry.notify.notices import KEPT, mark_told, note, waiting
from devtelemetry.notify.notifier import NEWS, Notifier
from devtelemetry.problems.explain import EVERYTHING, Kind, Unit
from devtelemetry.problems.problem import Problem, Problems
from devtelemetry.problems.read import LatestProblems
from devtelemetry.publish.answer import Failed, StoreAway
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import Lock, try_lock

END = datetime(2026, 3, 9, 5, tzinfo=UTC)
FRAME = parse_timeframe("1h")
PRESENT = MembershipPolicy.PRESENT
BAD = Unit(Kind.APP_VERSION, "2.30.1")


def problem(unit: Unit, **fields: object) -> Problem:
    given = {
        "page": "/?by=app_version", "of": None, "is_new": False, "chance": 0.0004, "clusters": 54,
        "lost_more": 1_043, "lost": 1_893, "deliveries": 22_863, "before": 0.9628, "now": 0.9172,
        "latest": END, "earliest": END, "began": END,
    } | fields  # fmt: skip
    return Problem(unit, **given)  # type: ignore[arg-type]


def listed(*units: Unit, hours: int = 0) -> Problems:
    return Problems(FRAME, PRESENT, END + hours * HOUR, 28.0, [problem(unit) for unit in units])


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.acquire() as acquired:
        yield acquired


async def told(connection: Connection, target: str, problems: Problems) -> list[tuple[str, bool]]:
    """The notices that a target gets: the value of each problem, and whether it ended."""
    await note(connection, target, problems)
    notices = await waiting(connection, target, PRESENT)
    await mark_told(connection, target, PRESENT, notices)
    return [(one.unit[1], one.ended is not None) for one in notices]


async def test_a_problem_is_told_once_to_each_target(connection: Connection) -> None:
    for hours in range(3):
        for target in ("webhook", "apprise 1"):
            expected = [("2.30.1", False)] if hours == 0 else []
            assert await told(connection, target, listed(BAD, hours=hours)) == expected


async def test_its_end_is_told_once_when_it_stays_away(connection: Connection) -> None:
    async def look(*units: Unit, hours: int) -> list[tuple[str, bool]]:
        return await told(connection, "webhook", listed(*units, hours=hours))

    assert await look(BAD, hours=0) == [("2.30.1", False)]
    assert await look(hours=1) == []
    assert await look(hours=1) == [], "the same window once more tells nothing"
    assert await look(BAD, hours=2) == [], "it came back: it had not ended"
    assert await look(hours=3) == []
    assert await look(hours=4) == []
    assert await look(hours=5) == [("2.30.1", True)]
    assert await look(hours=6) == []
    assert await look(BAD, hours=7) == [("2.30.1", False)], "a new one"


async def test_the_end_is_the_first_window_without_it(connection: Connection) -> None:
    for hours, units in enumerate([[BAD], [BAD], [], [], []]):
        await note(connection, "webhook", listed(*units, hours=hours))
    (one,) = await waiting(connection, "webhook", PRESENT)
    assert one.ended == END + 2 * HOUR
    assert one.document["name"] == "App version 2.30.1", "it was never told, and is told as ended"


async def test_what_was_not_taken_waits_with_its_latest_figures(connection: Connection) -> None:
    await note(connection, "webhook", listed(BAD))
    later = listed(hours=1)
    await note(connection, "webhook", replace(later, found=[problem(BAD, lost_more=5_000)]))
    (one,) = await waiting(connection, "webhook", PRESENT)
    assert one.document["lost_more"] == 5_000


async def test_what_is_of_a_target_that_is_no_more_is_forgotten(connection: Connection) -> None:
    await note(connection, "apprise 1", listed(BAD))
    hours = KEPT // HOUR + 1
    await note(connection, "webhook", listed(hours=hours))
    assert await connection.fetchval("select count(*) from notice") == 0


# ------------------------------------------------------------------------------- the notifier


@dataclass
class Told:
    """A target that takes messages, or refuses them."""

    name: str = "webhook"
    way: str = "webhook"
    said: str = "https://hooks.example"
    fails: StoreAway | None = None
    messages: list[Message] = field(default_factory=list)

    async def tell(self, message: Message) -> None:
        self.messages.append(message)
        if self.fails is not None:
            raise self.fails


class Listed(LatestProblems):
    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    async def read(self, membership: MembershipPolicy) -> Problems:
        assert membership is self.problems.membership
        return self.problems


class Known(Notifier):
    """A Notifier with given targets; all else is real."""

    targets: Sequence[Told] = ()

    async def _targets(self) -> Sequence[Told]:
        return self.targets


def notifier(
    database: Database,
    problems: Problems,
    *targets: Told,
    now: datetime = END,
    monotonic: Callable[[], float] = lambda: 1e6,
) -> Known:
    made = Known(
        database,
        Listed(problems),
        PRESENT,
        webhook=None,
        services=None,
        public_url=None,
        now=lambda: now,
        monotonic=monotonic,
    )
    made.targets = targets
    return made


async def test_a_target_that_fails_is_left_alone_and_holds_up_no_other(database: Database) -> None:
    away = Told("apprise 1", "apprise", fails=StoreAway("…", Failed.NETWORK))
    well = Told()
    clock = [1e6]
    told = notifier(database, listed(BAD), away, well, monotonic=lambda: clock[0])
    for _ in range(5):
        await told.run()
    assert (len(away.messages), len(well.messages)) == (1, 1)
    away.fails = None
    clock[0] += 3600
    for _ in range(2):
        await told.run()
    assert (len(away.messages), len(well.messages)) == (2, 1)


async def test_a_second_server_tells_it_not_again(database: Database) -> None:
    first, second = Told(), Told()
    await notifier(database, listed(BAD), first).run()
    await notifier(database, listed(BAD), second).run()
    assert (len(first.messages), len(second.messages)) == (1, 0)
    async with database.acquire() as session, try_lock(session, Lock.NOTIFY) as is_ours:
        assert is_ours
        await notifier(database, listed(BAD, EVERYTHING), second).run()
    assert second.messages == [], "another one is at it"


async def test_old_windows_are_no_news(database: Database) -> None:
    target = Told()
    await notifier(database, listed(BAD), target, now=END + NEWS + timedelta(seconds=1)).run()
    assert target.messages == []
    await notifier(database, listed(BAD), target, now=END + NEWS).run()
    assert len(target.messages) == 1
