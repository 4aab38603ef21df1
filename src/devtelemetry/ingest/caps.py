"""Limits how much one installation may bring. The surplus is refused, and nobody else is affected.

What installations have named is in the database, where all workers see it and where it outlives
them. The database is asked only when an installation names something that this process does not
remember. Bytes are counted in memory and added to the database once they are many; an honest
installation never gets there. A receiver without an installation counts as one by itself.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from devtelemetry.ingest.check import Refusal
from devtelemetry.ingest.submission import Submission
from devtelemetry.model import DAY_MS, MINUTE_MS, Reason, Sample, Source, from_unix_ms
from devtelemetry.store.database import Connection
from devtelemetry.store.keyring import Keyring, ReceiverIds
from devtelemetry.store.recent import Memory, Recent
from devtelemetry.store.sql import arrays, queries

LEAST_BYTES = 256  # anything that is brought counts as at least this, about the size of its row

# What a receiver names: KEY, CHANNEL or TYPE; the receiver_id; and a channel_id, a kind, or 0.
Named = tuple[int, int, int]
KEY, CHANNEL, TYPE = range(3)
_WHATS = (("receiver_public_key", "keys"), ("channel_id", "channels"), ("message_type", "types"))

_TOLD_SHARE = 16  # after 1/16 of a day's bytes, they are added to the database
_COUNTED_SHARE = 8  # after 1/8 of a cap, names are counted again, as other workers let in some too
_COUNTED_MS = 10 * MINUTE_MS  # and after this time

_QUERIES = queries(__package__, "caps.sql")
_REPORTER = itemgetter(
    *map(Sample._fields.index, ("receiver_public_key", "installation_id", "source"))
)
_CHANNEL = itemgetter(Sample._fields.index("channel_id"))
_TYPE = itemgetter(Sample._fields.index("message_type"))


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that one installation may have: keys; channels and types of messages that its keys
    name, counted for each key; and bytes that it brings in a day (UTC)."""

    keys: int = 100
    channels: int = 5_000
    types: int = 500
    size_bytes: int = 256 * 2**20

    def of(self, what: int) -> int:
        """what  KEY, CHANNEL or TYPE"""
        return (self.keys, self.channels, self.types)[what]


class TurnedAway(NamedTuple):
    """The parts of a submission that were not stored.

    samples      why each was refused, by position
    memberships  how many were refused
    heartbeat    why it was refused; None if it was stored or there was none
    """

    samples: Mapping[int, Refusal] = {}
    memberships: int = 0
    heartbeat: Refusal | None = None


NOTHING = TurnedAway()


def answerable(ids: ReceiverIds) -> int:
    """Who answers for what a receiver brings: its installation, or the receiver if it has none."""
    return ids.receiver_id if ids.installation_id is None else ids.installation_id


def named_by(keyring: Keyring, submission: Submission) -> dict[Named, int]:
    """What a submission names, in the order of naming, and the id of who answers for it."""
    named = named_in(keyring, submission.samples)
    for said in submission.memberships:
        ids = keyring.receiver(said.receiver_public_key, said.installation_id, said.source)
        named[KEY, ids.receiver_id, 0] = answerable(ids)
        named[CHANNEL, ids.receiver_id, keyring.channel(said.channel_id)] = answerable(ids)
    for beat in submission.heartbeats:
        ids = keyring.receiver(beat.receiver_public_key, beat.installation_id)
        named[KEY, ids.receiver_id, 0] = answerable(ids)
    for one in submission.said_of_envelopes:
        if one.receiver_public_key:
            ids = keyring.receiver(one.receiver_public_key, one.installation_id, Source.STATUS_GO)
            named[KEY, ids.receiver_id, 0] = answerable(ids)
    return named


def named_in(keyring: Keyring, samples: Iterable[Sample]) -> dict[Named, int]:
    """The same for samples alone."""
    named: dict[Named, int] = {}
    # This is done for every sample, so most of it runs in C.
    for (key, installation, source), of_reporter in groupby(samples, _REPORTER):
        ids = keyring.receiver(key, installation, source)
        receiver_id, whose = ids.receiver_id, answerable(ids)
        named[KEY, receiver_id, 0] = whose
        said = list(of_reporter)
        for channel in filter(None, dict.fromkeys(map(_CHANNEL, said))):
            named[CHANNEL, receiver_id, keyring.channel(channel)] = whose
        for message_type in filter(None, dict.fromkeys(map(_TYPE, said))):
            named[TYPE, receiver_id, keyring.kind(source, message_type)] = whose
    return named


@dataclass(slots=True)
class _Counts:
    """How many keys, channels and types an installation has, as far as this process knows.

    counted_at  when the database counted them, Unix ms
    added       how many this process has let in since then
    """

    of: list[int]
    counted_at: int
    added: list[int] = field(default_factory=lambda: [0, 0, 0])


class Names:
    """Lets installations name as much as the caps allow."""

    def __init__(self, memory: Memory, caps: Caps) -> None:
        self._caps = caps
        self._counts: Recent[int, _Counts] = Recent(memory)

    async def refuse(
        self, connection: Connection, named: Mapping[Named, int], now_ms: int
    ) -> set[Named]:
        """Returns the names in `named` that are beyond a cap. `named` maps each to who answers.

        Two workers may both let in the last name that is allowed. To bound this, each counts again
        after it has let in an eighth of a cap.
        """
        if not named:
            return set()
        rows = list(named)
        stored = {
            rows[row["position"] - 1]
            for row in await connection.fetch(
                _QUERIES["named_before"], **arrays(rows, "whats", "receiver_ids", "name_ids")
            )
        }
        new = {one: whose for one, whose in named.items() if one not in stored}
        counts = await self._counted(connection, set(new.values()), now_ms)
        refused: set[Named] = set()
        for one, whose in new.items():
            what, receiver_id, _ = one
            count = counts[whose]
            if count.of[what] >= self._caps.of(what) or (KEY, receiver_id, 0) in refused:
                refused.add(one)
            else:
                count.of[what] += 1
                count.added[what] += 1
        return refused

    async def _counted(
        self, connection: Connection, whose: Set[int], now_ms: int
    ) -> Mapping[int, _Counts]:
        known = {one: self._counts[one] for one in whose if self._is_counted(one, now_ms)}
        uncounted = sorted(whose - known.keys())
        if not uncounted:
            return known
        rows = await connection.fetch(_QUERIES["count_named"], installation_ids=uncounted)
        counted = {
            row["installation_id"]: _Counts([row["keys"], row["channels"], row["types"]], now_ms)
            for row in rows
        }
        self._counts.remember(counted)
        return {**known, **counted}

    def _is_counted(self, whose: int, now_ms: int) -> bool:
        count = self._counts.get(whose)
        return (
            count is not None
            and abs(now_ms - count.counted_at) < _COUNTED_MS
            and all(
                added * _COUNTED_SHARE <= self._caps.of(what)
                for what, added in enumerate(count.added)
            )
        )


async def write_types(connection: Connection, named: Iterable[Named], now_ms: int) -> None:
    """Stores which types receivers named; keys and channels are in tables of their own."""
    rows = sorted(one[1:] for one in named if one[0] == TYPE)
    if rows:
        await connection.execute(
            _QUERIES["write_types"], **arrays(rows, "receiver_ids", "kinds"), now_ms=now_ms
        )


@dataclass(slots=True)
class _Day:
    """The bytes that an installation brought on a day, as far as this process knows. `untold` is
    the part that is not in the database yet."""

    day: int
    total: int = 0
    untold: int = 0


class Bytes:
    """Lets installations bring as many bytes a day as the caps allow."""

    def __init__(self, memory: Memory, caps: Caps) -> None:
        self._limit = caps.size_bytes
        self._days: Recent[int, _Day] = Recent(memory)

    def fit(
        self, keyring: Keyring, submission: Submission, now_ms: int
    ) -> tuple[Submission, Refusal | None]:
        """The part of a submission that may be stored, with its first samples; and why only that.
        None if all of it may be stored."""
        whose = _whose(keyring, submission)
        if whose is None:
            return submission, None
        size = max(submission.size_bytes, LEAST_BYTES * submission.weight)
        of_day = self._of_day(whose, now_ms)
        left = max(0, self._limit - of_day.total)
        of_day.total += min(size, left)
        of_day.untold += min(size, left)
        if size <= left:
            return submission, None
        again_at = from_unix_ms((now_ms // DAY_MS + 1) * DAY_MS).strftime("%Y-%m-%dT%H:%MZ")
        fitting = replace(
            submission,
            samples=submission.samples[: len(submission.samples) * left // size],
            runs=submission.runs if left else (),
            memberships=(),
            lost=(),
            said_of_envelopes=(),
            clocks=(),
            origins=(),
        )
        return fitting, Refusal(
            Reason.TOO_MANY,
            f"samples: more bytes than an installation may send a day; allowed: {self._limit}, "
            f"again from {again_at}",
        )

    def untold(
        self, keyring: Keyring, submissions: Iterable[Submission], now_ms: int
    ) -> dict[int, int]:
        """The bytes to add to the database, by installation; usually none."""
        brought = {}
        for submission in submissions:
            whose = _whose(keyring, submission)
            if whose is not None:
                untold = self._of_day(whose, now_ms).untold
                if untold * _TOLD_SHARE >= self._limit:
                    brought[whose] = untold
        return brought

    def told(self, brought: Mapping[int, int], sums: Mapping[int, int], now_ms: int) -> None:
        """Call this after the commit. sums: what `add_bytes` returned."""
        for whose, total in sums.items():
            of_day = self._of_day(whose, now_ms)
            of_day.untold = max(0, of_day.untold - brought[whose])
            of_day.total = total + of_day.untold

    def _of_day(self, whose: int, now_ms: int) -> _Day:
        day = now_ms // DAY_MS
        known = self._days.get(whose)
        if known is None or known.day != day:
            known = _Day(day)
            self._days.remember({whose: known})
        return known


async def add_bytes(
    connection: Connection, brought: Mapping[int, int], now_ms: int
) -> dict[int, int]:
    """Adds to the bytes that installations brought today; returns the sums."""
    if not brought:
        return {}
    rows = await connection.fetch(
        _QUERIES["add_bytes"],
        **arrays(sorted(brought.items()), "installation_ids", "sizes"),
        day_start=now_ms // DAY_MS * DAY_MS,
    )
    return {row["installation_id"]: row["size_bytes"] for row in rows}


def _whose(keyring: Keyring, submission: Submission) -> int | None:
    """Who answers for a submission: its one reporter. None if it names nobody."""
    for sample in submission.samples:
        ids = keyring.receiver(sample.receiver_public_key, sample.installation_id, sample.source)
        return answerable(ids)
    for beat in submission.heartbeats:
        return answerable(keyring.receiver(beat.receiver_public_key, beat.installation_id))
    for one in submission.memberships:
        return answerable(
            keyring.receiver(one.receiver_public_key, one.installation_id, one.source)
        )
    for run in submission.runs:
        return keyring.installed(run.installation_id, run.source)
    for said in submission.said_of_envelopes:
        return keyring.installed(said.installation_id, Source.STATUS_GO)
    return None


def turned_away(
    keyring: Keyring, submission: Submission, refused: Set[Named], caps: Caps
) -> TurnedAway:
    """The parts of a submission that use a refused name."""
    if not refused:
        return NOTHING

    def refusal(named: Iterable[Named]) -> Refusal | None:
        for one in named:
            if one in refused:
                field_name, plural = _WHATS[one[0]]
                return Refusal(
                    Reason.TOO_MANY,
                    f"{field_name}: one more than an installation may name; allowed: "
                    f"{caps.of(one[0])} {plural}",
                )
        return None

    samples = {}
    for position, sample in enumerate(submission.samples):
        if (why := refusal(named_in(keyring, (sample,)))) is not None:
            samples[position] = why
    beside = replace(submission, samples=(), heartbeats=(), said_of_envelopes=())
    memberships = sum(
        refusal(named_by(keyring, replace(beside, memberships=(said,)))) is not None
        for said in submission.memberships
    )
    beats = replace(beside, memberships=(), heartbeats=submission.heartbeats)
    return TurnedAway(samples, memberships, refusal(named_by(keyring, beats)))
