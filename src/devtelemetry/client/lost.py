"""Samples that were lost on this device: how many, and when their messages were sent.

They have numbers that no sample has. Which ones, and which time that was, is told to the server
until it knows: then nothing that was sent at other times is in doubt.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

EARLIEST = 10**11  # Unix ms, the server's: whatever is below is no time, ...
LATEST = 10**14  # ... nor is what is above (and it fits no column)
MAX_TOLD = 100  # the server's, of one push; more are not kept either
_TOUCHING_MS = 60_000  # of what is sent by the minute nothing lies between two losses


class Span(NamedTuple):
    """When messages were sent: Unix ms, both included."""

    first: int
    last: int


class Loss(NamedTuple):
    """Some samples that were lost at once, or one after another."""

    number: int
    span: Span | None  # None: not known


class LostNumbers(NamedTuple):
    """As it is told."""

    first_sequence: int
    last_sequence: int
    first_sent_at: int
    last_sent_at: int


def hull(a: Span | None, b: Span | None) -> Span | None:
    if a is None or b is None:
        return a or b
    return Span(min(a.first, b.first), max(a.last, b.last))


def span_of(sent_at: Iterable[int]) -> Span | None:
    """0 is no time, and passed over."""
    times = [at for at in sent_at if at]
    return Span(min(times), max(times)) if times else None


def remember(
    connection: sqlite3.Connection, lost: Iterable[tuple[int, int, Span | None]], since: int
) -> None:
    """Notes that numbers are lost, to be told; without a span the gap tells it.

    lost   first and last number, and when the messages of these were sent; ascending
    since  the opt-in, Unix ms: nothing is said of before it

    What touches is told as one, and what there is no more room for along with its neighbour.
    """
    (room,) = connection.execute("select ? - count(*) from telemetry_lost", (MAX_TOLD,)).fetchone()
    told: list[LostNumbers] = []
    for first, last, span in lost:
        if span is None or span.last < since:
            continue
        if not told:
            told = _neighbour(connection, first)
            room += len(told)
        new = LostNumbers(first, last, max(span.first, since), span.last)
        if told and (len(told) >= room or _touches(told[-1], new)):
            known = told.pop()
            new = LostNumbers(
                known.first_sequence,
                max(known.last_sequence, last),
                min(known.first_sent_at, new.first_sent_at),
                max(known.last_sent_at, new.last_sent_at),
            )
        told.append(new)
    connection.executemany("insert or replace into telemetry_lost values (?, ?, ?, ?)", told)


def _neighbour(connection: sqlite3.Connection, number: int) -> list[LostNumbers]:
    """What is to be told of lower numbers, the last of it."""
    rows = connection.execute(
        "select * from telemetry_lost where first_sequence < ? order by first_sequence desc"
        " limit 1",
        (number,),
    )
    return [LostNumbers(*row) for row in rows]


def _touches(known: LostNumbers, new: LostNumbers) -> bool:
    return (
        known.last_sequence + 1 == new.first_sequence
        and new.first_sent_at <= known.last_sent_at + _TOUCHING_MS
    )


def to_be_told(connection: sqlite3.Connection) -> list[LostNumbers]:
    rows = connection.execute(
        "select * from telemetry_lost order by first_sequence limit ?", (MAX_TOLD,)
    )
    return [LostNumbers(*row) for row in rows]


def forget(connection: sqlite3.Connection, lost: Sequence[LostNumbers]) -> None:
    """The server knows these; what has changed meanwhile is to be told again."""
    connection.executemany(
        "delete from telemetry_lost where first_sequence = ? and last_sequence = ?"
        " and first_sent_at = ? and last_sent_at = ?",
        lost,
    )
