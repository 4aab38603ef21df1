"""Writes channels, kinds and messages, to which the receipts of a batch refer."""

from collections.abc import Iterable, Mapping, Sequence, Set

from devtelemetry.ingest.batch import storable
from devtelemetry.ingest.known import KnownMessage, Writing
from devtelemetry.ingest.merged import AUTHORS_CLOCK, MessageKey, NewMessage
from devtelemetry.ingest.typed import typed_of
from devtelemetry.model import Source
from devtelemetry.store import whole
from devtelemetry.store.author_clocks import author_offsets
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "messages.sql", **whole.MESSAGE)

_FIRST_SAID = ("created_at", "message_sizes", "envelopes", "topics")  # the first sample decides
_COLUMNS = (
    *(
        "channel_ids",
        "message_ids",
        "sent_at",
        "clocks",
        "kinds",
        "typed_at",
        "typed_sent_at",
        "external_ids",
    ),
    *_FIRST_SAID,
    "first_envelopes",
)


async def write_messages(writing: Writing) -> None:
    """Writes the messages of the batch. Afterwards `writing.message` has each of them."""
    await _write_kinds(writing)
    await _write_channels(writing)
    learned = writing.learned.messages
    messages = writing.batch.messages
    unknown = sorted(key for key in messages if key not in writing.known.messages)
    # Another server may insert a message between our look and our insert. Then look again.
    while unknown:
        learned.update(await stored_messages(writing, unknown))
        fresh = [key for key in unknown if key not in learned]
        if not fresh:
            break
        inserted = await writing.connection.fetch(
            _QUERIES["insert_messages"],
            **arrays(
                [(*_row(writing, key), writing.batch.first_envelopes.get(key, 0)) for key in fresh],
                *_COLUMNS,
            ),
        )
        for row in inserted:
            key = (row["channel_id"], row["message_id"])
            learned[key] = _known(writing, messages[key])
            writing.new_messages.add(key)
        unknown = [key for key in fresh if key not in learned]
    await _replace_first_said(writing)
    await _replace_types(writing)


async def stored_messages(
    writing: Writing, keys: Sequence[MessageKey]
) -> dict[MessageKey, KnownMessage]:
    """The messages among `keys` that are stored."""
    rows = await writing.connection.fetch(
        _QUERIES["stored_messages"], **arrays(keys, "channel_ids", "message_ids")
    )
    offsets = await author_offsets(
        writing.connection,
        {
            (row["sent_at"], row["channel_id"], row["message_id"])
            for row in rows
            if row["clock"] == AUTHORS_CLOCK
        },
    )
    keys = [(row["channel_id"], row["message_id"]) for row in rows]
    return {
        key: KnownMessage(
            row["sent_at"],
            row["clock"],
            row["created_at"],
            row["kind"],
            None if row["typed_at"] is None else (row["typed_at"], row["typed_sent_at"]),
            offsets.get(key, 0),
        )
        for key, row in zip(keys, rows, strict=True)
    }


async def _write_channels(writing: Writing) -> None:
    known, learned = writing.known.channels, writing.learned.channels
    learned.update(row for row in sorted(writing.batch.channels.items()) if row[0] not in known)
    if learned:
        await writing.connection.execute(
            _QUERIES["insert_channels"], **arrays(learned.items(), "channel_ids", "external_ids")
        )


async def _write_kinds(writing: Writing) -> None:
    known, learned = writing.known.kinds, writing.learned.kinds
    for message in writing.batch.messages.values():
        kind = _kind(writing, message)
        if kind not in known and kind not in learned:
            learned[kind] = (message.typed.message_type, message.typed.source)
    if learned:
        rows = [
            (kind, source.value, storable(message_type))
            for kind, (message_type, source) in sorted(learned.items())
        ]
        await writing.connection.execute(_QUERIES["one_after_another"])
        await writing.connection.execute(
            _QUERIES["insert_kinds"], **arrays(rows, "kinds", "sources", "message_types")
        )


async def _replace_first_said(writing: Writing) -> None:
    """Updates messages for which an earlier sample came. This is rare: it needs an import, or
    servers whose clocks differ."""
    earlier = sorted(
        key
        for key, new in writing.batch.messages.items()
        if new.created_at < writing.message(key).created_at
    )
    if earlier:
        rows = [(*key, *_first_said(writing.batch.messages[key])) for key in earlier]
        await writing.connection.execute(
            _QUERIES["replace_first_said"],
            **arrays(rows, "channel_ids", "message_ids", *_FIRST_SAID),
        )
        for key in earlier:
            writing.learned.messages[key] = writing.message(key)._replace(
                created_at=writing.batch.messages[key].created_at
            )


async def _replace_types(writing: Writing) -> None:
    """Updates the kinds of messages. A new sample decides if it is the first one with a type, or
    earlier than that one, or by a better interface.

    Stored receipts have the old kind then, and transactions that run now may add more of them.
    Repair corrects them.
    """
    old = sorted(writing.batch.messages.keys() - writing.new_messages)
    kinds = await _stored_kinds(writing, {writing.message(key).kind for key in old})
    rows = []
    for key in old:
        new, stored = writing.batch.messages[key], writing.message(key)
        typed, (message_type, source) = new.typed, kinds[stored.kind]
        if typed >= typed_of(source, message_type, stored.typed):
            continue
        kind = _kind(writing, new)
        writing.learned.messages[key] = stored._replace(kind=kind, typed=typed.at)
        if kind != stored.kind:
            writing.doubted.add(key)
        rows.append((*key, kind, *(typed.at or (None, None))))
    if rows:
        await writing.connection.execute(
            _QUERIES["replace_types"],
            **arrays(rows, "channel_ids", "message_ids", "kinds", "typed_at", "typed_sent_at"),
        )


async def _stored_kinds(writing: Writing, kinds: Set[int]) -> Mapping[int, tuple[str, Source]]:
    known, learned = writing.known.kinds, writing.learned.kinds
    unknown = [kind for kind in kinds if kind not in known and kind not in learned]
    if unknown:
        for row in await writing.connection.fetch(_QUERIES["stored_kinds"], kinds=unknown):
            learned[row["kind"]] = (row["message_type"], Source(row["source"]))
    return {kind: known.get(kind) or learned[kind] for kind in kinds}


def _kind(writing: Writing, message: NewMessage) -> int:
    return writing.keyring.kind(message.typed.source, message.typed.message_type)


def _known(writing: Writing, message: NewMessage) -> KnownMessage:
    """A new message as it is stored. If votes of the batch differ, repair looks at them."""
    clock, _, sent_at = message.vote
    return KnownMessage(
        sent_at,
        clock,
        message.created_at,
        _kind(writing, message),
        message.typed.at,
        0,
    )


def _row(writing: Writing, key: MessageKey) -> tuple[object, ...]:
    """A row of `message`: _COLUMNS without the last one."""
    message = writing.batch.messages[key]
    known = _known(writing, message)
    return (
        *key,
        known.sent_at,
        known.clock,
        known.kind,
        *(known.typed or (None, None)),
        message.sample.message_id,
        *_first_said(message),
    )


def _first_said(message: NewMessage) -> Iterable[object]:
    """The values of _FIRST_SAID."""
    sample = message.sample
    return (message.created_at, sample.message_size or None, sample.envelope_id, sample.topics)
