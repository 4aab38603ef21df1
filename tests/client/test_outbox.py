"""The outbox: every sample has one state, each number comes once, and lost samples leave gaps."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devtelemetry.client import Limits, Settings
from devtelemetry.client.lost import Loss, Span
from devtelemetry.client.outbox import Claim, News, NewSample, Outbox
from devtelemetry.client.sources import Source
from devtelemetry.client.stays import Joined, Left
from support.clients import Clock

LIMITS = Limits(samples=20, size_bytes=20 * 200, age_ms=3_600_000)
SERVER = ("server:1", "dt_a")
START = Clock().now_ms
NONE = Loss(0, None)
MEMORY = Source(0, 0)


class OutboxAgainstAModel(RuleBasedStateMachine):
    """The same operations on an outbox and on lists of numbers; sometimes the process dies."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.clock = Clock()
        self.settings = Settings(Path(self.directory.name) / "node.db", clock=self.clock)
        self.settings.enable()
        self.consent = 1
        self.queued: list[tuple[int, int]] = []  # number, sent_at
        self.in_flight: list[int] = []
        self.claim: Claim | None = None
        self.done: set[int] = set()
        self.next = 1
        self.generation = 0
        self.dropped = 0
        self.lost_numbers = set[int]()  # not yet reported
        self.open()

    def open(self) -> None:
        self.connection = self.settings.storage.connect()
        self.outbox = Outbox(self.connection, LIMITS, "1.0")
        self.outbox.open(self.consent, 0, 0, self.clock.now_ms)
        self.outbox.requeue()

    def teardown(self) -> None:
        self.connection.close()
        self.directory.cleanup()

    @rule(count=st.integers(1, 30), lost=st.integers(0, 3), age_ms=st.integers(0, 7_200_000))
    def add(self, count: int, lost: int, age_ms: int) -> None:
        now = self.clock.now_ms
        new = [NewSample(b"x" * 100, now - age_ms, now, "1.0") for _ in range(count)]
        loss = Loss(lost, Span(START, START))
        self.generation += 1
        for _ in range(2):  # the second time it exists already
            self.outbox.add(
                self.consent,
                new,
                [],
                lost=loss,
                since=0,
                source=Source(0, self.generation),
                now_ms=now,
            )
        self.lose(range(self.next, self.next + lost))
        self.next += lost
        self.queued += [(self.next + position, now - age_ms) for position in range(count)]
        self.next += count
        while self.queued and (
            len(self.queued) + len(self.in_flight) > LIMITS.samples
            or self.queued[0][1] < now - LIMITS.age_ms
        ):
            self.lose([self.queued.pop(0)[0]])

    @precondition(lambda self: self.claim is None)
    @rule(most=st.integers(1, 10))
    def take(self, most: int) -> None:
        claim = self.outbox.claim(
            self.consent, *SERVER, max_samples=most, max_bytes=1000, now_ms=self.clock.now_ms
        )
        assert claim is not None
        expected = list[int]()
        for number, _ in self.queued[:most]:
            if expected and number != expected[-1] + 1:
                break
            expected.append(number)
        assert claim.first_sequence == (expected[0] if expected else self.next)
        assert len(claim.samples) == len(expected)
        self.queued = self.queued[len(expected) :]
        self.in_flight = expected
        self.claim = claim

    @precondition(lambda self: self.claim is not None)
    @rule(refused=st.sets(st.integers(0, 9)))
    def answer(self, refused: set[int]) -> None:
        claim = self.taken_claim()
        self.outbox.settle(
            claim,
            {position: "too_old" for position in refused if position < len(claim.samples)},
            News(None, "", self.clock.now_ms),
        )
        for first, last, _, _ in claim.lost:
            self.lost_numbers -= set(range(first, last + 1))
        self.done |= set(self.in_flight)
        self.in_flight = []

    @precondition(lambda self: self.claim is not None)
    @rule()
    def fail(self) -> None:
        self.outbox.release(self.taken_claim())
        self.back_in_the_queue()

    @rule()
    def die(self) -> None:
        """SIGKILL."""
        self.claim = None
        self.back_in_the_queue()
        self.connection.close()
        self.open()

    @rule(milliseconds=st.integers(-7_200_000, 3_600_000))
    def let_time_pass(self, milliseconds: int) -> None:
        self.clock.now_ms += milliseconds

    def lose(self, numbers: Iterable[int]) -> None:
        self.lost_numbers |= set(numbers)
        self.dropped += len(list(numbers))

    def taken_claim(self) -> Claim:
        assert self.claim is not None
        claim, self.claim = self.claim, None
        return claim

    def back_in_the_queue(self) -> None:
        at = self.clock.now_ms
        sent = {
            row[0]: row[1] for row in self.rows("select sequence, sent_at from telemetry_outbox")
        }
        self.queued = sorted(self.queued + [(n, sent.get(n, at)) for n in self.in_flight])
        self.in_flight = []

    def rows(self, sql: str) -> list[Any]:
        return self.connection.execute(sql).fetchall()

    def numbers(self, state: str) -> list[int]:
        rows = self.rows(f"select sequence from telemetry_outbox where state = '{state}'")
        return sorted(row[0] for row in rows)

    @invariant()
    def every_number_is_in_one_place(self) -> None:
        assert self.numbers("queued") == [number for number, _ in self.queued]
        assert self.numbers("in_flight") == self.in_flight
        waiting = len(self.queued) + len(self.in_flight)
        status = self.settings.status()
        assert status.waiting == waiting
        assert status.dropped == self.dropped
        assert self.next - 1 == waiting + len(self.done) + self.dropped

    @invariant()
    def what_is_lost_is_going_to_be_told(self) -> None:
        rows = self.rows("select first_sequence, last_sequence from telemetry_lost")
        told = {number for first, last in rows for number in range(first, last + 1)}
        assert told >= self.lost_numbers
        assert not told & set(self.numbers("queued"))

    @invariant()
    def sizes_add_up(self) -> None:
        ((counted, kept),) = self.rows(
            "select (select coalesce(sum(length(sample) + 64), 0) from telemetry_outbox"
            " where state in ('queued', 'in_flight')),"
            " (select waiting_bytes from telemetry_identity)"
        )
        assert counted == kept


TestOutboxAgainstAModel = OutboxAgainstAModel.TestCase
TestOutboxAgainstAModel.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=30, deadline=None
)


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Settings, Outbox, sqlite3.Connection]:
    settings = Settings(tmp_path / "node.db", clock=Clock())
    settings.enable()
    connection = settings.storage.connect()
    outbox = Outbox(connection, Limits(size_bytes=10_000), "1.0")
    outbox.open(1, 0, 0, settings.clock())
    return settings, outbox, connection


Opened = tuple[Settings, Outbox, sqlite3.Connection]


def test_the_bound_in_bytes_drops_the_oldest(opened: Opened) -> None:
    settings, outbox, _ = opened
    now = settings.clock()
    samples = [NewSample(b"x" * 936, now, now, "1.0") for _ in range(25)]
    outbox.add(1, samples, [], lost=NONE, since=0, source=MEMORY, now_ms=now)
    status = settings.status()
    assert (status.waiting, status.dropped) == (10, 15)


def test_a_claim_is_bounded_in_bytes_and_never_empty(opened: Opened) -> None:
    settings, outbox, _ = opened
    now = settings.clock()
    samples = [NewSample(b"x" * 900, now, now, "1.0") for _ in range(5)]
    outbox.add(1, samples, [], lost=NONE, since=0, source=MEMORY, now_ms=now)
    for expected in (1, 2, 2):
        claim = outbox.claim(
            1, *SERVER, max_samples=10, max_bytes=500 if expected == 1 else 1800, now_ms=now
        )
        assert claim is not None
        assert len(claim.samples) == expected


def test_what_is_done_with_is_shown_for_a_while_and_then_gone(opened: Opened) -> None:
    settings, outbox, connection = opened
    clock = settings.clock
    assert isinstance(clock, Clock)
    now = clock()
    for _ in range(3):
        outbox.add(
            1,
            [NewSample(b"x", now, now, "1.0") for _ in range(150)],
            [],
            lost=NONE,
            since=0,
            source=MEMORY,
            now_ms=now,
        )
        claim = outbox.claim(1, *SERVER, max_samples=500, max_bytes=10**6, now_ms=now)
        assert claim is not None
        outbox.settle(claim, {}, News(None, "", now))
    count = "select count(*), max(sequence) from telemetry_outbox"
    assert tuple(connection.execute(count).fetchone()) == (200, 450)
    clock.now_ms += 2 * 86_400_000
    empty = outbox.claim(1, *SERVER, max_samples=1, max_bytes=1, now_ms=clock())
    assert empty is not None
    outbox.settle(empty, {}, News(None, "", clock()))
    assert connection.execute(count).fetchone()[0] == 0


def test_an_answer_to_an_older_membership_does_not_count(opened: Opened) -> None:
    settings, outbox, _ = opened
    now = settings.clock()
    joined = Joined("c1", now)
    outbox.add(1, [], [joined], lost=NONE, since=0, source=MEMORY, now_ms=now)
    claim = outbox.claim(1, *SERVER, max_samples=1, max_bytes=1, now_ms=now)
    assert claim is not None
    left = Left("c1", now + 5)
    outbox.add(1, [], [left], lost=NONE, since=0, source=MEMORY, now_ms=now)
    outbox.settle(claim, {}, News(None, "", now))
    claim = outbox.claim(1, *SERVER, max_samples=1, max_bytes=1, now_ms=now)
    assert claim is not None
    assert [m[:3] for m in claim.memberships] == [("c1", now, now + 5)]


def test_after_an_opt_out_nothing_is_stored_or_claimed(opened: Opened) -> None:
    settings, outbox, connection = opened
    now = settings.clock()
    outbox.add(
        1, [NewSample(b"x", now, now, "1.0")], [], lost=NONE, since=0, source=MEMORY, now_ms=now
    )
    claim = outbox.claim(1, *SERVER, max_samples=9, max_bytes=99, now_ms=now)
    assert claim is not None
    settings.disable()
    settings.enable()
    outbox.add(
        1,
        [NewSample(b"y", now, now, "1.0")],
        [],
        lost=Loss(3, None),
        since=0,
        source=MEMORY,
        now_ms=now,
    )
    outbox.release(claim)
    outbox.settle(claim, {}, News(None, "", now))
    assert outbox.claim(1, *SERVER, max_samples=9, max_bytes=99, now_ms=now) is None
    assert connection.execute("select count(*) from telemetry_outbox").fetchone()[0] == 0
    status = settings.status()
    assert (status.waiting, status.acknowledged, status.dropped) == (0, 0, 0)


def test_a_claim_is_on_the_disk_before_it_is_sent(opened: Opened) -> None:
    settings, outbox, connection = opened
    now = settings.clock()
    outbox.add(
        1, [NewSample(b"x", now, now, "1.0")], [], lost=NONE, since=0, source=MEMORY, now_ms=now
    )
    assert connection.execute("pragma synchronous").fetchone()[0] == 1
    outbox.claim(1, *SERVER, max_samples=1, max_bytes=99, now_ms=now)
    assert connection.execute("pragma synchronous").fetchone()[0] == 2
