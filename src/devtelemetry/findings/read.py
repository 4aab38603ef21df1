"""The stored findings, as values, in words and as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devtelemetry import words
from devtelemetry.figures.document import iso
from devtelemetry.findings.kinds import MEANINGS, Kind, what
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.sql import queries

_CHANNEL_WIDTH = 48

_QUERIES = queries(__package__, "look.sql")


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about one platform and app version.

    channel_id   the channel where it shows most, as clients name it; None: it is not about channels
    found_first  when it was first found; every look since then found it too; aware UTC
    found_until  the end of the latest look that found it
    """

    kind: Kind
    platform: str
    app_version: str
    channel_id: str | None
    evidence: Mapping[str, int]
    found_first: datetime
    found_until: datetime

    @property
    def what(self) -> str:
        return what(self.kind, self.evidence)

    @property
    def where(self) -> str:
        """`android 2.1, most in channel general`"""
        version = " ".join(name for name in (self.platform, self.app_version) if name)
        of_version = words.visible(version) or "an app that names neither platform nor version"
        if self.channel_id is None:
            return of_version
        return f"{of_version}, most in channel {words.shorten(self.channel_id, _CHANNEL_WIDTH)}"

    @property
    def remedy(self) -> str:
        return MEANINGS[self.kind].remedy

    @property
    def see(self) -> str:
        return f"docs/messengers.md#{MEANINGS[self.kind].section}"


async def read_findings(database: Database) -> list[Finding]:
    """The findings of the latest looks, ordered by kind, platform and version."""
    async with database.read() as connection:
        rows = await connection.fetch(_QUERIES["findings"])
    return [
        Finding(
            Kind(row["kind"]),
            row["platform"],
            row["app_version"],
            row["external_id"],
            json.loads(row["evidence"]),
            row["found_first"],
            row["found_until"],
        )
        for row in rows
        if row["kind"] in set(Kind)  # a later version of the server may have stored more kinds
    ]


async def newest_findings(database: Database) -> str | None:
    """A value that changes when the findings may have changed; None: there are no findings."""
    async with database.read() as connection:
        newest: str | None = await connection.fetchval(_QUERIES["newest"])
    return newest


async def channel_names(connection: Connection, channel_ids: Sequence[int]) -> Mapping[int, str]:
    rows = await connection.fetch(_QUERIES["channel_names"], channel_ids=channel_ids)
    return {row["channel_id"]: row["external_id"] for row in rows}


def findings_as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind.value,
            "platform": one.platform,
            "app_version": one.app_version,
            "channel_id": one.channel_id,
            "what": one.what,
            "evidence": dict(one.evidence),
            "remedy": one.remedy,
            "see": one.see,
            "found_first": iso(one.found_first),
            "found_until": iso(one.found_until),
        }
        for one in findings
    ]
