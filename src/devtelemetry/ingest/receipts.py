"""Writes receipts, and what they say of who reports: receivers and memberships."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import repeat
from typing import NamedTuple

from devtelemetry.ingest.batch import (
    AUTHORS_CLOCK,
    MessageKey,
    NewReceipt,
    ReceiptKey,
    Vote,
    floor_to_minute,
)
from devtelemetry.ingest.known import UNKNOWN_RECEIVER, KnownMessage, KnownReceiver, Writing
from devtelemetry.ingest.typed import NEVER
from devtelemetry.store.database import Row
from devtelemetry.store.sql import arrays, queries

# From where on delays are corrected by the author's clock: as in author_clock_offset of the schema.
_CLOCK_IS_OFF_MS = 1_000

_QUERIES = queries(__package__, "receipts.sql")

_Key = tuple[int, int, int, int]  # of a receipt: sent_at, channel_id, message_id, receiver_id
_KEY = ("sent_at", "channel_ids", "message_ids", "receiver_ids")
_COLUMNS = (
    *("created_at", "received_at", "sent_by_receiver", "author_offsets", "kinds", "clocks"),
    *("said", "authored_at", "envelope_ids", "vote_clocks", "vote_created_at", "vote_sent_at"),
)
_NO_VOTE = (None, None, None)
# What these columns hold of nearly all receipts: new_receipt.sql puts it in the place of NULL.
_MOSTLY = {
    "author_offsets": 0,
    "clocks": AUTHORS_CLOCK,
    "said": 0,
    "authored_at": None,
    "envelope_ids": None,
    "vote_clocks": None,
    "vote_created_at": None,
    "vote_sent_at": None,
}


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
    messages = {key: writing.message(key) for key in batch.messages}
    new, _, last_created_at = await store_receipts(writing, batch.receipts, messages)
    for (_, _, receiver_id), unnamed in batch.unnamed.items():
        last_created_at[receiver_id] = max(
            unnamed.created_at, last_created_at.get(receiver_id, unnamed.created_at)
        )
    await _write_receivers(writing, last_created_at)
    return new


async def store_receipts(
    writing: Writing,
    receipts: Mapping[ReceiptKey, NewReceipt],
    messages: Mapping[MessageKey, KnownMessage],
) -> Written:
    """Writes receipts, failures and memberships, merged with what is stored.

    messages  those of the receipts
    """
    await _learn_clocks(writing, receipts, messages)
    keys = sorted((messages[key[:2]].sent_at, *key) for key in receipts)
    if not keys:
        return Written(0, [], {})
    values = [receipts[key[1:]] for key in keys]
    # Once more: what its author's clock is off by may be known since.
    messages = {key: writing.message(key) for key in messages}
    rows = [
        _row(writing, key, value, messages[key[1:3]])
        for key, value in zip(keys, values, strict=True)
    ]
    of_rows = {**arrays(keys, *_KEY), **arrays(rows, *_COLUMNS)}
    for name, unless in _MOSTLY.items():
        # Each element costs a look by the driver. unnest() fills up what is not there with NULL.
        if all(value == unless for value in of_rows[name]):
            of_rows[name] = []
    inserted = await writing.connection.fetchrow(_QUERIES["insert_receipts"], **of_rows)
    assert inserted is not None
    new, all_new = inserted["held"], inserted["receipts"] == len(keys)
    changed = list({key[0] for key in keys}) if inserted["receipts"] else []
    doubted: set[int] = set()
    if not all_new:
        # Some were there.
        merged = await writing.connection.fetch(_QUERIES["merge_receipts"], **of_rows)
        changed += [row["sent_at"] for row in merged]
        new += sum(row["is_held_now"] for row in merged)
        doubted = {row["receiver_id"] for row in merged if row["is_earlier"]}
        await _doubt_delays(writing, _clock_changed(writing, merged))
    for row in await _write_failures(writing, keys, values):
        if row["was_there"]:
            doubted.add(row["receiver_id"])
        else:
            new += 1
    await doubt_receivers(writing, doubted)
    await _write_memberships(writing, keys, values)
    last = await _last_created_at(writing, keys, values, all_new=all_new)
    return Written(new, changed, last)


def _row(
    writing: Writing, key: _Key, receipt: NewReceipt, message: KnownMessage
) -> tuple[object, ...]:
    """By _COLUMNS. Has repair decide the message if the receipt contradicts what is stored."""
    vote: Iterable[int | None] = _NO_VOTE
    said = receipt.vote
    if said is not None and said != (message.clock, receipt.created_at, message.sent_at):
        vote = said
        if _is_contrary(said, message):
            writing.doubted.add(key[1:3])
    return (
        receipt.created_at,
        receipt.received_at,
        receipt.sent_by_receiver,
        0 if receipt.sent_by_receiver else message.author_offset,
        message.kind,
        message.clock,
        receipt.bits,
        _authored_at(receipt),
        receipt.envelope_id,
        *vote,
    )


def _authored_at(receipt: NewReceipt) -> int | None:
    """None: createdAt of a receipt of its author, as new_receipt.sql has it."""
    if not receipt.sent_by_receiver or receipt.authored_at == receipt.created_at:
        return None
    return NEVER if receipt.authored_at is None else receipt.authored_at


async def _write_failures(
    writing: Writing, keys: Sequence[_Key], values: Sequence[NewReceipt]
) -> Sequence[Row]:
    """Returns what the query does."""
    rows = [
        (*key, outcome, None if failure.created_at == NEVER else failure.created_at, failure.reason)
        for key, value in zip(keys, values, strict=True)
        if value.failures is not None
        for outcome, failure in sorted(value.failures.items())
    ]
    if not rows:
        return []
    return await writing.connection.fetch(
        _QUERIES["write_failures"],
        **arrays(rows, *_KEY, "outcomes", "created_at", "reasons"),
        never=NEVER,
    )


def _is_contrary(vote: Vote, message: KnownMessage) -> bool:
    """Whether a vote may change the sentAt that is stored, or whose clock it is by."""
    clock, _, sent_at = vote
    return clock < message.clock or (clock == message.clock and sent_at != message.sent_at)


async def _last_created_at(
    writing: Writing,
    keys: Sequence[_Key],
    values: Sequence[NewReceipt],
    *,
    all_new: bool,
) -> dict[int, int]:
    last: dict[int, int] = {}
    if not all_new:
        # What was sent again is no news of its receiver: ask for the dates that count.
        for row in await writing.connection.fetch(
            _QUERIES["last_created_at"], **arrays(keys, *_KEY)
        ):
            last[row["receiver_id"]] = row["created_at"]
        return last
    for key, value in zip(keys, values, strict=True):
        created_at = value.created_at if value.failures is None else value.last_created_at
        if created_at is not None and created_at > last.get(key[3], 0):
            last[key[3]] = created_at
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
    writing: Writing,
    receipts: Mapping[ReceiptKey, NewReceipt],
    messages: Mapping[MessageKey, KnownMessage],
) -> None:
    """What the receipts say of their authors' clocks, for the delays of all others."""
    doubted = set()
    authored = Counter(key[:2] for key, receipt in receipts.items() if receipt.sent_by_receiver)
    for key, receipt in receipts.items():
        if not receipt.sent_by_receiver or messages[key[:2]].clock != AUTHORS_CLOCK:
            continue
        message = writing.message(key[:2])
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
        writing.learned.messages[key[:2]] = message._replace(author_offset=known)
        # Of a new message no receipt is stored yet. What several authors come to, repair decides.
        if key[:2] not in writing.new_messages or authored[key[:2]] > 1:
            doubted.add((message.sent_at, *key[:2]))
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
            and receiver.server <= known.server
            and receiver.origin <= known.origin
        ):
            continue
        known = known or UNKNOWN_RECEIVER
        rows.append(
            (
                *receiver.ids,
                *receiver.platform,
                *receiver.app_version,
                *receiver.server,
                receipt_minute,
                receiver.last_heartbeat_minute,
                *(receiver.clock or repeat(None, 2)),
                *receiver.origin,
            )
        )
        writing.learned.receivers[receiver_id] = KnownReceiver(
            max(receiver.platform, known.platform),
            max(receiver.app_version, known.app_version),
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
                *("server_minutes", "servers"),
                *("last_receipt_minutes", "last_heartbeat_minutes"),
                *("clock_said_at", "clock_offsets"),
                *("origin_minutes", "bucket_ids", "tokens"),
            ),
        )


async def _write_memberships(
    writing: Writing, keys: Sequence[_Key], values: Sequence[NewReceipt]
) -> None:
    """From when to when each receiver holds messages of a channel."""
    known, grown = writing.known.memberships, writing.learned.memberships
    for (sent_at, channel_id, _, receiver_id), value in zip(keys, values, strict=True):
        if value.vote is None:
            continue  # a mark says who wrote it, not that its author was there to receive
        minute = floor_to_minute(sent_at)
        key = (channel_id, receiver_id)
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
