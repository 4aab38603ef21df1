"""Which windows wait, in which order they are sent, and what is left after a crash."""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial

import pytest

from devtelemetry.client.schedule import Timing
from devtelemetry.model import HOUR_MS, MembershipPolicy, WindowReliability, from_unix_ms
from devtelemetry.model.errors import Unavailable
from devtelemetry.publish import publisher as publisher_module
from devtelemetry.publish.answer import Rejected, StoreAway
from devtelemetry.publish.publisher import (
    Published,
    PublishedSeries,
    Publisher,
    Span,
    back_fill,
    count_waiting,
    publish_waiting,
    stamped,
)
from devtelemetry.publish.remote_write import RemoteWrite, Stamped
from devtelemetry.runtime import metrics
from devtelemetry.store.database import Database
from devtelemetry.store.locks import Lock, try_lock
from support.receiver import TAKEN, Answer, Point, Receiver, receiving
from support.store import LATER, START, compute_window, store_hours

SOON = from_unix_ms(START + 6 * HOUR_MS)  # while the first hours are provisional
HOURS = 4
WHAT = PublishedSeries()


@pytest.fixture
async def store_of() -> AsyncIterator[Callable[[Receiver], RemoteWrite]]:
    stores = []

    def make(receiver: Receiver) -> RemoteWrite:
        stores.append(RemoteWrite(receiver.url))
        return stores[-1]

    yield make
    for store in stores:
        await store.__aexit__()


StoreOf = Callable[[Receiver], RemoteWrite]


async def switch_on(database: Database, store: RemoteWrite, series: PublishedSeries = WHAT) -> None:
    """Does what a server does that starts with remote write and has nothing to send."""
    assert await publish_waiting(database, store, series, now=lambda: SOON) == Published()


async def compute_hours(
    database: Database, hours: range, *, now: datetime, membership: str = "present"
) -> list[WindowReliability]:
    return [
        await compute_window(database, START + hour * HOUR_MS, now=now, membership=membership)
        for hour in hours
    ]


async def send(database: Database, store: RemoteWrite, series: PublishedSeries = WHAT) -> Published:
    return await publish_waiting(database, store, series, now=lambda: LATER)


def points_of(windows: list[WindowReliability], series: PublishedSeries = WHAT) -> list[Point]:
    """The points that a receiver should then have, in any order."""
    return [
        (one.series, one.at_ms, one.value) for window in windows for one in stamped(window, series)
    ]


def sent_ends(receiver: Receiver) -> list[int]:
    """The ends of windows, as hours after START, in the order in which they came."""
    return list(dict.fromkeys((at - START) // HOUR_MS for _, at, _ in receiver.taken))


def test_a_point_has_the_windows_end_the_series_labels_and_those_of_the_deployment(
    sample_window: WindowReliability,
) -> None:
    points = stamped(sample_window, PublishedSeries(labels={"deployment": "test"}))
    assert {one.at_ms for one in points} == {START + HOUR_MS}
    labels = [dict(one.series) for one in points]
    assert all(
        (one["timeframe"], one["state"], one["deployment"]) == ("1h", "provisional", "test")
        for one in labels
    )
    values = {dict(one.series)["__name__"]: one.value for one in points}
    assert values["devtelemetry_expected_deliveries"] == sample_window.counts.expected
    assert "devtelemetry_delivery_ratio_lower" not in values, "too few to say is no point"


@pytest.fixture
async def sample_window(database: Database) -> WindowReliability:
    await store_hours(database, 1)
    return await compute_window(database, START, now=SOON)


async def test_each_state_of_a_window_goes_once_oldest_first(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        provisional = await compute_hours(database, range(HOURS - 1, -1, -1), now=SOON)
        assert await count_waiting(database, WHAT) == HOURS
        published = await send(database, store)
        assert published.windows == HOURS
        assert published.points.taken == len(receiver.taken)
        assert sent_ends(receiver) == [1, 2, 3, 4]
        assert await send(database, store) == Published()

        # Provisional windows are computed again, but the store has their points already.
        await compute_hours(database, range(HOURS), now=SOON + timedelta(hours=1))
        assert await send(database, store) == Published()

        settled = await compute_hours(database, range(HOURS), now=LATER)
        assert (await send(database, store)).windows == HOURS
        assert await send(database, store) == Published()
        assert await count_waiting(database, WHAT) == 0
    assert sorted(receiver.taken) == sorted(points_of(provisional) + points_of(settled))


async def test_what_was_settled_before_it_was_switched_on_waits_for_a_back_fill(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    settled = await compute_hours(database, range(2), now=LATER)
    provisional = await compute_hours(database, range(2, 3), now=SOON)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        assert (await send(database, store)).windows == 1
        assert sorted(receiver.taken) == sorted(points_of(provisional))
        later = await compute_hours(database, range(3, 4), now=LATER)
        await send(database, store)
        assert sorted(receiver.taken) == sorted(points_of(provisional + later))
        receiver.taken.clear()
        filled = await back_fill(
            database,
            store,
            WHAT,
            Span(end=settled[-1].window.end),
            points_per_second=1e6,
            now=lambda: LATER,
            on_sent=lambda _: None,
        )
        assert filled.windows == 2
    assert sorted(receiver.taken) == sorted(points_of(settled))


async def test_a_store_that_is_away_gets_all_of_it_oldest_first_when_it_is_back(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    answer = TAKEN
    with receiving(Receiver(lambda _: answer)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        answer = Answer(503)
        windows = []
        for hour in range(HOURS):
            windows += await compute_hours(database, range(hour, hour + 1), now=SOON)
            with pytest.raises(StoreAway):
                await send(database, store)
        assert receiver.taken == []
        assert await count_waiting(database, WHAT) == HOURS
        answer = TAKEN
        assert (await send(database, store)).windows == HOURS
    assert sorted(receiver.taken) == sorted(points_of(windows))
    assert sent_ends(receiver) == [1, 2, 3, 4]


async def test_a_window_gets_through_a_store_that_takes_a_few_requests_at_a_time(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 3)
    monkeypatch.setattr(publisher_module, "LONGEST_BUSY_SECONDS", 0.01)
    asked = itertools.count(1)
    await store_hours(database, HOURS)

    def answer(_: object) -> Answer:
        return TAKEN if next(asked) % 2 else Answer(429)

    with receiving(Receiver(answer)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        windows = await compute_hours(database, range(1), now=SOON)
        assert (await send(database, store)).windows == 1
    assert len(points_of(windows)) > 3
    assert sorted(receiver.taken) == sorted(points_of(windows))


def later_by(seconds: int) -> datetime:
    return LATER + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("answer", "sent_again"), [(Answer(503), [2, 3, 4]), (Answer(429), [4]), (Answer(401), [4])]
)
async def test_a_store_that_may_have_been_killed_gets_its_last_minute_once_more(
    database: Database, store_of: StoreOf, answer: Answer, sent_again: list[int]
) -> None:
    await store_hours(database, HOURS)
    answers = TAKEN
    with receiving(Receiver(lambda _: answers)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        for hour, seconds in ((0, 0), (1, 3600), (2, 3630)):
            await compute_hours(database, range(hour, hour + 1), now=SOON)
            await publish_waiting(database, store, WHAT, now=partial(later_by, seconds))
        receiver.taken.clear()
        answers = answer
        await compute_hours(database, range(3, 4), now=SOON)
        for _ in range(2):
            with pytest.raises(StoreAway):
                await send(database, store)
        answers = TAKEN
        await send(database, store)
    assert sent_ends(receiver) == sent_again


async def test_a_store_that_fails_every_now_and_then_gets_all_of_a_backlog(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window is sent again only once, or sending would never end."""
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 1)
    await store_hours(database, HOURS)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        windows = await compute_hours(database, range(HOURS), now=SOON)
        requests_each = len(points_of(windows[:1]))
        numbers = itertools.count(1)
        receiver.answer = lambda _: TAKEN if next(numbers) % (requests_each + 2) else Answer(503)
        for _ in range(2 * HOURS):
            try:
                await send(database, store)
            except StoreAway:
                continue
            break
        assert await count_waiting(database, WHAT) == 0
    assert set(receiver.taken) == set(points_of(windows))


async def test_a_window_that_was_computed_anew_is_not_sent_with_another_value(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    answers = TAKEN
    with receiving(Receiver(lambda _: answers)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        await compute_hours(database, range(2), now=SOON)
        await send(database, store)
        async with database.acquire() as connection:
            await connection.execute(
                "update reliability_window set revision = 2 where window_start = $1",
                from_unix_ms(START),
            )
        answers = Answer(502)
        await compute_hours(database, range(2, 3), now=SOON)
        with pytest.raises(StoreAway):
            await send(database, store)
        answers = TAKEN
        receiver.taken.clear()
        await send(database, store)
    assert sent_ends(receiver) == [2, 3]


async def test_who_dies_after_the_store_took_a_window_sends_it_again(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request for each window; the third request dies when two windows are marked."""
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 1)
    await store_hours(database, HOURS)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        windows = await compute_hours(database, range(HOURS), now=SOON)
        points_each = len(points_of(windows[:1]))
        requests = 0

        send_really = store.send

        async def send_two_and_a_half(points):  # type: ignore[no-untyped-def]
            nonlocal requests
            requests += 1
            if requests > 2 * points_each + points_each // 2:
                raise asyncio.CancelledError
            return await send_really(points)

        monkeypatch.setattr(store, "send", send_two_and_a_half)
        with pytest.raises(asyncio.CancelledError):
            await send(database, store)
        assert await count_waiting(database, WHAT) == HOURS - 2
        monkeypatch.setattr(store, "send", send_really)
        assert (await send(database, store)).windows == HOURS - 2
    assert set(receiver.taken) == set(points_of(windows))
    twice = [one for one, count in Counter(receiver.taken).items() if count == 2]
    assert len(twice) == points_each // 2


async def test_rejected_points_are_counted_and_do_not_block(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    bad_end = START + 2 * HOUR_MS

    def answer(points: list[Point]) -> Answer:
        is_bad = any(
            at == bad_end and dict(series)["__name__"] == "devtelemetry_receivers"
            for series, at, _ in points
        )
        return Answer(400, "duplicate sample for timestamp") if is_bad else TAKEN

    with receiving(Receiver(answer)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        windows = await compute_hours(database, range(HOURS), now=SOON)
        counter = metrics.PUBLISH_POINTS_REJECTED.labels("duplicate")
        before = counter._value.get()
        published = await send(database, store)
        assert counter._value.get() == before + 1
        assert published.windows == HOURS
        assert published.points.rejected == Counter({Rejected.DUPLICATE: 1})
        assert await count_waiting(database, WHAT) == 0
    assert len(receiver.taken) == len(points_of(windows)) - 1


async def test_windows_of_another_policy_neither_go_nor_go_over_what_is_there(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    by_window = PublishedSeries(MembershipPolicy.WINDOW)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        await compute_hours(database, range(2), now=SOON)
        await compute_hours(database, range(3), now=SOON, membership="window")
        assert (await send(database, store)).windows == 2
        assert await count_waiting(database, by_window) == 1
        assert (await send(database, store, by_window)).windows == 1
    assert sent_ends(receiver) == [1, 2, 3]


async def test_channels_go_only_if_asked_for(database: Database, store_of: StoreOf) -> None:
    await store_hours(database, 1, channels=("c1", "c2"))
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        await compute_hours(database, range(1), now=SOON)
        await send(database, store)
        assert not [one for one, _, _ in receiver.taken if "channel" in dict(one)]
        settled = await compute_hours(database, range(1), now=LATER)
        receiver.taken.clear()
        await send(database, store, PublishedSeries(by_channel=True))
    missing = {
        dict(series).get("channel"): value
        for series, _, value in receiver.taken
        if dict(series)["__name__"] == "devtelemetry_missing_deliveries"
    }
    assert missing == {None: 2, "c1": 1, "c2": 1}
    assert settled[0].counts.missing == 2


async def test_one_server_sends_at_a_time(database: Database, store_of: StoreOf) -> None:
    await store_hours(database, HOURS)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        await compute_hours(database, range(HOURS), now=SOON)
        async with database.acquire() as session, try_lock(session, Lock.PUBLISH) as is_ours:
            assert is_ours
            assert await send(database, store) == Published()
        assert receiver.requests == []
        assert (await send(database, store)).windows == HOURS


async def test_no_transaction_is_open_while_the_store_is_waited_for(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, HOURS)
    loop = asyncio.get_running_loop()
    open_transactions: list[int] = []

    async def look() -> int:
        async with database.acquire() as connection:
            count: int = await connection.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and xact_start is not null and pid <> pg_backend_pid()"
                " and backend_type = 'client backend'"
            )
        return count

    def answer(_: list[Point]) -> Answer:
        open_transactions.append(asyncio.run_coroutine_threadsafe(look(), loop).result(30))
        return TAKEN

    with receiving(Receiver(answer)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        await compute_hours(database, range(HOURS), now=SOON)
        await send(database, store)
    assert open_transactions == [0]


async def test_many_points_go_in_requests_of_a_bounded_size(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 20)
    await store_hours(database, HOURS, channels=[f"c{n}" for n in range(5)])
    what = PublishedSeries(by_channel=True)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        await switch_on(database, store, what)
        windows = await compute_hours(database, range(HOURS), now=SOON)
        await send(database, store, what)
    assert max(map(len, receiver.requests)) == 20
    assert sorted(receiver.taken) == sorted(points_of(windows, what))


# ------------------------------------------------------------------------------- the job


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_job_leaves_a_store_alone_that_failed_and_longer_each_time(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, 1)
    answer = TAKEN
    clock = Clock()
    with receiving(Receiver(lambda _: answer)) as receiver:
        store = store_of(receiver)
        await switch_on(database, store)
        await compute_hours(database, range(1), now=SOON)
        job = Publisher(database, store, WHAT, now=lambda: LATER, monotonic=clock)

        async def requests_until(seconds: float) -> list[float]:
            """When requests came, in seconds from now; it is looked each half second."""
            begun, asked = clock.now, []
            while clock.now < begun + seconds:
                before = len(receiver.requests)
                await job.run()
                if len(receiver.requests) > before:
                    asked.append(clock.now - begun)
                clock.now += 0.5
            return asked

        answer = Answer(500, "broken")
        failures = metrics.PUBLISH_FAILURES.labels("server_error")._value.get()
        asked = await requests_until(20)
        assert asked[0] == 0
        gaps = [b - a for a, b in itertools.pairwise(asked)]
        # Between half and all of 1, 2, 4, 8 s, seen each half second.
        assert all(2**n / 2 <= gap <= 2**n + 0.5 for n, gap in enumerate(gaps)), gaps
        assert len(gaps) >= 3
        assert metrics.PUBLISH_FAILURES.labels("server_error")._value.get() == failures + len(asked)
        assert metrics.PUBLISH_PENDING_WINDOWS._value.get() == 1

        clock.now += 1000
        answer = Answer(429, "", {"Retry-After": "60"})
        asked = await requests_until(59)
        assert asked == [0]
        clock.now += 20
        answer = Answer(401)
        assert await requests_until(149) == [0]

        clock.now += 200
        answer = TAKEN
        assert (await job.run()).windows == 1
        assert metrics.PUBLISH_PENDING_WINDOWS._value.get() == 0
        assert metrics.PUBLISH_LAST_SUCCESS._value.get() == LATER.timestamp()


# ------------------------------------------------------------------------------- back-fill


async def compute_all(database: Database, hours: int = 6) -> list[WindowReliability]:
    """Computes windows of one hour and of two; `hours` is even."""
    return [
        await compute_window(database, START + hour * HOUR_MS, timeframe=f"{length}h")
        for length in (1, 2)
        for hour in range(0, hours, length)
    ]


async def fill(database: Database, store: RemoteWrite, span: Span, **options: object) -> Published:
    given: dict[str, object] = {
        "points_per_second": 1e6,
        "now": lambda: LATER,
        "on_sent": lambda _: None,
        **options,
    }
    return await back_fill(database, store, WHAT, span, **given)  # type: ignore[arg-type]


async def test_a_back_fill_sends_what_overlaps_its_span_and_can_be_said_again(
    database: Database, store_of: StoreOf
) -> None:
    await store_hours(database, 6)
    windows = await compute_all(database)
    hour = timedelta(hours=1)
    first = from_unix_ms(START)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
        whole = await fill(database, store, Span(first, first + 6 * hour))
        assert whole.windows == 6 + 3
        everything = list(receiver.taken)
        assert sorted(everything) == sorted(points_of(windows))
        receiver.taken.clear()
        span = Span(first + 2 * hour, first + 3 * hour)
        assert (await fill(database, store, span)).windows == 2
        span = Span(first + 2 * hour, first + 3 * hour, "1h")
        receiver.taken.clear()
        assert (await fill(database, store, span)).windows == 1
        assert sent_ends(receiver) == [3]
        receiver.taken.clear()
        assert (await fill(database, store, Span(first, first + 6 * hour))).windows == 9
    assert receiver.taken == everything


async def test_a_back_fill_goes_on_where_a_store_was_away(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 1)
    monkeypatch.setattr(publisher_module, "BACKOFF", Timing(first_retry=0.01))
    await store_hours(database, 6)
    windows = await compute_all(database)
    numbers = itertools.count(1)  # a window needs fewer than 23 requests
    with receiving(Receiver(lambda _: TAKEN if next(numbers) % 23 else Answer(503))) as receiver:
        published = await fill(database, store_of(receiver), Span())
    assert published.windows == len(windows)
    assert published.points.taken == len(set(receiver.taken))
    ends = [at for _, at, _ in receiver.taken]
    assert ends == sorted(ends)


async def test_a_back_fill_that_a_person_must_mend_ends_at_once_and_says_where_to_go_on(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 1)
    await store_hours(database, 6)
    await compute_all(database)
    last_end = START + 3 * HOUR_MS

    def answer(points: list[Point]) -> Answer:
        return TAKEN if points[0][1] <= last_end else Answer(401)

    with receiving(Receiver(answer)) as receiver:
        with pytest.raises(Unavailable, match=r"401 *; sent \d+ windows; go on with") as caught:
            await fill(database, store_of(receiver), Span(start=from_unix_ms(START)))
        resume = datetime.fromisoformat(str(caught.value).rpartition("--from ")[2])
        receiver.answer = lambda _: TAKEN
        before = set(receiver.taken)
        await fill(database, store_of(receiver), Span(start=resume))
    whole = await fill_elsewhere(database, store_of, from_unix_ms(START))
    assert before | set(receiver.taken) == whole


async def fill_elsewhere(database: Database, store_of: StoreOf, start: datetime) -> set[Point]:
    with receiving(Receiver()) as receiver:
        await fill(database, store_of(receiver), Span(start=start))
    return set(receiver.taken)


async def test_a_back_fill_is_no_faster_than_it_may_be(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate holds for each request, also if a window needs several."""
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 20)
    await store_hours(database, 2, channels=[f"c{n}" for n in range(5)])
    await compute_all(database, hours=2)
    clock = Clock()
    begun: list[float] = []

    def answer(_: object) -> Answer:
        begun.append(clock.now)
        clock.now += 1  # as long as the store takes
        return TAKEN

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    with receiving(Receiver(answer)) as receiver:
        published = await back_fill(
            database,
            store_of(receiver),
            PublishedSeries(by_channel=True),
            Span(),
            points_per_second=4.0,
            now=lambda: LATER,
            on_sent=lambda _: None,
            monotonic=clock,
            sleep=sleep,
        )
    sizes = [len(points) for points in receiver.requests]
    assert len(sizes) > 2 * published.windows, "windows of several requests"
    pauses = [after - before for before, after in itertools.pairwise(begun)]
    assert pauses == pytest.approx([max(1, size / 4) for size in sizes[:-1]])


async def test_points_are_made_beside_the_event_loop(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def make(window: WindowReliability, series: PublishedSeries) -> list[Stamped]:
        threads.append(threading.current_thread())
        return stamped(window, series)

    monkeypatch.setattr(publisher_module, "stamped", make)
    await store_hours(database, 1)
    await compute_hours(database, range(1), now=SOON)
    with receiving(Receiver()) as receiver:
        assert (await send(database, store_of(receiver))).windows == 1
    assert threads
    assert threading.current_thread() not in threads


async def test_patience_with_a_store_that_is_away_is_not_used_up_by_a_slow_pace(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "REQUEST_POINTS", 1)
    await store_hours(database, 2)
    windows = await compute_all(database, hours=2)
    clock = Clock()
    numbers = itertools.count(1)

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    slow = 1 / publisher_module.PATIENCE_SECONDS  # points a second
    # A window needs fewer than 23 requests.
    with receiving(Receiver(lambda _: TAKEN if next(numbers) % 23 else Answer(503))) as receiver:
        published = await fill(
            database,
            store_of(receiver),
            Span(),
            points_per_second=slow,
            monotonic=clock,
            sleep=sleep,
        )
    assert published.windows == len(windows)


async def test_a_failure_of_the_network_is_waited_for_no_longer_than_patience_lasts(
    database: Database, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(publisher_module, "BACKOFF", Timing(first_retry=0.01))
    await store_hours(database, 2)
    await compute_all(database, hours=2)
    with receiving(Receiver()) as receiver:
        store = store_of(receiver)
    with pytest.raises(Unavailable, match=r"cannot be reached.*; sent 0 windows$"):
        await fill(database, store, Span())
