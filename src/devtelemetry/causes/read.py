"""Reads one channel in one window down to single messages. Source: docs/causes.md.

The same SQL as for the figures decides which receivers count and where the holes are
(aggregate/counting.sql, spans.sql). Messages that quorum or cap leave out are left out here too. So
the missing pairs here are those that the figures count.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from devtelemetry.aggregate.algorithm import holes_of, not_measured, stays_of
from devtelemetry.aggregate.cleaned import cleaned_days_of, is_cleaned
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.sampled import coarse_of
from devtelemetry.causes.classify import (
    PATTERN_OF,
    Classified,
    LossPattern,
    pattern_counts,
)
from devtelemetry.causes.found import Author, Lacking, LossyReceiver, MissingMessage, Receiver
from devtelemetry.causes.request import (
    BadWindow,
    MissingRequest,
    SamplesCleaned,
    TooMuch,
)
from devtelemetry.causes.seen import Hands, Seen, classified, counts_of_pairs, left_out_of, take
from devtelemetry.model import (
    DAY_MS,
    Counts,
    LossClass,
    MembershipPolicy,
    Outcome,
    Window,
    from_unix_ms,
    window_starting,
)
from devtelemetry.model.errors import UnknownName, unknown_channel
from devtelemetry.model.sampling import Sampling
from devtelemetry.results.columns import SQL
from devtelemetry.results.rows import counts_of
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.keyring import receiver_name
from devtelemetry.store.repair import repaired_snapshot
from devtelemetry.store.sampling import read_sampling
from devtelemetry.store.sql import load, queries
from devtelemetry.v1.sampling import is_in_sample
from devtelemetry.words import WAYS

MOST_MESSAGES = 100_000  # of a channel in a window: some 30 MB
MOST_PAIRS = 10_000_000  # receipts, at 4 bytes; and pairs of a message and a receiver, at 1 byte
DETAILS = 500  # messages whose ids and topics are in memory at the same time
_CURSOR_ROWS = 100

_QUERIES = queries(__package__, "read.sql", **SQL)
_COUNTING = load("devtelemetry.aggregate", "counting_of_channel.sql")
_LOST = frozenset(PATTERN_OF)


@dataclass(frozen=True)
class DrillDown:
    """One channel in one window. A position is the place of a measured message in the order of
    sending.

    times     sentAt of each message
    captures  how many receivers hold each message and did not write it, whether they count or not
    losses    for each receiver, how many of its missing pairs are in each class
    not_sent  positions of the messages that were not sent
    counts    the channel's counts, from the samples as they are now
    stored    the counts when the window was computed; None: none are stored
    """

    asked: MissingRequest
    window: Window
    membership: MembershipPolicy
    times: Sequence[int]
    captures: Sequence[int]
    receivers: Sequence[Receiver]
    found: Classified
    losses: Sequence[Mapping[LossClass, int]]
    not_sent: frozenset[int]
    counts: Counts
    stored: Counts | None
    _channel: int
    _message_ids: Sequence[int]
    _connection: Connection = field(repr=False)

    @property
    def patterns(self) -> dict[LossPattern, int]:
        return pattern_counts(self.found.sequences)

    def lossy_receivers(self, only: int | None = None) -> list[LossyReceiver]:
        """The receivers that lack messages, those that lack most first. With `only`, that receiver
        alone, even if it lacks nothing.

        Raises UnknownName if `only` does not count in the window.
        """
        if only is not None:
            return [self._one(only)]
        every = map(LossyReceiver, self.receivers, self.found.sequences, self.losses)
        lossy = [(missing, one) for one in every if (missing := one.pairs.missing)]
        return [one for _, one in sorted(lossy, key=lambda item: (-item[0], item[1].receiver.name))]

    def missing_messages(self, only: int | None = None) -> list[int]:
        """Positions of the messages that some receiver lacks, or that `only` lacks. Those that most
        receivers lack come first."""
        if only is not None:
            lost = self._one(only).sequence
            lacking = [position for position, letter in enumerate(lost) if letter in _LOST]
        else:
            lacking = [at for at, pairs in enumerate(self.found.of_messages) if pairs.missing]
        return sorted(lacking, key=lambda at: (-self.found.of_messages[at].missing, at))

    async def details(self, positions: Sequence[int]) -> AsyncIterator[MissingMessage]:
        """The messages at these positions, in this order. Only within the block of `drill_down`."""
        for begin in range(0, len(positions), DETAILS):
            some = positions[begin : begin + DETAILS]
            rows = await self._connection.fetch(
                _QUERIES["details"],
                channel_id=self._channel,
                message_ids=[self._message_ids[at] for at in some],
            )
            # Off the event loop, because it looks at every receiver of each message.
            for message in await asyncio.to_thread(self._messages, some, rows):
                yield message

    def _messages(
        self, positions: Sequence[int], rows: Sequence[Mapping[str, Any]]
    ) -> list[MissingMessage]:
        return [self._message(at, row) for at, row in zip(positions, rows, strict=True)]

    def _message(self, position: int, row: Mapping[str, Any]) -> MissingMessage:
        pairs = self.found.of_messages[position]
        letters = [one[position] for one in self.found.sequences]
        reasons = {
            (receiver_id, Outcome(outcome)): reason
            for receiver_id, outcome, reason in zip(
                row["failed_receivers"], row["failed_outcomes"], row["failed_reasons"], strict=True
            )
        }

        def loss(receiver_id: int) -> tuple[LossClass, str]:
            for outcome, of in _OUTCOMES:
                if (receiver_id, outcome) in reasons:
                    return of, reasons[receiver_id, outcome]
            if position in self.not_sent:
                return LossClass.NOT_SENT, row["not_sent_reason"] or ""
            return LossClass.NOT_ARRIVED, ""

        return MissingMessage(
            message_id=row["external_id"],
            envelope_id=row["envelope_id"],
            topics=row["topics"],
            message_type=row["message_type"],
            message_size=row["message_size"],
            sent_at=self.times[position],
            authors=sorted(set(map(Author, row["platforms"], row["app_versions"]))),
            pairs=pairs,
            held_elsewhere=self.captures[position] - pairs.held,
            went_out=True if row["went_out"] else False if position in self.not_sent else None,
            ways={via: row[via.name.lower()] for via in WAYS},
            lacking=sorted(
                (
                    Lacking(receiver, *loss(receiver.receiver_id), PATTERN_OF[letter])
                    for receiver, letter in zip(self.receivers, letters, strict=True)
                    if letter in _LOST
                ),
                key=lambda one: one.receiver.name,
            ),
        )

    def _one(self, receiver_id: int) -> LossyReceiver:
        at = bisect_left(self.receivers, receiver_id, key=lambda one: one.receiver_id)
        if at < len(self.receivers) and self.receivers[at].receiver_id == receiver_id:
            return LossyReceiver(self.receivers[at], self.found.sequences[at], self.losses[at])
        raise UnknownName(
            f"the receiver {receiver_name(receiver_id)} does not count in this channel and window; "
            "without it, all receivers that count are shown"
        )


_OUTCOMES = ((Outcome.UNREADABLE, LossClass.UNREADABLE), (Outcome.DROPPED, LossClass.DROPPED))


@contextlib.asynccontextmanager
async def drill_down(
    database: Database, rules: AggregateRules, asked: MissingRequest, *, now: Callable[[], datetime]
) -> AsyncIterator[DrillDown]:
    """Looks into a channel. All reads within the block see the same state of the database.

    rules  the rules that windows are computed by: membership, quorum, cap, what is not measured

    Raises UnknownName, BadWindow, SamplesCleaned, TooMuch; Unavailable if samples keep changing.
    """
    channel = (await database.keyring()).channel(asked.channel_id)
    async with repaired_snapshot(database) as connection:
        window = await _window(connection, rules, asked, channel, now())
        yield await _look(connection, rules, asked, channel, window)


async def _window(
    connection: Connection,
    rules: AggregateRules,
    asked: MissingRequest,
    channel: int,
    now: datetime,
) -> Window:
    name, membership = asked.timeframe.name, rules.membership.value
    if not await connection.fetchval(_QUERIES["channel"], channel_id=channel):
        raise unknown_channel(asked.channel_id)
    start = asked.start
    if start is None:
        start = await connection.fetchval(
            _QUERIES["latest_window"], channel_id=channel, timeframe=name, membership=membership
        )
    if start is None:
        raise UnknownName(
            f"no {name} window with figures of this channel was computed under the policy "
            f"{membership}; name a window by its start, as in 2026-03-02T10:00:00Z"
        )
    try:
        window = window_starting(asked.timeframe, start)
    except ValueError as error:
        raise BadWindow(str(error)) from None
    if now < window.end:
        raise BadWindow(
            f"the window ends at {window.end.isoformat()}, in the future; allowed: a window that "
            "is over"
        )
    cleaned = await cleaned_days_of(connection)
    if is_cleaned(window, cleaned):
        kept_from = from_unix_ms(max(cleaned) + DAY_MS)
        raise SamplesCleaned(
            f"samples of the {name} window of {window.start.isoformat()} were cleaned: its figures "
            "are kept, but its single messages are not; allowed: windows from "
            f"{kept_from.isoformat()} on"
        )
    return window


async def _look(
    connection: Connection,
    rules: AggregateRules,
    asked: MissingRequest,
    channel: int,
    window: Window,
) -> DrillDown:
    sampling = await read_sampling(connection)
    seen = await _read_messages(connection, rules, sampling, asked.channel_id, channel, window)
    members = await _read_counting(connection, rules, sampling, channel, window, seen)
    hands = await _read_hands(connection, seen)
    left_out = left_out_of(rules, seen, hands, members)
    _refuse_beyond(MOST_PAIRS, len(members) * len(seen.times), "pairs of a message and a receiver")
    # Off the event loop, because millions of pairs take seconds.
    found, outcomes = await asyncio.to_thread(
        classified, seen, members, left_out, hands, asked.burst
    )
    stored = await connection.fetchrow(
        _QUERIES["stored"],
        channel_id=channel,
        timeframe=asked.timeframe.name,
        window_start=window.start,
        membership=rules.membership.value,
    )
    return DrillDown(
        asked,
        window,
        rules.membership,
        seen.times,
        seen.captures,
        [Receiver(row["receiver_id"], row["platform"], row["app_version"]) for row in members],
        found,
        [one.losses for one in outcomes],
        frozenset(seen.not_sent),
        counts_of_pairs(seen, found, outcomes, left_out),
        None if stored is None else counts_of(stored),
        channel,
        seen.message_ids,
        connection,
    )


def _refuse_beyond(most: int, number: int, what: str) -> None:
    if number > most:
        raise TooMuch(
            f"more than {most:,} {what} in this channel and window; choose a shorter timeframe, as "
            "in 15m or 1m; it need not be one that is computed"
        )


async def _read_messages(
    connection: Connection,
    rules: AggregateRules,
    sampling: Sampling,
    channel_name: str,
    channel: int,
    window: Window,
) -> Seen:
    messages: Sequence[Mapping[str, Any]] = await connection.fetch(
        _QUERIES["messages"],
        channel_id=channel,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        **await not_measured(connection, rules),
        most=MOST_MESSAGES + 1,
    )
    _refuse_beyond(MOST_MESSAGES, len(messages), "messages")
    one_in = sampling.coarsest(channel, window.start_ms, window.end_ms)
    if one_in > 1:
        messages = [
            row
            for row in messages
            if is_in_sample(one_in, sampling.salt, channel_name, row["external_id"])
        ]
    seen = Seen()
    receipts = connection.slices(
        _QUERIES["receipts"],
        _CURSOR_ROWS,
        channel_id=channel,
        message_ids=[row["message_id"] for row in messages],
        sent_at=[row["sent_at"] for row in messages],
    )
    of_one: list[Mapping[str, Any]] = []  # rows of one message; the next slice may have more
    read = 0
    async for rows in receipts:
        for row in rows:
            if of_one and row["number"] != of_one[0]["number"]:
                take(seen, messages[of_one[0]["number"] - 1], of_one)
                of_one = []
            of_one.append(row)
            read += len(row["receivers"])
            _refuse_beyond(MOST_PAIRS, read, "receipts")
    if of_one:
        take(seen, messages[of_one[0]["number"] - 1], of_one)
    return seen


async def _read_hands(connection: Connection, seen: Seen) -> Hands:
    rows = await connection.fetch(_QUERIES["hands"], receiver_ids=list(seen.held))
    return Hands(
        {row["receiver_id"]: row["installation_id"] for row in rows},
        {row["receiver_id"]: row["bucket_id"] for row in rows if row["bucket_id"] is not None},
    )


async def _read_counting(
    connection: Connection,
    rules: AggregateRules,
    sampling: Sampling,
    channel: int,
    window: Window,
    seen: Seen,
) -> Sequence[Mapping[str, Any]]:
    held = seen.held
    rows: Sequence[Mapping[str, Any]] = await connection.fetch(
        _COUNTING,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        membership=rules.membership.value,
        fewest_installations=rules.fewest_installations,
        channel_id=channel,
        **await stays_of(connection, window, [channel]),
        **await holes_of(connection, window),
        **await coarse_of(connection, sampling, window),
        receiver_ids=list(held),
        have_measured=[one.has_measured for one in held.values()],
        first_sent_at=[one.first_sent_at for one in held.values()],
        last_sent_at=[one.last_sent_at for one in held.values()],
    )
    return rows
