"""What each target still has to be told: rows that outlive the server.

Each target has rows of its own. A row is marked only after the target took the message. So each
target is told of each problem at least once, and twice if a server dies in between. There is no
transaction around the statements: if a later one does not run, it does its work at the next look.
"""

import json
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

from devtelemetry.model import MembershipPolicy
from devtelemetry.notify.message import Notice, document_of
from devtelemetry.problems.problem import Problems
from devtelemetry.store.database import Connection
from devtelemetry.store.sql import queries

PATIENCE_WINDOWS = 2  # a problem at the edge of chance comes and goes
KEPT = timedelta(days=30)  # rows of a target that is not configured any more
MOST_READ = 1_000  # at once

_QUERIES = queries(__package__, "notices.sql")


async def note(connection: Connection, target: str, problems: Problems) -> None:
    """Notes which problems are new and which have ended, at the end of the latest window. A second
    call for the same window changes nothing."""
    if problems.timeframe is None or problems.until is None:
        return
    units = [tuple(map(str, one.unit)) for one in problems.found]
    key: dict[str, Any] = {
        "target": target,
        "membership": problems.membership.value,
        "until": problems.until,
    }
    await connection.execute(
        _QUERIES["listed"],
        **key,
        **_columns(units),
        documents=[json.dumps(document_of(one)) for one in problems.found],
    )
    await connection.execute(
        _QUERIES["absent"],
        **key,
        **_columns(units),
        patience=PATIENCE_WINDOWS * problems.timeframe.length,
    )
    await connection.execute(_QUERIES["forgotten"], before=problems.until - KEPT)


async def waiting(
    connection: Connection, target: str, membership: MembershipPolicy
) -> Sequence[Notice]:
    """The notices that the target still has to be told, the oldest first."""
    rows = await connection.fetch(
        _QUERIES["waiting"], target=target, membership=membership.value, most=MOST_READ
    )
    return [
        Notice(
            (row["kind"], row["value"], row["app_version"]),
            json.loads(row["document"]),
            row["ended_at"] and row["ended_at"].astimezone(UTC),
        )
        for row in rows
    ]


async def mark_told(
    connection: Connection, target: str, membership: MembershipPolicy, notices: Sequence[Notice]
) -> None:
    """Marks these notices as told to the target."""
    key: dict[str, Any] = {"target": target, "membership": membership.value}
    new = [one.unit for one in notices if one.ended is None]
    ended = [one.unit for one in notices if one.ended is not None]
    await connection.execute(_QUERIES["told_new"], **key, **_columns(new))
    await connection.execute(_QUERIES["told_end"], **key, **_columns(ended))


def _columns(units: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    return {
        name: [unit[place] for unit in units]
        for place, name in enumerate(("kinds", "values", "app_versions"))
    }
