"""Applies reports of envelopes to the messages that came in them.

One report says which message came in an envelope, another says what became of the envelope. They
come in any order. Each half waits in a table of its own for the other half.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

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
from devtelemetry.ingest.messages import stored_messages
from devtelemetry.ingest.receipts import doubt_receivers, store_receipts
from devtelemetry.model import EnvelopeEvent, Outcome
from devtelemetry.store import states, whole
from devtelemetry.store.database import Connection, Row
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "envelopes.sql", **whole.RECEIPT)

_Receipts = defaultdict[MessageKey, dict[int, NewReceipt]]  # by receiver_id


class _Told(NamedTuple):
    """What a receiver (0 if unknown) reports of an envelope, for one message that came in it."""

    event: EnvelopeEvent
    message: MessageKey
    receiver_id: int
    envelope_id: int
    created_at: int
    reason: str


async def lock_envelopes(writing: Writing) -> None:
    """Call this before any row is written, so that no transaction waits here while it holds rows.

    Without the lock, two transactions that each bring one half would both miss the other half.
    Transactions that only say which message came in which envelope bring the same half, so they
    share the lock.
    """
    batch = writing.batch
    if batch.events or batch.unnamed or batch.with_events:
        await writing.connection.execute(_QUERIES["lock"], namespace=NAMESPACE, lock=Lock.ENVELOPES)
    elif any(key not in writing.known.message_envelopes for key in batch.message_envelopes):
        await writing.connection.execute(
            _QUERIES["lock_shared"], namespace=NAMESPACE, lock=Lock.ENVELOPES
        )


async def write_envelopes(writing: Writing) -> list[int]:
    """Stores reports of envelopes and applies them; returns the sentAt of messages that changed."""
    batch, connection = writing.batch, writing.connection
    new = _new_envelopes(writing)
    # The first envelope of a new message is stored with the message.
    rows = [
        (*key, batch.message_envelopes[key])
        for key in new
        if key[:2] not in writing.new_messages or batch.first_envelopes[key[:2]] != key[2]
    ]
    if rows:
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
        # The first of equal reports counts, so a repeated one does not show when its receiver last
        # reported.
        before = await connection.fetch(
            _QUERIES["unnamed_before"],
            **arrays(sorted(batch.unnamed), "envelope_ids", "channel_ids", "receiver_ids"),
        )
        await doubt_receivers(writing, {row["receiver_id"] for row in before})
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
    """A sample without a message id counts for each message that came in its envelope."""
    connection, envelope_ids = writing.connection, sorted(envelopes)
    if not envelope_ids:
        return []
    unnamed = await connection.fetch(_QUERIES["unnamed"], envelope_ids=envelope_ids)
    if not unnamed:
        return []
    messages = _by_envelope(
        await connection.fetch(_QUERIES["messages_in"], envelope_ids=envelope_ids)
    )
    forgotten = await _forgotten(connection, {row["receiver_id"] for row in unnamed})
    receipts: _Receipts = defaultdict(dict)
    for row in unnamed:
        if row["receiver_id"] in forgotten:
            continue
        for key in messages[row["envelope_id"]]:
            if row["of_channel"] not in (0, key[0]):
                continue
            receipt = receipts[key].setdefault(
                row["receiver_id"], NewReceipt(None, None, sent_by_receiver=False)
            )
            vote = (row["clock"], row["created_at"], row["sent_at"])
            receipt.vote = vote if receipt.vote is None else min(vote, receipt.vote)
            receipt.said |= SAID[Outcome.UNREADABLE]
            receipt.fail(Outcome.UNREADABLE, Failure(row["created_at"], row["reason"]))
    # So far each of these samples dated its receiver's last report. As a sample of a message it may
    # be a repetition, which does not date it.
    told = {receiver_id for of_message in receipts.values() for receiver_id in of_message}
    await doubt_receivers(writing, told)
    return await _store(writing, receipts)


async def _apply_events(writing: Writing) -> list[int]:
    """A report of an envelope counts for each message that came in it."""
    batch, connection = writing.batch, writing.connection
    if not (batch.events or batch.with_events):
        return []
    receipts: _Receipts = defaultdict(dict)
    of_event: defaultdict[EnvelopeEvent, list[_Told]] = defaultdict(list)
    for told in await _told(writing):
        of_event[told.event].append(told)
    for event in (EnvelopeEvent.SENT, EnvelopeEvent.SEND_FAILED):
        for told in of_event[event]:
            receipt = receipts[told.message].setdefault(
                told.receiver_id, NewReceipt(None, None, sent_by_receiver=True)
            )
            receipt.authored_at = least(receipt.authored_at, told.created_at)
            if event is EnvelopeEvent.SEND_FAILED:
                receipt.said |= states.ENVELOPE_FAILED
                receipt.fail(OF_ENVELOPE, Failure(told.created_at, told.reason))
    changed = await _store(writing, receipts)
    for event in (EnvelopeEvent.WENT_OUT, EnvelopeEvent.FROM_STORE):
        if of_event[event]:
            keys = sorted(
                {(*told.message, told.receiver_id, told.envelope_id) for told in of_event[event]}
            )
            done = await connection.fetch(
                _QUERIES[event.name.lower()],
                **arrays(keys, *(f"{name}s" for name in _EVENT_KEY)),
            )
            changed += [row["sent_at"] for row in done]
    return changed


async def _told(writing: Writing) -> list[_Told]:
    """The reports that concern stored messages: of the envelopes of the batch, and of all envelopes
    in which messages of the batch came.

    A report that does not name its receiver counts for each receiver of its installation that
    reports the message or sent it. Receivers that are being forgotten are left out.
    """
    batch, connection = writing.batch, writing.connection
    rows = await connection.fetch(
        _QUERIES["messages_in"], envelope_ids=sorted({key[0] for key in batch.events})
    )
    touched = {(row["channel_id"], row["message_id"]) for row in rows} | batch.with_events
    rows = await connection.fetch(
        _QUERIES["envelopes_of"], **arrays(sorted(touched), "channel_ids", "message_ids")
    )
    messages = _by_envelope(rows)
    events = await connection.fetch(_QUERIES["events"], envelope_ids=sorted(messages))
    receivers = await _receivers(connection, events, messages)
    forgotten = await _forgotten(
        connection, {one for of_message in receivers.values() for one in of_message}
    )
    return [
        _Told(
            EnvelopeEvent(row["event"]),
            key,
            one,
            row["envelope_id"],
            row["created_at"],
            row["reason"],
        )
        for row in events
        for key in messages[row["envelope_id"]]
        for one in _named(row, receivers[*key, row["installation_id"]])
        if one not in forgotten
    ]


def _by_envelope(rows: Iterable[Row]) -> defaultdict[int, list[MessageKey]]:
    """The messages that came in each envelope."""
    messages: defaultdict[int, list[MessageKey]] = defaultdict(list)
    for row in rows:
        messages[row["envelope_id"]].append((row["channel_id"], row["message_id"]))
    return messages


def _named(event: Row, receivers: Iterable[int]) -> Iterable[int]:
    """Which receivers an event is about. receivers: those of its installation that report the
    message or sent it."""
    if event["receiver_id"] or event["event"] == EnvelopeEvent.WENT_OUT:
        return (event["receiver_id"],)
    return receivers


async def _receivers(
    connection: Connection,
    events: Sequence[Row],
    messages: Mapping[int, Sequence[MessageKey]],
) -> Mapping[tuple[int, int, int], set[int]]:
    """The receivers that events name, by message and installation; if an event names none, those
    of its installation that report the message."""
    receivers: defaultdict[tuple[int, int, int], set[int]] = defaultdict(set)
    unnamed: set[MessageKey] = set()
    installations = set()
    for row in events:
        for key in messages[row["envelope_id"]]:
            if row["receiver_id"]:
                receivers[*key, row["installation_id"]].add(row["receiver_id"])
            elif row["event"] != EnvelopeEvent.WENT_OUT:
                unnamed.add(key)
                installations.add(row["installation_id"])
    if unnamed:
        rows = await connection.fetch(
            _QUERIES["receivers_of"], installation_ids=sorted(installations)
        )
        installation_of = {row["receiver_id"]: row["installation_id"] for row in rows}
        rows = await connection.fetch(
            _QUERIES["reporters"],
            **arrays(sorted(unnamed), "channel_ids", "message_ids"),
            receiver_ids=sorted(installation_of),
        )
        for channel_id, message_id, receiver_id in rows:
            receivers[channel_id, message_id, installation_of[receiver_id]].add(receiver_id)
    return receivers


async def _forgotten(connection: Connection, receivers: Iterable[int]) -> set[int]:
    """Those of `receivers` that are being forgotten."""
    rows = await connection.fetch(_QUERIES["forgotten"], receiver_ids=sorted(receivers))
    return {row["receiver_id"] for row in rows}


_EVENT_KEY = ("channel_id", "message_id", "receiver_id", "envelope_id")


async def _store(writing: Writing, receipts: _Receipts) -> list[int]:
    """Stores receipts of messages that are stored; the reports for other messages wait for them."""
    known, learned = writing.known.messages, writing.learned.messages
    unknown = sorted(key for key in receipts if key not in learned and key not in known)
    if unknown:
        learned |= await stored_messages(writing, unknown)
    stored = {key: of for key, of in receipts.items() if key in learned or key in known}
    return (await store_receipts(writing, stored)).changed
