"""Writes receipts, and what follows from them: receivers and memberships."""

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

# Delays are corrected if the author's clock is off by this or more, as in store/author_clocks.sql.
_CLOCK_IS_OFF_MS = 1_000

_QUERIES = queries(__package__, "receipts.sql", **whole.RECEIPT)

_KEY = ("sent_at", "channel_ids", "message_ids", "receiver_ids")  # of a receipt
_OF_MESSAGE = (*_KEY[:3], "kinds", "clocks", "author_offsets")
# The values that nearly all receipts have. If all have it, the column is sent empty. unnest() then
# fills it with NULL, which new_receipt.sql replaces by this value.
_MOSTLY = {"said": 0, "authored_at": None, "envelope_ids": None}
_NO_VOTE = (None, None, None)


class _OfMessage(NamedTuple):
    """The receipts of a message, ascending by receiver_id. If these tuples are sorted, all receipts
    are in the order of their keys."""

    sent_at: int
    channel_id: int
    message_id: int
    receipts: Sequence[tuple[int, NewReceipt]]

    @property
    def key(self) -> MessageKey:
        return self.channel_id, self.message_id

    @property
    def keys(self) -> list[tuple[int, int, int, int]]:
        """The keys of the receipts, in the order of _KEY."""
        return [(*self[:3], receiver_id) for receiver_id, _ in self.receipts]


class Written(NamedTuple):
    """The result of storing receipts.

    new              how many samples and marks are new: at most one for each outcome of a receipt
    changed          sentAt of the messages that have something new
    last_created_at  by receiver_id, for receivers that may have a later report than is stored
    """

    new: int
    changed: list[int]
    last_created_at: dict[int, int]


async def write_receipts(writing: Writing) -> int:
    """Writes the receipts, and then their receivers and memberships.

    Returns how many samples and marks are new. The messages must be written already.
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

    receipts  by message, each known to `writing`, and by receiver_id
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
        # Some receipts were there already.
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
    """The arguments of the queries: columns of messages and of receipts.

    The driver looks at each element, so what all receipts of a message have in common is sent once.
    Messages whose receipts contradict what is stored are noted for repair.
    """
    messages = []
    positions: list[int] = []
    votes: dict[int, Vote] = {}  # by number of the receipt: votes that do not follow from the rest
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
    """authored_at of an author's receipt as new_receipt.sql takes it; None stands for createdAt."""
    if receipt.authored_at == receipt.created_at:
        return None
    return NEVER if receipt.authored_at is None else receipt.authored_at


async def _write_failures(writing: Writing, found: Sequence[_OfMessage]) -> Sequence[Row]:
    """Writes failures; returns the rows of the query."""
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
    """Whether a vote may change the stored sentAt, or the clock it is by."""
    clock, _, sent_at = vote
    return clock < message.clock or (clock == message.clock and sent_at != message.sent_at)


async def _last_created_at(
    writing: Writing, found: Sequence[_OfMessage], *, all_new: bool
) -> dict[int, int]:
    last: dict[int, int] = {}
    if not all_new:
        # Samples that were sent again do not count. So ask which dates do.
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
    """Lets repair find out when these receivers last reported."""
    if receivers:
        await writing.connection.execute(
            _QUERIES["doubt_receivers"], receiver_ids=sorted(receivers)
        )


async def doubt_messages(writing: Writing) -> list[int]:
    """Notes the messages that repair has to decide; returns the other sentAt that they may get."""
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
    """Learns from the receipts of authors how far their clocks are off, to correct the delays of
    all other receipts."""
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
            # A new message has no stored receipts. If several authors report, repair decides.
            if key not in writing.new_messages or len(authored) > 1:
                doubted.add((message.sent_at, *key))
    await _doubt_delays(writing, doubted)


def _may_change(offset: int | None, message: KnownMessage) -> bool:
    """Whether a message's author_offset may change by what one of its authors says of its clock.

    All authors must agree that the clock is off. So if it is known to be off, an author that says
    nothing (None) changes that.
    """
    return bool(message.author_offset) or (offset is not None and abs(offset) >= _CLOCK_IS_OFF_MS)


def _clock_changed(writing: Writing, merged: Sequence[Row]) -> set[tuple[int, int, int]]:
    """The messages whose author now says something else of its clock. merged: what the query
    returned."""
    return {
        (row["sent_at"], row["channel_id"], row["message_id"])
        for row in merged
        if row["sent_by_receiver"]
        and _may_change(row["offset"], writing.message((row["channel_id"], row["message_id"])))
    }


async def _doubt_delays(writing: Writing, messages: Set[tuple[int, int, int]]) -> None:
    """Lets repair correct the delays of messages: (sent_at, channel_id, message_id)."""
    if messages:
        await writing.connection.execute(
            _QUERIES["doubt_delays"], **arrays(sorted(messages), *_KEY[:3])
        )


async def _write_receivers(writing: Writing, last_created_at: dict[int, int]) -> None:
    """Writes what receivers say of themselves, and when each last reported."""
    rows = []
    for receiver_id, receiver in sorted(writing.batch.receivers.items()):
        created_at = last_created_at.get(receiver_id)
        receipt_minute = None if created_at is None else floor_to_minute(created_at)
        known = writing.known.receivers.get(receiver_id)
        # A new clock alone is no reason to write: a receiver that reports is written each minute.
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
    """Writes the sentAt of the first and last message that a receiver reports in a channel."""
    known, grown = writing.known.memberships, writing.learned.memberships
    first: defaultdict[int, dict[int, int]] = defaultdict(dict)  # sentAt, by channel and receiver
    last: defaultdict[int, dict[int, int]] = defaultdict(dict)
    held = [
        # A mark says who wrote a message, not that this receiver was there to receive messages.
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
