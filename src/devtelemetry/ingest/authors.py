"""Marks the authors of status-go's messages, by who sent the envelope that a message came in.

Which message came in an envelope, and who sent it, are told apart and in any order. Each half waits
in a table of its own for the other one.
"""

from devtelemetry.ingest.known import Writing
from devtelemetry.ingest.receipts import merge_receipts
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "authors.sql")


async def lock_authors(writing: Writing) -> None:
    """Before `write_authors`, and before any row: who has rows must not wait for this lock.

    Two transactions that each bring one half would both miss the other's.
    """
    if _has_envelopes(writing):
        await writing.connection.execute(_QUERIES["lock"], namespace=NAMESPACE, lock=Lock.AUTHORS)


async def write_authors(writing: Writing) -> list[int]:
    """Marks the authors that are known by now; returns the sentAt of what changed."""
    if not _has_envelopes(writing):
        return []
    batch, connection = writing.batch, writing.connection
    holding = sorted((*key, created_at) for key, created_at in batch.message_envelopes.items())
    if holding:
        await connection.execute(
            _QUERIES["insert_message_envelopes"],
            **arrays(holding, "channel_ids", "envelope_ids", "message_ids", "created_at"),
        )
    sent = sorted((*key, created_at) for key, created_at in batch.sent_envelopes.items())
    if sent:
        await connection.execute(
            _QUERIES["insert_sent_envelopes"],
            **arrays(sent, "envelope_ids", "receiver_ids", "created_at"),
        )
    authors = await connection.fetch(
        _QUERIES["authors_of_envelopes"],
        envelope_ids=sorted({envelope for _, envelope, *_ in holding} | {one[0] for one in sent}),
    )
    if not authors:
        return []
    columns = arrays(authors, "sent_at", "channel_ids", "message_ids", "receiver_ids", "kinds")
    kinds = columns.pop("kinds")
    inserted = await connection.fetch(_QUERIES["insert_marks"], **columns, kinds=kinds)
    unknown = [None] * len(authors)
    merged = await merge_receipts(
        writing,
        columns
        | {
            "created_at": unknown,
            "received_at": unknown,
            "sent_by_receiver": [True] * len(authors),
            "author_offsets": [0] * len(authors),
        },
    )
    return [row["sent_at"] for row in (*inserted, *merged)]


def _has_envelopes(writing: Writing) -> bool:
    return bool(writing.batch.message_envelopes or writing.batch.sent_envelopes)
