"""Writes receipts, and what they say of who reports: receivers and memberships."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from itertools import repeat
from typing import Any, NamedTuple

from devtelemetry.ingest.batch import floor_to_minute
from devtelemetry.ingest.known import UNKNOWN_RECEIVER, KnownMessage, KnownReceiver, Writing
from devtelemetry.ingest.merged import AUTHORS_CLOCK, MessageKey, NewReceipt, Vote
from devtelemetry.ingest.said import NOT_SAID, before
from devtelemetry.ingest.typed import NEVER
from devtelemetry.store import states, whole
from devtelemetry.store.database import Row
from devtelemetry.store.sql import arrays, queries

# From where on delays are corrected by the author's clock: as in store/author_clocks.sql.
_CLOCK_IS_OFF_MS = 1_000

_QUERIES = queries(__package__, "receipts.sql", **whole.RECEIPT)

_KEY = ("sent_at", "channel_ids", "message_ids", "receiver_ids")  # of a receipt
_OF_MESSAGE = (*_KEY[:3], "kinds", "clocks", "author_offsets")
# What these columns hold of nearly all receipts. unnest() fills up a column that is not there with
# NULL, in whose place new_receipt.sql puts it.
_MOSTLY = {"said": 0, "authored_at": None, "envelope_ids": None}
_NO_VOTE = (None, None, None)


class _OfMessage(NamedTuple):
    """The receipts of a message, by receiver_id, ascending. Sorted as such they are in the order of
    their keys."""

    sent_at: int
    channel_id: int
    message_id: int
    receipts: Sequence[tuple[int, NewReceipt]]

    @property
    def key(self) -> MessageKey:
        return self.channel_id, self.message_id

    @property
    def keys(self) -> list[tuple[int, int, int, int]]:
        """Of the receipts, by _KEY."""
        return [(*self[:3], receiver_id) for receiver_id, _ in self.receipts]


class Written(NamedTuple):
    """What came of storing receipts.

    new              how many samples and marks were not there: of a receipt one for each outcome
    changed          sentAt of messages of which something is new
    last_created_at  of each receiver that may have a later one than is stored
    """

    new: int
    changed: list[int]
    last_created_at: dict[int, int]


async def write_receipts(writing: Writing) -> int:
    """Writes the receipts, and then their receivers and memberships.

    Returns how many samples and marks are new. The messages must be written.
    """
    batch = writing.batch
    new, _, last_created_at = await store_receipts(
        writing, {key: message.receipts for key, message in batch.messages.items()}
    )
    for (_, _, receiver_id), unnamed in batch.unnamed.items():
        last_created_at[receiver_id] = max(
            unnamed.created_at, last_created_at.get(receiver_id, unnamed.created_at)
        )
    await _write_receivers(writing, last_created_at)
    return new


async def store_receipts(
    writing: Writing, receipts: Mapping[MessageKey, Mapping[int, NewReceipt]]
) -> Written:
    """Writes receipts, failures and memberships, merged with what is stored.

    receipts  by message, which `writing` knows, and by receiver_id
    """
    await _learn_clocks(writing, receipts)
    found = sorted(
        _OfMessage(writing.message(key).sent_at, *key, sorted(of_message.items()))
        for key, of_message in receipts.items()
    )
    if not found:
        return Written(0, [], {})
    columns = _columns(writing, found)
    inserted = await writing.connection.fetchrow(_QUERIES["insert_receipts"], **columns)
    assert inserted is not None
    new, all_new = inserted["held"], inserted["receipts"] == len(columns["receiver_ids"])
    changed = list({one.sent_at for one in found}) if inserted["receipts"] else []
    doubted: set[int] = set()
    if not all_new:
        # Some were there.
        merged = await writing.connection.fetch(_QUERIES["merge_receipts"], **columns)
        changed += [row["sent_at"] for row in merged]
        new += sum(row["is_held_now"] for row in merged)
        doubted = {row["receiver_id"] for row in merged if row["is_earlier"]}
        await _doubt_delays(writing, _clock_changed(writing, merged))
    for row in await _write_failures(writing, found):
        if row["was_there"]:
            doubted.add(row["receiver_id"])
        else:
            new += 1
    await doubt_receivers(writing, doubted)
    await _write_memberships(writing, found)
    return Written(new, changed, await _last_created_at(writing, found, all_new=all_new))


def _columns(writing: Writing, found: Sequence[_OfMessage]) -> dict[str, list[Any]]:
    """What the queries take: columns of messages and of receipts.

    Each element costs a look by the driver, so what all receipts of a message have alike is there
    once. Has repair decide the messages whose receipts contradict what is stored.
    """
    messages = []
    positions: list[int] = []
    votes: dict[int, Vote] = {}  # by number of the receipt: what its message does not tell
    for position, one in enumerate(found, 1):  # as SQL counts
        message = writing.message(one.key)
        messages.append((*one[:3], message.kind, message.clock, message.author_offset))
        clock, sent_at = message.clock, message.sent_at
        for number, (_, receipt) in enumerate(one.receipts, len(positions)):
            vote = receipt.vote
            if vote is not None and (
                vote[1] != receipt.created_at or vote[2] != sent_at or vote[0] != clock
            ):
                votes[number] = vote
                if _is_contrary(vote, message):
                    writing.doubted.add(one.key)
        positions += repeat(position, len(one.receipts))
    receipts = [receipt for one in found for _, receipt in one.receipts]
    columns = {
        **arrays(messages, *_OF_MESSAGE),
        "messages": positions,
        "receiver_ids": [receiver_id for one in found for receiver_id, _ in one.receipts],
        "created_at": [receipt.created_at for receipt in receipts],
        "received_at": [receipt.received_at for receipt in receipts],
        "sent_by_receiver": [receipt.sent_by_receiver for receipt in receipts],
        "said": [receipt.said + states.VIA_UNIT * receipt.via for receipt in receipts],
        "authored_at": [
            _authored_at(receipt) if receipt.sent_by_receiver else None for receipt in receipts
        ],
        "envelope_ids": [receipt.envelope_id for receipt in receipts],
    }
    for name, mostly in _MOSTLY.items():
        if columns[name].count(mostly) == len(receipts):
            columns[name] = []
    of_votes = [votes.get(number, _NO_VOTE) for number in range(len(receipts))] if votes else []
    return columns | arrays(of_votes, "vote_clocks", "vote_created_at", "vote_sent_at")


def _authored_at(receipt: NewReceipt) -> int | None:
    """Of an author. None: createdAt of its receipt, as new_receipt.sql has it."""
    if receipt.authored_at == receipt.created_at:
        return None
    return NEVER if receipt.authored_at is None else receipt.authored_at


async def _write_failures(writing: Writing, found: Sequence[_OfMessage]) -> Sequence[Row]:
    """Returns what the query does."""
    rows = [
        (
            *(*one[:3], receiver_id, outcome),
            None if failure.created_at == NEVER else failure.created_at,
            failure.reason,
        )
        for one in found
        for receiver_id, receipt in one.receipts
        if receipt.failures is not None
        for outcome, failure in sorted(receipt.failures.items())
    ]
    if not rows:
        return []
    return await writing.connection.fetch(
        _QUERIES["write_failures"],
        **arrays(rows, *_KEY, "outcomes", "created_at", "reasons"),
    )


def _is_contrary(vote: Vote, message: KnownMessage) -> bool:
    """Whether a vote may change the sentAt that is stored, or whose clock it is by."""
    clock, _, sent_at = vote
    return clock < message.clock or (clock == message.clock and sent_at != message.sent_at)


async def _last_created_at(
    writing: Writing, found: Sequence[_OfMessage], *, all_new: bool
) -> dict[int, int]:
    last: dict[int, int] = {}
    if not all_new:
        # What was sent again is no news of its receiver: ask for the dates that count.
        keys = [key for one in found for key in one.keys]
        for row in await writing.connection.fetch(
            _QUERIES["last_created_at"], **arrays(keys, *_KEY)
        ):
            last[row["receiver_id"]] = row["created_at"]
        return last
    for one in found:
        for receiver_id, receipt in one.receipts:
            created_at = receipt.created_at if receipt.failures is None else receipt.last_created_at
            if created_at is not None and created_at > last.get(receiver_id, 0):
                last[receiver_id] = created_at
    return last


async def doubt_receivers(writing: Writing, receivers: Set[int]) -> None:
    """Has repair find out when these last reported."""
    if receivers:
        await writing.connection.execute(
            _QUERIES["doubt_receivers"], receiver_ids=sorted(receivers)
        )


async def doubt_messages(writing: Writing) -> list[int]:
    """Notes what repair has to decide; returns the sentAt that it may be decided for."""
    if not writing.doubted:
        return []
    columns = arrays(sorted(writing.doubted), "channel_ids", "message_ids")
    await writing.connection.execute(_QUERIES["doubt_messages"], **columns)
    known = [writing.message(key).sent_at for key in sorted(writing.doubted)]
    rows = await writing.connection.fetch(_QUERIES["votes_of"], **columns, sent_at=known)
    return [row["sent_at"] for row in rows]


async def _learn_clocks(
    writing: Writing, receipts: Mapping[MessageKey, Mapping[int, NewReceipt]]
) -> None:
    """What the receipts say of their authors' clocks, for the delays of all others."""
    doubted = set()
    for key, of_message in receipts.items():
        authored = [receipt for receipt in of_message.values() if receipt.sent_by_receiver]
        if not authored or writing.message(key).clock != AUTHORS_CLOCK:
            continue
        for receipt in authored:
            message = writing.message(key)
            offset = None if receipt.received_at is None else receipt.received_at - message.sent_at
            if not _may_change(offset, message):
                continue
            known = message.author_offset
            if not known:
                known = offset or 0
            elif offset is not None and abs(offset - known) < _CLOCK_IS_OFF_MS:
                known = min(offset, known)
            else:
                known = 0
            writing.learned.messages[key] = message._replace(author_offset=known)
            # Of a new message no receipt is stored yet. What several come to, repair decides.
            if key not in writing.new_messages or len(authored) > 1:
                doubted.add((message.sent_at, *key))
    await _doubt_delays(writing, doubted)


def _may_change(offset: int | None, message: KnownMessage) -> bool:
    """Whether what one of its authors says of its clock, or that it says nothing, may be news.

    Of a clock that is off all authors must agree, so silence is news where one is known to be.
    """
    return bool(message.author_offset) or (offset is not None and abs(offset) >= _CLOCK_IS_OFF_MS)


def _clock_changed(writing: Writing, merged: Sequence[Row]) -> set[tuple[int, int, int]]:
    """The messages whose author says something else of its clock, by what merging returned."""
    return {
        (row["sent_at"], row["channel_id"], row["message_id"])
        for row in merged
        if row["sent_by_receiver"]
        and _may_change(row["offset"], writing.message((row["channel_id"], row["message_id"])))
    }


async def _doubt_delays(writing: Writing, messages: Set[tuple[int, int, int]]) -> None:
    """Has repair correct the delays of messages: (sent_at, channel_id, message_id)."""
    if messages:
        await writing.connection.execute(
            _QUERIES["doubt_delays"], **arrays(sorted(messages), *_KEY[:3])
        )


async def _write_receivers(writing: Writing, last_created_at: dict[int, int]) -> None:
    """What receivers say of themselves, and when each last reported."""
    rows = []
    for receiver_id, receiver in sorted(writing.batch.receivers.items()):
        created_at = last_created_at.get(receiver_id)
        receipt_minute = None if created_at is None else floor_to_minute(created_at)
        known = writing.known.receivers.get(receiver_id)
        # Its clock alone is no reason to write: who reports has a row a minute.
        if (
            known is not None
            and receiver.last_heartbeat_minute is None
            and (receipt_minute or 0) <= known.last_receipt_minute
            and receiver.platform <= known.platform
            and receiver.app_version <= known.app_version
            and receiver.app_version.name in {known.app_version.name, NOT_SAID.name}
            and receiver.version_before <= known.version_before
            and receiver.server <= known.server
            and receiver.origin <= known.origin
        ):
            continue
        known = known or UNKNOWN_RECEIVER
        app_version = max(receiver.app_version, known.app_version)
        rows.append(
            (
                *receiver.ids,
                *receiver.platform,
                *receiver.app_version,
                *receiver.version_before,
                *receiver.server,
                receipt_minute,
                receiver.last_heartbeat_minute,
                *(receiver.clock or repeat(None, 2)),
                *receiver.origin,
            )
        )
        writing.learned.receivers[receiver_id] = KnownReceiver(
            max(receiver.platform, known.platform),
            app_version,
            before(
                app_version,
                *(receiver.app_version, receiver.version_before),
                *(known.app_version, known.version_before),
            ),
            max(receiver.server, known.server),
            max(receiver.origin, known.origin),
            max(receipt_minute or 0, known.last_receipt_minute),
        )
    if rows:
        await writing.connection.execute(
            _QUERIES["upsert_receivers"],
            **arrays(
                rows,
                *("receiver_ids", "owner_ids", "installation_ids"),
                *("platform_minutes", "platforms", "app_version_minutes", "app_versions"),
                *("before_minutes", "versions_before"),
                *("server_minutes", "servers"),
                *("last_receipt_minutes", "last_heartbeat_minutes"),
                *("clock_said_at", "clock_offsets"),
                *("origin_minutes", "bucket_ids", "tokens"),
            ),
        )


async def _write_memberships(writing: Writing, found: Sequence[_OfMessage]) -> None:
    """From when to when each receiver holds messages of a channel."""
    known, grown = writing.known.memberships, writing.learned.memberships
    first: defaultdict[int, dict[int, int]] = defaultdict(dict)  # sentAt, by channel and receiver
    last: defaultdict[int, dict[int, int]] = defaultdict(dict)
    held = [
        # A mark says who wrote it, not that its author was there to receive.
        (channel_id, {who: sent_at for who, receipt in receipts if receipt.vote is not None})
        for sent_at, channel_id, _, receipts in found
    ]
    for channel_id, by_receiver in held:
        last[channel_id].update(by_receiver)
    for channel_id, by_receiver in reversed(held):
        first[channel_id].update(by_receiver)
    for channel_id, by_receiver in first.items():
        for receiver_id, sent_at in by_receiver.items():
            key = (channel_id, receiver_id)
            minute = floor_to_minute(last[channel_id][receiver_id])
            span = grown.get(key) or known.get(key)
            if span is None:
                grown[key] = (sent_at, minute)
            elif sent_at < span[0] or minute > span[1]:
                grown[key] = (min(span[0], sent_at), max(span[1], minute))
    if grown:
        rows = [(*key, *span) for key, span in sorted(grown.items())]
        await writing.connection.execute(
            _QUERIES["upsert_memberships"],
            **arrays(rows, "channel_ids", "receiver_ids", "first_sent_at", "last_minutes"),
        )
