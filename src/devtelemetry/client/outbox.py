"""The durable queue between the app and the server.

    queued ──claim──▶ in_flight ──acknowledged──▶ acknowledged   (the latest are kept to be shown)
      ▲                  │ │
      └────release───────┘ └──────set aside─────▶ set_aside      (the latest, with their reasons)

Each change is one transaction: if a process is killed, each sample is still in exactly one state. A
claim is durable before anything is sent, so a number that the server has seen is never used again.
If there is no more room, the oldest samples are dropped and counted, and their numbers are skipped.
The server sees the gap, and the client reports when the messages of these samples were sent.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from devtelemetry.client import batch, sampling, sources, stays
from devtelemetry.client import lost as losses
from devtelemetry.client.identity import Identity, identity_under
from devtelemetry.client.lost import Loss, LostNumbers, Span, span_of
from devtelemetry.client.sampling import Rules
from devtelemetry.client.settings import Problem, other_key_reports
from devtelemetry.client.sources import Source
from devtelemetry.client.stays import Said, Stay
from devtelemetry.client.storage import transaction
from devtelemetry.v1 import telemetry_pb2

DAY_MS = 86_400_000
_SHOWN_ROWS = 200  # finished samples of each state that are kept for people to look at
_SHOWN_MS = DAY_MS  # how long they are kept
_LONGEST_INTERVAL = 86_400  # seconds; the most that a server may ask for
_ROW_BYTES = 64  # roughly what a row takes beside the sample itself


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait. Beyond that the oldest samples are dropped and counted.

    samples     samples in the outbox
    size_bytes  the bytes that they take there
    age_ms      by their sentAt; the server takes nothing older than its retention (7 days)
    buffered    calls on their way into the outbox; about 2 MiB of them outlive the process
    """

    samples: int = 100_000
    size_bytes: int = 32 * 1024 * 1024
    age_ms: int = 6 * DAY_MS
    buffered: int = 10_000


class NewSample(NamedTuple):
    """A sample to be queued, encoded. If it is empty and has a reason, it can never be sent."""

    sample: bytes
    sent_at: int
    recorded_at: int
    app_version: str
    reason: str = ""
    one_in: int = 1  # the sampling under which it was recorded


class Waiting(NamedTuple):
    """How much waits to be sent.

    things      number of samples and memberships
    is_crowded  more than half of the room is taken, so waiting longer may cost samples
    """

    things: int
    is_crowded: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What one push takes (batch.py)."""

    identity: Identity
    first_sequence: int  # number of samples[0]; without samples, that of the next new sample
    samples: Sequence[bytes]
    app_version: str
    one_in: int
    memberships: Sequence[Stay]
    lost: Sequence[LostNumbers]
    leaves_some: bool  # more samples wait, which did not fit in


class News(NamedTuple):
    """How sending goes, for people. problem: None if the server has just acknowledged a push."""

    problem: Problem | None
    detail: str
    now_ms: int


class Farewell(NamedTuple):
    """A request to a server to forget an installation that opted out."""

    installation_id: str
    server: str
    token: str


class Outbox:
    """The outbox of one running client. Only its background thread uses it.

    A call with a `consent` does nothing if that consent is not the one that is given now.
    """

    def __init__(self, connection: sqlite3.Connection, limits: Limits, app_version: str) -> None:
        self._connection = connection
        self._limits = limits
        self._app_version = app_version
        self._rules: Rules | None = None
        self._rules_version = 0  # SQLite's data_version: changes if another connection writes

    # ------------------------------------------------------------------------------ from the app

    def unended(self) -> list[int]:
        """Slots of clients that are running or were killed."""
        return sources.unended(self._connection)

    def open(self, consent: int, slot: int, generation: int, now_ms: int) -> int:
        """Notes that a client is running. Returns how many samples its slot has lost, at least.

        generation  of its journal: everything up to it is in the outbox
        """
        with transaction(self._connection, durable=True) as connection:
            identity = identity_under(connection, consent)
            if identity is None:
                return 0
            lost = self._lose_with_the_power(connection, slot, identity, now_ms)
            sources.note(connection, Source(slot, generation))
            sources.note_run(connection, slot, runs=True)
        return lost

    def end(self, consent: int, slot: int, now_ms: int) -> int:
        """Notes that a client has ended and left nothing behind. Returns the same as `open`."""
        with transaction(self._connection, durable=True) as connection:
            identity = identity_under(connection, consent)
            if identity is None:
                return 0
            lost = self._lose_with_the_power(connection, slot, identity, now_ms)
            sources.note_run(connection, slot, runs=False)
        return lost

    def _lose_with_the_power(
        self, connection: sqlite3.Connection, slot: int, identity: Identity, now_ms: int
    ) -> int:
        since = identity.opted_in_by(now_ms)
        loss = sources.lost_with_the_power(connection, slot, since, now_ms)
        _drop(connection, loss, since)
        return loss.number

    def identity(self, consent: int) -> Identity | None:
        """The identity under this consent; None if the consent is not given (any more)."""
        return identity_under(self._connection, consent)

    def rules(self) -> Rules:
        """The rules of sampling that the server sent last."""
        (version,) = self._connection.execute("pragma data_version").fetchone()
        if self._rules is None or version != self._rules_version:
            self._rules = Rules(sampling.read(self._connection))
            self._rules_version = version
        return self._rules

    def introduce(self, identity: Identity, reporter: bytes, server: str, key: str) -> bool:
        """Notes the reporter and the server, to be shown beside the samples.

        Does nothing and returns False if another receiver key than `key` reports by this file.
        """
        with transaction(self._connection) as connection:
            if other_key_reports(connection, key):
                return False
            if identity_under(connection, identity.consent) is not None:
                connection.execute(
                    "update telemetry_identity set reporter = ?, server = ?", (reporter, server)
                )
        return True

    def add(
        self,
        consent: int,
        samples: Sequence[NewSample],
        said: Iterable[Said],
        *,
        lost: Loss,
        since: int,
        source: Source,
        now_ms: int,
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Queues samples, numbered in their order, unless the outbox has them already.

        said     what the app reported about channels
        lost     further samples, for which memory had no room
        since    the opt-in, Unix ms, by the clock as it is set now
        source   the filling of a journal that they come from; noted in the same transaction
        counts   by name: faults, and messages that left no sample (wire.Made)
        """
        with transaction(self._connection) as connection:
            is_done = 0 < source.generation <= sources.generation_of(connection, source.slot)
            if is_done or identity_under(connection, consent) is None:
                return
            _drop(connection, lost, since)
            if samples:
                self._insert(connection, samples, now_ms)
                self._enforce(connection, since, now_ms)
            stays.remember(connection, said, since)
            connection.executemany(
                "insert into telemetry_count (name, number) values (?, ?)"
                " on conflict (name) do update set number = number + excluded.number",
                counts.items(),
            )
            sources.note(connection, source)

    def _insert(
        self, connection: sqlite3.Connection, samples: Sequence[NewSample], now_ms: int
    ) -> None:
        (first,) = connection.execute("select next_sequence from telemetry_identity").fetchone()
        connection.executemany(
            "insert into telemetry_outbox (sequence, state, sample, sent_at, recorded_at,"
            " app_version, changed_at, reason, one_in) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    first + position,
                    "set_aside" if new.reason else "queued",
                    new.sample,
                    new.sent_at,
                    new.recorded_at,
                    new.app_version,
                    now_ms,
                    new.reason,
                    new.one_in,
                )
                for position, new in enumerate(samples)
            ],
        )
        waiting = [len(new.sample) + _ROW_BYTES for new in samples if not new.reason]
        connection.execute(
            "update telemetry_identity set next_sequence = next_sequence + ?,"
            " waiting_samples = waiting_samples + ?, waiting_bytes = waiting_bytes + ?,"
            " set_aside = set_aside + ?",
            (len(samples), len(waiting), sum(waiting), len(samples) - len(waiting)),
        )
        if len(waiting) < len(samples):
            _trim(connection, "set_aside", now_ms)

    def _enforce(self, connection: sqlite3.Connection, since: int, now_ms: int) -> None:
        """Drops the oldest queued samples until the rest is within the limits."""
        samples, size = connection.execute(
            "select waiting_samples, waiting_bytes from telemetry_identity"
        ).fetchone()
        excess = max(0, samples - self._limits.samples)
        dropped, freed = 0, 0
        lost: list[tuple[int, int, Span | None]] = []
        for row in connection.execute(
            "select sequence, length(sample) as size, sent_at from telemetry_outbox"
            " where state = 'queued' order by sequence"
        ):
            if (
                dropped >= excess
                and size - freed <= self._limits.size_bytes
                and row["sent_at"] >= now_ms - self._limits.age_ms
            ):
                break
            lost.append((row["sequence"], row["sequence"], span_of([row["sent_at"]])))
            dropped += 1
            freed += row["size"] + _ROW_BYTES
        if lost:
            connection.execute(
                "delete from telemetry_outbox where state = 'queued' and sequence <= ?",
                (lost[-1][1],),
            )
            losses.remember(connection, lost, since)
            connection.execute(
                "update telemetry_identity set dropped = dropped + ?,"
                " waiting_samples = waiting_samples - ?, waiting_bytes = waiting_bytes - ?",
                (dropped, dropped, freed),
            )

    # ----------------------------------------------------------------------------- to the server

    def waiting(self) -> Waiting:
        row = self._connection.execute(
            "select waiting_samples, waiting_bytes from telemetry_identity"
        ).fetchone()
        samples, size = row or (0, 0)
        limits = self._limits
        is_crowded = samples > limits.samples // 2 or size > limits.size_bytes // 2
        return Waiting(samples + stays.count_untold(self._connection), is_crowded)

    def requeue(self) -> None:
        """Queues the samples again that another sender had under way when it was killed."""
        under_way = "select 1 from telemetry_outbox where state = 'in_flight' limit 1"
        if not self._connection.execute(under_way).fetchone():
            return
        with transaction(self._connection) as connection:
            connection.execute(
                "update telemetry_outbox set state = 'queued' where state = 'in_flight'"
            )

    def claim(
        self,
        consent: int,
        server: str,
        token: str,
        *,
        max_samples: int,
        max_bytes: int,
        now_ms: int,
    ) -> Claim | None:
        """Takes the oldest samples that fit into one push to `server`, new memberships, and losses.

        token  sent with the push; kept for the request to forget that an opt-out makes

        Without samples the push is a heartbeat. Returns None if the consent is not given any more.
        """
        with transaction(self._connection, durable=True) as connection:
            identity = identity_under(connection, consent)
            if identity is None:
                return None
            first, samples, app_version, one_in = batch.oldest(connection, max_samples, max_bytes)
            waiting, first_new = connection.execute(
                "select waiting_samples, next_sequence from telemetry_identity"
            ).fetchone()
            if not samples:
                first, app_version = first_new, self._app_version
            connection.execute(
                "update telemetry_outbox set state = 'in_flight', changed_at = ?"
                " where state = 'queued' and sequence >= ? and sequence < ?",
                (now_ms, first, first + len(samples)),
            )
            connection.execute(
                "insert or replace into telemetry_recipient (server, token) values (?, ?)",
                (server, token),
            )
            memberships = stays.to_be_told(connection, max_samples)
            lost = losses.to_be_told(connection)
        leaves_some = waiting > len(samples)
        return Claim(identity, first, samples, app_version, one_in, memberships, lost, leaves_some)

    def contact(self) -> tuple[int | None, int]:
        """When the server last acknowledged a push of any client here (Unix ms; None: never), and
        how many seconds it asks clients to wait between two pushes (0: it does not ask)."""
        row = self._connection.execute(
            "select last_sent_at, push_interval"
            " from telemetry_identity left join telemetry_status on true"
        ).fetchone()
        return tuple(row) if row else (None, 0)

    def release(self, claim: Claim, news: News | None = None) -> None:
        """Queues the samples again: the push did not arrive, or nobody knows whether it did."""
        with transaction(self._connection) as connection:
            if identity_under(connection, claim.identity.consent) is not None:
                connection.execute(
                    "update telemetry_outbox set state = 'queued'"
                    " where state = 'in_flight' and sequence >= ? and sequence < ?",
                    (claim.first_sequence, claim.first_sequence + len(claim.samples)),
                )
                if news is not None:
                    _report(connection, news)

    def settle(
        self,
        claim: Claim,
        refused: dict[int, str],
        news: News,
        *,
        told: telemetry_pb2.PushResponse | None = None,
        has_arrived: bool = True,
    ) -> None:
        """Notes a final answer of the server.

        refused      reason by position in the claim; all other samples are acknowledged
        told         the answer, for its rules of sampling and its interval between pushes
        has_arrived  whether the server now knows the samples' numbers and the reported losses
        """
        now_ms = news.now_ms
        with transaction(self._connection) as connection:
            if identity_under(connection, claim.identity.consent) is None:
                return
            sequences = range(claim.first_sequence, claim.first_sequence + len(claim.samples))
            connection.execute(
                "update telemetry_outbox set state = 'acknowledged', changed_at = ?"
                " where state = 'in_flight' and sequence >= ? and sequence < ?",
                (now_ms, sequences.start, sequences.stop),
            )
            connection.executemany(
                "update telemetry_outbox set state = 'set_aside', reason = ? where sequence = ?",
                [(reason, sequences[position]) for position, reason in refused.items()],
            )
            connection.execute(
                "update telemetry_identity set acknowledged = acknowledged + ?,"
                " set_aside = set_aside + ?,"
                " waiting_samples = waiting_samples - ?, waiting_bytes = waiting_bytes - ?",
                (
                    len(claim.samples) - len(refused),
                    len(refused),
                    len(claim.samples),
                    sum(len(sample) + _ROW_BYTES for sample in claim.samples),
                ),
            )
            stays.told(connection, claim.memberships)
            if has_arrived:
                losses.forget(connection, claim.lost)
            elif claim.samples:
                rows = connection.execute(
                    "select sequence, sent_at from telemetry_outbox"
                    " where sequence between ? and ? order by sequence",
                    (sequences[0], sequences[-1]),
                )
                losses.remember(
                    connection,
                    [(number, number, span_of([sent_at])) for number, sent_at in rows],
                    claim.identity.opted_in_by(now_ms),
                )
            if told is not None:
                sampling.remember(connection, told.sampling, now_ms)
                self._rules = None
                connection.execute(
                    "update telemetry_identity set push_interval = ? where push_interval <> ?",
                    (min(told.push_interval_seconds, _LONGEST_INTERVAL),) * 2,
                )
            _trim(connection, "acknowledged", now_ms)
            _trim(connection, "set_aside", now_ms)
            _report(connection, news)

    # ---------------------------------------------------------------------------------- the rest

    def farewell(self) -> Farewell | None:
        """The request to forget that was sent least often, if any server has yet to answer one."""
        row = self._connection.execute(
            "select installation_id, server, token from telemetry_farewell order by asked, server"
            " limit 1"
        ).fetchone()
        return Farewell(*row) if row else None

    def said(self, farewell: Farewell, *, is_done: bool) -> None:
        with transaction(self._connection, durable=is_done) as connection:
            connection.execute(
                "delete from telemetry_farewell where installation_id = ? and server = ?"
                if is_done
                else "update telemetry_farewell set asked = asked + 1"
                " where installation_id = ? and server = ?",
                (farewell.installation_id, farewell.server),
            )

    def report(self, consent: int, news: News) -> None:
        with transaction(self._connection) as connection:
            if identity_under(connection, consent) is not None:
                _report(connection, news)


def _trim(connection: sqlite3.Connection, state: str, now_ms: int) -> None:
    """Deletes the finished samples of a state, except the latest, which people may look at."""
    connection.execute(
        "delete from telemetry_outbox where state = ? and (changed_at < ? or sequence <="
        " (select sequence from telemetry_outbox where state = ?"
        " order by sequence desc limit 1 offset ?))",
        (state, now_ms - _SHOWN_MS, state, _SHOWN_ROWS),
    )


def _report(connection: sqlite3.Connection, news: News) -> None:
    last_sent_at = None if news.problem else news.now_ms
    connection.execute(
        "insert into telemetry_status (singleton, last_sent_at, problem, detail, changed_at)"
        " values (1, ?, ?, ?, ?) on conflict (singleton) do update set"
        " problem = excluded.problem, detail = excluded.detail, changed_at = excluded.changed_at,"
        " last_sent_at = coalesce(excluded.last_sent_at, last_sent_at)",
        (last_sent_at, news.problem or "", news.detail, news.now_ms),
    )


def _drop(connection: sqlite3.Connection, loss: Loss, since: int) -> None:
    """Skips as many numbers as samples were lost before they got a number."""
    if not loss.number:
        return
    (first,) = connection.execute("select next_sequence from telemetry_identity").fetchone()
    losses.remember(connection, [(first, first + loss.number - 1, loss.span)], since)
    connection.execute(
        "update telemetry_identity set next_sequence = next_sequence + ?, dropped = dropped + ?",
        (loss.number, loss.number),
    )
