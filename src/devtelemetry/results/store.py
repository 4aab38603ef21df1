"""Stores what was computed for a window."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from devtelemetry.model import WindowReliability, WindowState
from devtelemetry.results.columns import APART, RELIABILITY, SAMPLED, SQL, UNSEEN, Level, of_level
from devtelemetry.results.rows import CHANNEL_ROW, GROUP_ROW, Computed, Row
from devtelemetry.store.database import Connection
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "store.sql", **SQL)

_SETTLES = WindowState.PROVISIONAL.value, WindowState.SETTLED
_WINDOW_ROW = of_level(Level.WINDOW)
_figures = itemgetter(*_WINDOW_ROW)


async def store(connection: Connection, window: WindowReliability, found: Computed) -> int:
    """Stores a window and replaces an earlier computation. The caller has begun a transaction.

    window  the value that was made from `found`
    found   the rows to store

    Returns the revision: 1 for a new window; one more than before if a figure changed, or was not
    kept before.
    """
    key: dict[str, Any] = {
        "timeframe": window.timeframe,
        "window_start": window.window.start,
        "membership": window.membership.value,
    }
    row = {
        **found.window,
        **asdict(window.counts),
        **{column.name: getattr(window, column.name) for column in (RELIABILITY, *UNSEEN)},
        **{column.name: getattr(window.figures, column.name) for column in (*APART, *SAMPLED)},
    }
    before = await connection.fetchrow(_QUERIES["window"], **key)
    has_changed = [
        before is not None and _figures(before) != _figures(row),
        await _replace(connection, "channel", CHANNEL_ROW, key, found.channels),
        await _replace(connection, "group", GROUP_ROW, key, found.groups),
    ]
    # A window that is settled in its first computation is history, such as an import. It is not
    # counted, because these numbers show what happens now.
    if before is not None and (before["state"], window.state) == _SETTLES:
        counts = window.counts
        await connection.execute(
            _QUERIES["count_settled"],
            timeframe=window.timeframe,
            membership=window.membership.value,
            deliveries=counts.corroborated,
            good=counts.corroborated - counts.missing,
        )
    revision = 1 if before is None else before["revision"] + any(has_changed)
    await connection.execute(
        _QUERIES["store_window"],
        **key,
        window_end=window.window.end,
        state=window.state.value,
        revision=revision,
        computed_at=window.computed_at,
        **dict(zip(_WINDOW_ROW, _figures(row), strict=True)),
    )
    return revision


async def _replace(
    connection: Connection,
    level: str,
    columns: Sequence[str],
    key: Mapping[str, Any],
    found: Sequence[Row],
) -> bool:
    """Replaces the stored rows of a level. Returns whether anything changed."""
    rows = sorted(map(itemgetter(*columns), found))
    stored = await connection.fetch(_QUERIES[f"{level}s"], **key)
    if sorted(map(tuple, stored)) == rows:
        return False
    await connection.execute(_QUERIES[f"delete_{level}s"], **key)
    await connection.copy_rows(
        f"reliability_{level}",
        (*key, *columns),
        [(*key.values(), *row) for row in rows],
    )
    return True
