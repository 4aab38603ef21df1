"""Writes channels, kinds and messages: what the receipts of a batch refer to."""

from collections.abc import Iterable, Sequence

from devtelemetry.ingest.batch import Claim, MessageKey, storable
from devtelemetry.ingest.known import KnownMessage, Writing
from devtelemetry.model import Source
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "messages.sql")

_COLUMNS = (
    *("channel_ids", "message_ids", "sent_at", "created_at", "kinds"),
    *("message_sizes", "external_ids", "envelopes", "topics"),
)


async def write_messages(writing: Writing) -> None:
    """Afterwards `writing.message` knows each message of the batch."""
    await _write_channels(writing)
    await _write_kinds(writing)
    learned = writing.learned.messages
    messages = writing.batch.messages
    unknown = sorted(key for key in messages if key not in writing.known.messages)
    # Another server may insert one between our look and our insert: look again at those.
    while unknown:
        learned.update(await _stored_messages(writing, unknown))
        fresh = [key for key in unknown if key not in learned]
        if not fresh:
            break
        inserted = await writing.connection.fetch(
            _QUERIES["insert_messages"], **arrays(_rows(writing, fresh), *_COLUMNS)
        )
        for row in inserted:
            key = (row["channel_id"], row["message_id"])
            learned[key] = KnownMessage(messages[key].claim, 0)
            writing.new_messages.add(key)
        unknown = [key for key in fresh if key not in learned]

    earlier = sorted(key for key, new in messages.items() if new.claim < writing.message(key).claim)
    if earlier:
        await _replace_messages(writing, earlier)


async def _write_channels(writing: Writing) -> None:
    known, learned = writing.known.channels, writing.learned.channels
    learned.update(row for row in sorted(writing.batch.channels.items()) if row[0] not in known)
    if learned:
        await writing.connection.execute(
            _QUERIES["insert_channels"], **arrays(learned.items(), "channel_ids", "external_ids")
        )


async def _write_kinds(writing: Writing) -> None:
    learned = writing.learned.kinds
    for message in writing.batch.messages.values():
        claim = message.claim
        kind = writing.kind(claim)
        if kind not in writing.known.kinds:
            learned[kind] = (claim.message_type, claim.source)
    if learned:
        rows = [
            (kind, source.value, storable(message_type))
            for kind, (message_type, source) in sorted(learned.items())
        ]
        await writing.connection.execute(
            _QUERIES["insert_kinds"], **arrays(rows, "kinds", "sources", "message_types")
        )


async def _replace_messages(writing: Writing, keys: Sequence[MessageKey]) -> None:
    """Earlier samples than the known ones came: rare, by clocks apart or an import."""
    connection = writing.connection
    await connection.execute(_QUERIES["lock"], namespace=NAMESPACE, lock=Lock.MESSAGES)
    replaced: list[MessageKey] = []
    moves: list[tuple[int, int, int]] = []
    for key, stored in sorted((await _stored_messages(writing, keys)).items()):
        old, new = stored.claim, writing.batch.messages[key].claim
        # Of a message that moves, repair finds the offset anew.
        writing.learned.messages[key] = stored._replace(claim=min(old, new))
        if new < old:
            replaced.append(key)
            if old.sent_at != new.sent_at or writing.kind(old) != writing.kind(new):
                moves.append((*key, old.sent_at))
    if moves:
        await connection.execute(
            _QUERIES["remember_moves"], **arrays(moves, "channel_ids", "message_ids", "moved_from")
        )
        writing.moved_from = [moved_from for _, _, moved_from in moves]
    await connection.execute(
        _QUERIES["replace_messages"], **arrays(_rows(writing, replaced), *_COLUMNS)
    )


async def _stored_messages(
    writing: Writing, keys: Sequence[MessageKey]
) -> dict[MessageKey, KnownMessage]:
    rows = await writing.connection.fetch(
        _QUERIES["stored_messages"], **arrays(keys, "channel_ids", "message_ids")
    )
    known, learned = writing.known.kinds, writing.learned.kinds
    if any(row["kind"] not in known and row["kind"] not in learned for row in rows):
        for row in await writing.connection.fetch(_QUERIES["kinds"]):
            learned[row["kind"]] = (row["message_type"], Source(row["source"]))
    messages = {}
    for row in rows:
        kind = row["kind"]
        message_type, source = known.get(kind) or learned[kind]
        messages[row["channel_id"], row["message_id"]] = KnownMessage(
            Claim(row["created_at"], row["sent_at"], message_type, source),
            row["author_offset"] or 0,
        )
    return messages


def _rows(writing: Writing, keys: Iterable[MessageKey]) -> list[tuple[object, ...]]:
    """Rows of `message`, by _COLUMNS."""
    rows: list[tuple[object, ...]] = []
    for key in keys:
        claim, sample = writing.batch.messages[key]
        rows.append(
            (
                *key,
                claim.sent_at,
                claim.created_at,
                writing.kind(claim),
                sample.message_size or None,
                sample.message_id,
                sample.envelope_id,
                sample.topics,
            )
        )
    return rows
