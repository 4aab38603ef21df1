"""Samples that were lost on this device: how many, and when their messages were sent.

Their numbers are skipped. The client reports these numbers and the span in which the messages were
sent, until the server has acknowledged that. Then only messages of that span are in doubt.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

EARLIEST = 10**11  # Unix ms, as at the server: a smaller number is not a time, ...
LATEST = 10**14  # ... nor is a larger one
MAX_TOLD = 100  # the server's limit for one push, and the limit for what is kept
_TOUCHING_MS = 60_000  # losses with consecutive numbers and within a minute are merged


class Span(NamedTuple):
    """When messages were sent: Unix ms, both included."""

    first: int
    last: int


class Loss(NamedTuple):
    """Some samples that were lost together, or one after another."""

    number: int
    span: Span | None  # None: not known


class LostNumbers(NamedTuple):
    """Lost numbers as they are sent (telemetry.proto, Lost)."""

    first_sequence: int
    last_sequence: int
    first_sent_at: int
    last_sent_at: int


def hull(a: Span | None, b: Span | None) -> Span | None:
    if a is None or b is None:
        return a or b
    return Span(min(a.first, b.first), max(a.last, b.last))


def span_of(sent_at: Iterable[int]) -> Span | None:
    """From the first to the last of these times; 0 is not a time. None if there is none."""
    times = [at for at in sent_at if at]
    return Span(min(times), max(times)) if times else None


def remember(
    connection: sqlite3.Connection, lost: Iterable[tuple[int, int, Span | None]], since: int
) -> None:
    """Notes lost numbers, to be reported. Without a span there is nothing to report but the gap.

    lost   first and last number, and the span in which their messages were sent; ascending
    since  the opt-in, Unix ms: nothing from before it is reported

    Losses that touch are merged. If there is no room for one more loss, it is merged with its
    neighbour.
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
    """The noted loss with the next lower numbers, if there is one."""
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
    """The server knows these now. One that has changed meanwhile is kept, to be reported again."""
    connection.executemany(
        "delete from telemetry_lost where first_sequence = ? and last_sequence = ?"
        " and first_sent_at = ? and last_sent_at = ?",
        lost,
    )
