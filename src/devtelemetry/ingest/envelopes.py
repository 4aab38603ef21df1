"""Applies what is said of envelopes to the messages that came in them.

Which message came in an envelope, and what became of the envelope, are told apart and in any order.
Each half waits in a table of its own for the other one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from devtelemetry.ingest.batch import MessageEnvelopeKey
from devtelemetry.ingest.known import Writing
from devtelemetry.ingest.merged import (
    OF_ENVELOPE,
    SAID,
    Failure,
    MessageKey,
    NewReceipt,
    least,
)
from devtelemetry.ingest.messages import known_message
from devtelemetry.ingest.receipts import doubt_receivers, store_receipts
from devtelemetry.model import EnvelopeEvent, Outcome
from devtelemetry.store import states
from devtelemetry.store.database import Row
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "envelopes.sql")

_Receipts = defaultdict[MessageKey, dict[int, NewReceipt]]  # by receiver_id


async def lock_envelopes(writing: Writing) -> None:
    """Before `write_envelopes`, and before any row: who has rows must not wait for this lock.

    Two transactions that each bring one half would both miss the other's. Those that only say which
    message came in which envelope bring the same half.
    """
    batch = writing.batch
    if batch.events or batch.unnamed or batch.with_events:
        await writing.connection.execute(_QUERIES["lock"], namespace=NAMESPACE, lock=Lock.ENVELOPES)
    elif any(key not in writing.known.message_envelopes for key in batch.message_envelopes):
        await writing.connection.execute(
            _QUERIES["lock_shared"], namespace=NAMESPACE, lock=Lock.ENVELOPES
        )


async def write_envelopes(writing: Writing) -> list[int]:
    """Applies all that is known by now; returns the sentAt of messages that changed by it."""
    batch, connection = writing.batch, writing.connection
    new = _new_envelopes(writing)
    if new:
        rows = [(*key, batch.message_envelopes[key]) for key in new]
        await connection.execute(
            _QUERIES["insert_message_envelopes"],
            **arrays(rows, "channel_ids", "message_ids", "envelope_ids", "created_at"),
        )
        writing.learned.message_envelopes.update(dict.fromkeys(new))
    if batch.events:
        events = sorted((*key, *told) for key, told in batch.events.items())
        await connection.execute(
            _QUERIES["write_events"],
            **arrays(
                events,
                *("envelope_ids", "events", "installation_ids", "receiver_ids"),
                *("created_at", "reasons"),
            ),
        )
    if batch.unnamed:
        unnamed = sorted((*key, *of_it) for key, of_it in batch.unnamed.items())
        await connection.execute(
            _QUERIES["write_unnamed"],
            **arrays(
                unnamed,
                *("envelope_ids", "channel_ids", "receiver_ids"),
                *("created_at", "sent_at", "clocks", "reasons"),
            ),
        )
    return [
        *await _apply_unnamed(writing, {key[2] for key in new} | {key[0] for key in batch.unnamed}),
        *await _apply_events(writing),
    ]


def _new_envelopes(writing: Writing) -> Sequence[MessageEnvelopeKey]:
    known = writing.known.message_envelopes
    return sorted(key for key in writing.batch.message_envelopes if key not in known)


async def _apply_unnamed(writing: Writing, envelopes: Iterable[int]) -> list[int]:
    """Each sample without a message's id is one of each message that came in its envelope."""
    envelope_ids = sorted(envelopes)
    if not envelope_ids:
        return []
    rows = await writing.connection.fetch(_QUERIES["unnamed"], envelope_ids=envelope_ids)
    receipts: _Receipts = defaultdict(dict)
    for row in rows:
        receipt = receipts[row["channel_id"], row["message_id"]].setdefault(
            row["receiver_id"], NewReceipt(None, None, sent_by_receiver=False)
        )
        vote = (row["said_clock"], row["said_created_at"], row["said_sent_at"])
        receipt.vote = vote if receipt.vote is None else min(vote, receipt.vote)
        receipt.said |= SAID[Outcome.UNREADABLE]
        receipt.fail(Outcome.UNREADABLE, Failure(row["said_created_at"], row["reason"]))
    # Until it stood for a message, each showed that its receiver reports. Said again it is no news.
    await doubt_receivers(writing, {row["receiver_id"] for row in rows})
    return await _store(writing, rows, receipts)


async def _apply_events(writing: Writing) -> list[int]:
    """What is said of envelopes is said of the messages that came in them."""
    batch, connection = writing.batch, writing.connection
    if not (batch.events or batch.with_events):
        return []
    rows = await connection.fetch(
        _QUERIES["events"],
        **arrays(sorted(batch.with_events), "channel_ids", "message_ids"),
        envelope_ids=sorted({key[0] for key in batch.events}),
    )
    receipts: _Receipts = defaultdict(dict)
    of_event: defaultdict[EnvelopeEvent, list[Row]] = defaultdict(list)
    for row in rows:
        of_event[EnvelopeEvent(row["event"])].append(row)
    for event in (EnvelopeEvent.SENT, EnvelopeEvent.SEND_FAILED):
        for row in of_event[event]:
            receipt = receipts[row["channel_id"], row["message_id"]].setdefault(
                row["receiver_id"], NewReceipt(None, None, sent_by_receiver=True)
            )
            receipt.authored_at = least(receipt.authored_at, row["told_at"])
            if event is EnvelopeEvent.SEND_FAILED:
                receipt.said |= states.ENVELOPE_FAILED
                receipt.fail(OF_ENVELOPE, Failure(row["told_at"], row["reason"]))
    changed = await _store(writing, rows, receipts)
    for event in (EnvelopeEvent.WENT_OUT, EnvelopeEvent.FROM_STORE):
        if of_event[event]:
            keys = sorted({tuple(row[name] for name in _EVENT_KEY) for row in of_event[event]})
            done = await connection.fetch(
                _QUERIES[event.name.lower()],
                **arrays(keys, *(f"{name}s" for name in _EVENT_KEY)),
            )
            changed += [row["sent_at"] for row in done]
    return changed


_EVENT_KEY = ("channel_id", "message_id", "receiver_id", "envelope_id")


async def _store(writing: Writing, rows: Sequence[Row], receipts: _Receipts) -> list[int]:
    """rows: they name the message of each receipt"""
    for row in rows:
        key: MessageKey = (row["channel_id"], row["message_id"])
        if key not in writing.learned.messages and key not in writing.known.messages:
            writing.learned.messages[key] = known_message(row)
    return (await store_receipts(writing, receipts)).changed
