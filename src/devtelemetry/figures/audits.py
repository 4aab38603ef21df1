"""Audits: channels whose true figures are known beforehand, because the channel's id contains them.

`simulate --audit` injects one into a running deployment. When the window is computed, the server
compares the stored figures with those in the id. Nothing else has to be remembered.
docs/audit.md says what an audit proves.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily

from devtelemetry.model import (
    AUDIT_CHANNELS,
    DAY_MS,
    Counts,
    MembershipPolicy,
    Window,
    from_unix_ms,
    parse_timeframe,
    unix_ms,
    window_starting,
)
from devtelemetry.store.database import Database
from devtelemetry.store.sql import queries

COUNT_NAMES = ("messages", "receivers", "expected", "missing", "corroborated", "unknown")
RECENT_MS = 8 * DAY_MS  # older windows do not change: samples are kept for a week
_MOST = 1_000  # a bound on the work, because any client that may report can make up audits

_PAIRS = COUNT_NAMES[2:]
_NUMBER = "(0|[1-9][0-9]{0,8})"
_ID = re.compile(
    re.escape(AUDIT_CHANNELS)
    + r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:00Z)/([0-9]{1,4}[mhdw])/([0-9a-f]{16})"
    + r"\?"
    + "&".join(f"{name}={_NUMBER}" for name in COUNT_NAMES)
    + "&by=([1-9][0-9]{9,10})"
)
_QUERIES = queries(__package__, "audits.sql")


@dataclass(frozen=True, slots=True)
class Audit:
    """What was injected into one window, and the counts that every membership policy must find.

    timeframe  by name: 1h
    start      of the audited window; aware UTC
    nonce      16 hexadecimal digits, different for each audit
    counts     the true counts of the audit's channel in that window
    by         when all samples had been sent, to a second; earlier computations do not count
    """

    timeframe: str
    start: datetime
    nonce: str
    counts: Counts
    by: datetime

    @property
    def channel_id(self) -> str:
        """The window's start comes first, so that ids sort by it and the latest are found."""
        start = self.start.strftime("%Y-%m-%dT%H:%M:%SZ")
        counts = "&".join(f"{name}={getattr(self.counts, name)}" for name in COUNT_NAMES)
        by = unix_ms(self.by) // 1000
        return f"{AUDIT_CHANNELS}{start}/{self.timeframe}/{self.nonce}?{counts}&by={by}"

    @property
    def window(self) -> Window:
        return window_starting(parse_timeframe(self.timeframe), self.start)


def parse_audit(channel_id: str) -> Audit | None:
    """The audit in a channel's id; None if it is not an id of an audit, or it is impossible."""
    match = _ID.fullmatch(channel_id)
    if match is None:
        return None
    try:
        timeframe = parse_timeframe(match[2])
        start = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        window_starting(timeframe, start)
    except (ValueError, OverflowError):
        return None
    counts = Counts(*(int(number) for number in match.groups()[3:-1]))
    if not counts.missing <= counts.corroborated <= counts.expected:
        return None
    return Audit(
        timeframe.name, start, match[3], counts, from_unix_ms(1000 * int(match.groups()[-1]))
    )


@dataclass(frozen=True, slots=True)
class AuditResult:
    """An audit, and the counts computed for it: all 0 if its channel has no row."""

    audit: Audit
    measured: Counts

    @property
    def is_recovered(self) -> bool:
        return self.measured == self.audit.counts

    @property
    def error_pairs(self) -> int:
        """By how many pairs expected, missing, corroborated and unknown are off, added up."""
        return sum(
            abs(getattr(self.measured, name) - getattr(self.audit.counts, name)) for name in _PAIRS
        )


async def read_latest_audits(
    database: Database, membership: MembershipPolicy, *, now_ms: int
) -> list[AuditResult]:
    """For each timeframe, the audits of the latest computed window that has any.

    Windows of the eight days before `now_ms` (Unix ms), computed under `membership`.
    """
    async with database.read() as connection:
        rows = await connection.fetch(
            _QUERIES["recent_audits"],
            least_id=_least_id(now_ms - RECENT_MS),
            end_id=_least_id(now_ms),
            most=_MOST,
        )
        found = [(row["channel_id"], parse_audit(row["external_id"])) for row in rows]
        audits = [(channel_id, audit) for channel_id, audit in found if audit is not None]
        if not audits:
            return []
        rows = await connection.fetch(
            _QUERIES["computed_audits"],
            channel_ids=[channel_id for channel_id, _ in audits],
            timeframes=[audit.timeframe for _, audit in audits],
            window_starts=[audit.start for _, audit in audits],
            sent_by=[audit.by for _, audit in audits],
            membership=membership.value,
        )
    return _latest(
        AuditResult(audits[row["number"] - 1][1], Counts(*(row[name] for name in COUNT_NAMES)))
        for row in rows
    )


def _latest(results: Iterable[AuditResult]) -> list[AuditResult]:
    of_timeframe: defaultdict[str, list[AuditResult]] = defaultdict(list)
    for result in results:
        of_timeframe[result.audit.timeframe].append(result)
    latest = []
    for _, of_it in sorted(of_timeframe.items()):
        start = max(result.audit.start for result in of_it)
        latest += [result for result in of_it if result.audit.start == start]
    return latest


def _least_id(at_ms: int) -> str:
    """A lower bound for the ids of audits whose windows begin at `at_ms` or later."""
    return f"{AUDIT_CHANNELS}{from_unix_ms(at_ms).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def audit_metrics(audits: Sequence[AuditResult]) -> Iterator[GaugeMetricFamily]:
    """How the latest audits of each timeframe came out, those of one window taken together."""
    for name, text, figure in _AUDIT_SERIES:
        family = GaugeMetricFamily(f"devtelemetry_audit_{name}", text, labels=["timeframe"])
        for timeframe in sorted({result.audit.timeframe for result in audits}):
            of_it = [result for result in audits if result.audit.timeframe == timeframe]
            family.add_metric([timeframe], figure(of_it))
        yield family


_AUDIT_SERIES: tuple[tuple[str, str, Callable[[Sequence[AuditResult]], float]], ...] = (
    (
        "recovered",
        "1 if all counts of the latest audited window are the true ones, else 0.",
        lambda results: all(result.is_recovered for result in results),
    ),
    (
        "error_pairs",
        "How many pairs the counts of the latest audited window are off by.",
        lambda results: sum(result.error_pairs for result in results),
    ),
    (
        "window_end_timestamp_seconds",
        "When the latest audited window ended, in Unix seconds.",
        lambda results: max(result.audit.window.end_ms // 1000 for result in results),
    ),
)
