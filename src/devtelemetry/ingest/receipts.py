"""Writes receipts, and what they say of who reports: receivers and memberships."""

from collections.abc import Mapping, Sequence, Set
from itertools import repeat
from typing import Any

from devtelemetry.ingest.batch import MessageKey, floor_to_minute
from devtelemetry.ingest.known import UNKNOWN_RECEIVER, KnownMessage, KnownReceiver, Writing
from devtelemetry.store.database import Row
from devtelemetry.store.sql import arrays, queries

# From where on delays are corrected by the author's clock: as in author_clock_offset of the schema.
_CLOCK_IS_OFF_MS = 1_000

_QUERIES = queries(__package__, "receipts.sql")

_Key = tuple[int, int, int, int]  # of a receipt: sent_at, channel_id, message_id, receiver_id
_KEY = ("sent_at", "channel_ids", "message_ids", "receiver_ids")


async def write_receipts(writing: Writing) -> int:
    """Writes the receipts, and then their receivers and memberships.

    Returns how many receipts are new. The messages must be written.
    """
    await _learn_clocks(writing)
    receipts = writing.batch.receipts
    messages = {key: writing.message(key) for key in writing.batch.messages}
    keys = sorted((messages[key[0], key[1]].claim.sent_at, *key) for key in receipts)
    new, last_created_at = await _insert_or_merge(writing, keys, messages) if keys else (0, {})
    await _write_receivers(writing, last_created_at)
    await _write_memberships(writing, keys)
    return new


async def merge_receipts(writing: Writing, columns: Mapping[str, Any]) -> list[Row]:
    """Merges receipts with those that are stored; returns what changed, as the query tells it."""
    merged = await writing.connection.fetch(_QUERIES["merge_receipts"], **columns)
    doubted = set()
    for row in merged:
        offset = row["author_offset"]
        if offset is None:
            continue
        key = (row["channel_id"], row["message_id"])
        known = writing.learned.messages.get(key) or writing.known.messages.get(key)
        was_off = known is not None and known.author_offset != 0
        if was_off or abs(offset) >= _CLOCK_IS_OFF_MS:
            doubted.add((row["sent_at"], *key))
    await _doubt_delays(writing, doubted)
    return merged


async def _insert_or_merge(
    writing: Writing, keys: Sequence[_Key], messages: dict[MessageKey, KnownMessage]
) -> tuple[int, dict[int, int]]:
    """How many are new, and the last createdAt of each receiver that may have a later one."""
    connection = writing.connection
    values = [writing.batch.receipts[key[1:]] for key in keys]
    kinds = []
    author_offsets = []
    kind_of = writing.kind
    for (_, channel_id, message_id, _), value in zip(keys, values, strict=True):
        claim, author_offset = messages[channel_id, message_id]
        kinds.append(kind_of(claim))
        author_offsets.append(0 if value.sent_by_receiver else author_offset)
    columns = {
        **arrays(keys, *_KEY),
        "created_at": [value.created_at for value in values],
        "received_at": [value.received_at for value in values],
        "sent_by_receiver": [value.sent_by_receiver for value in values],
        "author_offsets": author_offsets,
    }
    new: int = await connection.fetchval(_QUERIES["insert_receipts"], **columns, kinds=kinds)
    last: dict[int, int] = {}
    if new == len(keys):
        for (_, _, _, receiver_id), value in zip(keys, values, strict=True):
            created_at = value.created_at
            if created_at is not None and created_at > last.get(receiver_id, 0):
                last[receiver_id] = created_at
        return new, last

    # Some were there. What was sent again is no news of its receiver: ask for the dates that count.
    merged = await merge_receipts(writing, columns)
    doubted = sorted({row["receiver_id"] for row in merged if row["is_earlier"]})
    if doubted:
        await connection.execute(_QUERIES["doubt_receivers"], receiver_ids=doubted)
    for row in await connection.fetch(_QUERIES["last_created_at"], **arrays(keys, *_KEY)):
        last[row["receiver_id"]] = row["created_at"]
    return new, last


async def _learn_clocks(writing: Writing) -> None:
    """What the batch says of its authors' clocks, for the delays of all others."""
    doubted = set()
    for (channel_id, message_id, _), receipt in writing.batch.receipts.items():
        if not receipt.sent_by_receiver or receipt.received_at is None:
            continue
        key = (channel_id, message_id)
        message = writing.message(key)
        sent_at = message.claim.sent_at
        offset = receipt.received_at - sent_at
        if abs(offset) < _CLOCK_IS_OFF_MS:
            continue
        if not message.author_offset or offset < message.author_offset:
            writing.learned.messages[key] = message._replace(author_offset=offset)
            # Of a new message no receipt is stored yet.
            if key not in writing.new_messages:
                doubted.add((sent_at, *key))
    await _doubt_delays(writing, doubted)


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
            )
        )
        writing.learned.receivers[receiver_id] = KnownReceiver(
            max(receiver.platform, known.platform),
            max(receiver.app_version, known.app_version),
            max(receiver.server, known.server),
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
            ),
        )


async def _write_memberships(writing: Writing, keys: Sequence[_Key]) -> None:
    """From when to when each receiver holds messages of a channel."""
    known, grown = writing.known.memberships, writing.learned.memberships
    for sent_at, channel_id, message_id, receiver_id in keys:
        if writing.batch.receipts[channel_id, message_id, receiver_id].created_at is None:
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
