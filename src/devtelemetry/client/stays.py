"""The stays in channels that the app reported, and which of them the server does not know yet.

One row for each stay. An open stay is kept, so that an app may report it as often as it likes. A
stay that has ended is kept until the server knows that.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Joined(NamedTuple):
    """The user is in the channel: since `at`, if no stay is open. Unix ms, this device's clock."""

    channel_id: str
    at: int


class Left(NamedTuple):
    channel_id: str
    at: int


class Present(NamedTuple):
    """The user is in these channels and in no others."""

    channel_ids: tuple[str, ...]
    at: int


Said = Joined | Left | Present


class Stay(NamedTuple):
    """A stay as it is sent. Unix ms.

    joined_at  0: not known
    left_at    0: still in the channel
    """

    channel_id: str
    joined_at: int
    left_at: int
    version: int


def remember(connection: sqlite3.Connection, said: Iterable[Said], since: int) -> None:
    """Notes what the app reported. since: the opt-in, Unix ms; nothing from before it is sent."""
    for one in said:
        match one:
            case Joined(channel_id, at):
                _join(connection, channel_id, max(at, since))
            case Left(channel_id, at):
                _leave(connection, channel_id, at, since)
            case Present(channel_ids, at):
                present = set(channel_ids)
                rows = connection.execute("select channel_id from telemetry_stay where left_at = 0")
                for (channel_id,) in rows.fetchall():
                    if channel_id not in present:
                        _leave(connection, channel_id, at, since)
                for channel_id in channel_ids:
                    _join(connection, channel_id, max(at, since))


def _join(connection: sqlite3.Connection, channel_id: str, at: int) -> None:
    if _open_stay(connection, channel_id) is None:
        _note(connection, channel_id, at, 0)


def _leave(connection: sqlite3.Connection, channel_id: str, at: int, since: int) -> None:
    stay = _open_stay(connection, channel_id)
    if stay is None:
        if at >= since:
            _note(connection, channel_id, 0, at)
        return
    joined_at, is_told, knows_all = stay
    if is_told and not knows_all:
        # Earlier stays may still be open at the server. A leaving without a joining ends them all.
        connection.execute(
            "delete from telemetry_stay where channel_id = ? and joined_at = ?",
            (channel_id, joined_at),
        )
        joined_at = 0
    _note(connection, channel_id, joined_at, max(at, since))


def _open_stay(connection: sqlite3.Connection, channel_id: str) -> tuple[int, bool, bool] | None:
    """When the open stay began, whether the server knows it, and whether all stays that the server
    may know are noted here."""
    row = connection.execute(
        "select joined_at, told > 0, knows_stays from telemetry_stay, telemetry_identity"
        " where channel_id = ? and left_at = 0",
        (channel_id,),
    ).fetchone()
    return None if row is None else (row[0], bool(row[1]), bool(row[2]))


def _note(connection: sqlite3.Connection, channel_id: str, joined_at: int, left_at: int) -> None:
    connection.execute(
        "insert into telemetry_stay (channel_id, joined_at, left_at) values (?, ?, ?)"
        " on conflict (channel_id, joined_at) do update"
        " set left_at = excluded.left_at, version = version + 1",
        (channel_id, joined_at, left_at),
    )


def count_untold(connection: sqlite3.Connection) -> int:
    count: int = connection.execute(
        "select count(*) from telemetry_stay where version > told"
    ).fetchone()[0]
    return count


def to_be_told(connection: sqlite3.Connection, limit: int = -1) -> list[Stay]:
    """The stays that the server does not know yet, at most `limit`; all if it is negative."""
    rows = connection.execute(
        "select channel_id, joined_at, left_at, version from telemetry_stay where version > told"
        " order by channel_id, joined_at limit ?",
        (limit,),
    )
    return [Stay(*row) for row in rows]


def told(connection: sqlite3.Connection, stays: Sequence[Stay]) -> None:
    """The server knows these versions now. Stays that have ended, and are known so, are deleted."""
    connection.executemany(
        "update telemetry_stay set told = ? where channel_id = ? and joined_at = ?",
        [(stay.version, stay.channel_id, stay.joined_at) for stay in stays],
    )
    connection.execute("delete from telemetry_stay where left_at > 0 and told = version")
