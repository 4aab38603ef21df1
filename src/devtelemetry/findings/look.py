"""Looks for faults in how apps report, after windows were computed, and stores what it finds.

It reads a bounded amount: the latest receipts of a day, the busiest channels among them with their
memberships, and once all receivers. If that is not everything, it is still enough, because a fault
in how an app reports shows in every message of that app.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import structlog

from devtelemetry.aggregate.algorithm import not_measured
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.findings.kinds import MEANINGS, Kind, is_one, what
from devtelemetry.findings.read import channel_names
from devtelemetry.model import AUDIT_CHANNELS, DAY_MS, unix_ms
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.repair import repaired_snapshot
from devtelemetry.store.sql import arrays, queries

SPAN_MS = DAY_MS
"""How far back before the end of the latest window a look goes; older faults are not news"""

MOST_RECEIPTS = 200_000  # takes some three seconds, however many there are
MOST_CHANNELS = 500
MOST_MEMBERSHIPS = 200_000
MOST_SUSPECTS = 100  # (version, channel) pairs whose messages are searched for twins
MOST_MESSAGES = 5_000  # messages whose samples' times are compared
TWIN_MS = 10_000  # a message under two ids has two times that are at most so far apart
MOST_NAMES = 10  # more keys of an installation, or installations of a key, are a finding
NAMES_MS = 7 * DAY_MS  # these count receivers that reported within so long
MOST_FOUND = 50  # findings of a kind, because clients may make up platforms and versions

_QUERIES = queries(__package__, "look.sql")
_log = structlog.get_logger(__name__)


class _Found(NamedTuple):
    kind: Kind
    platform: str
    app_version: str
    channel_id: int
    evidence: Mapping[str, int]


async def look(
    database: Database, rules: AggregateRules, end: datetime, *, now: Callable[[], datetime]
) -> int:
    """Looks at the day before `end`, the end of a window. Returns how many findings there are.

    Findings of earlier looks that this look does not find are deleted. New findings are logged.
    """
    end_ms = unix_ms(end)
    async with repaired_snapshot(database, readonly=False) as connection:
        found = await _read(connection, rules, end_ms - SPAN_MS, end_ms)
        names = await channel_names(connection, [one.channel_id for one in found])
        rows = [
            (*one[:4], orjson.dumps(dict(one.evidence)).decode())
            for one in sorted(found, key=lambda one: one[:3])
        ]
        stored = await connection.fetch(
            _QUERIES["store"],
            **arrays(rows, "kinds", "platforms", "app_versions", "channel_ids", "evidence"),
            end=end,
            now=now(),
        )
        await connection.execute(_QUERIES["forget_wrong_times"], before=end_ms - SPAN_MS - NAMES_MS)
    is_new = {(row["kind"], row["platform"], row["app_version"]) for row in stored if row["is_new"]}
    for one in found:
        if one[:3] in is_new:
            _log.warning(
                "finding",
                kind=one.kind.value,
                platform=one.platform,
                app_version=one.app_version,
                channel=names.get(one.channel_id, ""),
                what=what(one.kind, one.evidence),
                remedy=MEANINGS[one.kind].remedy,
            )
    return len(found)


async def _read(
    connection: Connection, rules: AggregateRules, start_ms: int, end_ms: int
) -> list[_Found]:
    unmeasured = await not_measured(connection, rules)
    span = {"start_ms": start_ms, "end_ms": end_ms}
    await connection.execute(
        _QUERIES["read_receipts"],
        **span,
        most=MOST_RECEIPTS,
        unmeasured_kinds=unmeasured["unmeasured_kinds"],
        unmeasured_patterns=[*unmeasured["unmeasured_patterns"], f"{AUDIT_CHANNELS}%"],
    )
    for statement in _QUERIES["index_receipts"].text.split(";"):
        await connection.execute(statement)
    await connection.execute(_QUERIES["read_channels"], most_channels=MOST_CHANNELS)
    await connection.execute(_QUERIES["read_memberships"], most=MOST_MEMBERSHIPS)
    await connection.execute(_QUERIES["read_reports"], **span, most=MOST_MEMBERSHIPS)
    since = {"since": end_ms - NAMES_MS, "most_names": MOST_NAMES}
    of_kind: Mapping[Kind, Mapping[str, Any]] = {
        Kind.IDS_DIFFER: {"most_suspects": MOST_SUSPECTS, "twin_ms": TWIN_MS},
        Kind.CLOCKS_MIXED: {"most_messages": MOST_MESSAGES},
        Kind.NOT_MILLISECONDS: span,
        Kind.MANY_KEYS: since,
        Kind.MANY_INSTALLATIONS: since,
    }
    found = []
    for kind in Kind:
        rows = await connection.fetch(_QUERIES[kind.value], **of_kind.get(kind, {}))
        found += [one for row in rows if is_one(kind, (one := _found(kind, row)).evidence)][
            :MOST_FOUND
        ]
    # Dropped because the transaction may look again, with tables of the same names.
    await connection.execute("drop table looked, looked_channel, looked_membership, looked_report")
    # Ids may differ both in what a version writes and in what it gets. That is one finding: the
    # one with more lone messages stays.
    return list({one[:3]: one for one in sorted(found, key=_weight)}.values())


def _found(kind: Kind, row: Mapping[str, Any]) -> _Found:
    evidence = {
        name: int(value)
        for name, value in row.items()
        if name not in ("platform", "app_version", "channel_id")
    }
    return _Found(kind, row["platform"], row["app_version"], row["channel_id"] or 0, evidence)


def _weight(one: _Found) -> int:
    return one.evidence.get("lone", 0)
